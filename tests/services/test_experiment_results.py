"""Results of experiments: SQL against plain Python over a random log, and what may be seen when."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.measuring import a_campaign
from tests.oracles import oracle
from upsell import conf
from upsell.engine.aggregates import Rate
from upsell.engine.readings import ArmCounts
from upsell.engine.stats import compare_rates
from upsell.exceptions import MissingExtra
from upsell.models import Arm, Experiment, Exposure, KeyLink, Look, Offer, OrderFact, Phase
from upsell.services import experiment_results, experiment_sizes, experiments, looking, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW, BEFORE = 30 * DAY, 90 * DAY


def experiment(slug: str = "price", *, arms=("control", "cheap"), weights=None, **options):
    """One that runs since noon of 2 March; the first arm is the control."""
    row = Experiment.objects.create(
        slug=slug, name=slug.title(), salt=slug, state="RUNNING", started_at=NOON,
        **{"base": "0.05", "smallest": "0.02", "currency": "EUR", "needed": 100} | options,
    )  # fmt: skip
    phase = Phase.objects.create(experiment=row, number=1, started_at=NOON)
    offered = a_campaign()
    for arm, weight in zip(arms, weights or [10_000 // len(arms)] * len(arms), strict=True):
        Arm.objects.create(phase=phase, slug=arm, weight=weight, campaign=offered)
    row.refresh_from_db()
    return row


def expose(row, arm, count, *, at=NOON, accepted=0, name="", excluded=False) -> list[Exposure]:
    """Expose so many new buyers, the first of whom accept."""
    phase = row.phases.latest("number")
    made = Exposure.objects.bulk_create(
        [
            Exposure(experiment=row, phase=phase, unit=f"u:{name}{arm}{number}", arm=arm, at=at,
                     since=at, excluded=excluded)
            for number in range(count)
        ]
    )  # fmt: skip
    accept(row, made[:accepted])
    return made


def accept(row, buyers, *, state="ACCEPTED", key=None, at=None):
    chosen = phase_campaign(row)
    Offer.objects.bulk_create(
        [
            Offer(campaign=chosen, arm=f"{row.slug}/{one.arm}", customer_key=key or one.unit,
                  occasion_ref="1", order_ref=uuid4().hex, first_shown_at=one.at,
                  kind="CROSS_SELL", product_ref="1", currency="EUR", unit_net=1, unit_gross=1,
                  state=state, created_at=one.at,
                  responded_at=at or one.at + timedelta(minutes=1), expires_at=one.at + DAY)
            for one in buyers
        ]
    )  # fmt: skip


def phase_campaign(row):
    return row.phases.first().arms.first().campaign


def buys(key, net, *, at=NOON, **options):
    number = OrderFact.objects.count()
    values = {"currency": "EUR", "refunded_net": Decimal(0)} | options
    return OrderFact.objects.create(
        order_ref=f"o{number}", customer_key=key, placed_at=at, net=Decimal(net), **values
    )


def read(row, *, now=NOON + 60 * DAY, **options):
    return experiment_results.results_of(experiment_id=row.pk, now=now, **options)


def latest(row, **options):
    return read(row, **options).phases[0].reading


# ------------------------------------------------------------------ against plain Python


def test_sums_are_those_of_plain_python_over_a_random_log():
    chance = random.Random(11)
    row = experiment()
    now = NOON + 70 * DAY
    phase = row.phases.get()
    log = []
    for number in range(300):
        at = NOON + chance.random() * 60 * DAY
        arm = chance.choice(["control", "cheap"])
        one = Exposure(
            experiment=row, phase=phase, unit=f"u:{number}", arm=arm, at=at,
            since=at - chance.random() * DAY, excluded=chance.random() < 0.05,
        )  # fmt: skip
        keys = [one.unit, *(f"e:{number}-{n}" for n in range(chance.choice([0, 0, 1, 2])))]
        log.append((one, keys))
    Exposure.objects.bulk_create(one for one, _keys in log)
    KeyLink.objects.bulk_create(
        KeyLink(old=keys[0], new=key, at=NOON) for _one, keys in log for key in keys[1:]
    )
    orders = []
    for one, keys in log:
        for _order in range(chance.choice([0, 1, 1, 2, 3, 5])):
            net = Decimal(chance.randrange(1, 90_000)) / 100
            at = one.since + (chance.random() * 150 - 100) * DAY
            at = chance.choice([at, at, one.since, one.since + WINDOW, one.since - BEFORE])
            orders.append(
                OrderFact(
                    order_ref=f"o{len(orders)}", customer_key=chance.choice(keys), placed_at=at,
                    currency=chance.choice(["EUR", "EUR", "EUR", "JPY"]), net=net,
                    refunded_net=chance.choice([Decimal(0), Decimal(0), net / 2, net]),
                    cancelled=chance.random() < 0.1,
                )
            )  # fmt: skip
    OrderFact.objects.bulk_create(orders)
    took = set()
    for one, keys in log:
        if chance.random() < 0.3:
            late = chance.random() < 0.8
            moved = one.at + (DAY if late else -DAY) * chance.random()
            state = chance.choice(["ACCEPTED", "REVERSED", "DECLINED", "FAILED"])
            accept(row, [one], state=state, key=chance.choice(keys), at=moved)
            if late and state in ("ACCEPTED", "REVERSED"):
                took.add(one.unit)
    # The database keeps four places.
    for order in orders:
        order.refunded_net = order.refunded_net.quantize(Decimal("0.0001"))

    found = {arm.arm: arm for arm in experiment_results.counts_of(row, phase, now=now)}

    for arm in ("control", "cheap"):
        mine = [pair for pair in log if pair[0].arm == arm]
        kept = [pair for pair in mine if not pair[0].excluded]
        told = found[arm]
        assert told.excluded == len(mine) - len(kept)
        assert told.exposed == len(kept)
        assert told.accepted == sum(one.unit in took for one, _keys in kept)
        assert told.younger == sum(one.at > now - WINDOW for one, _keys in kept)
        old = [pair for pair in kept if pair[0].at <= now - WINDOW]
        spent, counts, earlier, back = [], [], [], 0
        for one, keys in old:
            own = [o for o in orders if o.customer_key in keys and o.currency == "EUR"]
            late = [o for o in own if one.since <= o.placed_at < one.since + WINDOW]
            past = [o for o in own if one.since - BEFORE <= o.placed_at < one.since]
            spent.append(sum(o.net - o.refunded_net for o in late if not o.cancelled))
            counts.append(sum(not o.cancelled for o in late))
            earlier.append(sum(o.net - o.refunded_net for o in past if not o.cancelled))
            back += any(o.refunded_net > 0 for o in late)
        money = told.money
        assert money is not None
        assert (money.n, money.refunded) == (len(old), back)
        for sums, first, second in (
            (money.spent_and_orders, spent, counts),
            (money.spent_and_earlier, spent, earlier),
        ):
            expected = (
                sum(first), sum(x * x for x in first), sum(second), sum(y * y for y in second),
                sum(x * y for x, y in zip(first, second, strict=True)),
            )  # fmt: skip
            got = (sums.first, sums.first_squares, sums.second, sums.second_squares, sums.cross)
            assert [float(x) for x in got] == pytest.approx([float(x) for x in expected])
        assert float(money.capped.total) == pytest.approx(float(sum(spent)))


def test_the_largest_thousandth_is_cut_down():
    row = experiment()
    for arm, dear in (("control", 0), ("cheap", 2)):
        for number, one in enumerate(expose(row, arm, 1_000)):
            buys(one.unit, "5000" if number < dear else "10.00")

    found = {arm.arm: arm.money for arm in latest(row).arms}

    assert found["cheap"].spent_and_orders.first == Decimal("19980")
    assert found["cheap"].capped.total == Decimal("10000"), "two of 2,000 are above the cap"
    assert found["control"].capped.total == Decimal("10000")


def test_rows_cost_no_statements():
    row = experiment()

    def cost():
        with CaptureQueriesContext(connection) as asked:
            read(row)
        return len(asked)

    for arm in ("control", "cheap"):
        buys(expose(row, arm, 10, accepted=2)[0].unit, "10.00")
    few = cost()
    for arm in ("control", "cheap"):
        for one in expose(row, arm, 60, accepted=9, name="more"):
            buys(one.unit, "10.00")

    assert cost() == few
    assert few <= 14


# ------------------------------------------------------------------ what counts


def test_one_buyer_with_two_keys_spends_and_accepts_under_both():
    row = experiment()
    [one] = expose(row, "cheap", 1)
    expose(row, "control", 1)
    KeyLink.objects.create(old=one.unit, new="u:account", at=NOON)
    buys("u:account", "10.00", at=NOON + DAY)
    buys(one.unit, "5.00", at=NOON + DAY)
    accept(row, [one], key="u:account")
    accept(row, [one])

    arm = next(arm for arm in latest(row).arms if arm.arm == "cheap")

    assert (arm.accepted, arm.money.spent_and_orders.first) == (1, Decimal(15))


def test_each_phase_counts_its_own():
    row = experiment()
    first = row.phases.get()
    [one, _other] = expose(row, "cheap", 2, accepted=1)
    expose(row, "control", 2)
    arms = experiments.arms_of(first)
    for arm in arms:
        arm["overrides"] = {"copy": {"en": {"headline": arm["slug"]}}} if (
            arm["slug"] != "control") else {}  # fmt: skip
    second = experiments.new_phase(experiment_id=row.pk, arms=arms, traffic=9_000, now=NOON + DAY)
    [again] = Exposure.objects.bulk_create(
        [Exposure(experiment=row, phase=second, unit=one.unit, arm="cheap", at=NOON + 2 * DAY,
                  since=NOON + 2 * DAY)]
    )  # fmt: skip
    accept(row, [again], key=again.unit)

    told = {phase.number: {arm.arm: arm.accepted for arm in phase.reading.arms}
            for phase in read(row).phases}  # fmt: skip

    assert told == {2: {"control": 0, "cheap": 1}, 1: {"control": 0, "cheap": 1}}


def test_money_waits_for_the_outcome_window_and_says_for_how_many():
    row = experiment()
    for arm in ("control", "cheap"):
        for at, net in ((NOON, "10.00"), (NOON + 40 * DAY, "90.00")):
            for one in expose(row, arm, 3, at=at, name=f"{at:%d}"):
                buys(one.unit, net, at=at)

    told, fresh = (latest(row, fresh=fresh) for fresh in (False, True))

    assert [arm.money.n for arm in told.arms] == [3, 3]
    assert told.younger == 6
    assert [arm.money.n for arm in fresh.arms] == [6, 6]
    assert [arm.exposed for arm in told.arms] == [6, 6]


# ------------------------------------------------------------------ what may be seen


@pytest.mark.parametrize(
    ("counts", "weights", "broken"),
    [
        pytest.param((9_150, 850), (9_000, 1_000), True, id="X73: 9,150 and 850 at 90 to 10"),
        pytest.param((502, 498), (5_000, 5_000), False, id="X73: 502 and 498 at half and half"),
        pytest.param((2, 1), (5_000, 5_000), False, id="too few to tell"),
    ],
)
def test_x73_a_broken_split_hides_everything_else(counts, weights, broken):
    oracle("scipy.stats")
    row = experiment(weights=weights)
    for arm, count in zip(("control", "cheap"), counts, strict=True):
        expose(row, arm, count, accepted=min(count // 2, 90))

    told = latest(row)

    assert told.is_broken is broken
    assert bool(told.answers) is not broken
    if broken:
        assert told.split.p_value == pytest.approx(5.7e-7, rel=0.01)
        assert told.others + told.guards + told.incremental + told.checks == ()


@pytest.mark.parametrize(
    ("reading", "exposed", "seen"),
    [
        pytest.param("ANY_DAY", 30, "answers", id="any day"),
        pytest.param("AT_THE_END", 99, "", id="one too few"),
        pytest.param("AT_THE_END", 100, "answers", id="enough"),
        pytest.param("FOUR_LOOKS", 24, "", id="before the first quarter"),
        pytest.param("FOUR_LOOKS", 25, "steps", id="the first quarter"),
    ],
)
def test_results_are_locked_until_they_may_be_read(reading, exposed, seen):
    row = experiment(reading=reading)
    for arm, accepted in (("control", 9), ("cheap", 11)):
        expose(row, arm, exposed, accepted=accepted)
    looking.look_due()

    told = latest(row)

    assert told.locked is (not seen)
    assert bool(told.answers) is (seen == "answers")
    assert [step.number for step in told.steps] == ([1] if seen == "steps" else [])
    assert [arm.exposed for arm in told.arms] == [exposed] * 2, "counts are always there"
    if not seen:
        assert told.others + told.guards == ()


def test_a_stop_before_the_end_unlocks():
    row = experiment(reading="AT_THE_END")
    for arm in ("control", "cheap"):
        expose(row, arm, 50, accepted=9)
    experiments.stop(experiment_id=row.pk, now=NOON + DAY)

    assert latest(row).answers


def test_acceptance_is_compared_by_newcombe_and_for_any_day_by_always_valid():
    row = experiment(reading="AT_THE_END")
    for arm, accepted in (("control", 50), ("cheap", 90)):
        expose(row, arm, 1_000, accepted=accepted)

    [once] = latest(row).answers
    Experiment.objects.update(reading="ANY_DAY")
    [daily] = latest(row).answers

    assert once.difference == pytest.approx(0.04)
    assert once.plain == compare_rates(Rate(hits=50, n=1_000), Rate(hits=90, n=1_000))
    assert once.interval == once.plain.interval
    assert daily.plain == once.plain
    assert daily.interval.low < once.interval.low < once.interval.high < daily.interval.high
    assert daily.p_value > once.p_value
    assert daily.found


def test_the_best_look_ever_made_stays():
    row = experiment()
    for arm in ("control", "cheap"):
        expose(row, arm, 100, accepted=10)
    phase = row.phases.get()
    Look.objects.create(phase=phase, arm="cheap", key="2026-03-03", at=NOON, difference=0.1,
                        variance=0.0002)  # fmt: skip

    [told] = latest(row).answers

    assert told.difference == 0
    assert told.p_value < 0.001
    assert told.found


def test_revenue_is_compared_and_what_it_brought_is_said_with_its_interval():
    oracle("scipy.stats")
    row = experiment(metric="REVENUE", base="10", smallest="5", reading="AT_THE_END", needed=20)
    for arm, usual in (("control", 10), ("cheap", 14)):
        for number, one in enumerate(expose(row, arm, 40, accepted=5)):
            buys(one.unit, usual + number % 5, refunded_net=Decimal(number == 3))

    told = latest(row)

    [answer] = told.answers
    assert answer.difference == pytest.approx(4)
    assert answer.found
    [more] = told.incremental
    assert more.comparison.difference == pytest.approx(160)
    assert more.comparison.interval.low == pytest.approx(answer.interval.low * 40)
    assert {line.figure for line in told.others} == {"acceptance", "orders", "per_order"}
    assert all(line.adjusted >= line.comparison.p_value for line in told.others)
    assert {line.figure for line in told.checks} == {"capped", "cuped"}
    [guard] = told.guards
    assert (guard.control.hits, guard.treated.hits, guard.is_alarming) == (1, 1, False)


def test_more_refunds_are_alarming():
    row = experiment()
    for arm, back in (("control", 2), ("cheap", 40)):
        for number, one in enumerate(expose(row, arm, 200, accepted=5)):
            buys(one.unit, 10, refunded_net=Decimal(number < back))

    assert latest(row).guards[0].is_alarming


def test_with_three_arms_the_intervals_hold_at_once():
    row = experiment(arms=("control", "b", "c"), weights=(3_334, 3_333, 3_333))
    for arm in ("control", "b", "c"):
        expose(row, arm, 200, accepted=20)

    told = latest(row)

    assert told.confidence == 0.975
    assert [one.arm for one in told.answers] == ["b", "c"]


@pytest.mark.parametrize(
    ("case", "absent"),
    [
        pytest.param("no currency", "revenue", id="in no currency there is no revenue"),
        pytest.param("no mirror", "revenue", id="without orders there is none"),
        pytest.param("no scipy", "revenue", id="without scipy there is none"),
        pytest.param("control offers nothing", "acceptance", id="nor acceptance of nothing"),
    ],
)
def test_what_cannot_be_told_is_absent_and_never_0(case, absent, monkeypatch):
    oracle("scipy.stats")
    row = experiment(metric="REVENUE" if absent == "acceptance" else "ACCEPTANCE",
                     currency="" if case == "no currency" else "EUR")  # fmt: skip
    for arm in ("control", "cheap"):
        for number, one in enumerate(expose(row, arm, 20, accepted=3)):
            if case != "no mirror":
                buys(one.unit, number)
    if case == "no scipy":

        def lacking():
            raise MissingExtra("stats")

        monkeypatch.setattr(conf, "inference", lacking)
    if case == "control offers nothing":
        Arm.objects.filter(slug="control").update(campaign=None)

    told = read(row)

    reading = told.phases[0].reading
    assert absent not in {line.figure for line in reading.others}
    assert reading.answers, "what can be told is"
    assert ("django-upsell[stats]" in told.missing) is (case == "no scipy")
    assert (reading.split is None) is (case == "no scipy")
    assert told.mirrored is (case != "no mirror")


def test_the_day_on_which_there_will_be_enough():
    row = experiment(needed=100)
    Experiment.objects.update(started_at=datetime.now(UTC) - 5 * DAY)
    for arm in ("control", "cheap"):
        expose(row, arm, 50, at=datetime.now(UTC) - DAY, accepted=5)

    now = datetime.now(UTC)

    assert read(row, now=now).enough_on == (now + 5 * DAY).date()


def test_nothing_is_read_of_a_draft_and_nobody_is_no_error():
    row = experiment()
    assert latest(row).answers == ()
    assert looking.look_due() == 0
    Phase.objects.update(started_at=None)

    assert read(row).phases == ()


def test_how_many_were_exposed_so_far():
    row, other = experiment(), experiment("other")
    expose(row, "control", 3)
    expose(row, "cheap", 1, excluded=True)

    assert experiment_results.exposed_so_far([row.pk, other.pk]) == {row.pk: 3}


# ------------------------------------------------------------------ looks


def test_a_look_a_day_once_whoever_asks_how_often(settings):
    settings.TIME_ZONE = "UTC"
    row = experiment()
    for arm, accepted in (("control", 5), ("cheap", 9)):
        expose(row, arm, 100, accepted=accepted)
    phase = row.phases.get()

    made = [looking.look(phase, now=NOON + hours * timedelta(hours=1)) for hours in (0, 5, 24)]

    assert made == [1, 0, 1]
    rows = list(Look.objects.order_by("key").values_list("arm", "key", "difference"))
    assert rows == [("cheap", "2026-03-02", pytest.approx(0.04)),
                    ("cheap", "2026-03-03", pytest.approx(0.04))]  # fmt: skip


@pytest.mark.parametrize(
    ("exposed", "quarters"),
    [
        pytest.param([24, 25, 49, 50, 100, 150], ["1", "2", "4"], id="each once"),
        pytest.param([80, 90], ["3"], id="one that was passed over is not made up for"),
    ],
)
def test_four_looks_are_made_at_the_quarters(exposed, quarters):
    row = experiment(reading="FOUR_LOOKS")
    phase = row.phases.get()
    there = 0
    for number, count in enumerate(exposed):
        for arm in ("control", "cheap"):
            expose(row, arm, count - there, name=f"{number}-", accepted=2 if number < 1 else 0)
        there = count
        looking.look(phase, now=NOON + number * DAY)

    assert list(Look.objects.order_by("key").values_list("key", flat=True)) == quarters


def test_nobody_knows_the_quarters_of_an_unknown_size():
    row = experiment(reading="FOUR_LOOKS", needed=None)
    for arm in ("control", "cheap"):
        expose(row, arm, 90, accepted=9)

    assert looking.look(row.phases.get(), now=NOON) == 0


def test_the_size_for_revenue_is_taken_from_how_buyers_differ():
    row = experiment(metric="REVENUE", base="10", smallest="1")
    arms = list(row.phases.get().arms.all())
    at = datetime.now(UTC) - DAY
    unknown = experiment_sizes.needed_per_arm(row, arms)
    buys("u:0", 10, at=at)
    one = experiment_sizes.needed_per_arm(row, arms)
    for number, net in enumerate((30, 10, 20, 20, 40, 0, 20, 20, 20), start=1):
        buys(f"u:{number}", net, at=at)
    buys("u:1", 10_000, at=at, cancelled=True)
    buys("u:2", 10_000, at=at, currency="JPY")

    assert (unknown, one) == (None, None)
    # Ten buyers with a mean of 19 and a variance of 121.1: 2 * 121.1 * (1.96 + 0.8416)**2.
    assert experiment_sizes.needed_per_arm(row, arms) == 1_902
    assert experiment_sizes.needed_per_arm(row, arms[1:]) is None
    assert experiment_sizes.needed_per_arm(replaced(row, metric="ACCEPTANCE"), arms) is None
    assert experiment_sizes.enough_on(replaced(row, needed=None), smallest_arm=1,
                                      today=NOON.date()) is None  # fmt: skip


def replaced(row, **values):
    for name, value in values.items():
        setattr(row, name, value)
    return row


def test_looking_costs_one_statement_where_nothing_runs(django_assert_num_queries):
    with django_assert_num_queries(1):
        assert looking.look_due() == 0
    experiment(reading="AT_THE_END")
    with django_assert_num_queries(1):
        assert looking.look_due() == 0


def test_due_work_looks_once_an_hour(django_assert_num_queries):
    row = experiment()
    for arm in ("control", "cheap"):
        expose(row, arm, 10, accepted=1)

    assert running.run_due()["looks"] == 1
    asks_the_time = connection.vendor != "sqlite"
    with django_assert_num_queries(2 + asks_the_time):
        assert looking.look_due() == 0


def test_one_experiment_in_trouble_does_not_keep_the_others_from_being_looked_at(caplog):
    for slug in ("aaa", "bbb"):
        row = experiment(slug)
        for arm in ("control", "cheap"):
            expose(row, arm, 10, accepted=1, name=slug)
    Arm.objects.filter(phase__experiment__slug="aaa", slug="control").delete()

    assert looking.look_due() == 1
    assert "could not be looked at" in caplog.text


def test_a_counted_buyer_is_one_of_the_arm():
    arm = ArmCounts(arm="control", weight=1, exposed=4, accepted=9)

    assert arm.rate.value == 1.0, "accepted meanwhile: read at two times"
    assert replace(arm, exposed=0).rate is None
    assert not math.isnan(arm.rate.value)
