"""Amounts as a buyer's language writes them, and what can never be known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from upsell.engine.variables import forms_of, locale_of, never_known


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "price", "formatted", "shown"),
    [
        pytest.param("19.9", "EUR", "de-DE", "19,9", "19,90", "19,90\xa0€", id="J66 euros"),
        pytest.param("1200", "JPY", "ja", "1200", "1200", "￥1,200", id="J66 yen"),
        pytest.param("1.5", "KWD", "en", "1.5", "1.500", "KWD1.500", id="J66 dinars"),
        pytest.param("20.00", "EUR", "en", "20", "20.00", "€20.00", id="never 2E+1"),
        pytest.param("1234.5", "EUR", "de_DE", "1234,5", "1234,50", "1.234,50\xa0€", id="large"),
        pytest.param("0.005", "EUR", "en", "0.01", "0.01", "€0.01", id="half up"),
        pytest.param("-3", "USD", "en", "-3", "-3.00", "-$3.00", id="less than nothing"),
        pytest.param("7", "EUR", "xx-nowhere", "7", "7.00", "€7.00", id="no such language"),
    ],
)
def test_an_amount_has_three_forms(amount, currency, locale, price, formatted, shown):
    found = forms_of("price", Decimal(amount), currency, locale_of(locale))

    assert found == {"price": price, "price_formatted": formatted, "price_shown": shown}


@pytest.mark.parametrize("tag", ["", "_", "e", "\x00", "de-DE-x-y-z-" + "a" * 300])
def test_any_tag_leads_to_a_locale(tag):
    assert locale_of(tag).language in {"en", "de"}


@pytest.mark.parametrize(
    ("name", "event", "offer", "never"),
    [
        pytest.param("purchased.1.name", "order.placed", False, False, id="items of an order"),
        pytest.param("purchased.1.name", "cart.abandoned", False, True, id="items of a cart"),
        pytest.param("links.order", "trial.started", True, True, id="no order to look at"),
        pytest.param("order.number", "my.event", False, False, id="the shop's own event"),
        pytest.param("offer.link", "order.placed", False, True, id="no step that offers"),
        pytest.param("offer.link", "order.placed", True, False, id="a step that offers"),
        pytest.param("suggestion.1.name", "order.placed", False, True, id="no suggestions"),
        pytest.param("starter.product_name", "order.placed", False, False, id="follows from it"),
        pytest.param("starter.color", "order.placed", False, True, id="no such parameter"),
        pytest.param("starter.color", "cart.added", False, False, id="a shop adds to it"),
        pytest.param("webhook.score.points", "order.placed", False, False, id="a step that calls"),
        pytest.param("webhook.other.points", "order.placed", False, True, id="no such step"),
        pytest.param("last.product_name", "trial.started", False, False, id="of the buyer"),
    ],
)
def test_what_can_never_be_known(name, event, offer, never):
    found = never_known({name}, event=event, offer=offer, webhooks={"score"})

    assert (name in found) is never
