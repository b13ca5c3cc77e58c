"""Segments stand for their conditions, are asked anew each time, and are counted at night."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from upsell.engine.conditions import Answer, ConditionError, parse
from upsell.models import (
    Journey,
    JourneyRun,
    JourneyStep,
    JourneyVersion,
    KeyLink,
    OrderFact,
    OrderLineFact,
    Segment,
)
from upsell.ports import Who
from upsell.services import facts, segments

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

START = timezone.now().replace(microsecond=0)
moved: list[timedelta] = []
REPEAT = {"fact": "purchases.count", "op": "ge", "value": 2}
IN = {"fact": "segment", "args": {"slug": "repeat"}, "op": "is", "value": True}
OUT = IN | {"value": False}
OTHER = {"fact": "order.cancelled", "op": "is", "value": False}


def now() -> datetime:
    """The time of these tests."""
    return START + sum(moved, timedelta())


@pytest.fixture(autouse=True)
def _clock(settings):
    settings.UPSELL_CLOCK = f"{__name__}.now"
    moved.clear()


@pytest.fixture
def repeat():
    return Segment.objects.create(slug="repeat", name="Repeat", conditions=REPEAT)


@pytest.mark.parametrize(
    ("tree", "wanted"),
    [
        pytest.param(IN, REPEAT, id="is"),
        pytest.param(OUT, {"not": REPEAT}, id="is not"),
        pytest.param(IN | {"op": "is_not"}, {"not": REPEAT}, id="is_not true"),
        pytest.param({"all": [OTHER, {"any": [IN]}]}, {"all": [OTHER, {"any": [REPEAT]}]},
                     id="in groups"),
        pytest.param({"not": IN}, {"not": REPEAT}, id="under not"),
        pytest.param(OTHER, OTHER, id="none"),
        pytest.param(None, None, id="no tree"),
    ],
)  # fmt: skip
def test_a_segment_is_replaced_by_its_conditions(repeat, tree, wanted):
    assert segments.compiled(tree) == wanted


def test_a_tree_without_a_segment_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        segments.compiled(OTHER)


@pytest.mark.parametrize(
    ("leaf", "path"),
    [
        pytest.param(IN | {"args": {"slug": "gone"}}, "all.0", id="not there"),
        pytest.param(IN | {"args": {}}, "all.0", id="which"),
        pytest.param(IN | {"op": "exists"}, "all.0", id="asked otherwise"),
        pytest.param(IN | {"args": {"slug": "nested"}}, "all.0", id="one in another"),
    ],
)
def test_what_cannot_be_replaced_is_refused_with_its_place(repeat, leaf, path):
    Segment.objects.create(slug="nested", name="Nested", conditions=IN)

    with pytest.raises(ConditionError) as error:
        segments.compiled({"all": [leaf]})

    assert error.value.path == path


def bought(key, *days, channel="web"):
    for ago in days:
        at = now() - timedelta(days=ago)
        fact = OrderFact.objects.create(
            order_ref=f"{OrderFact.objects.count()}", customer_key=key, channel=channel,
            placed_at=at, currency="EUR", net=10, lines=1,
        )  # fmt: skip
        OrderLineFact.objects.create(
            order_fact=fact, product_ref="p", category_ref="c", quantity=1, net=Decimal(10)
        )


def test_who_is_in_it_and_why_not(repeat):
    bought("u:1", 1, 2)
    bought("u:2", 1)

    def asked(key):
        return segments.is_in(repeat, Who(customer_key=key), now())

    assert asked("u:1") == Answer(value=True)
    assert asked("u:2") == Answer(value=False, because="condition:purchases.count")
    assert asked("") == Answer(value=None, because="fact_missing:purchases.count")


def draft(**options) -> Journey:
    return Journey.objects.create(slug="j", name="After the flight", **options)


def step_of(journey: Journey) -> None:
    JourneyStep.objects.create(
        journey=journey, name="c", kind="check", told={"branches": [{"id": "a", "if": IN}]}
    )


def version(journey: Journey, *, current: bool) -> JourneyVersion:
    made = JourneyVersion.objects.create(
        journey=journey, number=1, definition={"start": {"where": IN}}, published_at=now()
    )
    if current:
        Journey.objects.filter(pk=journey.pk).update(version=made)
    return made


def running(journey: Journey, state: str) -> None:
    JourneyRun.objects.create(
        journey=journey, version=version(journey, current=False), customer_key="u:1",
        dedupe_key="1", state=state, step="c", since=now(), entered_at=now(),
        ended_at=None if state == "WAITING" else now(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "used"),
    [
        pytest.param(lambda: draft(where={"all": [IN]}), True, id="begins if"),
        pytest.param(lambda: draft(exits=[{"id": "x", "event": "e", "where": IN}]), True,
                     id="leaves when"),
        pytest.param(lambda: draft(goals=[{"id": "x", "event": "e", "where": IN}]), True,
                     id="goal"),
        pytest.param(lambda: step_of(draft()), True, id="a step"),
        pytest.param(lambda: version(draft(), current=True), True, id="the version"),
        pytest.param(lambda: running(draft(), "WAITING"), True, id="a run of an old version"),
        pytest.param(lambda: running(draft(), "COMPLETED"), False, id="a run that is over"),
        pytest.param(lambda: draft(where=OTHER), False, id="another condition"),
    ],
)  # fmt: skip
def test_one_in_use_is_not_deleted(repeat, make, used):
    make()

    if used:
        with pytest.raises(segments.SegmentInUse, match="After the flight"):
            segments.delete(repeat)
    else:
        segments.delete(repeat)
    assert Segment.objects.exists() is used


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        pytest.param(REPEAT, 2, id="repeat buyers, a linked pair among them"),
        pytest.param({"fact": "purchased", "args": {"within": "P30D"}, "op": "is", "value": True},
                     3, id="of late"),
        pytest.param({"fact": "customer.new", "op": "is", "value": True}, 2, id="new"),
        pytest.param({"fact": "purchased", "args": {"channel": "b2b"}, "op": "is", "value": True},
                     1, id="in a sales channel"),
        pytest.param({"fact": "order.cancelled", "op": "is", "value": False}, None,
                     id="of an order"),
        pytest.param({"fact": "purchased", "args": {"tag": "x"}, "op": "is", "value": True}, None,
                     id="tags are not mirrored"),
        pytest.param({"fact": "gone", "op": "is", "value": True}, None, id="a fact that is gone"),
    ],
)  # fmt: skip
def test_buyers_are_counted_where_the_mirror_can_say(monkeypatch, conditions, count):
    monkeypatch.setattr(segments, "BATCH", 2)
    bought("e:" + "a" * 64, 400, 1)
    bought("u:1", 3)
    bought("u:2", 60, channel="b2b")
    bought("u:3", 50)  # with u:9 one buyer of two orders
    bought("u:9", 10)
    bought("", 1)
    KeyLink.objects.create(old="v:7", new="u:3", at=now())
    KeyLink.objects.create(old="v:7", new="u:9", at=now())
    row = Segment.objects.create(slug="s", name="S", conditions=conditions)

    assert segments.count_due() == 1

    row.refresh_from_db()
    assert row.counted == count
    assert row.counted_at is not None
    assert segments.count_due() == 0, "once a day"
    moved.append(timedelta(hours=25))
    assert segments.count_due() == 1


def test_of_too_many_buyers_nothing_is_said(monkeypatch, repeat):
    monkeypatch.setattr(segments, "MOST_BUYERS", 1)
    bought("u:1", 1, 2)
    bought("u:2", 1, 2)

    segments.count_due()

    repeat.refresh_from_db()
    assert repeat.counted is None


@pytest.mark.parametrize("slug", segments.READY)
def test_a_ready_made_one_can_be_read(slug):
    _name, conditions = segments.READY[slug]

    parse(conditions, facts.specs())

    assert segments.copy_ready(slug).slug == slug
    assert segments.copy_ready(slug).slug == f"{slug}-2"
