"""The page Health: each line with its number, whether it is fine, and what to do if not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests import factories
from tests.admin.screens import url
from tests.admin.test_attending import words
from tests.services.journeys import journey, tell
from tests.standing import offer_in
from tests.tables import unchanged
from upsell.models import JourneyRun, Offer
from upsell.services import limiting, running

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "gatewayhealth_changelist"


@pytest.fixture
def products(shop):
    factories.campaign(shop["CA"])
    return shop


def locked_out(offer: Offer) -> None:
    wait = limiting.Wait(limit="BUYER", length=timedelta(hours=1))
    key = limiting.address_key("203.0.113.7")
    limiting.note(offer, wait=wait, address=key, now=timezone.now())


def test_it_says_what_is_wrong_what_to_do_and_leads_there(client, boss, products):
    running.run_due()
    offer_in("NEEDS_ATTENTION", products)

    with unchanged():
        page = client.get(url(PAGE))

    told = words(page)
    assert "1 thing is not as it should be." in told
    assert "Offers that need attention look 1, the oldest for" in told
    assert "What to do: Open the list; each offer's page".replace("'", "&#x27;") in told
    assert told.count("What to do:") == 1
    assert 'href="/admin/upsell/offer/?attention=yes"' in page.content.decode()


def test_all_is_well(client, boss, products):
    offer_in("ACCEPTED", products)
    running.run_due()

    told = words(client.get(url(PAGE)))

    assert "All is well." in told
    assert "What to do:" not in told


def test_a_new_shop_is_told_that_there_is_little_to_see_yet(client, boss, shop):
    told = words(client.get(url(PAGE)))

    assert "No offer has been made yet" in told
    assert "never seen" in told


def test_lock_outs_stand_there_and_in_the_timeline_without_a_person(client, boss, products):
    offer = offer_in("SHOWN", products, email="canary@example.org")
    locked_out(offer)

    page = client.get(url(PAGE))
    timeline = client.get(url("offer_change", offer.pk)).content.decode()

    assert "Too many tries to pay by this buyer." in words(page)
    assert url("offer_change", offer.pk) in page.content.decode()
    assert "kept from trying again" in timeline
    assert "Too many tries to pay by this buyer. Until" in timeline
    for secret in ("canary", "example.org", "203.0.113.7"):
        assert secret not in page.content.decode()


def test_staff_of_another_channel_see_none_of_it(client, products, signed_in):
    locked_out(offer_in("SHOWN", products))
    offer_in("NEEDS_ATTENTION", products)
    signed_in("view_gatewayhealth", "view_offer", channels=("elsewhere",))

    told = words(client.get(url(PAGE)))

    assert "Offers that need attention fine none" in told
    assert "Buyers kept from trying again fine none" in told
    assert "by this buyer" not in told


def test_who_may_not_see_offers_is_led_to_none(client, products, signed_in):
    locked_out(offer_in("SHOWN", products))
    offer_in("NEEDS_ATTENTION", products)
    signed_in("view_gatewayhealth")

    page = client.get(url(PAGE))

    assert "Offers that need attention look 1" in words(page)
    assert "/upsell/offer/" not in page.content.decode()


def test_it_is_in_the_list_of_screens_of_who_may_see_it(client, shop, signed_in):
    signed_in("view_gatewayhealth")
    index = reverse("admin:app_list", args=["upsell"])
    assert f'href="{url(PAGE)}"' in client.get(index).content.decode()

    signed_in("view_campaign", name="other")
    assert f'href="{url(PAGE)}"' not in client.get(index).content.decode()
    assert client.get(url(PAGE)).status_code == 403


@pytest.mark.parametrize(
    ("late", "badge"), [(timedelta(minutes=6), "look"), (timedelta(minutes=31), "failing")]
)
def test_j93_a_late_journey_is_degraded_and_then_failing(late, badge, client, boss, addressed):
    journey()
    tell(order_ref="A1")
    run = JourneyRun.objects.get()
    JourneyRun.objects.update(due_at=timezone.now() - late)

    page = client.get(url(PAGE))

    assert f"Journeys that are late {badge} 1" in words(page)
    assert url("journeyrun_change", run.pk) in page.content.decode()


def test_who_may_not_see_runs_is_led_to_none(client, signed_in, addressed):
    journey()
    tell(order_ref="A1")
    JourneyRun.objects.update(state="STUCK", due_at=None)
    signed_in("view_gatewayhealth", "view_offer")

    page = client.get(url(PAGE))

    assert "Runs of journeys that are stuck look 1" in words(page)
    assert "/upsell/journeyrun/" not in page.content.decode()
