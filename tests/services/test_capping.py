"""Caps, counted from the rows that take a place."""

from __future__ import annotations

from datetime import UTC, time, timedelta

import pytest
from django.core.checks import run_checks
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.letters import ANN, T0, message
from upsell import conf
from upsell.exceptions import ConfigurationError
from upsell.models import ChannelSettings, OutboxMessage, Reachability
from upsell.services import capping, linking

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

HOUR = timedelta(hours=1)
ELEVEN = T0 + HOUR


def free(now=ELEVEN, customer_key=ANN, medium="email", category="marketing", **options):
    with transaction.atomic():
        return capping.free_at(
            customer_key=customer_key, medium=medium, category=category, now=now, **options
        )


def test_j53_sent_at_10_the_next_may_go_at_2() -> None:
    assert free(T0) == T0
    message(state="SENT")

    assert free() == T0 + 16 * HOUR
    assert free(T0 + 16 * HOUR) == T0 + 16 * HOUR


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        pytest.param({"state": "PENDING"}, True, id="reserved"),
        pytest.param({"state": "SENDING"}, True, id="being sent"),
        pytest.param({"state": "SENT"}, True, id="sent"),
        pytest.param({"state": "UNKNOWN"}, True, id="perhaps sent"),
        pytest.param({"state": "FAILED"}, False, id="failed before it was handed over"),
        pytest.param({"state": "SKIPPED"}, False, id="skipped"),
        pytest.param({"state": "CANCELLED"}, False, id="cancelled"),
        pytest.param({"state": "EXPIRED"}, False, id="expired"),
        pytest.param({"state": "DRY_RUN"}, False, id="J56: a dry run"),
        pytest.param({"reserved_at": None}, False, id="without a place"),
        pytest.param({"category": "transactional"}, False, id="transactional"),
        pytest.param({"customer_key": "u:bob"}, False, id="of another buyer"),
        pytest.param({"medium": "sms"}, False, id="by another medium"),
    ],
)
def test_what_takes_a_place(options, counts) -> None:
    message(**options)

    assert (free() > ELEVEN) is counts


def test_transactional_may_always_go() -> None:
    message(state="SENT")

    assert free(category="transactional") == ELEVEN
    assert not Reachability.objects.exists()


def test_the_message_itself_does_not_count() -> None:
    own = message()

    assert free(besides=own.pk) == ELEVEN


def test_a_guest_and_the_account_they_became_are_one_buyer() -> None:
    """By each key, and by two that only the oldest one joins."""
    guest = "e:" + "0" * 64
    linking.link(old=guest, new=ANN, now=T0)
    linking.link(old=guest, new="u:ann2", now=T0)
    message(customer_key="u:ann2", state="SENT")

    assert {free(customer_key=key) for key in (guest, ANN, "u:ann2")} == {T0 + 16 * HOUR}
    assert set(Reachability.objects.values_list("customer_key", "medium")) == {
        (guest, "*"),
        (guest, "email"),
    }


def test_the_setting(settings) -> None:
    message(state="SENT")

    settings.UPSELL_CAPS = [("email", 2, timedelta(hours=1))]
    assert free(T0 + HOUR / 2) == T0 + HOUR / 2
    settings.UPSELL_CAPS = ()
    with CaptureQueriesContext(connection) as told:
        assert free() == ELEVEN
    assert [row for row in told if "upsell" in row["sql"]] == []


def test_what_it_costs() -> None:
    free()
    with CaptureQueriesContext(connection) as told:
        free()

    assert len([row for row in told if "upsell" in row["sql"]]) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSELL_CAPS", [("email", 1)]),
        ("UPSELL_CAPS", [("mail", 1, HOUR)]),
        ("UPSELL_CAPS", [("email", 0, HOUR)]),
        ("UPSELL_CAPS", [("email", True, HOUR)]),
        ("UPSELL_CAPS", [("email", 1, 3600)]),
        ("UPSELL_CAPS", 5),
        ("UPSELL_QUIET_HOURS", [("sms", "21:00", "09:00")]),
        ("UPSELL_QUIET_HOURS", {"sms": ("21", "nine")}),
        ("UPSELL_QUIET_HOURS", {"mail": ("21:00", "09:00")}),
        ("UPSELL_QUIET_HOURS", {"sms": ("21:00",)}),
    ],
)
def test_a_setting_that_cannot_be_read_is_said_before_a_buyer_finds_it(
    name, value, settings
) -> None:
    setattr(settings, name, value)

    with pytest.raises(ConfigurationError, match=name):
        (conf.caps if name == "UPSELL_CAPS" else conf.quiet_hours)()
    assert "upsell.E015" in {row.id for row in run_checks(tags=["upsell"])}


def test_quiet_hours_are_the_media_s() -> None:
    night = T0 + 12 * HOUR

    assert capping.quiet_until("email", UTC, night, channel="web") == night
    assert capping.quiet_until("sms", UTC, night, channel="web") == T0 + 23 * HOUR


@pytest.mark.parametrize(
    ("channel", "medium", "hours"),
    [
        pytest.param("web", "email", 11, id="its own"),
        pytest.param("web", "sms", 0, id="two equal times are never quiet"),
        pytest.param("app", "email", 0, id="another channel's row says nothing"),
        pytest.param("app", "sms", 11, id="then as in the settings"),
        pytest.param("other", "email", 10, id="the row for all"),
        pytest.param("other", "sms", 11, id="which says nothing of this medium"),
    ],
)
def test_a_sales_channel_may_have_quiet_hours_of_its_own(channel, medium, hours) -> None:
    row = ChannelSettings.objects.create(
        channel="web", quiet_email_from=time(22), quiet_email_until=time(9),
        quiet_sms_from=time(0), quiet_sms_until=time(0),
    )  # fmt: skip
    ChannelSettings.objects.create(channel="app")
    ChannelSettings.objects.create(channel="", quiet_email_from=time(20), quiet_email_until=time(8))
    night = T0 + 12 * HOUR

    found = capping.quiet_until(medium, UTC, night, channel=channel)
    assert (found - night) / HOUR == hours

    row.quiet_email_from = row.quiet_email_until = None
    row.save()
    assert capping.quiet_until("email", UTC, night, channel="web") == night


@pytest.mark.parametrize("half", ["quiet_email_from", "quiet_sms_until"])
def test_half_of_quiet_hours_is_refused_by_the_database(half) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ChannelSettings.objects.create(channel="web", **{half: time(9)})


def test_the_place_is_free_again_once_it_failed() -> None:
    row = message()
    OutboxMessage.objects.filter(pk=row.pk).update(state="FAILED")

    assert free() == ELEVEN
