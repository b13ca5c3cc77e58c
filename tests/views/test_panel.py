"""What the shop's own staff see on an order: the offer, for who may look at offers."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.template import Context, Template
from django.urls import reverse
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from upsell import queries
from upsell.models import Offer
from upsell.services import offering

pytestmark = pytest.mark.django_db(transaction=True)


def panel(rf, user, placed):
    request = rf.get("/staff/")
    request.user = user
    template = Template("{% load upsell %}{% upsell_order_panel order %}")
    return template.render(Context({"request": request, "order": placed}))


@pytest.fixture
def staff():
    user = User.objects.create_user("may look", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_offer"))
    return user


def offered(placed):
    return offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("CROSS_SELL", "CA for €24.00", id="a cross-sell"),
        pytest.param("UPSELL", "W2 instead of W1, for €240.00 more", id="an upsell"),
    ],
)
def test_the_panel_says_what_was_offered(rf, staff, kind, said):
    products = catalogue()
    if kind == "UPSELL":
        campaign(products["W2"], products["W1"], kind="UPSELL")
    else:
        campaign(products["CA"], products["W1"])
    placed = order(products, ("W1", 1))
    offered(placed)

    shown = panel(rf, staff, placed)

    assert said in shown
    assert reverse("admin:upsell_offer_change", args=[Offer.objects.get().pk]) in shown


def test_nothing_was_offered_and_nothing_is_shown(rf, staff):
    assert panel(rf, staff, order(catalogue(), ("W1", 1))) == ""


@pytest.mark.parametrize("who", ["a buyer", "staff without the right"])
def test_who_may_not_look_at_offers_sees_nothing(rf, who):
    products = catalogue()
    campaign(products["CA"], products["W1"])
    placed = order(products, ("W1", 1))
    offered(placed)
    user = AnonymousUser() if who == "a buyer" else User.objects.create_user("no", is_staff=True)

    assert panel(rf, user, placed) == ""


def test_an_error_of_ours_costs_the_staff_screen_nothing(rf, staff, monkeypatch, caplog):
    def broken(order_ref):
        raise RuntimeError("ours")

    monkeypatch.setattr(queries, "page_for", broken)

    assert panel(rf, staff, order(catalogue(), ("W1", 1))) == ""
    assert "panel" in caplog.text
