"""Currencies and rounding. ``Decimal`` in, ``Decimal`` out; a float never appears."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

# ISO 4217 list one, the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_QUANTA = {places: Decimal(1).scaleb(-places) for places in (0, 2, 3, 4)}


def exponent(currency: str) -> int:
    """Return how many decimal places the currency has, by ISO 4217.

    >>> exponent("EUR"), exponent("JPY"), exponent("KWD")
    (2, 0, 3)
    """
    return _EXPONENTS.get(currency, 2)


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Round half-up to the currency's minor unit, as buyers expect.

    >>> round_money(Decimal("8.4915"), "EUR"), round_money(Decimal("849.15"), "JPY")
    (Decimal('8.49'), Decimal('849'))
    """
    return amount.quantize(_QUANTA[exponent(currency)], rounding=ROUND_HALF_UP)


def minor_units(amount: Decimal, currency: str) -> int:
    """Return an amount in whole minor units; raise ValueError if it is not whole.

    >>> minor_units(Decimal("12.50"), "EUR"), minor_units(Decimal("849"), "JPY")
    (1250, 849)
    """
    scaled = amount.scaleb(exponent(currency))
    whole = scaled.to_integral_value()
    if scaled != whole:
        raise ValueError(f"{amount} {currency} is finer than its minor unit")
    return int(whole)


def allocate(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Spread an amount over weights so that the shares add up to it exactly.

    The largest remainder takes the left-over minor units; ties go to the earlier
    position. All weights zero: everything falls to the first position.

    Args:
        amount: What to spread, not negative, in major units.
        weights: At least one, none negative. Order matters for ties only.
        currency: ISO 4217 code that decides the minor unit.

    Returns:
        One share per weight, in the same order; their sum is ``amount`` rounded.

    Raises:
        ValueError: No weights, or one is negative.

    >>> allocate(Decimal("50"), [Decimal("600"), Decimal("12")], "EUR")
    [Decimal('49.02'), Decimal('0.98')]

    Source: largest remainder (Hamilton) method.
    """
    if not weights or any(weight < 0 for weight in weights):
        raise ValueError(f"weights must be present and not negative: {weights!r}")
    quantum = _QUANTA[exponent(currency)]
    total = round_money(amount, currency)
    base = sum(weights, Decimal(0))
    if base == 0:
        return [total, *(Decimal(0) * quantum for _ in weights[1:])]
    exact = [total * weight / base for weight in weights]
    shares = [share.quantize(quantum, rounding=ROUND_FLOOR) for share in exact]
    left = int(((total - sum(shares, Decimal(0))) / quantum).to_integral_value())
    by_remainder = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[:left]:
        shares[i] += quantum
    return shares


def share_of_units(paid: Decimal, *, units: int, first: int, count: int, currency: str) -> Decimal:
    """Return what was paid for ``count`` units of a line, after the ``first`` ones.

    The first n of q units are worth half-up(paid * n / q), and a later unit is
    the difference of two such sums, so that all units together are worth ``paid``.

    Args:
        paid: What was really paid for all ``units``, not negative.
        units: Units the line was bought with, at least 1.
        first: Units already taken off (returned) before these.
        count: Units asked for; ``first + count`` is at most ``units``.
        currency: ISO 4217 code.

    Raises:
        ValueError: More units than the line has.

    >>> [str(share_of_units(Decimal(100), units=3, first=k, count=1, currency="EUR"))
    ...  for k in range(3)]
    ['33.33', '33.34', '33.33']
    """
    if not (first >= 0 and count >= 0 and first + count <= units and units >= 1):
        raise ValueError(f"{first}+{count} units of a line of {units}")
    upto = round_money(paid * (first + count) / units, currency)
    return upto - round_money(paid * first / units, currency)
