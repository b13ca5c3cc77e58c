"""A step calls another system, and what it answers is kept for the steps that come after."""

from __future__ import annotations

import json

import pytest
from django.core import mail

from tests.factories import catalogue, order
from tests.receiver import SECRET, receiving
from tests.services.journeys import END, MAIL, T0, H, go, journey, only, tell, template, way
from upsell.models import JourneyRun, OutboxMessage
from upsell.services import erasing, journey_publishing, journey_running, journey_sending

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

CALL = {"type": "webhook", "target": "crm", "to": {"ok": "mail", "failed": "end"}}
STEPS = {"score": CALL, "mail": MAIL, "end": END}
LESS = {"name": "points", "step": "score"}


@pytest.fixture
def placed():
    return order(catalogue(), email="emily@example.org")


@pytest.fixture
def crm(settings):
    """Another system, on this machine."""
    with receiving(status=200) as made:
        settings.UPSELL_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
        settings.UPSELL_JOURNEY_CALLS = {"crm": {"url": made.url, "secret": SECRET}}
        yield made


def test_what_a_call_answers_stands_in_a_later_message(crm, placed):
    crm.answer = b'{"points": 7, "tier": "gold", "rate": 0.10, "vip": true, "deep": {"a": 1}}'
    template(text="You have {webhook.score.points} points and are {webhook.score.tier}")
    journey(STEPS)

    tell(order_ref=str(placed.pk))
    go(T0)

    run = only()
    assert run.found["webhook"] == {
        "score": {"points": 7, "tier": "gold", "rate": "0.10", "vip": True}
    }
    assert way(run) == "score:ok mail:sent"
    assert "You have 7 points and are gold" in mail.outbox[0].body
    ((_headers, body),) = crm.taken
    assert json.loads(body)["data"]["step"] == "score"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<p>gold</p>", id="no JSON"),
        pytest.param(b"[7]", id="a list"),
        pytest.param(b'{"points": {"now": 7}}', id="nested"),
        pytest.param(b'{"points": 7, "pad": "' + b"x" * 16_384 + b'"}', id="more than 16 KB"),
    ],
)
def test_an_answer_that_tells_nothing_leaves_the_fallback(crm, placed, answer):
    crm.answer = answer
    template(text="You have {webhook.score.points|some} points")
    journey(STEPS)

    tell(order_ref=str(placed.pk))
    go(T0)

    assert "You have some points" in mail.outbox[0].body
    assert way(only()) == "score:ok mail:sent"


def test_a_call_that_fails_keeps_no_answer(crm):
    crm.status, crm.answer = 500, b'{"points": 7}'
    journey(STEPS)
    tell()

    for hours in range(26):
        go(T0 + hours * H)

    assert way(only()) == "score:failed"
    assert only().found == {}


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        pytest.param(b'{"points": 7}', "few", id="less"),
        pytest.param(b'{"points": "9.5"}', "few", id="a decimal, as text"),
        pytest.param(b'{"points": 10}', "otherwise", id="not less"),
        pytest.param(b'{"score": 7}', "otherwise", id="not told"),
        pytest.param(b'{"points": true}', "otherwise", id="no number"),
    ],
)
def test_a_check_asks_for_the_answer(crm, answer, taken):
    crm.answer = answer
    less = {"fact": "webhook.number", "args": LESS, "op": "lt", "value": "10"}
    journey(
        {
            "score": {**CALL, "to": {"ok": "check", "failed": "end"}},
            "check": {
                "type": "check",
                "branches": [{"id": "few", "when": less}],
                "to": {"few": "end", "otherwise": "end"},
            },
            "end": END,
        }
    )

    tell()
    go(T0)

    assert way(only()) == f"score:ok check:{taken}"


def test_an_exit_asks_for_the_answer(crm):
    crm.answer = b'{"vip": true}'
    vip = {
        "fact": "webhook.param",
        "args": {"step": "score", "name": "vip"},
        "op": "is",
        "value": "true",
    }
    wait = {"type": "wait", "for": "P1D", "to": {"next": "end"}}
    journey(
        {"score": {**CALL, "to": {"ok": "wait", "failed": "end"}}, "wait": wait, "end": END},
        exits=[{"id": "vip", "event": "cart.added", "where": vip}],
    )
    tell()
    go(T0)

    tell("cart.added", at=T0 + H)

    assert only().end_reason == "exit:vip"


def test_an_answer_that_comes_while_the_run_is_looked_at_is_kept(crm):
    """The run is due by itself while the call is still under way: what it writes takes it over."""
    crm.answer = b'{"points": 7}'
    journey(STEPS)
    tell()
    go_one_step()
    run = only()
    JourneyRun.objects.filter(pk=run.pk).update(due_at=T0 + H)
    claimed = journey_running.claim(now=T0 + H)

    assert journey_sending.send_due(now=T0 + H) == 1
    journey_running.move(claimed, now=T0 + H)

    assert only().found == {"webhook": {"score": {"points": 7}}}


def go_one_step() -> None:
    journey_running.advance_due(now=T0)
    assert OutboxMessage.objects.get().state == "PENDING"


def test_erasing_a_buyer_forgets_what_was_answered(crm):
    crm.answer = b'{"name": "Ada"}'
    journey(STEPS)
    tell()
    go(T0)

    erasing.erase(customer_keys=["u:42"])

    assert "Ada" not in json.dumps(only().found)


# ------------------------------------------------------------------ publishing


def faults(steps) -> list[tuple[str, str]]:
    row = journey(steps, live=False)
    with pytest.raises(journey_publishing.JourneyFaults) as error:
        journey_publishing.publish(row, now=T0)
    return [(fault.path, fault.message) for fault in error.value.faults]


def test_a_message_past_the_call_needs_a_fallback(crm):
    """By ``failed`` a buyer comes to it without an answer."""
    template(text="You have {webhook.score.points} points")
    both = {"ok": "mail", "failed": "mail"}

    ((path, told),) = faults({**STEPS, "score": {**CALL, "to": both}})

    assert path == "steps.mail.template"
    assert "needs {webhook.score.points}" in told
    assert "through its “ok”" in told


def test_a_message_before_the_call_needs_a_fallback(crm):
    template(text="You have {webhook.score.points} points")
    steps = {
        "mail": {**MAIL, "to": dict.fromkeys(("sent", "skipped", "failed"), "score")},
        "score": {**CALL, "to": {"ok": "end", "failed": "end"}},
        "end": END,
    }

    ((path, _told),) = faults(steps)

    assert path == "steps.mail.template"


def test_a_message_with_a_fallback_is_published_wherever_it_stands(crm):
    template(text="You have {webhook.score.points|no} points")
    both = {"ok": "mail", "failed": "mail"}

    row = journey({**STEPS, "score": {**CALL, "to": both}})

    assert row.version is not None


def test_a_condition_about_a_step_that_calls_nobody_is_a_fault(crm):
    asked = {
        "fact": "webhook.number",
        "args": {"step": "mail", "name": "points"},
        "op": "lt",
        "value": "10",
    }
    steps = {
        "check": {
            "type": "check",
            "branches": [{"id": "few", "when": asked}],
            "to": {"few": "end", "otherwise": "mail"},
        },
        "mail": MAIL,
        "end": END,
    }

    ((path, told),) = faults(steps)

    assert path == "steps.check.branches.0.when"
    assert told == "there is no step “mail” that calls a system"
