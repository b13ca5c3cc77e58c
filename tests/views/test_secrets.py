"""No link, e-mail, name or address in a log, a signal, a task or a row of ours (T8, T27, I24)."""

from __future__ import annotations

import inspect
import logging
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.dispatch import Signal
from django.test import Client
from django.urls import reverse

from example_shop.models import Order
from tests.factories import order
from tests.standing import STATES, offer_in
from tests.tables import dump
from tests.views.buyers import placing, shop_with_an_offer
from upsell import hooks, signals
from upsell.models import Offer
from upsell.models.tokens import offer_token, undo_token
from upsell.services import auditing, messaging, running

pytestmark = pytest.mark.django_db(transaction=True)

BUYER = {
    "email": "canary.mail@example.org",
    "name": "Canary Name",
    "street": "Canary Street 7",
    "coupon": "CANARY-COUPON",
}
AGENT = "Canary-Agent/1.0"


def told_of(offer: Offer) -> list[str]:
    """Return everything that must be nowhere."""
    return [*BUYER.values(), AGENT, "canary", offer_token(offer), undo_token(offer)]


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What our signals carried."""
    rows: list[dict[str, Any]] = []

    def hear(sender: object, **arguments: Any) -> None:
        rows.append(arguments)

    sent = [row for row in vars(signals).values() if isinstance(row, Signal)]
    for row in sent:
        row.connect(hear)
    yield rows
    for row in sent:
        row.disconnect(hear)


def everything_that_happens(card: str, settings: Any, monkeypatch: Any) -> Offer:
    """Buy, look, accept, wait, undo, be mailed, be refused, fail: everything that is logged."""
    settings.UPSELL_BASE_URL = "https://shop.example"
    settings.UPSELL_FULFILMENT_HOLD = True
    placed = order(shop_with_an_offer(), card=card, **BUYER)
    buyer = Client(headers={"User-Agent": AGENT})
    session = buyer.session
    session["order_ref"] = str(placed.pk)
    session.save()
    page = buyer.get(reverse("shop:thanks", args=[placed.pk]))
    assert "data-upsell-offer" in page.content.decode()
    offer = Offer.objects.get()
    stranger = Client(enforce_csrf_checks=True)
    for token in (offer_token(offer), undo_token(offer)):
        for name in ("offer", "accept", "decline", "undo", "status", "return", "seen"):
            path = reverse(f"upsell:{name}", args=[token])
            for method in ("get", "head", "post", "put"):  # 200, 303, 403, 404, 405, 410
                getattr(stranger, method)(path)
    accept, undo = (
        reverse(f"upsell:{name}", args=[offer_token(offer)]) for name in ("accept", "undo")
    )
    buyer.post(accept, {"quote": "x"})  # 400
    buyer.post(accept, {"quote": "2"})  # 409
    buyer.post(accept, {"quote": "1"})
    buyer.post(accept, {"quote": "1"})
    buyer.post(reverse("upsell:return", args=[offer_token(offer)]))

    def refuses(self: object, *args: object, **options: object) -> None:
        raise smtplib.SMTPRecipientsRefused({BUYER["email"]: (550, b"no such user")})

    with monkeypatch.context() as patch:
        patch.setattr(EmailMultiAlternatives, "send", refuses)
        messaging.send_due()
    buyer.post(undo)
    buyer.post(undo)
    running.run_due()
    Order.objects.update(cancelled=True)
    hooks.order_cancelled(order_ref=str(placed.pk))
    auditing.whole()
    with monkeypatch.context() as patch:
        patch.setattr("upsell.queries.page_by_token", lambda token: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            buyer.get(reverse("upsell:offer", args=[offer_token(offer)]))  # 500
    return offer


@pytest.mark.parametrize("card", ["card_ok", "card_declined", "card_challenge", "card_hang"])
def test_nothing_that_happens_is_logged_with_a_person_or_a_link(
    card, caplog, heard, settings, monkeypatch
) -> None:
    caplog.set_level(logging.DEBUG)

    offer = everything_that_happens(card, settings, monkeypatch)

    assert {"upsell", "django.request"} <= {row.name for row in caplog.records}
    assert heard
    logged = caplog.text + "".join(str(vars(row)) for row in caplog.records) + str(heard)
    assert [word for word in told_of(offer) if word.lower() in logged.lower()] == []


@pytest.mark.parametrize("card", ["card_ok", "card_declined", "card_challenge", "card_hang"])
def test_p3_no_row_of_ours_holds_a_person_or_a_link(card, settings, monkeypatch) -> None:
    offer = everything_that_happens(card, settings, monkeypatch)

    kept = str(dump("upsell_"))
    assert str(offer.uuid.hex) in kept.replace("-", "")
    assert [word for word in told_of(offer) if word.lower() in kept.lower()] == []


def test_p3_in_no_state_does_a_row_hold_a_person_or_a_link() -> None:
    products = shop_with_an_offer()
    offers = [offer_in(state, products, **BUYER) for state in STATES]

    kept = str(dump("upsell_"))

    assert len(offers) == kept.count("'open_key'")
    for offer in offers:
        assert [word for word in told_of(offer) if word.lower() in kept.lower()] == []


def test_the_mail_alone_holds_the_link(settings) -> None:
    """The control: the canaries are real, and reach the one place where they belong."""
    settings.UPSELL_BASE_URL = "https://shop.example"
    offer = offer_in("ACCEPTED", shop_with_an_offer(), **BUYER)
    buyer = placing(offer, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    buyer.get(reverse("upsell:offer", args=[offer_token(offer)]))

    messaging.send_due()

    (sent,) = mail.outbox
    assert sent.to == [BUYER["email"]]
    link = f"https://shop.example{reverse('upsell:undo', args=[undo_token(offer)])}"
    assert link in sent.body
    assert "evil.example" not in str(sent.message())
    assert offer_token(offer) not in str(sent.message())


def test_no_task_is_given_more_than_an_id() -> None:
    """A broker keeps and logs what it is given."""
    tasks = pytest.importorskip("upsell.tasks", reason="the extra [celery] is not installed")
    ours = [row for row in vars(tasks).values() if hasattr(row, "apply_async")]
    named = [row for row in ours if str(getattr(row, "name", "")).startswith("upsell.")]

    given = {
        parameter.name
        for task in named
        for parameter in inspect.signature(task.run).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    }

    assert len(named) >= 6
    assert given == {"attempt_id"}
