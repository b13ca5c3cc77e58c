"""An order to its one offer, also where the host's own code is slow or broken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from upsell import conf
from upsell.models import Decision, Offer
from upsell.services import offering

pytestmark = pytest.mark.django_db(transaction=True)


def asked(placed):
    return offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)


@pytest.mark.parametrize("port", ["availability", "purchases", "quote"])
def test_a_port_that_raises_gives_no_offer_and_is_asked_again(port, monkeypatch, caplog):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)

    def broken(*args, **kwargs):
        raise RuntimeError("the shop's own mistake")

    with monkeypatch.context() as patch:
        patch.setattr(conf.shop(), port, broken)
        page = asked(placed)

    assert page is not None
    assert page.offer is None
    assert Decision.objects.get().reason == "error"
    assert [row.message for row in caplog.records if row.exc_info] == [
        f"order {placed.pk} could not be decided"
    ]

    again = asked(placed)

    assert again is not None
    assert again.offer is not None
    assert Decision.objects.get().reason == ""


def test_a_port_that_is_slow_gives_no_offer_and_is_asked_again(settings):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)

    settings.UPSELL_TIME_BUDGET = timedelta(0)
    page = asked(placed)
    settings.UPSELL_TIME_BUDGET = timedelta(seconds=5)

    assert page is not None
    assert page.decision is not None
    assert (page.decision.reason, page.offer) == ("timeout", None)
    again = asked(placed)
    assert again is not None
    assert again.offer is not None


def test_no_winner_is_final():
    products = catalogue()
    campaign(products["CA"], status="OFF")
    placed = order(products)
    assert Offer.objects.count() == 0
    asked(placed)

    campaign(products["DT"], priority=99)
    asked(placed)

    assert Offer.objects.count() == 0
    assert Decision.objects.get().reason == "no_match"
