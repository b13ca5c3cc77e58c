"""On-site messages: the oldest that waits for who looks, once, after a last look."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.signing import TimestampSigner
from django.db import connection, transaction
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from example_shop.adapter import ExampleShop
from tests.services.journeys import (
    END,
    KEY,
    MAIL,
    T0,
    D,
    H,
    adds_up,
    go,
    journey,
    message,
    move,
    only,
    send,
    tell,
    template,
    way,
)
from upsell import signals
from upsell.models import Journey, JourneyRun, OutboxMessage
from upsell.services import (
    consenting,
    erasing,
    journey_leaving,
    journey_showing,
    journey_states,
    leaving,
    linking,
    purging,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
SHOW: dict[str, Any] = MAIL | {"medium": "onsite", "template": "words"}


@pytest.fixture(autouse=True)
def _base(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"


@pytest.fixture
def words() -> None:
    template("words", "Your seat is free", medium="onsite", subject="Before you fly")


@pytest.fixture
def waiting(words) -> JourneyRun:
    """A run whose message waits for its buyer's next visit."""
    journey({"show": SHOW, "end": END})
    tell()
    move(T0)
    return only()


def visit(
    key: str = KEY,
    *,
    order_ref: str = "",
    method: str = "get",
    agent: str = BROWSER,
    **headers: str,
) -> HttpRequest:
    """Return a request of somebody, as the example shop knows them."""
    made = getattr(RequestFactory(), method)("/tea/", headers={"User-Agent": agent, **headers})
    made.user = AnonymousUser()
    made.session = {"order_ref": order_ref} if order_ref else {}
    if key.startswith("u:"):
        made.user, _new = User.objects.get_or_create(pk=int(key[2:]), username=key)
    elif key:
        signed = TimestampSigner(salt="upsell.visitor").sign(key.removeprefix("v:"))
        made.COOKIES["upsell_visitor"] = signed
    return made


def shown(request: HttpRequest | None = None, *, at=T0) -> str:
    """Look at a page; return the text of the message on it."""

    def render(found: journey_showing.OnPage) -> str:
        return str(found.page.values["blocks"][0]["paragraphs"][0][0])

    return journey_showing.show(request or visit(), render=render, now=at)


def state() -> str:
    return message(only()).state


# ------------------------------------------------------------------ once


def test_it_waits_for_the_next_visit_and_is_shown_once(waiting):
    assert state() == "PENDING"
    assert send(T0) == 0
    assert waiting.is_active

    assert shown(at=T0 + H) == "Your seat is free"

    row = message(waiting)
    assert (row.state, row.sent_at) == ("SENT", T0 + H)
    assert shown(at=T0 + H) == ""
    go(T0 + H)
    assert way(waiting) == "show:sent"
    assert only().state == "COMPLETED"
    adds_up()


def test_of_two_the_one_that_is_due_the_longest_comes_first(words):
    template("window", "And a window seat", medium="onsite")
    journey({"show": SHOW | {"template": "window"}, "end": END}, event="page.viewed")
    journey({"show": SHOW, "end": END})
    tell("page.viewed")
    tell("order.placed")
    move(T0)
    OutboxMessage.objects.filter(template__template__slug="words").update(not_before=T0 - H)

    assert [shown(), shown(), shown()] == ["Your seat is free", "And a window seat", ""]


def test_it_is_not_shown_before_its_time(waiting):
    OutboxMessage.objects.update(not_before=T0 + H)

    assert shown(at=T0 + H - timedelta(seconds=1)) == ""
    assert shown(at=T0 + H) != ""


def test_an_expired_one_is_never_shown(waiting):
    until = message(waiting).expires_at
    assert until == T0 + D

    assert shown(at=until) == ""
    send(until)

    assert state() == "EXPIRED"
    go(until)
    assert way(waiting) == "show:failed"
    assert message(waiting).reserved_at is None


def test_a_step_says_how_long_it_may_wait(words):
    journey({"show": SHOW | {"max_lateness": "P30D"}, "end": END})
    tell()
    move(T0)

    send(T0 + 29 * D)
    assert shown(at=T0 + 29 * D) == "Your seat is free"


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(lambda: visit(method="post"), id="a form"),
        pytest.param(lambda: visit(method="head"), id="headers alone"),
        pytest.param(lambda: visit(agent="Googlebot/2.1"), id="a robot"),
        pytest.param(lambda: visit(**{"Sec-Purpose": "prefetch"}), id="a prefetch"),
        pytest.param(lambda: visit(**{"Sec-Purpose": "prefetch;prerender"}), id="a prerender"),
    ],
)
def test_what_is_not_a_person_looking_uses_nothing_up(request_of, waiting):
    assert shown(request_of()) == ""
    assert state() == "PENDING"
    assert shown() != ""


def test_what_cannot_be_rendered_is_not_used_up_and_is_tried_again_later(waiting, caplog):
    def broken(found):
        raise LookupError("no such template")

    assert journey_showing.show(visit(), render=broken, now=T0) == ""

    row = message(waiting)
    assert (row.state, row.attempts, row.reason) == ("PENDING", 1, "LookupError")
    assert row.not_before == T0 + timedelta(minutes=1)
    assert "was not shown" in caplog.text
    assert shown(at=T0 + H) != ""


def test_after_the_last_try_it_failed(waiting):
    def broken(found):
        raise LookupError("no such template")

    OutboxMessage.objects.update(attempts=5)
    assert journey_showing.show(visit(), render=broken, now=T0) == ""

    assert state() == "FAILED"
    go(T0)
    assert way(waiting) == "show:failed"


def test_a_page_that_is_rolled_back_showed_nothing(waiting):
    with transaction.atomic():
        assert shown() != ""
        transaction.set_rollback(True)

    assert state() == "PENDING"


def test_it_is_told_that_a_message_was_shown(waiting):
    heard = []

    def hear(**told):
        heard.append(told["message_id"])

    signals.message_sent.connect(hear)
    try:
        shown()
    finally:
        signals.message_sent.disconnect(hear)

    assert heard == [message(waiting).pk]


# ------------------------------------------------------------------ whose


def test_others_are_shown_nothing(waiting):
    assert shown(visit("u:43")) == ""
    assert shown(visit("")) == ""
    assert state() == "PENDING"


def test_a_message_to_a_visitor_needs_their_yes(words, monkeypatch):
    journey({"show": SHOW, "end": END})
    tell(key="v:abc")
    move(T0)
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: False)
    assert shown(visit("v:abc")) == ""

    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True)
    assert shown(visit("v:abd")) == ""
    assert shown(visit("v:abc")) == "Your seat is free"


@pytest.mark.parametrize(
    "links",
    [
        pytest.param([("e:1", KEY)], id="the guest came first"),
        pytest.param([(KEY, "e:1")], id="the account came first"),
        pytest.param([("u:7", KEY), ("u:7", "e:1")], id="both by a third"),
    ],
)
def test_a_guest_who_signs_in_is_shown_what_was_written_to_the_guest(links, words):
    journey({"show": SHOW, "end": END})
    tell(key="e:1")
    move(T0)
    assert shown() == ""

    for old, new in links:
        linking.link(old=old, new=new, now=T0)

    assert shown() == "Your seat is free"


def test_a_guest_is_shown_what_is_about_the_order_of_this_session(words, monkeypatch):
    journey({"show": SHOW, "end": END})
    tell(key="e:1", order_ref="1042")
    move(T0)
    monkeypatch.setattr(journey_showing.journey_last_looks, "why_left", lambda run, now: "")

    assert shown(visit("", order_ref="1043")) == ""
    monkeypatch.setattr(ExampleShop, "may_act", lambda shop, request, ref: False)
    assert shown(visit("", order_ref="1042")) == ""
    monkeypatch.setattr(ExampleShop, "may_act", lambda shop, request, ref: True)
    assert shown(visit("", order_ref="1042")) == "Your seat is free"


@pytest.mark.parametrize(
    ("who", "statements"),
    [
        pytest.param("", 0, id="nobody is known"),
        pytest.param("v:abc", 1, id="a visitor"),
        pytest.param("u:99", 1, id="an account"),
    ],
)
def test_who_is_not_written_to_costs_one_statement_at_most(
    who, statements, waiting, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True)
    request = visit(who)

    with django_assert_num_queries(statements):
        assert shown(request) == ""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a small table is read as a whole there")
def test_that_statement_reads_no_table_as_a_whole(waiting):
    with CaptureQueriesContext(connection) as asked:
        shown(visit("u:99", order_ref="1042"))

    [row] = [row["sql"] for row in asked if "upsell_outboxmessage" in row["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + row.replace("%", "%%"))
        plan = [told for *_numbers, told in cursor.fetchall()]
    assert plan
    assert not [told for told in plan if re.match(r"SCAN (?!\(?subquery|CONSTANT)", told, re.I)]


# ------------------------------------------------------------------ the last look


def test_a_run_that_left_shows_nothing(waiting):
    with transaction.atomic():
        journey_leaving.leave([waiting.pk], state="EXITED", reason="exit:paid", now=T0)

    assert shown() == ""
    assert state() == "CANCELLED"


def test_a_service_that_began_ends_the_run_instead(waiting):
    JourneyRun.objects.update(deadline=T0 + H)

    assert shown(at=T0 + H) == ""

    assert (only().state, only().end_reason) == ("EXITED", "exit:service_started")
    assert state() == "CANCELLED"
    adds_up()


def test_an_objection_stops_it(waiting):
    consenting.withdraw(KEY, "onsite", how="preferences", now=T0)

    assert shown() == ""

    assert (state(), message(waiting).reason) == ("SKIPPED", "no_consent")
    go(T0)
    assert way(waiting) == "show:skipped"


def test_an_objection_from_before_is_found_when_it_is_written(words):
    consenting.withdraw(KEY, "onsite", how="preferences", now=T0)
    journey({"show": SHOW, "end": END})
    tell()
    go(T0)

    assert (state(), message(only()).reason) == ("SKIPPED", "no_consent")


def test_unsubscribing_from_pages_stops_them(waiting):
    leaving.unsubscribe(customer_key=KEY, medium="onsite", purpose="marketing", how="link", now=T0)

    assert shown() == ""
    assert state() != "PENDING"


def test_what_is_not_known_of_the_buyer_is_skipped_and_the_next_one_shown(words):
    template("name", "Dear {subject.first_name}", medium="onsite")
    journey({"show": SHOW | {"template": "name"}, "end": END}, event="page.viewed")
    journey({"show": SHOW, "end": END})
    tell("page.viewed")
    tell("order.placed")
    move(T0)
    OutboxMessage.objects.filter(template__template__slug="words").update(not_before=T0 + H)

    assert shown(at=T0 + H) == "Your seat is free"

    first = OutboxMessage.objects.order_by("pk").first()
    assert (first.state, first.reason) == ("SKIPPED", "render_error: subject.first_name")


def test_a_paused_journey_shows_nothing_until_it_goes_on(waiting):
    row = Journey.objects.get()
    journey_states.pause(row, now=T0)
    assert shown() == ""
    assert state() == "PENDING"

    journey_states.resume(row, how="run_now", now=T0)
    assert shown() != ""


def test_a_run_that_somebody_else_ended_meanwhile_wins(waiting, monkeypatch):
    def ends(run, now):
        JourneyRun.objects.filter(pk=run.pk).update(state="EXITED", ended_at=now, end_reason="goal")
        return ""

    monkeypatch.setattr(journey_showing.journey_last_looks, "why_left", ends)

    assert shown() == ""
    assert state() == "CANCELLED"


def test_two_that_look_at_once_are_shown_it_once(waiting):
    found = []

    def meanwhile(one: journey_showing.OnPage) -> str:
        if not found:
            found.append("")
            found.append(shown())
        return "first"

    assert journey_showing.show(visit(), render=meanwhile, now=T0) == ""
    assert found[1] == "Your seat is free"


# ------------------------------------------------------------------ modes and caps


def test_a_dry_run_shows_nothing(words):
    journey({"show": SHOW, "end": END}, mode="DRY_RUN")
    tell()
    go(T0)

    assert state() == "DRY_RUN"
    assert shown() == ""
    assert only().state == "COMPLETED"


def test_a_test_is_shown_to_its_buyers_and_takes_no_place(words):
    journey({"show": SHOW, "end": END}, mode="TEST", testers=[KEY])
    tell(key="u:43")
    tell()
    move(T0)

    assert message(only()).reserved_at is None
    assert shown(visit("u:43")) == ""
    assert shown() == "Your seat is free"
    assert message(only()).reserved_at is None


def test_the_control_group_is_shown_nothing(waiting):
    JourneyRun.objects.update(is_control=True)
    OutboxMessage.objects.all().delete()
    JourneyRun.objects.update(due_at=T0)
    move(T0)

    assert (state(), message(only()).reason) == ("SKIPPED", "holdout")
    assert shown() == ""


def test_caps_count_it_from_when_it_was_seen(words, settings):
    settings.UPSELL_CAPS = (("onsite", 1, D),)
    journey({"show": SHOW, "end": END}, event="page.viewed")
    tell("page.viewed")
    move(T0)
    assert OutboxMessage.objects.get().reserved_at == T0
    assert shown(at=T0 + 20 * H) != ""

    tell("page.viewed", at=T0 + 30 * H)
    move(T0 + 30 * H)

    newest = OutboxMessage.objects.order_by("-pk").first()
    assert (newest.state, newest.reason) == ("SKIPPED", "capped")
    assert shown(at=T0 + 30 * H) == ""


# ------------------------------------------------------------------ closing, erasing, purging


def test_closing_is_noted_once(waiting):
    key = message(waiting).key
    assert not journey_showing.dismiss(key), "nothing was shown yet"
    shown()

    assert journey_showing.dismiss(key)
    assert not journey_showing.dismiss(key)
    assert (state(), message(waiting).reason) == ("SENT", "dismissed")


def test_who_was_erased_is_shown_nothing(waiting):
    found = erasing.export(customer_keys=[KEY])["outboxmessage"]
    assert [row["medium"] for row in found] == ["onsite"]

    erasing.erase(customer_keys=[KEY], now=T0)

    assert shown() == ""
    row = OutboxMessage.objects.get()
    assert (row.state, row.customer_key, row.variables) == ("CANCELLED", "", {})
    assert erasing.export(customer_keys=[KEY])["outboxmessage"] == []


def test_it_goes_with_its_run(waiting):
    shown()
    go(T0)

    dict(purging.purge(now=T0 + 364 * D))
    assert OutboxMessage.objects.exists()
    dict(purging.purge(now=T0 + 366 * D))
    assert not OutboxMessage.objects.exists()
