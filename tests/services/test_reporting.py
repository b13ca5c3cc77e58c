"""Providers' reports: each once, in any order, and what follows for message, buyer and address."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from tests.letters import ANN, T0, message, run
from upsell import conf, receivers, snapshots
from upsell.models import (
    Consent,
    JourneyRun,
    MessageEvent,
    OutboxMessage,
    Reachability,
    Suppression,
)
from upsell.ports import Contact, Customer, Who
from upsell.services import consenting, reporting
from upsell.services.purging import purge

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

DAY = timedelta(days=1)
ADDRESS = "ann@example.org"


@pytest.fixture
def letter() -> OutboxMessage:
    return message(run(), state="SENT", provider="Postmark", provider_id="<1@mail>")


def hear(row: OutboxMessage | None, kind: str, reason: str = "", day: int = 0, **options: Any):
    options = {"event_id": f"{kind}-{reason}-{day}", "recipient": ADDRESS} | options
    return reporting.hear(
        provider="Postmark",
        kind=kind,
        reason=reason,
        at=T0 + day * DAY,
        message_id=None if row is None else row.pk,
        now=T0 + 60 * DAY,
        **options,
    )


def may(category: str = "marketing", address: str = ADDRESS, now=T0 + 60 * DAY) -> str:
    reach = consenting.may_write(
        Who(customer_key=ANN), "email", category, contact=Contact(address=address), now=now
    )
    return reach.detail or "ok"


# What follows: the message; what may be written, marketing and transactional; the run.
FOLLOWS = """
bounced      bounced       SENT    bounced       bounced  WAITING
bounced      invalid       SENT    bounced       bounced  WAITING
rejected     invalid       FAILED  bounced       bounced  WAITING
bounced      timed_out     SENT    ok            ok       WAITING
deferred     -             SENT    ok            ok       WAITING
rejected     blocked       FAILED  ok            ok       WAITING
failed       -             FAILED  ok            ok       WAITING
rejected     spam          FAILED  spam          ok       WAITING
bounced      spam          SENT    spam          ok       WAITING
complained   -             SENT    withdrawn     ok       EXITED
unsubscribed -             SENT    withdrawn     ok       EXITED
delivered    -             SENT    ok            ok       WAITING
clicked      -             SENT    ok            ok       WAITING
subscribed   -             SENT    ok            ok       WAITING
"""


@pytest.mark.parametrize("line", FOLLOWS.strip().splitlines())
def test_what_follows(line, letter) -> None:
    kind, reason, *wanted = line.split()
    consenting.grant(customer_key=ANN, medium="email", source="checkout", now=T0 - DAY)

    assert hear(letter, kind, reason.strip("-")) == "done"

    letter.refresh_from_db()
    found = [letter.state, may(), may("transactional"), JourneyRun.objects.get().state]
    assert found == wanted
    assert ADDRESS not in str(
        list(MessageEvent.objects.values()) + list(Suppression.objects.values())
    )


@pytest.mark.parametrize(
    ("reason", "scope"), [("bounced", "all"), ("spam", "marketing")], ids=["hard", "spam"]
)
def test_an_address_is_not_written_to_whoever_has_it(reason, scope, letter) -> None:
    hear(letter, "bounced", reason)

    assert consenting.is_suppressed("email", ADDRESS, scope=scope)
    assert not consenting.is_suppressed("email", "other@example.org", scope=scope)


def test_without_the_address_the_shop_is_asked_for_it(letter, monkeypatch) -> None:
    told = Contact(address=ADDRESS)
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: told)

    hear(letter, "complained", recipient="")

    assert consenting.is_suppressed("email", ADDRESS)


def test_a_shop_that_raises_does_not_lose_the_report(letter, monkeypatch) -> None:
    def broken(who, medium):
        raise RuntimeError("the shop is closed")

    monkeypatch.setattr(conf.shop(), "contact", broken)

    assert hear(letter, "complained", recipient="") == "done"
    assert Consent.objects.get().withdrawn_at


@pytest.mark.parametrize("kind", ["bounced", "complained", "clicked", "deferred"])
def test_told_twice_is_told_once(kind, letter) -> None:
    hear(letter, kind)
    before = [list(model.objects.values()) for model in (MessageEvent, Reachability, Suppression)]

    assert hear(letter, kind) == "known"
    assert hear(letter, kind, recipient="other@example.org") == "known"

    after = [list(model.objects.values()) for model in (MessageEvent, Reachability, Suppression)]
    assert before == after


def test_without_an_id_what_it_says_is_its_id(letter) -> None:
    for event_id in ("", "x" * 500):
        assert hear(letter, "deferred", event_id=event_id) == "done"
        assert hear(letter, "deferred", event_id=event_id) == "known"
        assert hear(letter, "deferred", day=1, event_id=event_id) == "done"


MANY = [
    ("deferred", 0), ("bounced", 1), ("deferred", 2), ("delivered", 3), ("deferred", 4),
    ("complained", 5),
]  # fmt: skip


def test_any_order_comes_to_the_same() -> None:
    """Three soft bounces, then one that came through: whenever we hear of it."""
    ends = set()
    for number, order in enumerate(list(permutations(MANY))[::29]):
        key = f"u:{number}"
        row = message(run(key), state="UNKNOWN")
        for kind, day in order:
            hear(row, kind, day=day, event_id=f"{number}-{kind}-{day}", recipient="")
        row.refresh_from_db()
        standing = Reachability.objects.values_list(
            "hard", "soft_bounces", "first_soft_at", "unreachable_until", "unreachable_why"
        ).get(customer_key=key, medium="email")
        consent = Consent.objects.values_list("medium", "withdrawn_at").get(customer_key=key)
        run_state = JourneyRun.objects.values_list("state", flat=True).get(customer_key=key)
        ends.add((standing, consent, run_state, row.state))

    assert ends == {
        (
            (False, 1, T0 + 4 * DAY, None, ""),
            ("*", T0 + 60 * DAY),
            "EXITED",
            "SENT",
        )
    }


def test_the_third_soft_bounce_pauses_and_one_that_comes_through_ends_it() -> None:
    rows = [message(run(), state="SENT") for _ in range(3)]
    for number, row in enumerate(rows):
        assert may("transactional", now=T0 + 3 * DAY) == "ok"
        hear(row, "bounced", "timed_out", day=number)

    assert may("transactional", now=T0 + 3 * DAY) == "soft_bounces"
    assert may("transactional", now=T0 + 32 * DAY) == "ok"  # 30 days after the third
    hear(rows[0], "delivered", day=3)
    assert may("transactional", now=T0 + 3 * DAY) == "ok"


def test_a_soft_bounce_is_the_buyer_s_by_that_medium_alone(letter) -> None:
    sms = message(run(), medium="sms", state="SENT")
    for day in range(3):
        hear(sms, "deferred", day=day)

    assert may("transactional", now=T0 + 3 * DAY) == "ok"


def test_after_a_complaint_nothing_but_a_new_consent_opens_the_way(letter) -> None:
    consenting.grant(customer_key=ANN, medium="email", source="checkout", now=T0 - DAY)
    hear(letter, "complained")
    for kind in ("delivered", "opened", "clicked", "subscribed"):
        hear(letter, kind, day=1)
        assert may() != "ok"

    consenting.grant(customer_key=ANN, medium="email", source="account", now=T0 + 61 * DAY)

    assert may(now=T0 + 62 * DAY) == "ok"


@pytest.mark.parametrize(
    ("state", "kind", "after"),
    [
        ("UNKNOWN", "sent", "SENT"),
        ("UNKNOWN", "delivered", "SENT"),
        ("UNKNOWN", "failed", "FAILED"),
        ("UNKNOWN", "queued", "UNKNOWN"),
        ("SENDING", "delivered", "SENDING"),
        ("SENDING", "failed", "SENDING"),
        ("CANCELLED", "failed", "CANCELLED"),
    ],
)
def test_a_report_settles_what_is_not_known(state, kind, after) -> None:
    """What is being sent is still in the sender's hands."""
    row = message(run(), state=state)

    hear(row, kind)

    row.refresh_from_db()
    assert row.state == after


def test_the_first_click_starts_the_time_to_buy(letter) -> None:
    for day in (3, 1, 2):
        hear(letter, "clicked", day=day)

    letter.refresh_from_db()
    assert letter.clicked_at == T0 + DAY


def test_a_time_to_come_is_now(letter) -> None:
    hear(letter, "clicked", day=99)

    assert MessageEvent.objects.get().at == T0 + 60 * DAY


def test_found_by_the_provider_s_id() -> None:
    row = message(run(), state="SENT", provider="Postmark", provider_id="<1@mail>")
    message(run("u:bob"), state="SENT", provider="Mailgun", provider_id="<1@mail>")

    assert hear(None, "complained", provider_id="<1@mail>") == "done"

    assert MessageEvent.objects.get().message == row
    assert hear(None, "complained", provider_id="<2@mail>") == "foreign"
    assert hear(None, "complained") == "foreign"


@pytest.mark.parametrize(
    ("kind", "reason", "scopes"),
    [
        ("complained", "", ["marketing"]),
        ("bounced", "invalid", ["all"]),
        ("unsubscribed", "", ["marketing"]),
        ("rejected", "spam", ["marketing"]),
        ("deferred", "", []),
        ("delivered", "", []),
    ],
)
def test_of_another_mail_of_the_shop_only_the_address_counts(kind, reason, scopes) -> None:
    hear(None, kind, reason)

    assert list(Suppression.objects.values_list("scope", flat=True)) == scopes
    assert not MessageEvent.objects.exists()


def test_who_complains_of_another_mail_leaves_our_journeys_as_a_guest() -> None:
    guest = run(snapshots.customer_key(Customer(email=ADDRESS)))
    other = run("u:bob")

    hear(None, "complained")

    states = dict(JourneyRun.objects.values_list("pk", "state"))
    assert states == {guest.pk: "EXITED", other.pk: "WAITING"}


def test_of_an_erased_buyer_nothing_is_noted() -> None:
    row = message(run(""), customer_key="", state="SENT")

    assert hear(row, "deferred") == "done"
    assert not Reachability.objects.exists()
    assert not Consent.objects.exists()


# ------------------------------------------------------------------ through anymail


def event(**told: Any) -> SimpleNamespace:
    """Look like anymail's AnymailTrackingEvent."""
    return SimpleNamespace(
        **{
            "event_type": "complained",
            "timestamp": T0,
            "event_id": "e1",
            "message_id": "<1@mail>",
            "recipient": ADDRESS,
            "reject_reason": None,
            "metadata": {},
            "tags": [],
        }
        | told
    )


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({}, id="by the provider's id"),
        pytest.param({"message_id": None, "metadata": {"upsell_message": "PK"}}, id="by ours"),
        pytest.param({"event_id": None}, id="without an id of its own"),
        pytest.param({"timestamp": None, "metadata": None}, id="without a time"),
        pytest.param({"recipient": None, "tags": None}, id="without the address"),
    ],
)
def test_what_anymail_hears_is_heard(told, letter) -> None:
    if told.get("metadata"):
        told = told | {"metadata": {"upsell_message": str(letter.pk)}}

    receivers._reported(event=event(**told), esp_name="Postmark")

    row = MessageEvent.objects.get()
    assert (row.message, row.kind, row.reason) == (letter, "complained", "")
    assert JourneyRun.objects.get().state == "EXITED"


@pytest.mark.parametrize("told", ["", "x", "-1", "1e9", "٣", "9" * 40, None, 1.5])
def test_what_is_no_id_of_ours_finds_nothing(told, letter) -> None:
    receivers._reported(
        event=event(message_id="<2@mail>", metadata={"upsell_message": told}), esp_name="Postmark"
    )

    assert not MessageEvent.objects.exists()


# ------------------------------------------------------------------ a new address


NEW = "ann@new.example.org"


@pytest.mark.parametrize("category", ["marketing", "transactional"])
def test_another_address_is_written_to(category, letter) -> None:
    consenting.grant(customer_key=ANN, medium="email", source="checkout", now=T0 - DAY)
    hear(letter, "bounced", "invalid")

    assert may(category) == "bounced"
    assert may(category, address=f" {ADDRESS.upper()} ") == "bounced"
    assert may(category, address=NEW) == "ok"
    assert ADDRESS not in str(list(Reachability.objects.values()))


def test_each_address_that_does_not_exist_stays_so(letter) -> None:
    hear(letter, "bounced", "invalid")
    hear(letter, "bounced", "invalid", day=1, recipient=NEW)

    told = [may("transactional", address=one) for one in (ADDRESS, NEW, "third@example.org")]
    assert told == ["hard", "bounced", "ok"]


@pytest.mark.parametrize("first", ["", ADDRESS])
def test_where_it_is_not_known_which_any_is_taken_for_it(first, letter, monkeypatch) -> None:
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: None)
    hear(letter, "bounced", "invalid", recipient=first)
    hear(letter, "bounced", "invalid", day=1, recipient="" if first else ADDRESS)

    assert may("transactional", address=NEW) == "bounced"


def test_a_new_address_does_not_end_a_pause(letter) -> None:
    """Of soft bounces it is not said of which address they were."""
    consenting.grant(customer_key=ANN, medium="email", source="checkout", now=T0 - DAY)
    for day in (50, 51, 52):
        hear(letter, "deferred", day=day)

    assert may(address=NEW) == "soft_bounces"


def test_under_a_former_key_the_address_is_known_again(letter, settings) -> None:
    hear(letter, "bounced", "invalid")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]

    assert may("transactional") == "bounced"


def test_what_came_through_to_the_new_address_makes_the_old_one_exist_no_more(letter) -> None:
    hear(letter, "bounced", "invalid")
    hear(letter, "delivered", day=1, recipient=NEW)

    assert may("transactional") == "bounced"
    assert may("transactional", address=NEW) == "ok"


# ------------------------------------------------------------------ how long it is kept


@pytest.mark.parametrize(
    ("setting", "days", "left"),
    [
        pytest.param(90, 90, True, id="to the day"),
        pytest.param(90, 91, False, id="no longer"),
        pytest.param(1, 61, True, id="as long as soft bounces count"),
        pytest.param(1, 62, False, id="and no longer"),
    ],
)
def test_reports_are_kept_for_a_while(setting, days, left, letter, settings) -> None:
    settings.UPSELL_MESSAGE_REPORT_RETENTION = timedelta(days=setting)
    hear(letter, "bounced", "invalid")
    hear(letter, "clicked")
    later = T0 + (60 + days) * DAY
    OutboxMessage.objects.all().delete()
    would = dict(purge(now=later, dry_run=True))

    done = dict(purge(now=later))

    assert MessageEvent.objects.exists() is left
    assert would["message_reports"] == done.get("message_reports", 0) == (0 if left else 2)
    assert Reachability.objects.get(medium="email").hard, "what it said stays"
    assert may(now=later) == "bounced"
