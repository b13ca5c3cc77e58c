"""Experiments from draft to end: who is exposed, what is refused, and who is held out."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from example_shop.models import Product
from tests.factories import campaign, catalogue, order
from upsell import hooks, snapshots
from upsell.engine.experiments import arm_of
from upsell.models import (
    Campaign,
    ChannelSettings,
    Decision,
    Experiment,
    Exposure,
    KeyLink,
    Offer,
)
from upsell.ports import Customer
from upsell.services import erasing, experiments, linking, offering

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HALF = 5_000


@pytest.fixture
def products() -> dict[str, Product]:
    made = catalogue()
    Product.objects.update(stock=None)
    return made


def drafted(slug: str = "gift", *arms: dict, **options) -> Experiment:
    values = {
        "name": slug.title(),
        "base": "0.05",
        "smallest": "0.0075",
        "arms": list(arms),
    } | options
    return experiments.save_draft(slug=slug, **values)


def arm(slug: str, row: Campaign | None, weight: int = HALF, **overrides) -> dict:
    key = None if row is None else row.pk
    return {"slug": slug, "weight": weight, "campaign": key, "overrides": overrides}


def running(row: Campaign, **options) -> Experiment:
    """Ten percent off against the price as it stands."""
    made = drafted(
        "price", arm("control", row), arm("cheap", row, rule="PERCENT", percent="10"), **options
    )
    return experiments.start(experiment_id=made.pk, now=NOON)


def shown(products, buyer: int, **options) -> Offer | None:
    email = f"buyer-{buyer}@example.org"
    placed = order(products, email=email, placed_at=NOON, **options)
    page = offering.offer_for(order_ref=str(placed.pk), now=NOON, show=True)
    return page.offer if page else None


# ------------------------------------------------------------------ what a shopper gets


def test_each_buyer_is_offered_the_arm_and_counted_once(products):
    experiment = running(campaign(products["CA"]))

    offers = [shown(products, buyer) for buyer in range(24) for _twice in range(2)]

    arms = Counter(offer.arm for offer in offers)
    assert set(arms) == {"price/control", "price/cheap"}
    units = {offer.arm: offer.unit_gross for offer in offers}
    assert units == {"price/control": Decimal(24), "price/cheap": Decimal("21.60")}
    exposures = list(Exposure.objects.all())
    assert len(exposures) == 24, "once for each buyer, whatever they order"
    assert {row.unit: row.arm for row in exposures} == {
        offer.customer_key: offer.arm.partition("/")[2] for offer in offers
    }
    assert {row.experiment_id for row in exposures} == {experiment.pk}
    assert {row.since for row in exposures} == {NOON}


def test_the_first_time_stays(products):
    running(campaign(products["CA"]))
    shown(products, 1)
    placed = order(products, email="buyer-1@example.org", placed_at=NOON + timedelta(days=1))

    offering.offer_for(order_ref=str(placed.pk), now=NOON + timedelta(days=1), show=True)

    assert Exposure.objects.get().at == NOON


def test_the_words_of_an_arm_are_on_the_offer(products):
    row = campaign(products["CA"])
    row.copies.create(language="en", headline="Plain", body="The same body")
    made = drafted(
        "words", arm("control", row), arm("warm", row, copy={"en": {"headline": "Warm words"}})
    )
    experiments.start(experiment_id=made.pk, now=NOON)

    offers = [shown(products, buyer) for buyer in range(12)]

    told = {offer.arm: offer.terms["copy"]["en"] for offer in offers}
    assert told["words/control"]["headline"] == "Plain"
    assert told["words/warm"]["headline"] == "Warm words"
    assert {words["body"] for words in told.values()} == {"The same body"}


def test_what_an_experiment_had_to_do_with_it_stands_in_the_decision(products):
    running(campaign(products["CA"]))
    offer = shown(products, 1)

    assert Decision.objects.get().facts["arms"] == [offer.arm]


def test_before_the_start_and_after_the_end_campaigns_are_as_they_stand(products):
    row = campaign(products["CA"])
    made = drafted("price", arm("control", row), arm("cheap", row, rule="PERCENT", percent="10"))
    before = [shown(products, buyer) for buyer in range(8)]
    experiments.start(experiment_id=made.pk, now=NOON)
    during = [shown(products, buyer) for buyer in range(8, 24)]
    experiments.stop(experiment_id=made.pk, now=NOON)
    after = [shown(products, buyer) for buyer in range(24, 32)]

    assert {offer.arm for offer in (*before, *after)} == {""}
    assert {offer.unit_gross for offer in (*before, *after)} == {Decimal(24)}
    assert len({offer.arm for offer in during}) == 2


@pytest.mark.parametrize(
    ("experiment", "more"),
    [
        pytest.param(False, 0, id="none: nothing"),
        pytest.param(True, 2, id="one: the buyer's oldest key, and the exposure"),
    ],
)
def test_what_an_experiment_costs_the_first_view(products, experiment, more):
    row = campaign(products["CA"])
    plain = _statements(products, 1)
    if experiment:
        running(row)

    assert _statements(products, 2) == plain + more


def _statements(products, buyer: int) -> int:
    snapshots.index()  # compiled by a worker's first decision
    placed = order(products, email=f"buyer-{buyer}@example.org", placed_at=NOON)
    with CaptureQueriesContext(connection) as asked:
        offering.offer_for(order_ref=str(placed.pk), now=NOON, show=True)
    return sum("upsell_" in row["sql"].split("WHERE")[0] for row in asked)


def test_x72_growing_the_traffic_keeps_everybody_in_the_same_arm(products):
    experiment = running(campaign(products["CA"]), traffic=1_000)
    few = {buyer: shown(products, buyer).arm for buyer in range(60)}
    experiments.grow(experiment_id=experiment.pk, traffic=6_000)
    more = {buyer: shown(products, buyer).arm for buyer in range(60)}

    were_in = {buyer: told for buyer, told in few.items() if told}
    assert were_in
    assert {buyer: more[buyer] for buyer in were_in} == were_in
    assert sum(bool(told) for told in more.values()) > 2 * len(were_in)


# ------------------------------------------------------------------ holdout


def test_a_held_out_order_gets_an_offer_that_nobody_sees(products):
    campaign(products["CA"])
    ChannelSettings.objects.create(channel="", holdout=20)
    offers = [shown(products, buyer) for buyer in range(40)]

    held = [offer for offer in offers if offer.state == "SUPPRESSED"]
    assert 1 <= len(held) <= 20
    for offer in held:
        assert (offer.first_shown_at, offer.token_hash, offer.closed_at) == (None, None, NOON)
        assert offering.offer_for(order_ref=offer.order_ref, now=NOON, show=True).offer == offer
        offer.refresh_from_db()
        assert offer.state == "SUPPRESSED"
    assert {offer.state for offer in offers} == {"SUPPRESSED", "SHOWN"}


def test_a_holdout_of_nothing_holds_nobody(products):
    campaign(products["CA"])
    ChannelSettings.objects.create(channel="", holdout=0)

    assert {shown(products, buyer).state for buyer in range(10)} == {"SHOWN"}


# ------------------------------------------------------------------ one buyer, two keys


@pytest.mark.parametrize("same", [True, False])
def test_x77_a_buyer_in_two_arms_is_left_out_and_one_in_the_same_arm_counts_once(products, same):
    experiment = running(campaign(products["CA"]))
    phase = snapshots.running_experiments()[0].phase
    guest = "e:guest"
    account = next(
        key
        for key in (f"u:{number}" for number in range(100))
        if (arm_of(phase, key) == arm_of(phase, guest)) is same
    )
    for unit, at in ((guest, NOON), (account, NOON - timedelta(days=1))):
        Exposure.objects.create(
            experiment=experiment,
            phase=experiment.phases.get(),
            unit=unit,
            arm=arm_of(phase, unit),
            at=at,
            since=at,
        )

    for _twice in range(2):
        linking.link(old=guest, new=account, now=NOON)

    kept = Exposure.objects.get()
    assert (kept.unit, kept.excluded) == (guest, not same)
    assert kept.at == NOON - timedelta(days=1), "the earlier one"


def test_the_oldest_key_decides_the_arm(products):
    running(campaign(products["CA"]))
    first = shown(products, 1)
    linking.link(old=first.customer_key, new="e:new")
    linking.link(old="e:new", new="u:9")
    KeyLink.objects.get(new="u:9", old=first.customer_key)

    linking.link(old="u:9", new=shown(products, 2).customer_key)

    assert shown(products, 2).arm == first.arm
    assert linking.keys_with(["u:9"])[0] == "u:9"
    assert set(linking.keys_with(["u:9"])) >= {"u:9", first.customer_key}


def test_an_account_that_two_guests_became_is_one_buyer(products):
    """The second guest's key is joined as well, and what both saw counts once or not at all."""
    running(campaign(products["CA"]))
    guests = [shown(products, buyer) for buyer in range(6)]
    account = "u:9"

    for guest in guests:
        linking.link(old=guest.customer_key, new=account)

    first = guests[0].customer_key
    assert set(KeyLink.objects.values_list("old", flat=True)) == {first}
    assert {row.new for row in KeyLink.objects.all()} == {
        account,
        *(guest.customer_key for guest in guests[1:]),
    }
    kept = Exposure.objects.get()
    assert (kept.unit, kept.excluded) == (first, len({guest.arm for guest in guests}) > 1)
    assert shown(products, 5).arm == guests[0].arm, "the oldest key decides from now on"


def test_forgetting_a_buyer_forgets_every_key(products):
    running(campaign(products["CA"]))
    first = shown(products, 1)
    linking.link(old=first.customer_key, new="u:9")

    erasing.erase(customer_keys=["u:9"], now=NOON + timedelta(days=1))

    first.refresh_from_db()
    assert first.customer_key == ""
    assert {row.unit[:2] for row in Exposure.objects.all()} == {"x:"}
    assert {(row.old[:2], row.new[:2]) for row in KeyLink.objects.all()} == {("x:", "x:")}


# ------------------------------------------------------------------ what is refused


def refusal(action, **arguments) -> str:
    with pytest.raises(ValidationError) as refused:
        action(**arguments)
    return " ".join(refused.value.messages)


@pytest.mark.parametrize(
    ("arms", "options", "words"),
    [
        pytest.param([("control", 1, HALF)], {}, "two arms or more", id="one arm"),
        pytest.param(
            [("a", 1, HALF), ("b", None, HALF)], {}, "must be called “control”", id="no control"
        ),
        pytest.param([("control", 1, HALF), ("b", None, 4_000)], {}, "come to 90 %", id="weights"),
        pytest.param(
            [("control", None, HALF), ("b", None, HALF)],
            {"metric": "REVENUE", "currency": "EUR"},
            "No arm offers anything",
            id="nothing at all",
        ),
        pytest.param(
            [("control", None, HALF), ("b", 1, HALF)],
            {},
            "compare revenue instead",
            id="acceptance where nothing is offered",
        ),
        pytest.param(
            [("control", 1, HALF), ("b", 1, HALF)], {}, "exactly the same", id="the same twice"
        ),
        pytest.param(
            [("control", None, HALF), ("b", 1, HALF)],
            {"metric": "REVENUE"},
            "say which",
            id="revenue in no currency",
        ),
        pytest.param(
            [("control", None, HALF), ("b", 1, HALF)],
            {"metric": "REVENUE", "currency": "EUR", "reading": "AT_THE_END"},
            "too few orders in EUR",
            id="locked until a number that nobody knows",
        ),
        pytest.param(
            [("control", 1, HALF), ("b", None, HALF)],
            {"base": "1.5"},
            "between 0 and 1",
            id="a share above 1",
        ),
    ],
)
def test_what_is_wrong_is_said_before_the_start(products, arms, options, words):
    row = campaign(products["CA"])
    rows = [arm(slug, row if number else None, weight) for slug, number, weight in arms]
    made = drafted("gift", *rows, **options)

    assert words in refusal(experiments.start, experiment_id=made.pk)
    made.refresh_from_db()
    assert made.state == "DRAFT"


def test_an_arm_changes_only_what_it_may_and_what_makes_sense(products):
    row = campaign(products["CA"])
    priority = drafted("p", arm("control", row), arm("b", row, priority=5))
    percent = drafted("q", arm("control", row), arm("b", row, rule="PERCENT", percent="150"))

    assert "cannot change priority" in refusal(experiments.start, experiment_id=priority.pk)
    assert "between 0 and 100" in refusal(experiments.start, experiment_id=percent.pk)


def test_a_campaign_is_in_one_running_experiment(products):
    row = campaign(products["CA"])
    running(row)
    other = drafted("other", arm("control", row), arm("b", row, rule="PERCENT", percent="20"))

    told = refusal(experiments.start, experiment_id=other.pk)

    assert "“Price”" in told


def test_while_it_runs_only_the_traffic_grows(products):
    row = campaign(products["CA"])
    experiment = running(row, traffic=5_000)

    change = {"slug": "price", "name": "Another"}
    assert "Begin a new phase" in refusal(experiments.save_draft, **change)
    shrink = {"experiment_id": experiment.pk, "traffic": 4_000}
    assert "Begin a new phase" in refusal(experiments.grow, **shrink)
    assert "Stop it first" in refusal(experiments.archive, experiment_id=experiment.pk)
    assert "Archive it" in refusal(experiments.delete, experiment_id=experiment.pk)


def test_a_new_phase_has_its_own_weights_and_exposures(products):
    row = campaign(products["CA"])
    experiment = running(row)
    shown(products, 1)

    phase = experiments.new_phase(
        experiment_id=experiment.pk,
        arms=[arm("control", row, 1_000), arm("cheap", row, 9_000, rule="PERCENT", percent="10")],
        traffic=10_000,
        now=NOON + timedelta(days=7),
    )
    shown(products, 1)

    assert phase.number == 2
    first = experiment.phases.get(number=1)
    assert first.ended_at == phase.started_at
    assert Counter(Exposure.objects.values_list("phase__number", flat=True)) == {1: 1, 2: 1}


def test_a_bad_new_phase_leaves_the_old_one_running(products):
    experiment = running(campaign(products["CA"]))

    told = refusal(
        experiments.new_phase, experiment_id=experiment.pk, arms=[arm("control", None)], traffic=1
    )

    assert "two arms or more" in told
    assert experiment.phases.get().ended_at is None


def test_a_draft_goes_and_an_ended_one_leaves_the_list(products):
    row = campaign(products["CA"])
    draft = drafted("draft", arm("control", row))
    experiments.delete(experiment_id=draft.pk)
    ended = running(row)
    experiments.stop(experiment_id=ended.pk)
    experiments.stop(experiment_id=ended.pk)

    experiments.archive(experiment_id=ended.pk)

    ended.refresh_from_db()
    assert (ended.state, ended.archived) == ("ENDED", True)
    assert not Experiment.objects.filter(slug="draft").exists()


def test_the_size_stands_before_the_start(products):
    experiment = running(campaign(products["CA"]))

    assert experiment.needed == 14_178


def test_two_starts_at_once_take_a_campaign_once(products):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write transaction in at a time: no lock, and no race")
    row = campaign(products["CA"])
    made = [
        drafted(f"e{number}", arm("control", row), arm("b", row, rule="PERCENT", percent="9"))
        for number in range(6)
    ]

    told = _at_once([one.pk for one in made])

    assert told.count("started") == 1
    assert Experiment.objects.filter(state="RUNNING").count() == 1


def _at_once(keys: list[int]) -> list[str]:
    together, told = threading.Barrier(len(keys)), list[str]()

    def begin(key: int) -> None:
        together.wait()
        try:
            experiments.start(experiment_id=key)
            told.append("started")
        except ValidationError as error:
            told.append(" ".join(error.messages))
        finally:
            connection.close()

    threads = [threading.Thread(target=begin, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


# ------------------------------------------------------------------ as a host writes them


def test_a_script_that_runs_again_writes_and_starts_an_experiment_once(products):
    row = campaign(products["CA"])
    values = {
        "slug": "words", "name": "Words", "base": "0.05", "smallest": "0.01",
        "arms": [{"slug": "control", "weight": HALF, "campaign": row.slug},
                 {"slug": "warm", "weight": HALF, "campaign": row.slug,
                  "overrides": {"copy": {"en": {"headline": "Warm"}}}}],
    }  # fmt: skip

    told = []
    for _twice in range(2):
        told.append(hooks.save_experiment(**values))
        hooks.start_experiment(slug="words")

    assert told == ["DRAFT", "RUNNING"]
    assert Experiment.objects.get().phases.get().arms.count() == 2
    unknown = values | {"slug": "x", "arms": [{"slug": "a", "weight": 1, "campaign": "no"}]}
    assert "no campaign “no”" in refusal(hooks.save_experiment, **unknown)
    assert "no experiment “x”" in refusal(hooks.start_experiment, slug="x")


def test_a_shop_says_that_a_guest_has_an_account_after_the_commit():
    guest, account = Customer(email="A@example.org "), Customer(ref="7")

    with transaction.atomic():
        hooks.link_buyer(old=guest, new=account)
        assert not KeyLink.objects.exists()
    hooks.link_buyer(old=guest, new=account)

    link = KeyLink.objects.get()
    assert (link.old, link.new) == (snapshots.customer_key(guest), "u:7")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(Customer(), Customer(ref="7"), id="nobody"),
        pytest.param(Customer(ref="7"), Customer(ref="7"), id="themselves"),
        pytest.param(None, Customer(ref="7"), id="no customer at all"),
    ],
)
def test_telling_of_a_buyer_never_raises(old, new):
    with transaction.atomic():
        hooks.link_buyer(old=old, new=new)

    assert not KeyLink.objects.exists()
