"""The whole life of offers, whatever happens in whatever order: money, lines and stock agree.

Hypothesis plays buyers, banks, staff, clock and dying processes. The books that it keeps here
are its own: what an order was, what its buyer was shown, how much of each product there is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core import mail
from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from example_shop import orders
from example_shop.adapter import CardGateway
from example_shop.models import Order, OrderChange, OrderLine, Payment, Product
from tests.factories import CATALOGUE, campaign, catalogue, order
from upsell import snapshots
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import Attempt, Campaign, ChannelSettings, Offer, OfferEvent, Refund
from upsell.models.tokens import offer_token, undo_token
from upsell.services import (
    accepting,
    auditing,
    campaigns,
    declining,
    fulfilling,
    hearing,
    offering,
    revoking,
    running,
    undoing,
)
from upsell.testing.gateway import LedgerGateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
EXAMPLES = int(os.environ.get("UPSELL_TEST_EXAMPLES", "0"))
"""So many lives, drawn anew each time, to hunt; 0: few, and always the same."""

CARDS = [
    *("card_ok", "card_ok", "card_declined", "card_challenge", "card_lost", "card_hang"),
    *("card_wrong_amount", "card_refund_refused"),
]
BASKETS: Mapping[str, tuple[tuple[tuple[str, int], ...], dict[str, str]]] = {
    "a washer": ((("W1", 1),), {}),
    "a washer with a coupon": ((("W1", 1),), {"W1": "540"}),
    "two washers and detergent": ((("W1", 2), ("DT", 3)), {"W1": "1100.01"}),
    "a case": ((("CA", 1),), {}),
    "insurance": ((("IN", 1),), {}),
}
OFFERS: Mapping[str, Callable[[dict[str, Product]], Campaign]] = {
    "a case": lambda row: campaign(row["CA"], priority=1),
    "a case for less, delivered": lambda row: campaign(
        row["CA"],
        rule="PERCENT",
        percent=15,
        shipping="FLAT",
        shipping_flat={"EUR": "4.90"},
        priority=2,
    ),
    "insurance, free of tax": lambda row: campaign(row["IN"], priority=3),
    "detergent, for nothing": lambda row: campaign(
        row["DT"], rule="PERCENT", percent=100, allow_free=True, priority=4
    ),
    "a dryer that is not there": lambda row: campaign(row["DR"], stock="IGNORE", priority=5),
    "the better washer": lambda row: campaign(row["W2"], row["W1"], kind="UPSELL", priority=6),
    "one better washer": lambda row: campaign(
        row["W2"], row["W1"], kind="UPSELL", quantity_rule="ONE", priority=7
    ),
    "a set": lambda row: campaign(
        row["W2"], row["W1"], row["DT"], kind="UPSELL", quantity_rule="SET", priority=8
    ),
}


# ------------------------------------------------------------------ what can break


class Killed(BaseException):
    """The process is dead: no rollback of ours, no hook, no answer."""


class Faults:
    """Counts commits and calls of the provider, and breaks at the chosen one."""

    def __init__(self) -> None:
        self.left, self.kind = 0, type[BaseException]

    @contextmanager
    def at(self, step: int, kind: type[BaseException]) -> Iterator[None]:
        self.left, self.kind = step, kind
        try:
            with suppress(Killed):
                yield
        finally:
            self.left = 0

    def step(self, before: Callable[[], object] = lambda: None) -> None:
        self.left -= 1
        if self.left == 0:
            before()
            raise self.kind


FAULTS = Faults()


@pytest.fixture
def breakable(monkeypatch) -> None:
    """Commits and calls of the provider count, and none of these calls is in a transaction."""

    def calls(port: str) -> Callable[..., object]:
        real = getattr(CardGateway, port)

        def called(*args: object) -> object:
            assert not connection.in_atomic_block, "I28: no transaction spans the network"
            FAULTS.step()
            answer = real(*args)
            FAULTS.step()
            return answer

        return called

    def commits(db: BaseDatabaseWrapper, real=BaseDatabaseWrapper.commit) -> None:
        if FAULTS.kind is Killed:
            FAULTS.step(db.rollback)
        real(db)
        if FAULTS.kind is Killed:
            FAULTS.step(db.run_on_commit.clear)

    for port in ("charge", "refund", "resume", "find", "cancel"):
        monkeypatch.setattr(CardGateway, port, calls(port))
    monkeypatch.setattr(BaseDatabaseWrapper, "commit", commits)


class Provider(LedgerGateway):
    """The ledger as the provider itself sees it: it works whatever breaks on our side."""

    challenge_url = CardGateway.challenge_url


def emptied() -> None:
    """Delete every row of ours and of the shop."""
    with connection.constraint_checks_disabled(), transaction.atomic():
        for label in ("upsell", "example_shop"):
            for model in apps.get_app_config(label).get_models(include_auto_created=True):
                models.QuerySet(model)._raw_delete(connection.alias)
    Path(os.environ["UPSELL_TEST_LEDGER"]).unlink(missing_ok=True)
    snapshots.forget()
    mail.outbox.clear()


# ------------------------------------------------------------------ one order and its offer


class Life:
    """What this test knows of one order: as it was placed, as it was shown, as it was agreed."""

    def __init__(self, placed: Order) -> None:
        self.pk, self.ref = placed.pk, str(placed.pk)
        self.total = placed.total_gross
        self.lines = self.rows()
        self.offer_id: int | None = None
        self.shown = 0
        """Number of the quote on the buyer's screen."""
        self.due: dict[int, Decimal] = {}
        """What each quote that was on it asks for."""
        self.agreed: set[Decimal] = set()
        """What the buyer said yes to."""

    def rows(self) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in OrderLine.objects.filter(order=self.pk).values()}

    @property
    def order(self) -> Order:
        return Order.objects.get(pk=self.pk)

    @property
    def offer(self) -> Offer | None:
        rows = Offer.objects.select_related("acceptance__quote", "decision")
        return rows.filter(pk=self.offer_id).first()

    @property
    def books(self) -> tuple[object, ...]:
        """All that an answer which comes to nothing must leave alone."""
        return (
            self.order.total_gross,
            self.rows(),
            Payment.objects.filter(order=self.pk).count(),
            dict(Product.objects.values_list("sku", "stock")),
            Provider().charged(self.ref),
        )


lives = Bundle("lives")
baskets = st.sampled_from(sorted(BASKETS))
cards = st.sampled_from([*CARDS, "invoice"])
BREAKABLE = [
    *("accepts", "accepts", "accepts", "undoes", "accepts_and_undoes", "declines"),
    *("returns_from_the_bank", "the_provider_calls", "due_work_is_done"),
]


def switch(campaign: Campaign) -> None:
    row = ChannelSettings.objects.get()
    row.enabled = not row.enabled
    row.save()


EDITS: Mapping[str, Callable[[Campaign], object]] = {
    "halve the price": lambda row: campaigns.save_campaign(
        slug=row.slug, rule="PERCENT", percent=50
    ),
    "switch it off": lambda row: campaigns.save_campaign(slug=row.slug, status="OFF"),
    "switch it on": lambda row: campaigns.save_campaign(slug=row.slug, status="LIVE"),
    "withdraw what is out": lambda row: revoking.withdraw_outstanding(
        campaign_id=row.pk, actor="staff"
    ),
    "turn the master switch": switch,
    "raise list prices": lambda row: Product.objects.update(price=F("price") + 1),
    "tax everything less": lambda row: Product.objects.update(tax_rate="0.1"),
}
"""What staff do about a campaign."""


class OfferLife(RuleBasedStateMachine):
    """Everything that may happen to a few orders of one shop."""

    # -------------------------------------------------------------- the shop opens and closes

    def __init__(self) -> None:
        super().__init__()
        self.clock = time_machine.travel(NOON, tick=False)
        self.now = self.clock.start()
        self.provider = Provider()
        self.lives: list[Life] = []
        emptied()
        self.products = catalogue()
        self.stocked = {sku: row[2] for sku, row in CATALOGUE.items() if row[2] is not None}
        ChannelSettings.objects.create(channel="web")

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.let_it_settle()
        finally:
            self.clock.stop()

    broken = False

    @initialize(
        target=lives,
        names=st.lists(st.sampled_from(sorted(OFFERS)), min_size=1, max_size=3, unique=True),
        baskets=st.lists(st.tuples(baskets, cards), min_size=2, max_size=2),
    )
    def the_shop_opens(self, names: list[str], baskets: list[tuple[str, str]]) -> Any:
        for name in sorted(names):
            OFFERS[name](self.products)
        return multiple(*(self.ordered(basket, card) for basket, card in baskets))

    # -------------------------------------------------------------- buyers

    @precondition(lambda self: len(self.lives) < 5)
    @rule(target=lives, basket=baskets, card=cards, looks=st.sampled_from([True, True, False]))
    def a_buyer_orders(self, basket: str, card: str, looks: bool) -> Any:
        try:
            return self.ordered(basket, card, looks=looks)
        except orders.SoldOut:
            return multiple()

    def ordered(self, basket: str, card: str, *, looks: bool = True) -> Life:
        lines, charged = BASKETS[basket]
        orders.take({self.products[sku].pk: quantity for sku, quantity in lines})
        options: dict[str, Any] = {"payment_method": "card", "card": card}
        if card == "invoice":
            options = {"payment_method": "invoice", "card": "", "paid": False}
        life = Life(order(self.products, *lines, charged=charged, **options))
        self.lives.append(life)
        if looks:
            self.looks(life)
        return life

    @rule(life=lives)
    def looks(self, life: Life) -> None:
        page = offering.offer_for(order_ref=life.ref, now=timezone.now(), show=True)

        assert page is not None
        found = page.offer.pk if page.offer else None
        assert life.offer_id in (None, found), "I23: an order has one offer in its life"
        life.offer_id = found
        if page.quote is not None:
            life.shown = page.quote.number
            life.due[life.shown] = page.quote.due_gross

    @rule(life=lives, bank=st.sampled_from([None, "pays", "refuses"]))
    def accepts(self, life: Life, bank: str | None = None) -> None:
        if life.offer is not None:
            life.agreed.add(life.due[life.shown])
            self.answers_yes(life, quote_number=life.shown, trusted=True)
        if bank:
            self.answers_the_bank(life, paid=bank == "pays", returns=True)

    @rule(life=lives)
    def accepts_and_undoes(self, life: Life) -> None:
        self.accepts(life)
        self.undoes(life)

    @rule(life=lives, off=st.integers(0, 1), trusted=st.booleans())
    def accepts_what_was_not_shown_or_is_not_trusted(
        self, life: Life, off: int, trusted: bool
    ) -> None:
        if life.offer is not None and (off or not trusted):
            self.answers_yes(life, quote_number=life.shown + off, trusted=trusted)

    def answers_yes(self, life: Life, **options: Any) -> None:
        offer, before = life.offer, life.books
        assert offer is not None
        try:
            now = accepting.accept(token=offer_token(offer), **options)
        except (OfferNotAcceptable, ChargeDeclined):
            assert life.books == before, "I14: an accept that fails leaves all as it was"
        else:
            assert now.state != "SHOWN"
            if offer.state == "ACCEPTED":
                assert life.books == before, "I9: accepting again changes nothing"

    @rule(life=lives)
    def declines(self, life: Life) -> None:
        if life.offer is not None:
            before = life.books
            with suppress(OfferNotAcceptable):
                declining.decline(token=offer_token(life.offer))
            assert life.books == before

    @rule(life=lives, by=st.sampled_from(["undo link", "page", "stranger's page"]))
    def undoes(self, life: Life, by: str = "undo link") -> None:
        offer = life.offer
        if offer is None:
            return
        token = undo_token(offer) if by == "undo link" else offer_token(offer)
        with suppress(OfferNotAcceptable):
            undone = undoing.undo(token=token, trusted=by == "page")
            assert undone.state == "REVERSED"
            assert by != "stranger's page"

    @rule(life=lives, paid=st.booleans(), returns=st.booleans())
    def answers_the_bank(self, life: Life, paid: bool, returns: bool) -> None:
        for charge in self.provider.charges(life.ref):
            self.provider.answer_challenge(charge["reference"], paid=paid)
        if returns:
            self.returns_from_the_bank(life)

    def returns_from_the_bank(self, life: Life) -> None:
        if life.offer is not None:
            with suppress(ChargeDeclined):
                fulfilling.resume(token=offer_token(life.offer))

    # -------------------------------------------------------------- the provider, the host, staff

    @rule(life=lives, times=st.integers(1, 2))
    def the_provider_calls(self, life: Life, times: int = 1) -> None:
        known = [
            (row["key"], self.provider.resume(row["reference"]))
            for row in self.provider.charges(life.ref)
        ]
        hearing.hear(gateway_slug="card", results=known * times)

    @rule(
        life=lives,
        does=st.sampled_from([orders.cancel, orders.refund, orders.pack, orders.pay_invoice]),
    )
    def the_shop(self, life: Life, does: Callable[[int], None]) -> None:
        with suppress(orders.NotNow):
            does(life.pk)

    @rule(sku=st.sampled_from(["W1", "W2", "CA"]), count=st.integers(0, 3))
    def the_shop_counts(self, sku: str, count: int) -> None:
        product = Product.objects.get(sku=sku)
        self.stocked[sku] += count - product.stock
        Product.objects.filter(sku=sku).update(stock=count)

    @rule(does=st.sampled_from(sorted(EDITS)), which=st.integers(0, 2))
    def staff(self, does: str, which: int) -> None:
        made = list(Campaign.objects.order_by("pk"))
        EDITS[does](made[which % len(made)])

    # -------------------------------------------------------------- time and trouble

    @rule(seconds=st.sampled_from([1, 31, 61, 61, 95, 301, 961, 3601]), work=st.booleans())
    def time_passes(self, seconds: int, work: bool) -> None:
        self.now.shift(timedelta(seconds=seconds))
        if work:
            running.run_due()

    @rule(life=lives, does=st.sampled_from(BREAKABLE), step=st.integers(1, 9))
    def the_process_dies(self, life: Life, does: str, step: int) -> None:
        with FAULTS.at(step, Killed):
            getattr(self, does)(life)

    @rule(life=lives, does=st.sampled_from(BREAKABLE), step=st.integers(1, 4))
    def the_network_breaks(self, life: Life, does: str, step: int) -> None:
        with FAULTS.at(step, ConnectionError):
            getattr(self, does)(life)

    def due_work_is_done(self, life: Life) -> None:
        running.run_due()

    # -------------------------------------------------------------- what holds at any time

    @invariant()
    def no_promise_is_broken(self) -> None:
        found = [breach for row in auditing.audit(outside=True) for breach in row.breaches]
        found += auditing.whole()
        assert [str(breach) for breach in found if breach.invariant != "I20"] == []

    @invariant()
    def nothing_comes_from_nowhere(self) -> None:
        """I10: on the shelf, held, or in somebody's order."""
        there = Counter(
            dict(Product.objects.filter(stock__isnull=False).values_list("sku", "stock"))
        )
        taken = {row.change_id: row for row in OrderChange.objects.select_related("product")}
        for change in taken.values():
            there[change.product.sku] += change.taken if change.state == "held" else 0
        for line in OrderLine.objects.select_related("order", "product"):
            shelved = line.order.cancelled or (line.order.refunded and not line.order.released)
            if not shelved:
                units = taken[line.change_id].taken if line.change_id else line.quantity
                there[line.product.sku] += units
        assert {sku: there[sku] for sku in self.stocked} == self.stocked

    @invariant()
    def every_order_is_as_placed_or_as_agreed(self) -> None:
        for life in self.lives:
            self.look_into(life)

    def look_into(self, life: Life) -> None:
        placed, rows, offer = life.order, life.rows(), life.offer
        live = offer is not None and self.stands(offer)
        due = offer.acceptance.quote.due_gross if live else Decimal(0)
        replaced = {int(part["line_ref"]) for part in offer.terms["replaced"]} if live else set()
        added = [row for row in rows.values() if row["change_id"]]
        kept = {pk: row for pk, row in rows.items() if not row["change_id"] and pk not in replaced}

        assert placed.total_gross == life.total + due, "I9: the order grew by what is due"
        assert len(added) == live, "I8: one line more, and only while it stands"
        assert kept == {k: v for k, v in life.lines.items() if k not in replaced}, "I3, I11"
        amounts = {Decimal(row["amount"]) for row in self.provider.charges(life.ref)}
        extra = Decimal(placed.card == "card_wrong_amount")
        assert amounts <= {due + extra for due in life.agreed}, "I10: charged as last displayed"

    @staticmethod
    def stands(offer: Offer) -> bool:
        """Whether the change is in the order: also in one that was cancelled with it."""
        events = OfferEvent.objects.filter(offer=offer, after="REVERSED")
        return (
            offer.state in {"ACCEPTED", "REVERSED"}
            and not events.filter(reason="customer_undo").exists()
        )

    # -------------------------------------------------------------- and in the end

    def let_it_settle(self) -> None:
        """Nothing more happens but due work: a day later all is final, and all agree."""
        for minutes in (1, 2, 3, 10, 16, 30, 60, 300, 1200):
            self.now.shift(timedelta(minutes=minutes))
            running.run_due()

        found = [breach for row in auditing.audit(outside=True) for breach in row.breaches]
        assert [str(breach) for breach in found] == []
        assert not Offer.objects.filter(
            state__in=["CREATED", "SHOWN", "ACCEPTING", "ACTION_REQUIRED"]
        )
        assert set(Attempt.objects.unsettled().values_list("state", flat=True)) <= {
            "NEEDS_ATTENTION"
        }
        assert not Refund.objects.filter(state="PENDING")
        for life in self.lives:
            self.count_the_money(life)

    def count_the_money(self, life: Life) -> None:
        """I3: what the provider keeps is what the order grew by, but where staff were told."""
        offer, card = life.offer, life.order.card
        waits = offer is not None and offer.failure_code in {"refund_refused", "amount_mismatch"}
        if offer is None or waits:
            return
        live = offer.state == "ACCEPTED" and card
        kept = offer.acceptance.quote.due_gross if live else Decimal(0)
        assert self.provider.charged(life.ref) == kept
        told = [row for row in mail.outbox if life.order.number in row.subject + row.body]
        ids = Counter(row.extra_headers["Message-ID"] for row in told)
        assert len(ids) == offer.messages.filter(kind__in=["CONFIRMATION", "REVERSAL"]).count()


def test_whatever_happens_money_lines_and_stock_agree(breakable, settings_of_a_life):
    run_state_machine_as_test(OfferLife, settings=settings_of_a_life)


@pytest.fixture
def settings_of_a_life(settings) -> Any:
    settings.UPSELL_CLOCK = "django.utils.timezone.now"
    return HOW_OFTEN


HOW_OFTEN = settings(
    max_examples=EXAMPLES or (40 if connection.vendor == "sqlite" else 12),
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
