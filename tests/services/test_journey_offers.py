"""What a journey's message may carry: the order's own offer, once in its life, and pictures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.services.journeys import END, MAIL, go, journey, message, tell, way
from upsell import queries
from upsell.engine.journeys.definition import Kind, Step
from upsell.models import Decision, JourneyRun, MessageEvent, Offer, OfferLink
from upsell.models.tokens import offer_token
from upsell.services import declining, expiring, journey_offers, offering

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

H = timedelta(hours=1)
OFFER = {
    "type": "offer",
    "suggestions": 2,
    "to": {"offer": "mail", "suggestions": "mail", "none": "end"},
}
STEPS = {"offer": OFFER, "mail": MAIL, "end": END}


@pytest.fixture
def products():
    return catalogue()


def placed_at(products, when):
    return order(products, placed_at=when, email="emily@example.org")


def started(placed, at, **options) -> JourneyRun:
    journey(STEPS, **options)
    tell(order_ref=str(placed.pk), at=at)
    go(at)
    return JourneyRun.objects.get()


def shown(placed, at) -> Offer:
    page = offering.offer_for(order_ref=str(placed.pk), now=at, show=True)
    assert page is not None
    assert page.offer is not None
    return page.offer


def test_an_offer_that_is_still_open_is_mailed_as_it_stands(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    before = shown(placed, now)

    run = started(placed, now + timedelta(minutes=10))

    after = Offer.objects.get()
    assert run.found["offer"] == after.pk
    assert (after.generation, after.expires_at, after.state) == (1, before.expires_at, "SHOWN")
    assert not OfferLink.objects.exists()
    assert way(run) == "offer:offer mail:sent"


def test_an_expired_offer_is_issued_again_and_both_links_open_it(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    first = offer_token(shown(placed, now))
    expiring.expire_due(now=now + H)

    later = now + 3 * H
    started(placed, later)

    offer = Offer.objects.get()
    assert (offer.state, offer.generation) == ("SHOWN", 2)
    assert offer.expires_at == later + timedelta(hours=72)
    second = offer_token(offer)
    assert second != first
    for token in (first, second):
        page = queries.page_by_token(token)
        assert page is not None
        assert page.offer == offer


def test_an_answer_counts_as_the_click_of_the_last_message(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    offer = shown(placed, now)
    run = started(placed, now + timedelta(minutes=10))

    answered = now + timedelta(minutes=20)
    tell("offer.declined", order_ref=str(placed.pk), at=answered, offer=str(offer.uuid))

    assert message(run).clicked_at == answered
    report = MessageEvent.objects.get()
    assert (report.provider, report.event_id, report.kind, report.at) == (
        "upsell", message(run).key, "clicked", answered,
    )  # fmt: skip


def test_an_offer_that_nobody_saw_is_as_unseen_when_it_is_issued_again(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    offering.offer_for(order_ref=str(placed.pk), now=now)
    expiring.expire_due(now=now + H)

    started(placed, now + 3 * H)

    offer = Offer.objects.get()
    assert (offer.state, offer.first_shown_at) == ("CREATED", None)


def test_j70_after_a_no_there_is_no_offer_and_the_product_is_not_suggested(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    offer = shown(placed, now)
    declining.decline(token=offer_token(offer))
    before = Offer.objects.values().get()

    run = started(placed, now + 3 * H)

    assert Offer.objects.values().get() == before
    assert way(run) == "offer:none"
    assert run.found["suggestions"] == []
    assert mail.outbox == []


def test_j71_an_order_without_an_offer_gets_its_first_for_72_hours(products):
    now = timezone.now()
    placed = placed_at(products, now)
    other = campaign(products["W2"], products["DR"], kind="UPSELL")
    assert offering.offer_for(order_ref=str(placed.pk), now=now) is not None, "decided: nothing"
    assert not Offer.objects.exists()
    other.delete()
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")

    later = now + 3 * H
    run = started(placed, later)

    offer = Offer.objects.get()
    assert run.found["offer"] == offer.pk
    assert (offer.expires_at, offer.state) == (later + timedelta(hours=72), "CREATED")
    decision = Decision.objects.get()
    assert decision.facts["before"]["reason"] == "no_match"

    again = journey_offers.offer(run, _step(), now=later + timedelta(hours=24))
    assert again.found["offer"] == offer.pk, "a second mail shows the same offer"


def _step() -> Step:
    return Step(id="offer", kind=Kind.OFFER, to=OFFER["to"], told={"suggestions": 0})


@pytest.mark.parametrize("change", ["cancelled", "refunded", "released"])
def test_an_order_that_may_not_change_is_offered_nothing(products, change):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    shown(placed, now)
    expiring.expire_due(now=now + H)
    setattr(placed, change, True)
    placed.save()

    run = started(placed, now + 3 * H)

    assert way(run).startswith("offer:none")
    assert Offer.objects.get().generation == 1


def test_issuing_again_twice_is_once(products):
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = placed_at(products, now)
    offer = shown(placed, now)
    expiring.expire_due(now=now + H)

    journey_offers.reissue(offer.pk, now=now + 2 * H)
    journey_offers.reissue(offer.pk, now=now + 3 * H)

    assert Offer.objects.get().generation == 2
    assert OfferLink.objects.count() == 1
