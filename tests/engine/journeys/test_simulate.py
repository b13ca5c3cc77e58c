"""Journeys walked from beginning to end: Emily's flight, and what may come in between."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.journeys.test_definition import SPECS, changed, flight
from upsell.engine.conditions import Asked, Money
from upsell.engine.journeys.advance import MOST_HOPS, Position, advance
from upsell.engine.journeys.reading import read
from upsell.engine.journeys.simulate import Happening, _World, simulate

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANCILLARY = Asked(fact="purchased", args=(("what", "ancillary"),))
NOT_YET = {ANCILLARY: False}


def plan(data=None):
    made, faults, _warnings = read(data or flight(), SPECS)
    assert made is not None, faults
    return made


def told(story) -> list[tuple[str, str]]:
    return [(hop.step, hop.outcome) for hop in story.hops]


def walk(data=None, **options):
    values = {"begun": T0, "unit": "u:emily", "zone": BERLIN, "facts": NOT_YET} | options
    return simulate(plan(data), **values)


def bought(after: timedelta) -> Happening:
    return Happening(at=T0 + after, event="order.placed", facts={ANCILLARY: True})


def test_emily_gets_one_mail_after_three_hours_and_one_reminder():
    story = walk()

    assert told(story) == [
        ("reach", "email"), ("w1", "next"), ("c1", "otherwise"), ("m1", "sent"),
        ("w2", "next"), ("c2", "otherwise"), ("m2", "sent"),
    ]  # fmt: skip
    assert story.ended == "completed"
    assert story.done == (
        ("m1", T0 + 3 * HOUR),
        ("m2", datetime(2026, 3, 3, 8, tzinfo=UTC)),  # nine o'clock in Berlin
    )


@pytest.mark.parametrize(
    ("options", "ended", "mails"),
    [
        pytest.param({"happenings": [bought(2 * HOUR)]}, "exit:bought", 0, id="buys in time"),
        pytest.param({"happenings": [bought(3 * HOUR)]}, "exit:bought", 0, id="that very moment"),
        pytest.param({"happenings": [bought(4 * HOUR)]}, "exit:bought", 1, id="after the mail"),
        pytest.param({"happenings": [Happening(at=T0 + HOUR, event="order.placed",
                                               facts={ANCILLARY: False})]},
                     "completed", 2, id="J30: buys something else"),
        pytest.param({"facts": {}}, "completed", 2, id="nobody knows what was bought"),
        pytest.param({"facts": {ANCILLARY: True}}, "completed", 0, id="had it before"),
        pytest.param({"media": ()}, "completed", 0, id="cannot be reached"),
        pytest.param({"outcomes": {"m1": "failed"}}, "completed", 1, id="the mail fails"),
        pytest.param({"deadline": T0 + timedelta(hours=2, minutes=30)}, "service_started", 0,
                     id="J74: the flight is sooner than the mail"),
        pytest.param({"deadline": T0 + 5 * HOUR}, "service_started", 1,
                     id="the flight is sooner than the reminder"),
    ],
)  # fmt: skip
def test_what_may_come_in_between(options, ended, mails):
    story = walk(**options)

    assert (story.ended, len(story.done)) == (ended, mails)


def test_why_a_branch_was_not_taken_is_kept():
    because = {hop.step: hop.because for hop in walk().hops if hop.because}
    missing = {hop.step: hop.because for hop in walk(facts={}).hops if hop.because}

    assert because == {"c1": "condition:purchased", "c2": "condition:purchased"}
    assert missing == {"c1": "fact_missing:purchased", "c2": "fact_missing:purchased"}


@pytest.mark.parametrize(
    ("happens", "outcome", "at"),
    [
        pytest.param([("order.delivered", 2 * HOUR)], "matched", 2 * HOUR, id="it comes"),
        pytest.param([("order.shipped", 2 * HOUR)], "timeout", 3 * DAY, id="another comes"),
        pytest.param([("order.delivered", 4 * DAY)], "timeout", 3 * DAY, id="too late"),
        pytest.param([], "timeout", 3 * DAY, id="nothing comes"),
    ],
)
def test_waiting_for_an_event(happens, outcome, at):
    step = {"type": "wait_for_event", "event": "order.delivered", "timeout": "P3D",
            "to": {"matched": "c1", "timeout": "c1"}}  # fmt: skip

    story = walk(
        changed("steps.w1", step),
        happenings=[Happening(at=T0 + after, event=event) for event, after in happens],
    )

    hop = next(hop for hop in story.hops if hop.step == "w1")
    assert (hop.outcome, hop.at) == (outcome, T0 + at)


def test_j29_fifty_steps_in_one_go_and_the_rest_at_the_next_look():
    steps = {
        f"t{n}": {"type": "tag", "tag": "x", "to": {"next": f"t{n + 1}"}} for n in range(60)
    } | {"t60": {"type": "exit", "reason": "done"}}
    made = plan({"start": {"event": "order.placed"}, "first": "t0", "steps": steps})
    world = _World({}, (), {})
    options = {"now": T0, "unit": "u:1", "zone": BERLIN}

    first = advance(made, Position(step="t0", since=T0), world, **options)
    second = advance(made, first.position, world, **options)

    assert (len(first.hops), first.due_at, first.ended) == (MOST_HOPS, T0, "")
    assert (len(second.hops), second.ended) == (10, "done")


def test_looking_often_or_late_makes_no_difference():
    made, world = plan(), _World(NOT_YET, ["email"], {})
    options = {"unit": "u:1", "zone": BERLIN}
    waits = advance(made, Position(step="reach", since=T0), world, now=T0, **options)

    for minutes in (1, 60, 179):
        again = advance(made, waits.position, world, now=T0 + timedelta(minutes=minutes), **options)
        assert (again.hops, again.position, again.due_at) == ((), waits.position, waits.due_at)
    late = advance(made, waits.position, world, now=T0 + 30 * DAY, **options)

    assert late.hops[0].step == "w1"
    assert waits.due_at == T0 + 3 * HOUR


def test_a_message_that_is_not_settled_is_waited_for():
    class Silent(_World):
        def do(self, step):
            return ""

    made, world = plan(), Silent(NOT_YET, ["email"], {})
    options = {"now": T0, "unit": "u:1", "zone": BERLIN}

    waits = advance(made, Position(step="m1", since=T0), world, **options)
    goes_on = advance(made, Position(step="m1", since=T0, settled="skipped"), world, **options)

    assert (waits.hops, waits.due_at, waits.ended) == ((), None, "")
    assert (goes_on.hops[0].outcome, goes_on.ended) == ("skipped", "completed")


def test_a_split_sends_each_buyer_the_same_way_as_often_as_its_weight():
    step = {"type": "split", "key": "tone", "arms": {"warm": 8_000, "plain": 2_000},
            "to": {"warm": "c1", "plain": "x"}}  # fmt: skip
    data = changed("steps.w1", step)
    ways = Counter(
        next(hop.outcome for hop in walk(data, unit=f"u:{n}").hops if hop.step == "w1")
        for n in range(1_000)
    )

    assert 750 < ways["warm"] < 850
    assert told(walk(data, unit="u:7")) == told(walk(data, unit="u:7"))


@given(
    facts=st.dictionaries(st.just(ANCILLARY), st.booleans()),
    media=st.lists(st.sampled_from(["email", "sms"]), unique=True),
    outcomes=st.dictionaries(st.sampled_from(["m1", "m2"]),
                             st.sampled_from(["sent", "skipped", "failed"])),
    hours=st.lists(st.integers(0, 60), max_size=4),
    bought_it=st.booleans(),
)  # fmt: skip
def test_every_passage_ends_once_and_no_step_is_done_twice(
    facts, media, outcomes, hours, bought_it
):
    happenings = [
        Happening(at=T0 + h * HOUR, event="order.placed", facts={ANCILLARY: bought_it})
        for h in hours
    ]

    story = walk(facts=facts, media=media, outcomes=outcomes, happenings=happenings)

    assert story.ended in {"completed", "exit:bought"}
    names = [name for name, _at in story.done]
    assert len(names) == len(set(names))
    times = [hop.at for hop in story.hops]
    assert times == sorted(times)
    _least, most = plan().lasts()
    assert story.at - T0 <= most + DAY


def test_money_in_a_condition_is_exact_to_the_cent():
    data = flight()
    data["steps"]["c1"]["branches"][0]["when"] = {
        "fact": "starter.total", "op": "lt", "value": {"EUR": "100.00"},
    }  # fmt: skip

    def passes(amount: str) -> bool:
        total = Money(amount=Decimal(amount), currency="EUR")
        story = walk(data, facts=NOT_YET | {Asked(fact="starter.total"): total})
        return ("c1", "otherwise") in told(story)

    assert (passes("99.99"), passes("100.00")) == (False, True)
