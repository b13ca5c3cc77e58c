"""Two journeys that are due in the same second: one message, and two without the lock."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.db import connection, transaction

from tests.flow.test_races import behind, together
from tests.letters import ANN, T0, message
from upsell.models import OutboxMessage, Reachability
from upsell.services import capping, linking
from upsell.services.locking import retried

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

GUEST = "e:" + "0" * 64


def reserve(customer_key: str = ANN, medium: str = "email") -> str:
    """What a sender does: ask, and take the place, in one transaction."""

    def work() -> str:
        with transaction.atomic():
            free = capping.free_at(
                customer_key=customer_key, medium=medium, category="marketing", now=T0
            )
            if free > T0:
                return "later"
            OutboxMessage.objects.create(
                key=f"j:{threading.get_ident()}:{medium}",
                kind="JOURNEY",
                customer_key=customer_key,
                medium=medium,
                category="marketing",
                not_before=T0,
                created_at=T0,
                reserved_at=T0,
            )
            return "taken"

    return retried(work, times=9)


@pytest.mark.parametrize("seen", [False, True], ids=["never written to", "written to before"])
def test_of_eight_at_once_one_is_sent(seen) -> None:
    if seen:
        with transaction.atomic():
            capping.lock(ANN, "email")

    outcomes = together(*[reserve] * 8)

    assert sorted(outcomes) == ["later"] * 7 + ["taken"]
    assert OutboxMessage.objects.count() == 1
    assert Reachability.objects.count() == 2


def test_of_all_media_together_five_are_sent(settings) -> None:
    """Under the lock of all media: those of one medium alone would let each other pass."""
    media = ["email", "sms", "push", "onsite"] * 2
    settings.UPSELL_CAPS = [("*", 5, capping.conf.caps()[-1].within)]

    outcomes = together(*[partial(reserve, medium=medium) for medium in media])

    assert sorted(outcomes) == ["later"] * 3 + ["taken"] * 5


def test_two_keys_of_one_buyer_have_one_lock() -> None:
    linking.link(old=GUEST, new=ANN, now=T0)

    outcomes = together(reserve, partial(reserve, GUEST))

    assert sorted(outcomes) == ["later", "taken"]


def test_control_without_the_lock_two_are_sent(monkeypatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks everything when a transaction begins")
    monkeypatch.setattr(capping, "lock", lambda customer_key, medium: None)

    outcomes = behind(reserve, reserve, at="INSERT INTO upsell_outboxmessage")

    assert outcomes == ["taken", "taken"]
    assert OutboxMessage.objects.count() == 2


def test_a_place_that_is_taken_is_seen_by_who_waited() -> None:
    """Not only at once: who comes after the commit reads the row, too."""
    message()

    assert reserve() == "later"
