"""The audit is silent about what is right, and names exactly what is wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import models
from django.utils import timezone

from example_shop.models import Order, OrderLine
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell.exceptions import ChargeDeclined
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, OfferQuote, OutboxMessage, Refund
from upsell.models.tokens import offer_token, undo_token
from upsell.services import auditing, declining, expiring, messaging, reconciling, revoking, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def placed() -> Order:
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    return order(products)


@pytest.fixture
def accepted(placed) -> Offer:
    offer = accept(offered(placed))
    messaging.send_due()
    return offer


def audited(*options: str) -> tuple[int, list[str]]:
    """Run the command; return its exit status and the invariants it names."""
    out, status = io.StringIO(), 0
    try:
        call_command("upsell_audit", "--json", *options, stdout=out)
    except SystemExit as left:
        status = int(left.code or 0)
    summed = json.loads(out.getvalue().splitlines()[-1])
    return status, sorted({row["invariant"] for row in summed["breaches"]})


def expired(offer: Offer) -> None:
    past = timezone.now() - timedelta(hours=1)
    raw(Offer, created_at=past - timedelta(hours=1), expires_at=past)
    expiring.expire_due()


def refused(offer: Offer) -> None:
    Order.objects.update(card="card_declined")
    with pytest.raises(ChargeDeclined):
        accept(offer)


def charged_but_lost(offer: Offer) -> None:
    Order.objects.update(card="card_lost")
    accept(offer)
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=2))


def refunded_by_the_shop(offer: Offer) -> None:
    accept(offer)
    Order.objects.update(refunded=True)
    revoking.order_changed(order_ref=offer.order_ref or "")


LIVES: dict[str, Callable[[Offer], object]] = {
    "shown": lambda offer: None,
    "accepted": accept,
    "accepted, then undone": lambda offer: undoing.undo(
        token=undo_token(accept(offer)), trusted=False
    ),
    "declined": lambda offer: declining.decline(token=offer_token(offer)),
    "expired": expired,
    "card refused": refused,
    "answer lost": charged_but_lost,
    "accepted, then refunded by the shop": refunded_by_the_shop,
}


@pytest.mark.parametrize("life", LIVES)
def test_nothing_is_wrong_with_an_offer(life, placed):
    LIVES[life](offered(placed))

    assert audited("--outside") == (0, [])


def raw(model: type[models.Model], **values: object) -> None:
    """Change rows as no code of ours would."""
    models.QuerySet(model).update(**values)


def forget(model: type[models.Model], **lookup: object) -> None:
    models.QuerySet(model).filter(**lookup).delete()


def undone(offer: Offer) -> None:
    undoing.undo(token=undo_token(offer), trusted=False)


def not_given_back(offer: Offer) -> None:
    undone(offer)
    forget(Refund)


def given_back_twice(offer: Offer) -> None:
    undone(offer)
    refund = Refund.objects.get()
    twin = Refund(attempt=refund.attempt, amount=refund.amount, currency="EUR", reason="again")
    twin.key, twin.created_at, twin.state = f"ups-{twin.uuid}", timezone.now(), "DONE"
    models.QuerySet(Refund).bulk_create([twin])


def old(model: type[models.Model], **values: object) -> Callable[[Offer], None]:
    def change(offer: Offer) -> None:
        raw(model, **values)

    return change


LONG_AGO = timezone.now() - timedelta(days=1)

BREACHES: dict[str, tuple[Callable[[Offer], object], list[str]]] = {
    "the acceptance is gone": (lambda offer: forget(Acceptance), ["I2", "I3"]),
    "undone, not given back": (not_given_back, ["I3"]),
    "given back twice": (given_back_twice, ["I3"]),
    "charged, never applied": (old(Attempt, state="RELEASED"), ["I4"]),
    "applied, never charged": (old(Attempt, charge_state="UNKNOWN"), ["I5"]),
    "charged another amount": (old(Attempt, amount=1), ["I3", "I6"]),
    "charged another currency": (old(Attempt, currency="JPY"), ["I6"]),
    "grew by another amount": (old(Acceptance, total_after_gross=845), ["I3", "I6"]),
    "the figures do not add up": (old(OfferQuote, credit_gross=1), ["I9"]),
    "an upsell that replaced nothing": (old(Acceptance, removed=[]), ["I7"]),
    "a cross-sell that replaced": (old(Offer, kind="CROSS_SELL"), ["I8"]),
    "a state the log does not know": (old(Offer, state="REVERSED"), ["I21"]),
    "an event is gone": (lambda offer: forget(OfferEvent, after="ACCEPTING"), ["I21"]),
    "an event that may not be": (
        lambda offer: (
            models.QuerySet(OfferEvent).filter(after="ACCEPTING").update(after="DECLINED"),
            models.QuerySet(OfferEvent).filter(after="ACCEPTED").update(before="DECLINED"),
        ),
        ["I11", "I23"],
    ),
    "begun after expiry": (
        old(Offer, expires_at=LONG_AGO, created_at=LONG_AGO - timedelta(hours=1)),
        ["I12"],
    ),
    "a key of another": (old(Attempt, key="ups-other"), ["I14"]),
    "nobody told the buyer": (lambda offer: forget(OutboxMessage), ["I19"]),
    "a message that waits for a day": (
        old(OutboxMessage, state="PENDING", not_before=LONG_AGO),
        ["I20"],
    ),
    "still on hold": (old(Offer, hold_requested_at=LONG_AGO), ["I27"]),
}


@pytest.mark.parametrize("what", BREACHES)
def test_the_audit_finds(what, accepted):
    change, wanted = BREACHES[what]
    change(accepted)

    assert audited() == (1, wanted)


OUTSIDE: dict[str, tuple[Callable[[Offer], object], list[str]]] = {
    "the line is gone": (lambda offer: OrderLine.objects.all().delete(), ["I4"]),
    "the order is gone": (lambda offer: Order.objects.all().delete(), ["I4"]),
    "the provider never charged": (
        lambda offer: (raw(Attempt, key="ups-x"), raw(Attempt, key="ups-y")),
        ["I14", "I5"],
    ),
    "cancelled an hour ago": (
        lambda offer: (
            Order.objects.update(cancelled=True),
            raw(Acceptance, at=timezone.now() - timedelta(hours=1)),
        ),
        ["I13"],
    ),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_the_audit_finds_outside(what, accepted):
    change, wanted = OUTSIDE[what]
    change(accepted)

    assert audited("--outside") == (1, wanted)


def test_an_attempt_nobody_settles_is_found(placed):
    Order.objects.update(card="card_hang")
    accept(offered(placed))
    raw(Attempt, started_at=timezone.now() - timedelta(minutes=16))

    assert audited() == (1, ["I20"])


def test_people_read_a_sentence(accepted, capsys):
    raw(Acceptance, total_after_gross=845)

    with pytest.raises(SystemExit):
        call_command("upsell_audit", "--order", accepted.order_ref)

    told = capsys.readouterr().out
    assert f"I6 offer {accepted.pk}: wanted the order to grow by 240.0000; found 245.0000" in told
    assert "1 offers looked at, 2 invariants broken" in told


def test_the_dump_is_one_line_an_offer(accepted):
    out = io.StringIO()

    call_command("upsell_audit", "--json", stdout=out)

    record, summed = map(json.loads, out.getvalue().splitlines())
    assert record["order"] == accepted.order_ref
    assert record["change"]["live"] is True
    assert (summed["offers"], summed["breaches"]) == (1, [])
    assert set(summed) == {"offers", "breaches", "health"}


@pytest.mark.parametrize("count", [1, 30])
def test_the_audit_takes_as_many_statements_for_thirty_offers(count, django_assert_max_num_queries):
    products = catalogue()
    campaign(products["DT"])
    for _ in range(count):
        accept(offered(order(products)))

    with django_assert_max_num_queries(11):
        assert all(not row.breaches for row in auditing.audit())
