"""This order, that moment, with a campaign as if it were live: who wins, and nothing is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from example_shop.models import Order, OrderLine
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept
from tests.standing import offer_in
from tests.tables import unchanged
from upsell.exceptions import NotFound
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.services import offering, undoing
from upsell.services.explaining import Explained, explain_order, simulate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOON = NOON + timedelta(days=3)


@pytest.fixture
def products():
    return catalogue()


def verdicts(told: Explained) -> dict[str, str]:
    return {row.campaign.name: str(row.reason) for row in told.explanation.verdicts}


def bought(told: Explained) -> set[tuple[object, ...]]:
    return {
        (row.product.ref, row.quantity, row.total.net, row.total.gross)
        for row in told.occasion.lines
    }


@pytest.mark.parametrize(
    ("draft", "wins", "live_one"),
    [
        pytest.param({"status": "OFF", "priority": 20}, True, "outranked", id="off, in front"),
        pytest.param({"status": "OFF", "priority": 1}, False, "", id="off, behind"),
        pytest.param({"status": "STAFF_ONLY", "priority": 20}, True, "outranked", id="staff only"),
        pytest.param({"valid_from": SOON, "priority": 20}, True, "outranked", id="not begun yet"),
        pytest.param(
            {"valid_until": NOON - timedelta(days=1), "priority": 20}, True, "outranked", id="over"
        ),
        pytest.param(
            {"status": "OFF", "priority": 20, "countries": ["FR"]}, False, "", id="not for them"
        ),
    ],
)
def test_a_draft_is_asked_as_if_it_were_live(products, draft, wins, live_one):
    campaign(products["DT"], products["W1"], name="Live", priority=10)
    tried = campaign(products["CA"], products["W1"], name="Draft", **draft)
    placed = order(products, placed_at=NOON)

    without = simulate(order_ref=str(placed.pk))
    told = simulate(order_ref=str(placed.pk), drafts=[tried.pk])

    assert verdicts(without)["Live"] == ""
    assert verdicts(told)["Live"] == live_one
    assert (verdicts(told)["Draft"] == "") is wins
    assert told.at == NOON


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        pytest.param(SOON - timedelta(microseconds=1), "not_started", id="just before"),
        pytest.param(SOON, "", id="the instant it begins"),
        pytest.param(SOON + timedelta(hours=1), "", id="the instant it ends"),
        pytest.param(SOON + timedelta(hours=1, microseconds=1), "ended", id="just after"),
    ],
)
def test_windows_are_read_at_the_time_that_is_asked_for(products, at, reason):
    campaign(products["DT"], products["W1"], name="Short", valid_from=SOON,
             valid_until=SOON + timedelta(hours=1))  # fmt: skip
    placed = order(products, placed_at=NOON)

    assert verdicts(simulate(order_ref=str(placed.pk), at=at))["Short"] == reason


@pytest.mark.parametrize(
    ("became", "held_back"),
    [
        pytest.param({}, "window_closed", id="time went by"),
        pytest.param({"released": True}, "window_closed", id="sent"),
        pytest.param({"cancelled": True}, "order_cancelled", id="cancelled"),
        pytest.param({"refunded": True}, "order_refunded", id="refunded"),
    ],
)
def test_what_became_of_the_order_is_said_and_does_not_end_the_matter(products, became, held_back):
    campaign(products["DT"], products["W1"], name="Live")
    placed = order(products, placed_at=NOON)
    Order.objects.update(**became)

    told = simulate(order_ref=str(placed.pk), at=NOON + timedelta(days=9))

    assert told.held_back == held_back
    assert verdicts(told) == {"Live": ""}


@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
@pytest.mark.parametrize("undone", [False, True])
def test_what_an_offer_changed_is_not_there_yet(products, kind, undone):
    """Two machines, the offer replaces both or adds to them; the order is seen as it was placed."""
    sku = "W2" if kind == "UPSELL" else "CA"
    campaign(products[sku], products["W1"], name="Won", kind=kind)
    campaign(products["DT"], products["DR"], name="No trigger", priority=90)
    placed = order(products, ("W1", 2), ("DT", 1), charged={"W1": "1100"})
    before = simulate(order_ref=str(placed.pk))
    offering.offer_for(order_ref=str(placed.pk), now=before.at, show=True)
    offer = accept(Offer.objects.get())
    assert offer.state == "ACCEPTED"
    if undone:
        undoing.undo(token=offer_token(offer), trusted=True)

    after = simulate(order_ref=str(placed.pk))

    assert verdicts(after) == verdicts(before) == {"No trigger": "trigger_absent", "Won": ""}
    assert after.occasion.goods == before.occasion.goods
    assert bought(after) == bought(before)
    assert verdicts(explain_order(order_ref=str(placed.pk)))["Won"] == (
        "" if undone else ("already_in_order" if kind == "CROSS_SELL" else "trigger_absent")
    )


@pytest.mark.parametrize(
    ("bought_again", "reason"),
    [
        pytest.param(NOON - timedelta(hours=1), "already_purchased", id="before"),
        pytest.param(NOON, "", id="at that very time"),
        pytest.param(NOON + timedelta(hours=1), "", id="since"),
    ],
)
def test_only_what_was_bought_before_counts(products, bought_again, reason):
    campaign(products["CA"], products["W1"], name="Live", not_bought_days=365)
    placed = order(products, placed_at=NOON)
    order(products, ("CA", 1), placed_at=bought_again)

    assert verdicts(simulate(order_ref=str(placed.pk))) == {"Live": reason}


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param([-1], "seen_before", id="before"),
        pytest.param([-1, 1], "seen_before", id="before and since"),
        pytest.param([1], "", id="since"),
    ],
)
def test_only_what_was_seen_before_counts(products, shown, reason):
    won = campaign(products["CA"], products["W1"], name="Live", not_seen_days=30)
    for days in shown:
        offer = offer_in("CREATED", products)
        at = NOON + timedelta(days=days)
        Offer.objects.filter(pk=offer.pk).update(first_shown_at=at, state="SHOWN")
    placed = order(products, placed_at=NOON)

    assert won.pk == Offer.objects.values_list("campaign", flat=True).distinct().get()
    assert verdicts(simulate(order_ref=str(placed.pk))) == {"Live": reason}


def test_a_simulation_writes_nothing(products):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    tried = campaign(products["CA"], products["W1"], status="OFF", priority=90)
    offer = accept(offer_in("SHOWN", products))
    fresh = order(products)

    with unchanged():
        for ref in (str(fresh.pk), str(offer.order_ref)):
            simulate(order_ref=ref)
            simulate(order_ref=ref, at=SOON, drafts=[tried.pk])
            call_command("upsell_explain", ref, "--with", tried.slug)


def test_it_costs_as_many_statements_for_fifty_campaigns_as_for_one(products):
    placed = order(products)
    told = []
    for count in (1, 50):
        for _ in range(count):
            campaign(products["CA"], products["W1"])
        simulate(order_ref=str(placed.pk))  # what is kept between decisions is made anew
        with CaptureQueriesContext(connection) as seen:
            simulate(order_ref=str(placed.pk))
        told.append(len(seen))

    assert told[0] == told[1]
    assert told[0] <= 24


def test_the_command_says_what_would_be(products, capsys):
    campaign(products["DT"], products["W1"], name="Live")
    campaign(products["CA"], products["W1"], name="Draft", slug="draft", status="OFF", priority=90)
    placed = order(products, placed_at=NOON)

    call_command("upsell_explain", str(placed.pk), "--at", "2026-03-05T10:00", "--with", "draft")

    told = capsys.readouterr().out
    assert "A simulation as of 2026-03-05 10:00." in told
    assert "In truth it would be offered nothing at that time: The time to answer" in told
    assert "*    90  Draft: This one wins." in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "--with", "nosuch"], "no campaign 'nosuch'"),
        (["nosuchorder", "--with", "draft"], "does not know order 'nosuchorder'"),
        (["1", "--at", "2026-13-45T99:00"], "wants a time such as"),
    ],
)
def test_the_command_says_what_was_wanted(products, arguments, message):
    campaign(products["CA"], slug="draft", status="OFF")
    order(products)

    with pytest.raises(CommandError, match=message):
        call_command("upsell_explain", *arguments)


def test_an_order_nobody_knows(products):
    with pytest.raises(NotFound):
        simulate(order_ref="987654")


def test_a_line_that_is_back_is_worth_what_was_paid_for_it(products):
    """Half of a line was replaced: the other half and what is back are one line again."""
    campaign(products["W2"], products["W1"], kind="UPSELL", quantity_rule="ONE")
    placed = order(products, ("W1", 2), charged={"W1": "1100"})
    accept(_shown(placed))
    assert OrderLine.objects.filter(order=placed).count() == 2

    lines = simulate(order_ref=str(placed.pk)).occasion.lines

    assert [(row.quantity, row.total.gross) for row in lines] == [(2, Decimal("1100"))]


def _shown(placed: Order) -> Offer:
    told = simulate(order_ref=str(placed.pk))
    offering.offer_for(order_ref=str(placed.pk), now=told.at, show=True)
    return Offer.objects.get(order_ref=str(placed.pk))
