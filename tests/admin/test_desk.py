"""At the desk: it says what is so, writes nothing, and sends the link once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop import orders
from tests import factories
from tests.admin.screens import XSS, offered, said, url
from tests.standing import STATES, offer_in
from tests.tables import unchanged
from tests.views.buyers import shop_with_an_offer
from upsell.engine.campaigns import Reason
from upsell.models import Campaign, CampaignCopy, Decision, Offer, OfferEvent, OutboxMessage
from upsell.models.tokens import offer_token
from upsell.presenting import desk as words
from upsell.services import desk, messaging, offering

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _base(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"


def asked(client, order) -> object:
    return client.get(url("desk_changelist"), {"order": str(order)})


def page_of(client, order) -> str:
    return asked(client, order).content.decode()


def send(client, offer: Offer, **more: str):
    fields = {"offer": offer.pk, "asked_for": "yes"} | more
    return client.post(url("desk_changelist"), fields, follow=True)


# ------------------------------------------------------------------ what it says


def test_an_order_nobody_looked_at_is_told_what_it_would_be_offered(client, boss, shop):
    campaign = factories.campaign(shop["W2"], shop["W1"], kind="UPSELL")
    CampaignCopy.objects.create(
        campaign=campaign, language="en", headline="Less ironing", benefits=["Quiet", "Quick"]
    )
    placed = factories.order(shop)

    with unchanged():
        response = asked(client, placed.number)
    page = response.content.decode()

    assert response.context["made"] is False
    for words_there in (
        "Looking now, the buyer would be offered this.",
        "The order contains W1.",
        "Less ironing",
        "<li>Quiet</li>",
        "W1 leaves your order, W2 takes its place.",
        "€240.00",
        "includes €40.00 tax",
        "There is no link yet",
    ):
        assert words_there in page
    assert Decision.objects.count() == Offer.objects.count() == 0


@pytest.mark.parametrize("state", STATES)
def test_looking_writes_nothing_and_stamps_nothing(state, client, boss):
    offer = offer_in(state, shop_with_an_offer())

    with unchanged(state):
        response = asked(client, offer.order_ref)

    assert response.status_code == 200
    if state in {"CREATED", "SHOWN"}:
        assert "There is an open offer for this order." in response.content.decode()
    else:
        over = words.BECAME[state.lower()]
        assert response.context["over"] == over
        assert str(over.to_say) in response.content.decode().replace("&#x27;", "'")


def test_an_offer_that_nobody_saw_is_not_stamped_as_seen(client, boss):
    offer = offer_in("CREATED", shop_with_an_offer())

    asked(client, offer.order_ref)

    offer.refresh_from_db()
    assert (offer.state, offer.first_shown_at) == ("CREATED", None)


def test_a_declined_offer_stays_declined_whatever_has_changed_since(client, boss):
    products = shop_with_an_offer()
    offer = offer_in("DECLINED", products)
    factories.campaign(products["CA"], priority=99)

    response = asked(client, offer.order_ref)

    assert response.context["over"] == words.BECAME["declined"]
    assert "Send the link" not in response.content.decode()


def test_an_offer_whose_time_is_over_is_said_to_be_over(client, boss):
    offer = offer_in("SHOWN", shop_with_an_offer())
    now = timezone.now()
    Offer.objects.filter(pk=offer.pk).update(
        created_at=now - timedelta(hours=2), expires_at=now - timedelta(minutes=1)
    )

    assert asked(client, offer.order_ref).context["over"] == words.BECAME["expired"]


def test_what_was_decided_to_be_nothing_stays_nothing(client, boss, shop):
    factories.campaign(shop["W2"], shop["DR"])
    placed = factories.order(shop)
    desk_says = "We had nothing that goes well with this order."
    from_shop = offered_nothing(placed)
    assert from_shop.reason == "no_match"
    Campaign.objects.all().delete()
    factories.campaign(shop["CA"])

    assert desk_says in page_of(client, placed.number)


def offered_nothing(placed) -> Decision:
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    return page.decision


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        pytest.param({"offers": "DR"}, "sold out", id="not in stock"),
        pytest.param({"offers": "W1"}, "in your order already", id="in the order"),
        pytest.param({"offers": "CA", "groups": ["club"]}, "goes well", id="a group is a secret"),
        pytest.param({"offers": "CA", "countries": ["FR"]}, "goes well", id="a country, too"),
    ],
)
def test_why_did_i_get_no_offer(client, boss, shop, options, answer):
    offers = options.pop("offers")
    factories.campaign(shop[offers], shop["W1"], **options)
    placed = factories.order(shop)

    with unchanged():
        response = asked(client, placed.number)

    assert answer in response.context["nothing"]
    assert "club" not in response.content.decode()


def test_a_packed_order_is_told_so(client, boss, shop):
    factories.campaign(shop["CA"])
    placed = factories.order(shop)
    orders.pack(placed.pk)

    assert "being packed already" in page_of(client, placed.number)


def test_every_reason_has_an_answer_without_our_words():
    for reason in Reason:
        answer = words.why_nothing((reason.value,))
        assert answer.endswith(".")
        assert not {"campaign", "group", "priority"} & set(answer.lower().rstrip(".").split())


def test_an_order_of_nobody_is_said_to_be_unknown(client, boss, shop):
    assert "The shop knows no order" in page_of(client, "no-such")


def test_what_staff_and_catalogue_say_is_text(client, boss, shop):
    campaign = factories.campaign(shop["W2"], shop["W1"], kind="UPSELL", name=XSS)
    CampaignCopy.objects.create(
        campaign=campaign, language="en", headline=XSS, body=XSS, benefits=[XSS]
    )
    shop["W2"].title = XSS
    shop["W2"].save()

    for order in (factories.order(shop).number, offered(shop).order_ref):
        page = page_of(client, order)
        assert XSS not in page
        assert "&lt;script&gt;alert(1)" in page


# ------------------------------------------------------------------ the link


def test_the_link_is_mailed_once_and_noted(client, boss):
    offer = offer_in("SHOWN", shop_with_an_offer())

    first, second = send(client, offer), send(client, offer)
    messaging.send_due()
    messaging.send_due()

    assert said(first) == ["The link is on its way to the order's mail address."]
    assert said(second) == [str(words.NOT_SENT["already_sent"])]
    (letter,) = mail.outbox
    assert letter.to == ["buyer@example.org"]
    link = f"https://shop.example/upsell/offers/{offer_token(offer)}/"
    assert link in letter.body
    assert link in letter.alternatives[0][0]
    assert "You pay now €240.00" in letter.body
    event = OfferEvent.objects.get(kind="link_sent")
    assert (event.actor, event.reason) == (f"staff:{boss.pk}", "asked_for")
    assert OutboxMessage.objects.get(kind="LINK").state == "SENT"
    offer.refresh_from_db()
    assert offer.state == "SHOWN"


def test_sending_stamps_no_impression(client, boss):
    offer = offer_in("CREATED", shop_with_an_offer())

    send(client, offer)
    messaging.send_due()

    offer.refresh_from_db()
    assert (offer.state, offer.first_shown_at, len(mail.outbox)) == ("CREATED", None, 1)


def test_without_the_buyer_s_wish_nothing_is_sent(client, boss):
    offer = offer_in("SHOWN", shop_with_an_offer())

    with unchanged_outbox():
        answer = send(client, offer, asked_for="")

    assert said(answer) == [str(words.NOT_SENT["not_asked_for"])]


@contextmanager
def unchanged_outbox() -> Iterator[None]:
    """Fail where something is to be told, or was noted."""
    before = (OutboxMessage.objects.count(), OfferEvent.objects.count())
    yield
    assert (OutboxMessage.objects.count(), OfferEvent.objects.count()) == before


@pytest.mark.parametrize("state", [s for s in STATES if s not in {"CREATED", "SHOWN"}])
def test_only_an_open_offer_has_a_link_to_send(state, client, boss):
    offer = offer_in(state, shop_with_an_offer())

    with unchanged_outbox():
        answer = send(client, offer)

    assert said(answer) == [str(words.NOT_SENT["not_open"])]


@pytest.mark.parametrize(
    ("email", "base", "trial", "why"),
    [
        pytest.param("", "https://shop.example", False, "no_address", id="no address"),
        pytest.param("a@b.example, c@d.example", "https://shop.example", False, "no_address",
                     id="T16: two addresses"),
        pytest.param("a@b.example", "", False, "no_base", id="no base for links"),
        pytest.param("a@b.example", "https://shop.example", True, "trial", id="a trial"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_sent_is_said(client, boss, settings, email, base, trial, why):
    offer = offer_in("SHOWN", shop_with_an_offer(), email=email)
    Offer.objects.filter(pk=offer.pk).update(trial=trial)
    settings.UPSELL_BASE_URL = base

    shown = page_of(client, offer.order_ref)
    with unchanged_outbox():
        answer = send(client, offer)

    assert str(words.NOT_SENT[why]) in shown
    assert said(answer) == [str(words.NOT_SENT[why])]


def test_an_offer_that_closed_meanwhile_is_not_mailed(client, boss):
    offer = offer_in("SHOWN", shop_with_an_offer())
    send(client, offer)
    Offer.objects.filter(pk=offer.pk).update(state="DECLINED", responded_at=timezone.now())

    messaging.send_due()

    assert mail.outbox == []
    assert OutboxMessage.objects.get(kind="LINK").state == "CANCELLED"


def test_who_may_only_look_sends_nothing(client, signed_in):
    offer = offer_in("SHOWN", shop_with_an_offer())
    signed_in("view_desk")

    page = page_of(client, offer.order_ref)
    with unchanged():
        answer = client.post(url("desk_changelist"), {"offer": offer.pk, "asked_for": "yes"})

    assert "You may look, and not send" in page
    assert answer.status_code == 403


def test_who_may_send_needs_no_other_right(client, signed_in):
    offer = offer_in("SHOWN", shop_with_an_offer())
    signed_in("view_desk", "send_desk")

    send(client, offer)

    assert OutboxMessage.objects.filter(kind="LINK").count() == 1


def test_t19_other_channels_are_not_theirs(client, signed_in):
    offer = offer_in("SHOWN", shop_with_an_offer())
    signed_in("view_desk", "send_desk", channels=("other",))

    page = page_of(client, offer.order_ref)
    with unchanged_outbox():
        answer = client.post(url("desk_changelist"), {"offer": offer.pk, "asked_for": "yes"})

    assert "The shop knows no order" in page
    assert answer.status_code == 404


@pytest.mark.parametrize("number", ["", "0", "-1", "٣", "9" * 30, "x", "1e3"])
def test_t37_a_number_of_nothing_is_not_found(client, boss, number):
    assert client.post(url("desk_changelist"), {"offer": number}).status_code == 404


def test_two_at_once_send_one(client, boss):
    offer = offer_in("SHOWN", shop_with_an_offer())

    told = [desk.send_link(offer_id=offer.pk, actor="staff:1") for _ in range(2)]

    assert told == ["", "already_sent"]


def test_the_offer_s_own_page_leads_there(client, signed_in):
    offer = offer_in("SHOWN", shop_with_an_offer())
    there = f'href="{url("desk_changelist")}?order={offer.order_ref}"'
    signed_in("view_offer")
    assert there not in client.get(url("offer_change", offer.pk)).content.decode()

    signed_in("view_offer", "view_desk", name="other")

    assert there in client.get(url("offer_change", offer.pk)).content.decode()


# ------------------------------------------------------------------ what it costs


@pytest.mark.parametrize("made", [True, False], ids=["an offer", "none yet"])
def test_it_costs_as_much_with_many_campaigns(client, boss, shop, made):
    factories.campaign(shop["W2"], shop["W1"], kind="UPSELL", priority=99)
    placed = offered(shop).order_ref if made else factories.order(shop).number
    asked(client, placed)

    def cost() -> int:
        with CaptureQueriesContext(connection) as told:
            asked(client, placed)
        return len(told)

    few = cost()
    for _ in range(30):
        factories.campaign(shop["CA"], shop["W1"])
    cost()

    assert cost() <= few <= 60
