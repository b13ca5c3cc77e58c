"""How an amount is collected, in words: before, and once it is."""

from __future__ import annotations

from decimal import Decimal

import pytest

from upsell.models import OfferQuote
from upsell.presenting.wording import collected


@pytest.mark.parametrize(
    ("way", "due", "before", "after"),
    [
        ("CHARGE_SAVED", "24", "charged to your card", "charged to your card"),
        ("ADD_TO_BALANCE", "24", "added to your card", "added to your card"),
        (
            "REDIRECT_APPROVAL",
            "24",
            "paid with your card, on the next page",
            "paid with your card",
        ),
        ("CHARGE_SAVED", "0", "nothing to pay", "nothing to pay"),
        ("NONE", "0", "nothing to pay", "nothing to pay"),
    ],
)
def test_how_an_amount_is_collected_is_said(way, due, before, after):
    quote = OfferQuote(collection=way, collection_label="your card", due_gross=Decimal(due))

    assert collected(quote) == before
    assert collected(quote, done=True) == after


def test_a_provider_without_a_name_is_the_next_page():
    quote = OfferQuote(collection="REDIRECT_APPROVAL", due_gross=Decimal(24))

    assert collected(quote) == "paid on the next page"
    assert collected(quote, done=True) == "paid on the provider's page"
