"""The mail server of journeys' messages is down, says no, is silent, or is cut off (F52).

What was not taken is sent again inside its time; what may have been taken never is. A real SMTP
server stands behind a line that the test breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta

import pytest
from django.db.models import Count
from django.test import Client

from example_shop.models import Product
from tests.factories import catalogue, order
from tests.flow.clock import NOON
from tests.flow.mailing import PATIENCE_SECONDS, Post, told_to
from tests.services.journeys import (
    END,
    MAIL,
    WAIT_3H,
    D,
    H,
    go,
    journey,
    message,
    move,
    send,
    tell,
    way,
)
from upsell.models import Consent, Journey, JourneyRun, OutboxMessage, Reachability
from upsell.models.journey import ACTIVE, ENDED
from upsell.presenting import journey_letters, preferences
from upsell.services import journey_sending

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
DUE = NOON + 3 * H
SLOW = {"type": "send", "medium": "email", "template": "reminder", "max_lateness": "PT72H"}


@pytest.fixture(autouse=True)
def _holds(post: Post, settings) -> Iterator[None]:
    """Whatever happened: no message is on the server twice, and every run is somewhere (J92)."""
    settings.UPSELL_BASE_URL = "https://shop.example"
    yield
    assert max(post.mails.copies().values(), default=0) <= 1, "at most one of each message"
    for row in Journey.objects.annotate(entered=Count("runs")):
        ended = row.runs.filter(state__in=ENDED, ended_at__isnull=False).exclude(end_reason="")
        assert row.entered == row.runs.filter(state__in=ACTIVE).count() + ended.count()
    left = OutboxMessage.objects.filter(state__in=["PENDING", "SENDING"])
    assert not left.filter(run__state__in=ENDED).exists(), "nothing goes out for a run that is over"


def buyers(count: int = 1, **options: object) -> list[JourneyRun]:
    """Let buyers wait for a mail that is due three hours after noon."""
    journey(**options)  # type: ignore[arg-type]
    products = catalogue()
    for number in range(count):
        enters(number, products)
    move(DUE)
    return list(JourneyRun.objects.order_by("pk"))


def enters(number: int, products: dict, *, at: datetime = NOON) -> None:
    placed = order(products, placed_at=NOON, email=f"buyer{number}@example.org")
    tell(order_ref=str(placed.pk), key=f"u:{number}", at=at)


def states() -> list[str]:
    return list(OutboxMessage.objects.order_by("pk").values_list("state", flat=True))


@contextmanager
def says(post: Post, *answers: str) -> Iterator[None]:
    post.mails.answers = list(answers)
    yield
    assert not post.mails.answers


@contextmanager
def thinks(post: Post, seconds: float) -> Iterator[None]:
    post.mails.sleeps_seconds = seconds
    yield
    post.mails.sleeps_seconds = 0.0


@contextmanager
def cut_at(post: Post, words: bytes) -> Iterator[None]:
    post.line.cut_at(words)
    yield
    assert post.line.went_off()


Trouble = Callable[[Post], AbstractContextManager[None]]

TROUBLES = [
    # what happens | the message after it | mails the server took | in the end: message, mails
    pytest.param(Post.down, "PENDING", 0, "SENT", 1, id="refuses the connection"),
    pytest.param(lambda post: post.late(1.5), "PENDING", 0, "SENT", 1, id="does not greet in time"),
    pytest.param(lambda post: says(post, "451 Not now"), "PENDING", 0, "SENT", 1, id="451 at DATA"),
    pytest.param(lambda post: says(post, "554 Never"), "FAILED", 0, "FAILED", 0, id="554 at DATA"),
    pytest.param(
        lambda post: cut_at(post, b"ehlo"), "PENDING", 0, "SENT", 1, id="cut at the greeting"
    ),
    # From here on the shop cannot know.
    pytest.param(Post.cut_in_the_middle, "UNKNOWN", 0, "UNKNOWN", 0, id="cut in the middle"),
    pytest.param(Post.cut_before_it_is_taken, "UNKNOWN", 1, "UNKNOWN", 1, id="cut after the dot"),
    pytest.param(lambda post: thinks(post, 1.5), "UNKNOWN", 1, "UNKNOWN", 1, id="taken too slowly"),
]


@pytest.mark.parametrize(("trouble", "at_once", "taken", "in_the_end", "mails"), TROUBLES)
def test_f52_a_mail_server_that(trouble: Trouble, at_once, taken, in_the_end, mails, post):
    (run,) = buyers()

    with trouble(post):
        assert send(DUE) == 0
    assert (message(run).state, len(post.mails.taken)) == (at_once, taken)

    for minutes in range(1, 30):
        go(DUE + minutes * MINUTE)
    assert (message(run).state, len(post.mails.taken)) == (in_the_end, mails)
    run.refresh_from_db()
    outcome = "failed" if in_the_end == "FAILED" else "sent"
    assert way(run) == f"wait:next mail:{outcome}"
    assert run.state == "COMPLETED", "the run goes on whatever became of its mail"
    is_reserved = message(run).reserved_at is not None
    assert is_reserved == (in_the_end != "FAILED"), "what may have been sent counts for the caps"


def test_f52_a_server_that_cannot_talk_in_secret_has_taken_nothing(post, settings):
    (run,) = buyers()

    with told_to(settings, use_tls=True):  # the shop would talk in secret, and the server cannot
        send(DUE)
    assert (message(run).state, post.mails.taken) == ("PENDING", [])

    send(DUE + MINUTE)
    assert (message(run).state, len(post.mails.taken)) == ("SENT", 1)


def test_f52_a_server_that_lets_nobody_in_says_nothing_of_the_message(post, settings):
    """A changed password, or a server that is closed for now, is no reason to give a mail up."""
    (run,) = buyers()
    with told_to(settings, username="shop", password="wrong"):
        send(DUE)
    assert (message(run).state, post.mails.taken) == ("PENDING", [])

    send(DUE + MINUTE)
    assert (message(run).state, len(post.mails.taken)) == ("SENT", 1)


def test_f52_an_address_that_does_not_exist_is_not_written_to_again(post):
    post.mails.addresses["buyer0@example.org"] = "550 No such user"
    first, second = buyers(2)

    go(DUE)

    assert (message(first).state, message(first).reason) == ("FAILED", "550")
    assert (message(second).state, len(post.mails.taken)) == ("SENT", 1)
    known = Reachability.objects.get(customer_key="u:0", medium="email")
    assert (known.hard, known.unreachable_why) == (True, "bounced")
    assert not Reachability.objects.filter(customer_key="u:1", hard=True).exists()
    assert {way(run) for run in JourneyRun.objects.filter(pk=first.pk)} == {"wait:next mail:failed"}

    enters(0, {row.sku: row for row in Product.objects.all()}, at=NOON + D)
    go(NOON + D + 3 * H)
    again = OutboxMessage.objects.latest("pk")
    assert (again.state, again.reason) == ("SKIPPED", "unreachable")


def test_f52_an_address_that_is_full_is_tried_again(post):
    post.mails.addresses["buyer0@example.org"] = "452 Mailbox full"
    (run,) = buyers()
    send(DUE)
    assert (message(run).state, message(run).reason) == ("PENDING", "452")

    post.mails.addresses.clear()
    send(DUE + MINUTE)

    assert (message(run).state, len(post.mails.taken)) == ("SENT", 1)
    assert not Reachability.objects.filter(hard=True).exists()


def test_j49_tries_after_one_five_and_thirty_minutes(post):
    (run,) = buyers()
    after, at = [], DUE
    with post.down():
        for _try in range(3):
            send(at)
            then = message(run).not_before
            assert send(then - timedelta(seconds=1)) == 0
            assert message(run).not_before == then, "not a second before"
            after.append(then - at)
            at = then
    assert after == [MINUTE, 5 * MINUTE, 30 * MINUTE]

    assert send(at) == 1
    assert (message(run).state, message(run).attempts) == ("SENT", 3)


def test_j49_after_five_more_tries_it_failed(post):
    steps = {"wait": WAIT_3H, "mail": MAIL | SLOW, "end": END}
    journey(steps)
    enters(0, catalogue())
    move(DUE)
    run, after, at = JourneyRun.objects.get(), [], DUE
    with post.down():
        while (row := message(run)).state == "PENDING":
            send(at)
            after.append(message(run).not_before - at)
            at = message(run).not_before
    assert after == [MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * H, 12 * H, timedelta(0)]
    go(at + D)
    assert (row.state, way(run), post.mails.taken) == ("FAILED", "wait:next mail:failed", [])


def test_j49_no_try_is_made_after_its_time(post):
    journey({"wait": WAIT_3H, "mail": MAIL | {"max_lateness": "PT6M"}, "end": END})
    enters(0, catalogue())
    move(DUE)
    run = JourneyRun.objects.get()
    with post.down():
        send(DUE)
        send(DUE + MINUTE)

    assert message(run).state == "EXPIRED", "the next would be at +6, when it is too late"
    go(DUE + 6 * MINUTE)
    assert (way(run), post.mails.taken) == ("wait:next mail:failed", [])


def test_j49_who_comes_after_its_time_sends_nothing(post):
    """Nothing ran meanwhile: due, and too late."""
    (run,) = buyers()

    go(DUE + D)
    go(DUE + D)  # the run goes on at the round after

    assert (message(run).state, message(run).reason) == ("EXPIRED", "too late")
    assert (way(run), post.mails.taken) == ("wait:next mail:failed", [])
    assert message(run).reserved_at is None, "its place under the caps is free again"


def test_j51_one_of_many_holds_up_none_of_the_others(post):
    buyers(20)
    with says(post, "451 Not now"):
        assert send(DUE) == 19
    assert sorted(states()) == ["PENDING"] + 19 * ["SENT"]

    assert send(DUE + MINUTE) == 1

    assert set(states()) == {"SENT"}
    assert set(post.mails.copies().values()) == {1}
    assert len(post.mails.taken) == 20


def test_j63_a_marketing_mail_says_how_to_leave(post):
    buyers()
    send(DUE)

    (mail,) = post.mails.taken
    link = mail["List-Unsubscribe"].strip()
    assert len(link.split()) == 1, "in one piece: else no mail program finds it"
    assert link.startswith("<https://shop.example/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    address = link.strip("<>").removeprefix("https://shop.example")
    told = Client(enforce_csrf_checks=True).post(address, {"List-Unsubscribe": "One-Click"})
    assert told.status_code == 200
    assert Consent.objects.get(customer_key="u:0", withdrawn_at__isnull=False).medium == "email"


def test_j63_one_click_is_for_https_alone(post, settings):
    settings.UPSELL_BASE_URL = "http://shop.example"
    buyers()
    send(DUE)

    (mail,) = post.mails.taken
    assert mail["List-Unsubscribe"] is not None
    assert mail["List-Unsubscribe-Post"] is None


def test_j63_a_transactional_mail_has_neither(post):
    buyers(category="transactional")
    send(DUE)

    (mail,) = post.mails.taken
    assert [name for name in mail if name.lower().startswith("list-")] == []


def test_a_mail_that_is_tried_again_is_the_same_mail(post):
    """The Message-ID comes of the key; so does what it says."""
    (run,) = buyers()
    with post.late(PATIENCE_SECONDS + 0.5):
        send(DUE)
    sent_at_once = _copy_of(run)

    send(DUE + MINUTE)

    (mail,) = post.mails.taken
    assert mail["Message-ID"] == f"<j.{run.pk}.mail.{message(run).pk}@upsell>"
    assert mail["Message-ID"] == sent_at_once


def _copy_of(run: JourneyRun) -> str:
    row = OutboxMessage.objects.select_related("run", "template__template").get(run=run)
    contact = journey_sending.conf.shop().contact(journey_sending.who_of(run), "email")
    assert contact is not None
    return journey_letters.letter(row, run, contact).headers["Message-ID"]


def test_j56_a_dry_run_leaves_nothing(post):
    (run,) = buyers(mode="DRY_RUN")

    go(DUE)

    row = message(run)
    assert (row.state, row.reserved_at, row.attempts) == ("DRY_RUN", None, 0)
    assert (way(run), post.line.opened) == ("wait:next mail:sent", 0), "nobody was even called"


def test_j53_a_capped_message_goes_when_there_is_room(post):
    """One marketing mail in sixteen hours: the second of 10:00 goes at 02:00."""
    two_journeys("PT24H")
    go(DUE)
    assert len(post.mails.taken) == 1
    second = OutboxMessage.objects.latest("pk")
    assert (second.state, second.not_before) == ("PENDING", DUE + 16 * H)

    go(DUE + 16 * H - timedelta(seconds=1))
    assert len(post.mails.taken) == 1
    go(DUE + 16 * H)

    assert (states(), len(post.mails.taken)) == (["SENT", "SENT"], 2)


def test_j53_a_capped_message_that_would_come_too_late_is_skipped(post):
    two_journeys("PT12H")

    go(DUE)
    go(DUE + 16 * H)

    second = OutboxMessage.objects.latest("pk")
    assert (second.state, second.reason, len(post.mails.taken)) == ("SKIPPED", "capped", 1)


def two_journeys(lateness: str) -> None:
    steps = {
        "wait": WAIT_3H,
        "mail": MAIL | {"on_capped": "defer", "max_lateness": lateness},
        "end": END,
    }
    journey(steps)
    journey(steps)
    enters(0, catalogue())


def test_f54_who_unsubscribes_between_claim_and_sending_gets_nothing(post, monkeypatch):
    """By the real page, while the letter is being made."""
    (run,) = buyers()
    made = journey_letters.letter

    def unsubscribed_meanwhile(*args):
        link = preferences.unsubscribe_url("u:0", "email", "marketing", "")
        assert Client().post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
        return made(*args)

    monkeypatch.setattr(journey_letters, "letter", unsubscribed_meanwhile)
    send(DUE)

    run.refresh_from_db()
    assert (message(run).state, post.mails.taken) == ("CANCELLED", [])
    assert (run.state, run.end_reason) == ("EXITED", "exit:unsubscribed")
