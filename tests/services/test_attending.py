"""What the two buttons for staff do to an offer that needs attention: money, lines, and the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from example_shop.models import Order, OrderLine, Payment, Product
from example_shop.payments import CardGateway
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from tests.flow.test_races import GUARDS, LOCK, behind, together
from tests.flow.test_refunds import broken
from upsell.models import Attempt, GatewayHealth, Offer, OfferEvent, OutboxMessage, Refund
from upsell.models.tokens import undo_token
from upsell.ports import ChargeRequest, ChargeResult, ChargeState
from upsell.services import attending, hearing, reconciling, revoking, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

STAFF = "staff:7"
SILENT_FOR_AN_HOUR = {"card_ok", "card_hang", "card_challenge"}


class Desk:
    """An offer that waits for staff, and what is true of it in the shop and at the provider."""

    def __init__(self, gateway) -> None:
        self.gateway, self.patch = gateway, pytest.MonkeyPatch()
        products = catalogue()
        campaign(products["CA"])
        self.products = products

    def waits(self, card: str, *, answers: bool = True) -> Offer:
        """Sell with a card that goes wrong; an hour later it needs somebody."""
        self.placed = order(self.products, card=card)
        if card in SILENT_FOR_AN_HOUR:
            self.falls_silent()
        self.offer = accept(offered(self.placed))
        if card in SILENT_FOR_AN_HOUR:
            self.later(minutes=1)
            self.later(minutes=61)
            if answers:
                self.talks_again()
        assert self.state == "NEEDS_ATTENTION"
        return self.offer

    def falls_silent(self) -> None:
        """The provider does what it is told, and never says so."""
        charge = CardGateway.charge

        def silent(self, request=None, *_rest) -> ChargeResult:
            if isinstance(request, ChargeRequest):
                charge(self, request)
            return ChargeResult(state=ChargeState.UNKNOWN)

        for question in ("charge", "find", "cancel"):
            self.patch.setattr(CardGateway, question, silent)

    def talks_again(self) -> None:
        self.patch.undo()
        GatewayHealth.objects.update(open_until=None, failures=0)

    def asks_again(self) -> str:
        return attending.ask_again(offer_id=self.offer.pk, actor=STAFF).outcome

    def gives_back(self) -> str:
        return attending.give_back(offer_id=self.offer.pk, actor=STAFF).outcome

    def later(self, *, minutes: float) -> None:
        reconciling.reconcile(now=timezone.now() + timedelta(minutes=minutes))

    @property
    def state(self) -> str:
        return Offer.objects.get(pk=self.offer.pk).state

    @property
    def code(self) -> str:
        return Offer.objects.get(pk=self.offer.pk).failure_code

    @property
    def grew_by(self) -> Decimal:
        return Order.objects.get(pk=self.placed.pk).total_gross - 600

    @property
    def charged(self) -> Decimal:
        return self.gateway.charged(str(self.placed.pk))

    @property
    def stock(self) -> int:
        return Product.objects.get(sku="CA").stock

    @property
    def events(self) -> list[tuple[str, str, str, str]]:
        """What happened since staff came: what, from which state, who, and why."""
        rows = OfferEvent.objects.filter(offer=self.offer).order_by("pk")
        since = rows.filter(kind__in=["asked_again", "giving_back"]).first()
        assert since is not None
        rows = rows.filter(pk__gte=since.pk)
        return [(row.kind, row.before, row.actor, row.reason) for row in rows]

    def is_as_it_was(self) -> None:
        """The order is the buyer's own, nothing is kept, nothing held."""
        assert (self.grew_by, self.charged, self.stock) == (0, 0, 20)
        assert OrderLine.objects.filter(order=self.placed).count() == 1
        assert not Attempt.objects.unsettled().exists()
        assert broken() == []


@pytest.fixture
def desk(gateway) -> Iterator[Desk]:
    made = Desk(gateway)
    yield made
    made.patch.undo()


# ------------------------------------------------------------------ ask again


def test_asked_again_a_charge_that_was_made_changes_the_order(desk):
    desk.waits("card_ok")

    assert desk.asks_again() == "accepted"

    assert (desk.state, desk.grew_by, desk.charged, desk.stock) == ("ACCEPTED", 24, 24, 19)
    assert OutboxMessage.objects.filter(offer=desk.offer, kind="CONFIRMATION").count() == 1
    assert desk.events == [
        ("asked_again", "NEEDS_ATTENTION", STAFF, "payment_unknown"),
        ("accepted", "NEEDS_ATTENTION", "", ""),
        ("attended", "NEEDS_ATTENTION", STAFF, "accepted"),
    ]
    assert broken() == []


def test_asked_again_a_charge_that_never_was_closes_after_two_looks_a_minute_apart(desk):
    desk.waits("card_hang")

    assert desk.asks_again() == "absent_once"
    assert desk.asks_again() == "absent_once"
    assert desk.state == "NEEDS_ATTENTION"
    desk.later(minutes=62.5)

    assert (desk.state, desk.code) == ("FAILED", "payment_declined")
    assert Refund.objects.count() == 0
    desk.is_as_it_was()


@pytest.mark.parametrize("card", ["card_wrong_amount_kept", "card_ok", "card_challenge"])
def test_asked_again_without_an_answer_that_helps_nothing_moves(card, desk):
    desk.waits(card, answers=False)
    before = (desk.grew_by, desk.charged, desk.stock)

    assert desk.asks_again() == "still_waits"

    assert desk.state == "NEEDS_ATTENTION"
    assert (desk.grew_by, desk.charged, desk.stock) == before
    assert desk.events[-1] == ("attended", "NEEDS_ATTENTION", STAFF, "still_waits")


# ------------------------------------------------------------------ give the money back


@pytest.mark.parametrize(
    ("card", "back"),
    [
        pytest.param("card_ok", Decimal(24), id="charged as asked"),
        pytest.param("card_wrong_amount_kept", Decimal(25), id="charged another amount"),
        pytest.param("card_challenge", None, id="the bank still asks: it is called off"),
    ],
)
def test_given_back(card, back, desk):
    desk.waits(card)
    why = desk.code

    assert desk.gives_back() == "closed"

    assert (desk.state, desk.code) == ("FAILED", "given_back")
    assert [row.amount for row in Refund.objects.all()] == ([] if back is None else [back])
    desk.is_as_it_was()
    assert desk.events[0] == ("giving_back", "NEEDS_ATTENTION", STAFF, why)
    assert ("failed", "NEEDS_ATTENTION", STAFF, "given_back") in desk.events
    assert desk.events[-1] == ("attended", "NEEDS_ATTENTION", STAFF, "closed")


def test_given_back_nothing_was_charged_and_nothing_is_refunded(desk):
    desk.waits("card_hang")

    assert desk.gives_back() == "absent_once"
    assert desk.state == "NEEDS_ATTENTION"
    desk.later(minutes=2.5)

    assert (desk.state, desk.code) == ("FAILED", "given_back")
    assert Refund.objects.count() == 0
    desk.is_as_it_was()


def test_given_back_as_soon_as_the_provider_says_what_it_took(desk):
    desk.waits("card_ok", answers=False)

    assert desk.gives_back() == "unknown"
    assert (desk.state, Attempt.objects.get().state) == ("NEEDS_ATTENTION", "REFUNDING")
    desk.later(minutes=16)
    assert desk.state == "NEEDS_ATTENTION"
    desk.talks_again()
    desk.later(minutes=32)

    assert (desk.state, desk.code) == ("FAILED", "given_back")
    assert ("failed", "NEEDS_ATTENTION", STAFF, "given_back") in desk.events
    desk.is_as_it_was()


def test_given_back_by_a_report_that_says_it_was_paid(desk):
    told = told_to_go_back(desk)

    for _ in range(2):
        hearing.hear(gateway_slug="card", results=told)

    assert desk.state == "FAILED"
    assert Refund.objects.count() == 1
    desk.is_as_it_was()


def test_given_back_without_an_answer_stays_and_is_asked_again_under_the_same_key(desk):
    desk.waits("card_ok")
    refund = CardGateway.refund

    def lost(self, *args):
        refund(self, *args)
        raise ConnectionError

    with desk.patch.context() as patch:
        patch.setattr(CardGateway, "refund", lost)
        assert desk.gives_back() == "going_back"
        assert desk.gives_back() == "going_back"
    assert desk.state == "NEEDS_ATTENTION"
    assert OfferEvent.objects.filter(kind="giving_back").count() == 1
    desk.later(minutes=1)

    assert desk.state == "FAILED"
    assert Refund.objects.count() == 1
    desk.is_as_it_was()


def test_what_the_provider_refused_to_give_back_is_asked_for_under_the_same_key(desk):
    def broken_shop(self, change, quote, hold=""):
        raise RuntimeError("the shop is on fire")

    with desk.patch.context() as patch:
        patch.setattr("example_shop.adapter.ExampleShop.apply", broken_shop)
        desk.waits("card_refund_refused")
    key = Refund.objects.get().key

    assert desk.gives_back() == "still_waits"
    assert (desk.state, desk.code, Attempt.objects.get().state) == (
        "NEEDS_ATTENTION", "refund_refused", "NEEDS_ATTENTION",
    )  # fmt: skip
    relents(desk)
    assert desk.gives_back() == "closed"

    assert (desk.state, Refund.objects.get().key) == ("FAILED", key)
    desk.is_as_it_was()


def relents(desk: Desk) -> None:
    """The provider gives back what it refused before."""
    with desk.gateway._ledger() as ledger:
        ledger.execute("update charges set credential = 'card_ok'")


def test_money_of_an_undone_offer_that_was_refused_goes_back_and_the_offer_stays_reversed(desk):
    desk.placed = order(desk.products, card="card_refund_refused")
    desk.offer = accept(offered(desk.placed))
    undoing.undo(token=undo_token(desk.offer), trusted=False)
    assert list(Offer.objects.all().waiting_for_staff()) == [desk.offer]
    key = Refund.objects.get().key
    relents(desk)

    assert desk.gives_back() == "closed"

    assert desk.state == "REVERSED"
    assert (Refund.objects.get().key, Refund.objects.get().state) == (key, "DONE")
    assert not Offer.objects.all().waiting_for_staff().exists()
    assert Payment.objects.filter(kind="refund", amount=24).count() == 1
    desk.is_as_it_was()


def test_money_that_came_late_and_is_not_what_was_asked_goes_back_by_itself(desk):
    desk.placed = order(desk.products, card="card_hang")
    desk.offer = accept(offered(desk.placed))
    for minutes in (1, 3):
        desk.later(minutes=minutes)
    assert desk.state == "SHOWN"
    revoking.revoke(offer_id=desk.offer.pk, reason="withdrawn", actor="staff:1")
    charge_late(desk, Decimal(25))

    assert not Offer.objects.all().waiting_for_staff().exists()
    assert desk.state == "REVOKED"
    assert [(row.amount, row.state) for row in Refund.objects.all()] == [(Decimal(25), "DONE")]
    desk.is_as_it_was()


def charge_late(desk: Desk, amount: Decimal) -> None:
    """The provider charges an attempt long after we gave up, and reports it."""
    attempt = Attempt.objects.get()
    row = (attempt.key, "{}", str(desk.placed.pk), str(amount), "EUR", "card_ok", "CAPTURED", "ch")
    with desk.gateway._ledger() as ledger:
        ledger.execute("insert into charges values (?, ?, ?, ?, ?, ?, ?, ?)", row)
    told = desk.gateway.find(attempt.key, str(desk.placed.pk), attempt.started_at)
    hearing.hear(gateway_slug="card", results=[(attempt.key, told)])


def test_what_staff_gave_back_in_the_dashboard_needs_nobody_any_more(desk, gateway):
    desk.placed = order(desk.products, card="card_refund_refused")
    desk.offer = accept(offered(desk.placed))
    undoing.undo(token=undo_token(desk.offer), trusted=False)
    attempt = Attempt.objects.get()
    relents(desk)
    gateway.refund(attempt.reference, Decimal(24), "EUR", "by hand")
    find = CardGateway.find

    def with_what_went_back(self, *args):
        told = find(self, *args)
        return ChargeResult(
            state=told.state, reference=told.reference, amount=told.amount,
            currency=told.currency, refunded=Decimal(24),
        )  # fmt: skip

    desk.patch.setattr(CardGateway, "find", with_what_went_back)

    assert desk.asks_again() == "closed"

    assert desk.state == "REVERSED"
    assert not Offer.objects.all().waiting_for_staff().exists()
    assert desk.charged == 0


# ------------------------------------------------------------------ what needs nobody


@pytest.mark.parametrize("press", [Desk.asks_again, Desk.gives_back])
def test_an_offer_that_needs_nobody_is_left_alone(press, desk):
    desk.placed = order(desk.products)
    desk.offer = accept(offered(desk.placed))
    before = list(OfferEvent.objects.values())

    assert press(desk) == "not_waiting"

    assert (desk.state, desk.charged) == ("ACCEPTED", 24)
    assert list(OfferEvent.objects.values()) == before


# ------------------------------------------------------------------ two at once


@pytest.mark.parametrize("card", ["card_ok", "card_wrong_amount_kept"])
def test_six_staff_who_give_back_at_once_give_back_once(card, desk):
    desk.waits(card)

    together(*[desk.gives_back] * 6)

    assert desk.state == "FAILED"
    assert Refund.objects.count() == 1
    assert OfferEvent.objects.filter(kind="giving_back").count() == 1
    assert OfferEvent.objects.filter(kind="failed").count() == 1
    desk.is_as_it_was()


def told_to_go_back(desk: Desk) -> list[tuple[str, ChargeResult]]:
    """Staff gave up an offer while the provider was silent; return what it then reports."""
    desk.waits("card_ok", answers=False)
    desk.gives_back()
    desk.talks_again()
    attempt = Attempt.objects.get()
    told = desk.gateway.find(attempt.key, str(desk.placed.pk), attempt.started_at)
    return [(attempt.key, told)]


def test_six_who_learn_at_once_that_it_was_charged_give_it_back_once(desk):
    told = told_to_go_back(desk)

    together(*[partial(hearing.hear, gateway_slug="card", results=told)] * 5, desk.asks_again)

    assert Refund.objects.count() == 1
    desk.is_as_it_was()


def test_control_two_who_learn_that_it_was_charged_make_two_keys_of_the_same_money(
    desk, monkeypatch
):
    """Without the locks both read that nothing is on its way yet."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write transaction in at a time: no lock, and no race")
    told = told_to_go_back(desk)
    monkeypatch.setattr(*GUARDS[LOCK])
    hears = partial(hearing.hear, gateway_slug="card", results=told)

    behind(hears, hears, at="INSERT INTO upsell_refund")

    assert Refund.objects.values("key").distinct().count() == 2


@pytest.mark.parametrize("card", ["card_ok", "card_hang"])
def test_one_asks_again_while_the_other_gives_back(card, desk):
    desk.waits(card)

    together(desk.asks_again, desk.gives_back, desk.asks_again, desk.gives_back)
    desk.later(minutes=2.5)
    desk.later(minutes=62.5)

    assert desk.state in {"ACCEPTED", "FAILED"}
    if desk.state == "FAILED":
        desk.is_as_it_was()
    else:
        assert (desk.grew_by, desk.charged, desk.stock) == (24, 24, 19)
        assert Refund.objects.count() == 0
        assert broken() == []
