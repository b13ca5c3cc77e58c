"""The snippet of the page on analytics, at a real browser: once, and only with a yes."""

from __future__ import annotations

import re

import pytest

from tests.browser import states
from tests.docs.pages import DOCS

SNIPPET = re.search(r"```js\n(.*?)```", (DOCS / "how-to" / "analytics.md").read_text(), re.DOTALL)[
    1
]
EVENTS = "(window.dataLayer ?? []).filter((row) => row.event)"


def measured(buyer, *, agrees: bool) -> list[dict]:
    """Load the snippet as a page of the shop does, and return what the tag manager is told."""
    buyer.page.evaluate(f"window.shopConsent = {{ analytics: {str(agrees).lower()} }}")
    buyer.page.evaluate(SNIPPET)
    return buyer.page.evaluate(EVENTS)


@pytest.fixture
def buyer(shopper):
    made = shopper()
    states.accepted(made)
    return made


def test_an_added_product_is_told_once(buyer):
    (told,) = measured(buyer, agrees=True)
    buyer.page.reload()

    assert measured(buyer, agrees=True) == []
    assert told["event"] == "purchase"
    (item,) = told["ecommerce"]["items"]
    assert item["price"] * item["quantity"] == told["ecommerce"]["value"] > 0
    assert item["item_id"] in buyer.products
    assert told["upsell_order"] == buyer.order.number


def test_undoing_takes_it_back(buyer):
    (bought,) = measured(buyer, agrees=True)
    buyer.presses("Undo until")
    buyer.page.get_by_role("heading", name="Undone").wait_for()

    (back,) = measured(buyer, agrees=True)

    assert back["event"] == "refund"
    assert back["ecommerce"]["transaction_id"] == bought["ecommerce"]["transaction_id"]
    assert back["event_id"] != bought["event_id"]


def test_without_consent_nothing_is_read_or_kept(buyer):
    assert measured(buyer, agrees=False) == []
    assert buyer.page.evaluate("localStorage.length") == 0

    buyer.page.evaluate("window.shopConsent.analytics = true; window.upsellLook()")

    assert len(buyer.page.evaluate(EVENTS)) == 1
