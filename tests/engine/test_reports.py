"""What reports mean (table 2.4), in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from upsell.engine.reports import Effect, effect_of, standing

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)

TABLE = """
bounced      bounced       hard
bounced      invalid       hard
rejected     bounced       hard
rejected     invalid       hard
bounced      timed_out     soft
bounced      other         soft
bounced      -             soft
deferred     -             soft
deferred     timed_out     soft
rejected     blocked       refused
rejected     other         refused
rejected     -             refused
bounced      blocked       refused
rejected     spam          spam
bounced      spam          spam
complained   -             complained
complained   spam          complained
unsubscribed -             unsubscribed
rejected     unsubscribed  unsubscribed
delivered    -             reached
opened       -             reached
clicked      -             clicked
failed       -             refused
queued       -             none
sent         -             none
subscribed   -             none
autoresponded -            none
unknown      -             none
what         ever          none
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_effect_of(line) -> None:
    kind, reason, effect = line.split()

    assert effect_of(kind, "" if reason == "-" else reason) == effect


@pytest.mark.parametrize(
    ("told", "soft", "until"),
    [
        pytest.param([(0, "soft"), (1, "soft")], 2, None, id="two are not enough"),
        pytest.param([(0, "soft"), (1, "soft"), (2, "soft")], 3, 32, id="the third is"),
        pytest.param([(0, "soft"), (1, "soft"), (30, "soft")], 2, None, id="30 days are over"),
        pytest.param([(0, "soft"), (1, "soft"), (29, "soft")], 3, 59, id="a day before that"),
        pytest.param(
            [(0, "soft"), (1, "soft"), (2, "reached"), (3, "soft")], 1, None, id="one came through"
        ),
        pytest.param(
            [(0, "soft"), (1, "soft"), (2, "soft"), (3, "clicked")], 0, None, id="and again"
        ),
        pytest.param([(day, "soft") for day in range(4)], 4, 33, id="the pause grows"),
        pytest.param([(0, "refused"), (0, "spam"), (0, "none")], 0, None, id="of others nothing"),
    ],
)
def test_standing(told, soft, until) -> None:
    rows = [(T0 + day * DAY, Effect(effect)) for day, effect in told]

    for order in permutations(rows):
        found = standing(order)
        assert (found.soft, found.until) == (soft, None if until is None else T0 + until * DAY)
        assert not found.hard
        assert (found.first_soft_at is None) == (soft == 0)


def test_a_hard_bounce_stays() -> None:
    rows = [(T0, Effect.HARD), (T0 + DAY, Effect.REACHED)]

    assert standing(rows).hard
    assert standing(reversed(rows)).hard


def test_of_two_at_one_instant_the_bounce_counts() -> None:
    rows = [(T0, Effect.SOFT), (T0, Effect.REACHED)]

    assert standing(rows) == standing(reversed(rows))
    assert standing(rows).soft == 1
