"""Every state of the offer and every page of the shop, for everybody, narrow and wide."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.conf import settings as configured

from tests.browser import states
from tests.browser.shopper import Shopper
from tests.browser.states import STATES
from upsell.models import Offer
from upsell.models.tokens import offer_token

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
LOOKS = [(320, "light", "ltr"), (320, "dark", "rtl"), (1280, "dark", "ltr"), (1280, "light", "rtl")]
LEAST = 44
"""The least height of what is pressed, in pixels."""

TARGETS = """card => [...card.querySelectorAll("a, button")].map(target => [
  target.innerText, target.getBoundingClientRect().height])"""


def violations(shopper: Shopper, axe: Any) -> list[str]:
    found = axe.run(shopper.page, options=RULES).response["violations"]
    return [f"{row['id']}: {node['html'][:200]}" for row in found for node in row["nodes"]]


def looked_at(shopper: Shopper, axe: Any, width: int, scheme: str, direction: str) -> list[str]:
    """Return what is wrong with the page in this look: axe's findings, and a sideways scroll."""
    page = shopper.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("way => { document.documentElement.dir = way }", direction)
    wrong = violations(shopper, axe)
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    if wide > width:
        wrong.append(f"{wide} pixels wide on a screen of {width}")
    return [f"{width} {scheme} {direction}: {line}" for line in wrong]


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_for_everybody(shopper, axe, state):
    buyer = shopper()
    STATES[state](buyer)
    buyer.offer.wait_for()

    wrong = [line for look in LOOKS for line in looked_at(buyer, axe, *look)]

    assert wrong == []
    targets = [row for row in buyer.offer.evaluate(TARGETS) if row[0] != "Skip this offer"]
    assert [row for row in targets if row[1] < LEAST] == []
    if not state.startswith("open"):
        told = buyer.offer.locator("[autofocus]").first
        assert told.evaluate("told => told === document.activeElement"), "it has the focus"
        assert told.evaluate("told => told.closest('[role=status], [role=alert]') !== null")


def test_on_the_hosts_page_nothing_moves_the_focus(shopper):
    buyer = shopper()
    states.accepted(buyer)
    buyer.offer.get_by_role("heading").wait_for()

    buyer.thanks()

    buyer.offer.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()
    assert buyer.page.evaluate("document.activeElement === document.body")


def test_the_two_answers_are_of_one_size(shopper):
    buyer = shopper()
    states.upsell(buyer)

    yes, no = (buyer.offer.locator(f"button[value={answer}]") for answer in ("accept", "decline"))

    for width in (320, 390, 768, 1280):
        buyer.page.set_viewport_size({"width": width, "height": 900})
        for name in ("width", "height"):
            assert yes.bounding_box()[name] == no.bounding_box()[name], width
    for style in ("fontSize", "fontWeight"):
        assert (
            len({row.evaluate(f"row => getComputedStyle(row).{style}") for row in (yes, no)}) == 1
        )


def test_what_is_paid_now_is_the_largest_text(shopper):
    buyer = shopper()
    states.upsell(buyer)

    sizes = buyer.offer.evaluate(
        """card => [...card.querySelectorAll("*")].filter(row => row.innerText).map(row =>
             [parseFloat(getComputedStyle(row).fontSize), row.innerText])"""
    )

    assert max(sizes)[1] == "You pay now €240.00"


def test_the_facing_rows_stand_at_one_height_also_where_one_wraps(shopper):
    buyer = shopper(width=600)
    states.upsell_in_yen(buyer)
    heights = buyer.offer.locator(".upsell-new .upsell-facts > div").evaluate_all(
        "rows => rows.map(row => row.getBoundingClientRect().height)"
    )
    assert len(set(heights)) > 1, "no row wraps here"

    rows = [
        side.locator("dt").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().top)")
        for side in buyer.offer.locator(".upsell-side").all()
    ]

    assert len(rows[0]) == 4
    assert rows[0] == rows[1]


@pytest.fixture
def bare(settings):
    """Our own page without the shop's frame, as a host has it that overrides nothing."""
    templates = copy.deepcopy(configured.TEMPLATES)
    templates[0]["DIRS"] = []
    settings.TEMPLATES = templates


@pytest.mark.parametrize(
    ("state", "language"),
    [("open, upsell", "he"), ("open, cross-sell", "ar"), ("accepted, upsell", "de")],
)
def test_our_own_page_is_for_everybody(shopper, axe, bare, state, language):
    buyer = shopper(language=language, width=320)
    STATES[state](buyer)
    buyer.offer.wait_for()
    buyer.opens(f"/upsell/offers/{offer_token(Offer.objects.get())}/")
    direction = "ltr" if language == "de" else "rtl"
    assert buyer.page.locator("html").get_attribute("dir") == direction

    wrong = [
        line
        for scheme in ("light", "dark")
        for line in looked_at(buyer, axe, 320, scheme, direction)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("theme", "scheme"), [("dark", "light"), ("light", "dark")], ids=["dark", "light"]
)
def test_the_hosts_own_switch_beats_the_systems_scheme(shopper, bare, theme, scheme):
    surface = "card => getComputedStyle(card).backgroundColor"
    seen = {}
    buyer = shopper()
    states.cross_sell(buyer)
    buyer.opens(f"/upsell/offers/{offer_token(Offer.objects.get())}/")
    buyer.page.emulate_media(color_scheme=theme)
    seen["by the system"] = buyer.offer.evaluate(surface)

    buyer.page.emulate_media(color_scheme=scheme)
    buyer.page.evaluate("theme => { document.documentElement.dataset.upsellTheme = theme }", theme)
    seen["by the switch"] = buyer.offer.evaluate(surface)

    assert seen["by the switch"] == seen["by the system"]


# ------------------------------------------------------------------ the shop


def a_full_basket(buyer: Shopper) -> None:
    for sku in ("wash9", "deter"):
        buyer.opens(f"/product/{buyer.products[sku].pk}/")
        buyer.page.get_by_label("Quantity").fill("3")
        buyer.presses("Put in basket")


@pytest.mark.parametrize(
    "look",
    [pytest.param((320, "light", "ltr"), id="320 light"),
     pytest.param((1280, "dark", "ltr"), id="1280 dark")],
)  # fmt: skip
def test_every_page_of_the_shop_is_for_everybody(shopper, axe, look):
    buyer = shopper(width=look[0], scheme=look[1])
    wrong = {}

    def look_at(name: str) -> None:
        wrong[name] = looked_at(buyer, axe, *look)

    for path in ("/", "/basket/", "/orders/", "/mailbox/", "/terms/", "/login/",
                 "/shop/greenhome/", "/shop/techgadgets/", "/shop/wayfare/", "/shop/kissa/",
                 f"/product/{buyer.products['aria5'].pk}/"):  # fmt: skip
        buyer.opens(path)
        look_at(path)
    a_full_basket(buyer)
    look_at("a full basket")
    buyer.opens("/checkout/")
    buyer.page.get_by_text("What each test card does").click()
    look_at("checkout, test cards unfolded")
    buyer.page.get_by_role("button", name="Order and pay").click()
    buyer.page.get_by_role("alert").wait_for()
    look_at("checkout, with mistakes")
    states.challenge(buyer)
    buyer.presses("Go to your bank")
    look_at("the bank")
    states.approval(buyer)
    buyer.presses("Go to Payfriend")
    buyer.page.get_by_role("button", name="Cancel and return").wait_for()
    look_at("Payfriend")
    asked = buyer.page.url
    buyer.presses("Cancel and return")
    buyer.offer.get_by_role("alert").or_(buyer.page.get_by_role("alert")).first.wait_for()
    buyer.opens(asked)
    look_at("Payfriend, answered")
    buyer.opens("/checkout/paid/?payment=pf_unknown")
    look_at("not paid")
    buyer.opens(f"/order/{buyer.order.pk}/")
    look_at("an order")
    buyer.opens("/orders/")
    look_at("orders")

    assert {name: found for name, found in wrong.items() if found} == {}
