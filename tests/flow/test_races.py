"""Many at once: real threads on a real database, then each race again without its guards.

A control runs our own code with nothing but the guards taken away: one of two reads, and the
other goes through before it writes. What then comes out wrong is what the guards prevent.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from django.db import close_old_connections, connection, models
from django.utils import timezone

from example_shop import orders
from example_shop.models import Order, OrderLine, Product
from tests.factories import campaign, catalogue, order
from upsell import hooks, snapshots
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import Acceptance, Attempt, Campaign, Decision, Offer, OfferEvent, Refund
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import Change, gross_price
from upsell.services import (
    accepting,
    auditing,
    campaigns,
    declining,
    expiring,
    fulfilling,
    hearing,
    offering,
    recording,
    revoking,
    undoing,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

PATIENCE = 20
"""Seconds after which a thread that waits for another gives up: the test is then wrong."""
CHARGES = "UPDATE upsell_attempt SET asked_at"
"""The write between the two transactions of an accept: nothing is locked, all is promised."""
WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN")
"""How the first statement begins that changes a row; SQLite locks all when a transaction begins."""


# ------------------------------------------------------------------ how two things meet


def outcome(work: Callable[[], object]) -> str | Exception:
    """Return what one came to: the offer's state, a code, the answer as it is, or a crash."""
    try:
        answer = work()
    except (OfferNotAcceptable, ChargeDeclined) as refused:
        return refused.code
    except Exception as crash:
        return crash
    return str(getattr(answer, "state", answer))


def threaded(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        close_old_connections()
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def together(*work: Callable[[], object]) -> list[str]:
    """Run all at once; return what each came to. A crash of one fails the test."""
    ready = threading.Barrier(len(work), timeout=PATIENCE)
    outcomes: list[str | Exception] = [""] * len(work)

    def run(number: int) -> None:
        ready.wait()
        outcomes[number] = outcome(work[number])

    threads = [threaded(partial(run, number)) for number in range(len(work))]
    for thread in threads:
        thread.join()
    crashes = [one for one in outcomes if isinstance(one, Exception)]
    if crashes:
        raise ExceptionGroup("not everybody got an answer", crashes)
    return [str(one) for one in outcomes]


def behind(late: Callable[[], object], first: Callable[[], object], *, at: str = "") -> list[str]:
    """Let ``late`` read; then ``first`` from beginning to end; only then may ``late`` write.

    Args:
        at: The write that ``late`` waits at, by how it begins; its first one if not said.

    Returns:
        What ``late`` came to, then ``first``; of a crash its name.
    """
    has_read, may_write = threading.Event(), threading.Event()
    outcomes: list[str | Exception] = []

    def waits(execute, sql, *rest):
        begins = sql.replace('"', "").replace("`", "")
        if not has_read.is_set() and begins.startswith(at or WRITES):
            has_read.set()
            if not may_write.wait(PATIENCE):
                raise TimeoutError("nobody let it write")
        return execute(sql, *rest)

    def run() -> None:
        with connection.execute_wrapper(waits):
            outcomes.append(outcome(late))
        has_read.set()

    thread = threaded(run)
    assert has_read.wait(PATIENCE), "it neither wrote nor ended"
    assert not outcomes, f"it ended without that write: {outcomes}"
    through = outcome(first)
    may_write.set()
    thread.join()
    return [
        type(one).__name__ if isinstance(one, Exception) else one for one in (outcomes[0], through)
    ]


# ------------------------------------------------------------------ guards, and without them


class WhateverItsState:
    """Stands in for ``Offer`` where one is moved: changed, whatever its state is by now."""

    class objects:
        @staticmethod
        def filter(*, pk: int, state: str) -> models.QuerySet[Offer]:
            return Offer.objects.filter(pk=pk)


def as_priced_today(offer: Offer, promised=snapshots.change_of) -> Change:
    """Stands in for ``change_of``: the price is the campaign's and the product's of now."""
    product = Product.objects.get(pk=offer.product_ref)
    gross = product.selling * (100 - Campaign.objects.get().percent) / 100
    unit = gross_price(gross, rate=product.tax_rate, currency=offer.currency)
    return replace(promised(offer), unit=unit)


GUARDS: dict[str, tuple[object, str, object]] = {
    "row locks": (models.QuerySet, "select_for_update", lambda rows, *_, **__: rows.all()),
    "the condition on the state": (recording, "Offer", WhateverItsState),
    "the frozen terms": (snapshots, "change_of", as_priced_today),
}
LOCK, CONDITION, TERMS = GUARDS


@pytest.fixture
def without(monkeypatch) -> Callable[..., None]:
    """Take guards away by their name."""

    def take(*guards: str) -> None:
        if LOCK in guards and connection.vendor == "sqlite":
            pytest.skip("SQLite lets one write transaction in at a time: no lock, and no race")
        for guard in guards:
            monkeypatch.setattr(*GUARDS[guard])

    return take


@pytest.fixture
def without_uniqueness() -> Iterator[None]:
    """Let an order have many decisions and offers; the constraints are back afterwards."""
    strict = [model._meta.get_field("order_ref") for model in (Decision, Offer)]
    loose = [_not_unique(field) for field in strict]
    _alter(strict, loose)
    yield
    for model in (OfferEvent, Offer, Decision):
        models.QuerySet(model).all().delete()
    _alter(loose, strict)


def _not_unique(field: models.Field) -> models.Field:
    loose = field.clone()
    loose._unique = False
    loose.set_attributes_from_name(field.name)
    loose.model = field.model
    return loose


def _alter(old: list[models.Field], new: list[models.Field]) -> None:
    for before, after in zip(old, new, strict=True):
        with connection.schema_editor() as editor:
            editor.alter_field(before.model, before, after)


# ------------------------------------------------------------------ what is there, what holds


class Promised:
    """An order with its offer, as its buyer sees it, and everything that may happen to it."""

    def __init__(self, gateway, placed: Order) -> None:
        self.gateway, self.placed, self.offer = gateway, placed, offered(placed)

    def is_accepted(self) -> Offer:
        return accepting.accept(token=offer_token(self.offer), quote_number=1, trusted=True)

    def is_declined(self) -> Offer:
        return declining.decline(token=offer_token(self.offer))

    def expires(self) -> int:
        return expiring.expire_due(now=self.offer.expires_at)

    def is_withdrawn(self) -> tuple[int, int]:
        return revoking.withdraw_outstanding(campaign_id=self.offer.campaign_id, actor="staff")

    def is_cancelled(self) -> None:
        orders.cancel(self.placed.pk)

    def is_withdrawn_from(self) -> Offer:
        hooks.withdraw(order_ref=str(self.placed.pk), statement="I withdraw.")
        return Offer.objects.get(pk=self.offer.pk)

    def is_undone(self) -> Offer:
        return undoing.undo(token=undo_token(self.offer), trusted=False)

    def is_undone_from_the_page(self) -> Offer:
        return undoing.undo(token=offer_token(self.offer), trusted=True)

    @property
    def state(self) -> str:
        return Offer.objects.get(pk=self.offer.pk).state

    @property
    def grew_by(self) -> Decimal:
        return Order.objects.get(pk=self.placed.pk).total_gross - 600

    @property
    def lines(self) -> int:
        return OrderLine.objects.filter(order=self.placed, product__sku="CA").count()

    @property
    def charged(self) -> Decimal:
        return self.gateway.charged(str(self.placed.pk))

    @property
    def charges(self) -> int:
        return len(self.gateway.charges(str(self.placed.pk)))

    def events(self, after: str) -> int:
        return OfferEvent.objects.filter(offer=self.offer, after=after).count()


def offered(placed: Order) -> Offer:
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None
    return page.offer


@pytest.fixture
def promised(gateway) -> Promised:
    products = catalogue()
    campaign(products["CA"])
    return Promised(gateway, order(products))


def stock() -> int:
    return Product.objects.get(sku="CA").stock


def broken() -> set[str]:
    """The invariants that our rows, the shop and the ledger break together."""
    found = [breach for row in auditing.audit(outside=True) for breach in row.breaches]
    return {breach.invariant for breach in [*found, *auditing.whole()]}


# ------------------------------------------------------------------ one offer, many answers


def test_a16_and_i2_twelve_accepts_of_one_offer_are_one_effect(promised):
    outcomes = together(*[promised.is_accepted] * 12)

    assert set(outcomes) <= {"ACCEPTED", "ACCEPTING"}
    assert (promised.charges, promised.lines, promised.grew_by) == (1, 1, Decimal(24))
    assert Acceptance.objects.count() == Attempt.objects.count() == 1
    assert promised.events("ACCEPTED") == 1
    assert broken() == set()


def test_control_two_accepts_take_the_money_twice_for_one_line(promised, without):
    without(LOCK, CONDITION)

    outcomes = behind(promised.is_accepted, promised.is_accepted)

    assert outcomes == ["IntegrityError", "ACCEPTED"]
    assert (promised.charges, promised.lines) == (2, 1)
    assert (promised.charged, promised.grew_by) == (Decimal(48), Decimal(24))


RIVALS: dict[str, tuple[Callable[[Promised], object], str]] = {
    # what happens while the buyer accepts -> the state if it comes first
    "is declined": (Promised.is_declined, "DECLINED"),
    "expires": (Promised.expires, "EXPIRED"),
    "is withdrawn": (Promised.is_withdrawn, "REVOKED"),
}


@pytest.mark.parametrize("what", RIVALS)
def test_f10_while_it_is_accepted_an_offer(what, promised):
    rival, instead = RIVALS[what]

    outcomes = together(promised.is_accepted, partial(rival, promised))

    taken = promised.state == "ACCEPTED"
    assert promised.state in {"ACCEPTED", instead}
    assert (outcomes[0] == "ACCEPTED") == taken
    assert (promised.charged, promised.grew_by) == (Decimal(24 * taken), Decimal(24 * taken))
    assert stock() == 20 - promised.lines
    assert broken() == set()


@pytest.mark.parametrize("what", RIVALS)
def test_control_accepted_and_charged_an_offer(what, promised, without):
    """It was read as open, so the money is taken; then it is written as if it never were."""
    without(LOCK, CONDITION)
    rival, instead = RIVALS[what]

    behind(partial(rival, promised), promised.is_accepted)

    assert promised.state == instead
    assert (promised.charged, promised.lines) == (Decimal(24), 1)
    assert {"I2", "I21"} <= broken()


@pytest.mark.parametrize("what", RIVALS)
def test_control_who_accepts_is_charged_though_the_offer(what, promised, without):
    without(LOCK, CONDITION)
    rival, instead = RIVALS[what]

    outcomes = behind(promised.is_accepted, partial(rival, promised))

    assert outcomes[0] == promised.state == "ACCEPTED"
    assert promised.events(instead) == 1
    assert promised.charged == Decimal(24)
    assert "I21" in broken()


@pytest.mark.parametrize("what", RIVALS)
def test_where_nothing_locks_the_condition_alone_keeps_it_accepted_when_it(what, promised, without):
    without(LOCK)
    rival, _ = RIVALS[what]

    outcomes = behind(partial(rival, promised), promised.is_accepted)

    assert outcomes == ["IllegalTransition", "ACCEPTED"]
    assert (promised.state, promised.charged) == ("ACCEPTED", Decimal(24))
    assert broken() == set()


# ------------------------------------------------------------------ staff and their edits


def edited(**fields: object) -> Callable[[], object]:
    return lambda: campaigns.save_campaign(slug="campaign-0", **fields)


EDITS: dict[str, Callable[[], object]] = {
    "halve the price": edited(rule="PERCENT", percent="50"),
    "switch the campaign off": edited(status="OFF"),
    "end the campaign": edited(valid_until="2020-01-01T00:00:00+00:00"),
    "take it out of this sales channel": edited(channels=[]),
    "raise the list price": lambda: Product.objects.filter(sku="CA").update(price=30),
}


@pytest.mark.parametrize("edit", EDITS)
def test_f20_a_promise_is_kept_while_staff(edit, promised):
    outcomes = together(promised.is_accepted, EDITS[edit])

    assert outcomes[0] == promised.state == "ACCEPTED"
    assert (promised.charged, promised.grew_by) == (Decimal(24), Decimal(24))
    assert broken() == set()


@pytest.mark.parametrize("edit", ["halve the price", "raise the list price"])
def test_control_priced_at_accept_a_buyer_gets_nothing_when_staff(edit, promised, without):
    """The order may not grow by another amount than was charged, so the yes comes to nothing."""
    without(TERMS)

    behind(promised.is_accepted, EDITS[edit], at=CHARGES)

    assert promised.state == "FAILED"
    assert (promised.charges, promised.lines) == (1, 0)


# ------------------------------------------------------------------ the shop cancels the order


def test_f18_an_order_cancelled_while_its_offer_is_accepted_keeps_no_money(promised):
    together(promised.is_accepted, promised.is_cancelled)

    assert promised.state in {"REVERSED", "REVOKED", "FAILED"}
    assert promised.charged == 0
    assert stock() == 20
    assert broken() == set()


def test_control_a_cancelled_order_grows_and_is_charged(promised, without):
    """The shop's own lock of the order is the guard: both read it open, and both write."""
    without(LOCK)

    behind(promised.is_accepted, promised.is_cancelled, at="INSERT INTO example_shop_orderline")

    promised.placed.refresh_from_db()
    assert promised.placed.cancelled
    assert (promised.state, promised.charged) == ("ACCEPTED", Decimal(24))
    assert stock() == 19


# ------------------------------------------------------------------ two buyers, one unit


@pytest.fixture
def rivals(gateway) -> list[Promised]:
    products = catalogue()
    Product.objects.filter(sku="CA").update(stock=1)
    campaign(products["CA"])
    return [Promised(gateway, order(products)) for _ in range(2)]


def test_f17_the_last_unit_goes_to_exactly_one_of_two_buyers(rivals):
    outcomes = together(*[buyer.is_accepted for buyer in rivals])

    assert Counter(outcomes) == {"ACCEPTED": 1, "out_of_stock": 1}
    assert sorted(buyer.charges for buyer in rivals) == [0, 1]
    assert sorted(buyer.state for buyer in rivals) == ["ACCEPTED", "FAILED"]
    assert stock() == 0
    assert broken() == set()


def test_control_the_last_unit_is_sold_to_both(rivals, without):
    """Each had a card refused, so that no row is new that names the product: MariaDB locks it."""
    without(LOCK)
    for buyer in rivals:
        Order.objects.update(card="card_declined")
        with pytest.raises(ChargeDeclined):
            buyer.is_accepted()
    Order.objects.update(card="card_ok")

    outcomes = behind(*[buyer.is_accepted for buyer in rivals], at="UPDATE example_shop_product")

    assert outcomes == ["ACCEPTED", "ACCEPTED"]
    assert [buyer.lines for buyer in rivals] == [1, 1]
    assert stock() == 0, "one was there, two were sold"


# ------------------------------------------------------------------ giving it back


@pytest.fixture
def accepted(promised) -> Promised:
    assert promised.is_accepted().state == "ACCEPTED"
    return promised


def test_two_undos_give_back_once(accepted):
    outcomes = together(accepted.is_undone, accepted.is_undone_from_the_page)

    assert outcomes == ["REVERSED", "REVERSED"]
    assert accepted.events("REVERSED") == Refund.objects.count() == 1
    assert (accepted.charged, accepted.grew_by, accepted.lines) == (0, 0, 0)
    assert stock() == 20
    assert broken() == set()


def test_control_two_undos_put_one_unit_back_twice(accepted, without):
    without(LOCK, CONDITION)

    outcomes = behind(accepted.is_undone, accepted.is_undone_from_the_page)

    assert outcomes == ["REVERSED", "REVERSED"]
    assert accepted.events("REVERSED") == 2
    assert stock() == 21, "twenty were ever there"
    assert "I21" in broken()


def test_undone_while_the_order_is_cancelled_it_is_given_back_once(accepted):
    outcomes = together(accepted.is_undone, accepted.is_cancelled)

    assert outcomes == ["REVERSED", "None"]
    assert accepted.events("REVERSED") == Refund.objects.count() == 1
    assert accepted.charged == 0
    assert stock() == 20
    assert broken() == set()


def test_control_undone_and_cancelled_one_unit_comes_back_twice(accepted, without):
    without(LOCK, CONDITION)

    behind(accepted.is_undone, accepted.is_cancelled)

    assert accepted.events("REVERSED") == 2
    assert stock() == 21, "twenty were ever there"


def test_withdrawn_from_while_it_is_undone_it_is_given_back_once(accepted):
    outcomes = together(accepted.is_withdrawn_from, accepted.is_undone)

    assert outcomes in (["REVERSED", "REVERSED"], ["revoked", "REVERSED"])
    assert accepted.events("REVERSED") == Refund.objects.count() == 1
    assert (accepted.charged, accepted.grew_by, accepted.lines) == (0, 0, 0)
    assert stock() == 20
    assert broken() == set()


@pytest.mark.parametrize("packed", [False, True], ids=["not packed", "packed"])
def test_two_withdrawals_give_back_once(accepted, packed):
    Order.objects.update(released=packed)

    outcomes = together(accepted.is_withdrawn_from, accepted.is_withdrawn_from)

    assert outcomes == ["REVERSED", "REVERSED"]
    assert accepted.events("REVERSED") == Refund.objects.count() == 1
    assert accepted.charged == 0
    assert stock() == (19 if packed else 20)
    assert broken() == set()


def test_control_withdrawn_from_and_undone_one_unit_comes_back_twice(accepted, without):
    without(LOCK, CONDITION)

    behind(accepted.is_withdrawn_from, accepted.is_undone)

    assert accepted.events("REVERSED") == 2
    assert stock() == 21, "twenty were ever there"


# ------------------------------------------------------------------ sweeps and answers of the bank


def test_two_sweeps_expire_an_offer_once(promised):
    outcomes = together(promised.expires, promised.expires)

    assert sorted(outcomes) == ["0", "1"]
    assert promised.events("EXPIRED") == 1
    assert broken() == set()


def test_control_two_sweeps_expire_it_twice(promised, without):
    without(LOCK, CONDITION)

    outcomes = behind(promised.expires, promised.expires)

    assert outcomes == ["1", "1"]
    assert promised.events("EXPIRED") == 2
    assert "I21" in broken()


class Confirmed(Promised):
    """The buyer has confirmed at the bank, and nobody has told us yet."""

    def __init__(self, gateway, placed: Order) -> None:
        super().__init__(gateway, placed)
        attempt = self.is_accepted().live_attempt
        self.key, self.paid = attempt.key, gateway.answer_challenge(attempt.reference, paid=True)

    def returns(self) -> Offer:
        return fulfilling.resume(token=offer_token(self.offer))

    def is_told_by_webhook(self) -> int:
        heard = hearing.hear(gateway_slug="card", results=[(self.key, self.paid)])
        return heard["done"]


@pytest.fixture
def confirmed(gateway) -> Confirmed:
    products = catalogue()
    campaign(products["CA"])
    return Confirmed(gateway, order(products, card="card_challenge"))


def test_i16_return_and_webhook_settle_a_charge_once(confirmed):
    outcomes = together(*[confirmed.returns, confirmed.is_told_by_webhook] * 3)

    assert outcomes == ["ACCEPTED", "1"] * 3
    assert (confirmed.charged, confirmed.grew_by, confirmed.lines) == (Decimal(24), Decimal(24), 1)
    assert confirmed.events("ACCEPTED") == 1
    assert broken() == set()


def test_control_return_and_webhook_leave_a_line_without_money(confirmed, without):
    """Of two who add the line one fails, and gives back the money that the other's line cost."""
    without(LOCK)

    behind(confirmed.returns, confirmed.is_told_by_webhook)

    assert (confirmed.state, confirmed.lines) == ("ACCEPTED", 1)
    assert confirmed.charged == 0


# ------------------------------------------------------------------ the first view


@pytest.fixture
def placed() -> Order:
    products = catalogue()
    campaign(products["CA"])
    return order(products)


def test_s62_six_first_views_make_one_offer(placed):
    together(*[lambda: offered(placed)] * 6)

    assert Offer.objects.count() == Decision.objects.count() == 1
    assert OfferEvent.objects.filter(kind="shown").count() == 1
    assert broken() == set()


def test_s62_six_views_after_a_timeout_decide_once_more_and_once(placed):
    Decision.objects.create(order_ref=str(placed.pk), at=timezone.now(), reason="timeout")

    together(*[lambda: offered(placed)] * 6)

    assert Offer.objects.count() == Decision.objects.count() == 1
    assert broken() == set()


def test_control_two_first_views_make_two_offers(placed, without_uniqueness):
    """No lock can guard what is not there yet: the constraints on decision and offer do."""
    behind(lambda: offered(placed), lambda: offered(placed))

    assert Offer.objects.count() == Decision.objects.count() == 2
    assert broken() == {"I1"}


def test_twelve_buyers_of_five_units_are_five_sales_and_seven_apologies(gateway, settings):
    settings.UPSELL_GATEWAY_CONCURRENCY = 12  # five pay at once; with four places one is put off
    products = catalogue()
    Product.objects.filter(sku="CA").update(stock=5)
    campaign(products["CA"])
    buyers = [Promised(gateway, order(products)) for _ in range(12)]

    outcomes = together(*[buyer.is_accepted for buyer in buyers])

    assert Counter(outcomes) == {"ACCEPTED": 5, "out_of_stock": 7}
    assert Counter(buyer.charges for buyer in buyers) == {1: 5, 0: 7}
    assert stock() == 0
    assert broken() == set()
