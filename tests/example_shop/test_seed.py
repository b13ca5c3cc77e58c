"""The seeded shop: the same rows however often, and an offer for each of its stories."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import translation

from example_shop.models import Order
from example_shop.seeding.campaigns import CAMPAIGNS
from tests.example_shop.shop import bought, put
from upsell import hooks
from upsell.models import Campaign, ChannelAccess, Experiment, Offer

pytestmark = pytest.mark.django_db


def rows() -> dict[str, int]:
    """Rows of each table; revisions are history, and seeding again is an edit."""
    models = [*apps.get_app_config("example_shop").get_models(), Campaign, get_user_model()]
    return {model.__name__: model.objects.count() for model in models}


def test_seeding_twice_changes_nothing():
    call_command("seed_shop", verbosity=0)
    once = rows()
    orders = list(Order.objects.order_by("number").values("number", "total_gross", "channel"))

    call_command("seed_shop", verbosity=0)

    assert rows() == once
    assert once["Order"] == 60
    assert once["Campaign"] == len(CAMPAIGNS)
    assert (
        list(Order.objects.order_by("number").values("number", "total_gross", "channel")) == orders
    )


def test_past_orders_add_up():
    call_command("seed_shop", verbosity=0)

    for order in Order.objects.prefetch_related("lines", "payments"):
        assert order.total_gross == sum(line.total_gross for line in order.lines.all())
        assert order.paid == bool(order.payments.all())


def test_one_experiment_runs_however_often_the_shop_is_seeded():
    for _twice in range(2):
        call_command("seed_shop", "--orders", "0", verbosity=0)

    row = Experiment.objects.get()
    assert (row.slug, row.state, row.phases.count()) == ("whisk-words", "RUNNING", 1)


def test_the_demonstration_answers_some_offers_by_real_requests():
    call_command("seed_shop", "--offers", "--orders", "0", verbosity=0)

    states = set(Offer.objects.values_list("state", flat=True))
    assert states == {"ACCEPTED", "DECLINED", "SHOWN"}
    assert Offer.objects.count() == 9


@pytest.mark.parametrize(
    ("skus", "who", "slug"),
    [
        (["wash7"], "", "smart-washer"),
        (["wash9"], "", "first-detergent"),
        (["wash9"], "mara", "club-dryer"),
        (["dry8"], "", "dryer-balls"),
        (["deter"], "", "softener"),
        (["clean"], "", "travel-kit"),
        (["moist"], "", "cleanser"),
        (["aria5"], "", "more-storage"),
        (["aria5-256"], "", "pro-phone"),
        (["ariapro"], "", "case"),
        (["ariapro", "casepro"], "", "warranty"),
        (["ariapro", "casepro", "care"], "", "earphones"),
        (["cam"], "", "memory-card"),
        (["ears"], "", "charger"),
        (["cam", "sd", "plug"], "", "cable-pouch"),
        (["ber"], "", "checked-bag"),
        (["ber", "bag"], "", "priority-boarding"),
        (["ber", "bag", "prio"], "", "travel-insurance"),
        (["room"], "", "corner-room"),
        (["suite"], "", "breakfast"),
        (["suite", "food"], "", "late-check-out"),
        (["car"], "", "car-insurance"),
        (["car"], "jonas", "child-seat"),
        (["car", "full"], "", "roadside"),
        (["car", "full", "road"], "", "navigation"),
        (["sencha"], "", "gyokuro"),
        (["matcha"], "", "whisk"),
        (["kyusu"], "", "caddy"),
    ],
)
def test_an_order_of_these_is_offered(client, shop, skus, who, slug):
    if who:
        client.force_login(get_user_model().objects.get(username=who))
    for sku in skus:
        put(client, shop[sku])
    order = bought(client, email=f"{who or 'guest'}@example.org")

    page = client.get(f"/order/{order.pk}/thanks/")

    assert Offer.objects.select_related("campaign").get().campaign.slug == slug
    assert b"data-upsell-offer" in page.content


def test_two_nights_are_offered_a_driver(client, shop):
    put(client, shop["suite"], 2)
    order = bought(client)

    page = hooks.offer_for(order_ref=str(order.pk))

    assert page.offer.campaign.slug == "transfer"


def test_a_german_browser_reads_the_german_words(client, shop, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    put(client, shop["wash7"])
    order = bought(client)

    with translation.override("en"):  # the middleware leaves its language to the next test
        page = client.get(f"/order/{order.pk}/thanks/", headers={"accept-language": "de"})

    assert "Die klügere WashPro, für den Unterschied" in page.content.decode()


def test_greta_is_limited_to_greenhome_and_the_viewer_may_only_look(shop):
    people = get_user_model().objects

    assert [row.channel for row in ChannelAccess.objects.all()] == ["greenhome"]
    assert people.get(username="greta").has_perm("upsell.change_campaign")
    assert not people.get(username="viewer").has_perm("upsell.change_campaign")
    assert people.get(username="viewer").has_perm("upsell.view_campaign")
