"""What statistics are made from: counts and sums that SQL adds up, never rows.

Money comes in as ``Decimal`` sums and stays exact until a mean or a variance has been worked out
as a fraction; only that figure is a float. Floats are right from there on, since a mean with its
interval is an estimate, not an amount that anybody pays. No result goes back into a price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

Exact = Decimal | int

_SLACK = Fraction(1, 10**9)
"""How far sums of squares may fall short, relative: SQLite adds decimals as floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``hits`` of ``n``: accepted of shown, orders of visits. ValueError unless 0 <= hits <= n."""

    hits: int
    n: int
    """At least 1."""

    def __post_init__(self) -> None:
        if not (0 <= self.hits <= self.n and self.n >= 1):
            raise ValueError(f"a rate is 0 to n of n >= 1, and is {self.hits} of {self.n}")

    def __add__(self, other: Rate) -> Rate:
        return Rate(hits=self.hits + other.hits, n=self.n + other.n)

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.hits / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of one figure over ``n`` units: net revenue of each buyer, for example.

    Raises:
        TypeError: A sum is a float.
        ValueError: There is no unit, or no figures have these sums.
    """

    n: int
    """Units, those without any revenue included; at least 1."""
    total: Exact
    squares: Exact
    """Sum of the squares, in the square of the unit of ``total``."""

    def __post_init__(self) -> None:
        _check(self.n, self.total, self.squares)
        _spread(self.n, self.total, self.squares)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            n=self.n + other.n, total=self.total + other.total, squares=self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        """Per unit."""
        return float(Fraction(self.total) / self.n)

    @property
    def variance(self) -> float:
        """Of the sample, with n - 1; 0.0 for one unit."""
        return float(_spread(self.n, self.total, self.squares) / max(self.n - 1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The sums of two figures over the same ``n`` units: revenue and orders, spend now and before.

    Raises:
        TypeError: A sum is a float.
        ValueError: There is no unit, or no figures have these sums.
    """

    n: int
    first: Exact
    first_squares: Exact
    second: Exact
    second_squares: Exact
    cross: Exact
    """Sum of the products of the two."""

    def __post_init__(self) -> None:
        _check(self.n, self.first, self.first_squares)
        _check(self.n, self.second, self.second_squares, self.cross)
        limit = _spread(self.n, self.first, self.first_squares) * _spread(
            self.n, self.second, self.second_squares
        )
        slack = _SLACK * Fraction(self.first_squares) * Fraction(self.second_squares)
        if self._cross_spread**2 > limit + slack:
            raise ValueError("no two figures have these sums and this sum of products")

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(
            n=self.n + other.n,
            first=self.first + other.first,
            first_squares=self.first_squares + other.first_squares,
            second=self.second + other.second,
            second_squares=self.second_squares + other.second_squares,
            cross=self.cross + other.cross,
        )

    @property
    def of_first(self) -> Sums:
        """The first figure by itself."""
        return Sums(n=self.n, total=self.first, squares=self.first_squares)

    @property
    def of_second(self) -> Sums:
        """The second figure by itself."""
        return Sums(n=self.n, total=self.second, squares=self.second_squares)

    @property
    def covariance(self) -> float:
        """Of the sample, with n - 1; 0.0 for one unit."""
        return float(self._cross_spread / max(self.n - 1, 1))

    @property
    def _cross_spread(self) -> Fraction:
        return Fraction(self.cross) - Fraction(self.first) * Fraction(self.second) / self.n


def _check(n: int, *sums: Exact) -> None:
    if n < 1:
        raise ValueError(f"sums are over one unit or more, and these over {n}")
    if any(isinstance(value, float) for value in sums):
        raise TypeError("sums are Decimal or int; a float has lost cents already")


def _spread(n: int, total: Exact, squares: Exact) -> Fraction:
    """Return the sum of squared distances from the mean."""
    spread = Fraction(squares) - Fraction(total) ** 2 / n
    if spread < -_SLACK * Fraction(squares):
        raise ValueError(f"no {n} figures come to {total} with squares {squares}")
    return max(spread, Fraction(0))
