"""Which of several equal campaigns comes first: by weight, or by what buyers accept.

Each draw is made again from its arguments alone, so a decision can be replayed. The one module
that may use ``random``, and only as a generator that a digest starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import accumulate
from random import Random

from upsell.engine.experiments import u

FLOOR = 0.10
"""Share of occasions on which all weights are equal: what an experiment may be read from."""

HALF_LIFE = timedelta(days=30)
PRIOR_VIEWS = 20.0
SETTLED_VIEWS = 100.0
"""No campaign with fewer views is ever switched off for its results."""

_POINTS = 300  # of the grid on which one campaign's chance to come first is added up
_NOTHING = 1e-9  # what is left out of that sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How often a campaign was shown and accepted, older times counting less."""

    views: float
    """Only those older than the outcome window: a view that may yet be accepted is no failure."""
    accepts: float
    """Of these views."""

    def __post_init__(self) -> None:
        if not 0 <= self.accepts <= self.views:
            raise ValueError(f"{self.accepts} of {self.views} views cannot be accepted")

    @property
    def is_settled(self) -> bool:
        """Say whether it was seen often enough to be switched off for its results."""
        return self.views >= SETTLED_VIEWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is believed of a campaign's acceptance: Beta(alpha, beta), and what one is worth."""

    alpha: float
    beta: float
    worth: Decimal = Decimal(1)
    """Shrunk mean net margin after refunds of one acceptance; 1 where only acceptance counts."""

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.beta <= 0:
            raise ValueError(f"alpha and beta are above 0, and are {self.alpha}, {self.beta}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One learned order of campaigns."""

    ranked: tuple[str, ...]
    """Best first; the next one comes in where the first cannot be had."""
    is_floor: bool
    """Whether all weights were equal this time."""


def weighted(salt: str, unit: str, weights: Mapping[str, int], /) -> tuple[str, ...]:
    """Return campaigns, best first; each comes first as often as its weight is of all weights.

    Highest ln(u) / weight wins, so that deleting a loser never changes the winner.

    Args:
        salt: The moment's.
        unit: The buyer's key: a buyer sees the same order every time.
        weights: Campaign to weight, above 0.

    Raises:
        ValueError: A weight is not above 0.

    Source: Efraimidis, Spirakis (2006), Inf. Process. Lett. 97, 181-185.
    """
    if any(weight <= 0 for weight in weights.values()):
        raise ValueError(f"weights are above 0, and these are {dict(weights)}")
    keys = {name: math.log(u(salt, unit, name)) / weight for name, weight in weights.items()}
    return _ranked(keys)


def learned(
    candidates: Mapping[str, Posterior],
    /,
    *,
    salt: str,
    moment: str,
    occasion: str,
    version: str,
    floor: float = FLOOR,
) -> Draw:
    """Return campaigns, best first, each ranked by a draw from what is believed of it.

    A draw depends on the arguments and the campaign's own posterior, not on its rivals.

    Args:
        candidates: Campaign to posterior.
        salt: The moment's.
        moment: Its name.
        occasion: The occasion's reference.
        version: Of the posteriors; kept with the decision.
        floor: Share of occasions with equal weights, 0 to 1. Also used where nothing is worth
            more than nothing.

    Source: Thompson (1933), Biometrika 25, 285-294. Cost: some 30 microseconds a candidate.
    """
    unit = f"{moment}:{occasion}"
    if u(salt, unit, "") < floor or not any(one.worth > 0 for one in candidates.values()):
        return Draw(ranked=weighted(salt, unit, dict.fromkeys(candidates, 1)), is_floor=True)
    values = {
        name: float(one.worth) * _generator(salt, unit, name, version).betavariate(
            one.alpha, one.beta
        )
        for name, one in candidates.items()
    }  # fmt: skip
    return Draw(ranked=_ranked(values), is_floor=False)


def forget(taken: Taken, elapsed: timedelta, *, half_life: timedelta = HALF_LIFE) -> Taken:
    """Return what counts after a time: half of it after ``half_life``.

    >>> forget(Taken(views=400, accepts=20), timedelta(days=60))
    Taken(views=100.0, accepts=5.0)
    """
    kept = 0.5 ** (elapsed / half_life)
    return Taken(views=taken.views * kept, accepts=taken.accepts * kept)


def posteriors(
    taken: Mapping[str, Taken], worth: Mapping[str, Decimal] | None = None, /
) -> dict[str, Posterior]:
    """Return what is believed of each campaign of a moment, to be kept under a new version.

    A campaign begins as if it had been seen 20 times with the mean of all of them, which itself
    begins as one of two: Beta(1, 1).

    Args:
        taken: Campaign to what was seen of it; all candidates of the moment.
        worth: Campaign to the worth of one acceptance; nothing for acceptance alone.

    Raises:
        KeyError: ``worth`` lacks a campaign.
    """
    views = sum(one.views for one in taken.values())
    mean = (1 + sum(one.accepts for one in taken.values())) / (2 + views)
    return {
        name: Posterior(
            alpha=PRIOR_VIEWS * mean + one.accepts,
            beta=PRIOR_VIEWS * (1 - mean) + one.views - one.accepts,
            worth=Decimal(1) if worth is None else worth[name],
        )
        for name, one in taken.items()
    }


def propensities(
    candidates: Mapping[str, Posterior], /, *, floor: float = FLOOR
) -> dict[str, float]:
    """Return how likely each candidate was to come first in ``learned``; together 1.0.

    To be logged with the decision, for estimates of what another choice would have earned. Of
    those that could be had: where the first could not, ask again without it.

    Cost: 300 steps for each candidate and rival, two milliseconds for three, the same answer for
    the same posteriors. Off by less than 0.001 for alphas from 0.1.
    """
    equal = 1 / len(candidates) if candidates else 0.0
    running = {name: _Belief(one) for name, one in candidates.items() if one.worth > 0}
    if not running:
        return dict.fromkeys(candidates, equal)
    shares = {
        name: one.chance_above([rival for other, rival in running.items() if other != name])
        for name, one in running.items()
    }
    whole = sum(shares.values())
    return {
        name: floor * equal + (1 - floor) * shares.get(name, 0.0) / whole for name in candidates
    }


class _Belief:
    """A posterior on a grid, even in the log of the odds: smooth there for any alpha and beta."""

    def __init__(self, posterior: Posterior) -> None:
        a, b = posterior.alpha, posterior.beta
        self.worth = math.log(posterior.worth)
        reach = 7 * math.sqrt(1 / a + 1 / b)
        self.low = math.log(a / b) - reach - 9 / a
        self.step = (2 * reach + 9 / a + 9 / b) / _POINTS
        odds = [self.low + (place + 0.5) * self.step for place in range(_POINTS)]
        logs = [a * z - (a + b) * _softplus(z) for z in odds]
        highest = max(logs)
        masses = [math.exp(log - highest) for log in logs]
        whole = sum(masses)
        self.masses = [mass / whole for mass in masses]
        self.values = [self.worth + z - _softplus(z) for z in odds]
        self.below = [0.0, *accumulate(self.masses)]

    def chance_above(self, rivals: Sequence[_Belief]) -> float:
        """Return the chance that a draw from this is above one from each rival."""
        return sum(
            mass * math.prod(rival.chance_below(value) for rival in rivals)
            for mass, value in zip(self.masses, self.values, strict=True)
            if mass > _NOTHING
        )

    def chance_below(self, value: float) -> float:
        """Return the chance that a draw from this is below a value, given by its logarithm."""
        share = value - self.worth
        if share >= 0:
            return 1.0
        odds = share - math.log(-math.expm1(share))
        place = (odds - self.low) / self.step
        if place <= 0:
            return 0.0
        if place >= _POINTS:
            return 1.0
        whole = int(place)
        return self.below[whole] + (place - whole) * self.masses[whole]


def _softplus(z: float) -> float:
    """Return log(1 + exp(z)) without overflow."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def _generator(salt: str, unit: str, campaign: str, version: str) -> Random:
    digest = sha256(f"{salt}:{unit}:{campaign}:{version}".encode()).digest()
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 - a draw that can be made again


def _ranked(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(values, key=lambda name: (-values[name], name)))
