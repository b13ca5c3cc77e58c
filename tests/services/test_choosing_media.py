"""Which medium: what the buyer opened, drawn to what everybody does."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.core.cache import cache

from tests.letters import ANN, T0, message
from upsell.services import linking
from upsell.services.choosing_media import best

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
NOW = T0 + 30 * DAY
BOTH = ["email", "sms"]


@pytest.fixture(autouse=True)
def _no_means():
    cache.clear()
    yield
    cache.clear()


def sent(medium: str, clicks: int, of: int, key: str = ANN, at=T0) -> None:
    for number in range(of):
        message(
            customer_key=key, medium=medium, state="SENT", sent_at=at, reserved_at=at,
            clicked_at=at if number < clicks else None,
        )  # fmt: skip


def chosen(media=BOTH, key=ANN, now=NOW) -> str:
    """Return what most units choose: one in twenty explores."""
    found = Counter(best(customer_key=key, media=media, unit=str(one), now=now) for one in range(9))
    return found.most_common(1)[0][0]


def test_of_a_stranger_the_first() -> None:
    assert chosen() == "email"
    assert chosen([]) == ""
    assert chosen(["sms"]) == "sms"


def test_what_the_buyer_opens() -> None:
    sent("sms", 5, 5)
    sent("email", 0, 5)

    assert chosen() == "sms"
    assert chosen(key="u:bob") == "sms"  # of a stranger it is what everybody opens


def test_under_any_key_of_theirs() -> None:
    sent("sms", 0, 40, key="u:other")
    linking.link(old="u:older", new=ANN, now=T0)
    sent("sms", 5, 5, key="u:older")
    sent("email", 5, 40, key="u:other")

    assert chosen() == "sms"
    assert chosen(key="u:bob") == "email"


def test_older_than_half_a_year_is_nothing() -> None:
    sent("sms", 5, 5)

    assert chosen(now=T0 + 180 * DAY - timedelta(seconds=1)) == "sms"
    cache.clear()
    assert chosen(now=T0 + 180 * DAY) == "email"


def test_one_that_a_cap_forbids_is_left_out_unless_all_are() -> None:
    sent("sms", 1, 1, at=NOW)

    assert chosen() == "email"
    assert chosen(["sms", "sms"]) == "sms"


def test_the_same_run_and_step_choose_the_same_and_some_explore() -> None:
    sent("sms", 20, 20)
    units = [str(number) for number in range(400)]

    first = [best(customer_key=ANN, media=BOTH, unit=unit, now=NOW) for unit in units]

    assert first == [best(customer_key=ANN, media=BOTH, unit=unit, now=NOW) for unit in units]
    assert 2 <= first.count("email") <= 20  # half of 5 % of 400, more or less
