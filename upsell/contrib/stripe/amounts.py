"""Amounts as Stripe counts them: the ISO 4217 exponent, but for the few where Stripe differs.

Source: https://docs.stripe.com/currencies, "Zero-decimal currencies", "Special cases" and
"Minimum and maximum charge amounts".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from upsell.ports import exponent

EXPONENTS: Mapping[str, int] = {"ISK": 2, "UGX": 2, "MGA": 0}
"""ISK and UGX have no decimals, and Stripe wants two zeros; MGA has fifths, and Stripe none."""
_THREE_DECIMALS = 3

LEAST: Mapping[str, Decimal] = {
    code: Decimal(amount)
    for code, amount in {
        "USD": "0.50", "AED": "2.00", "AUD": "0.50", "BGN": "1.00", "BRL": "0.50", "CAD": "0.50",
        "CHF": "0.50", "CZK": "15.00", "DKK": "2.50", "EUR": "0.50", "GBP": "0.30", "HKD": "4.00",
        "HUF": "175.00", "INR": "0.50", "JPY": "50", "MXN": "10.00", "MYR": "2.00", "NOK": "3.00",
        "NZD": "0.50", "PLN": "2.00", "RON": "2.00", "SEK": "3.00", "SGD": "0.50", "THB": "10.00",
    }.items()
}  # fmt: skip
"""The least that Stripe charges. Elsewhere it is the worth of half a US dollar: it refuses less."""


def units(amount: Decimal, currency: str) -> int:
    """Return an amount in Stripe's minor units.

    >>> units(Decimal("28.90"), "EUR"), units(Decimal(999), "JPY"), units(Decimal(5), "ISK")
    (2890, 999, 500)

    Raises:
        ValueError: It is no whole number of them; three-decimal currencies end in 0 at Stripe.
    """
    scaled = amount.scaleb(_places(currency))
    whole = int(scaled)
    odd = exponent(currency) == _THREE_DECIMALS and whole % 10
    if scaled != whole or odd:
        raise ValueError(f"{amount} {currency} is no amount that Stripe can charge")
    return whole


def amount(minor: int, currency: str) -> Decimal:
    """Return what so many of Stripe's minor units are worth.

    >>> amount(2890, "eur"), amount(999, "jpy"), amount(500, "isk")
    (Decimal('28.90'), Decimal('999'), Decimal('5.00'))
    """
    return Decimal(minor).scaleb(-_places(currency))


def _places(currency: str) -> int:
    code = currency.upper()
    return EXPONENTS.get(code, exponent(code))
