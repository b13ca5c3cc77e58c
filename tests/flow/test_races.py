"""Many at once: real threads on a real database. Each race has its control without the guard.

SQLite has no row locks; there the whole write transaction is one at a time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import close_old_connections, connection
from django.utils import timezone

from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import Acceptance, Attempt, Decision, Offer, OfferEvent
from upsell.models.tokens import offer_token
from upsell.services import accepting, declining, expiring, offering, revoking

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


def together(*work: Callable[[], object]) -> list[str]:
    """Run all at once; return what each came to: a state, or a code."""
    ready, outcomes = threading.Barrier(len(work)), [""] * len(work)

    def run(number: int) -> None:
        close_old_connections()
        ready.wait()
        try:
            answer = work[number]()
            outcomes[number] = getattr(answer, "state", str(answer))
        except (OfferNotAcceptable, ChargeDeclined) as error:
            outcomes[number] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def offered(placed: Order) -> Offer:
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None
    return page.offer


def accept(offer: Offer) -> Offer:
    return accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)


def test_a16_twelve_accepts_of_one_offer_are_one_effect(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)

    outcomes = together(*[lambda: accept(offer)] * 12)

    assert set(outcomes) <= {"ACCEPTED", "ACCEPTING"}
    assert len(gateway.charges(str(placed.pk))) == 1
    assert Acceptance.objects.count() == Attempt.objects.count() == 1
    assert OfferEvent.objects.filter(kind="accepted").count() == 1
    assert Order.objects.get(pk=placed.pk).total_gross == Decimal("624")


def test_control_checking_first_and_writing_later_charges_twice(gateway):
    """The same two clicks without lock and condition: both read SHOWN, both charge."""
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))
    both_have_read = threading.Barrier(2)
    charges: list[str] = []

    def careless() -> str:
        row = Offer.objects.get(pk=offer.pk)
        both_have_read.wait()
        if row.state == "SHOWN":
            charges.append("24")
        return row.state

    together(careless, careless)

    assert charges == ["24", "24"]


def test_the_last_unit_goes_to_exactly_one_of_two_buyers(gateway):
    products = catalogue()
    Product.objects.filter(sku="CA").update(stock=1)
    campaign(products["CA"])
    placed = [order(products), order(products)]
    offers = [offered(row) for row in placed]

    outcomes = together(*[lambda offer=offer: accept(offer) for offer in offers])

    assert Counter(outcomes) == {"ACCEPTED": 1, "out_of_stock": 1}
    assert sum(gateway.charged(str(row.pk)) for row in placed) == Decimal("24")
    assert Product.objects.get(sku="CA").stock == 0
    assert sorted(Offer.objects.values_list("state", flat=True)) == ["ACCEPTED", "FAILED"]


def test_accept_against_decline_has_one_winner(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)

    together(lambda: accept(offer), lambda: declining.decline(token=offer_token(offer)))

    state = Offer.objects.get().state
    assert state in {"ACCEPTED", "DECLINED"}
    assert gateway.charged(str(placed.pk)) == (24 if state == "ACCEPTED" else 0)


def test_accept_against_withdraw_never_keeps_money_without_the_line(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)

    together(
        lambda: accept(offer),
        lambda: revoking.revoke(offer_id=offer.pk, reason="withdrawn", actor="staff"),
    )

    state = Offer.objects.get().state
    total = Order.objects.get(pk=placed.pk).total_gross
    assert state in {"ACCEPTED", "REVOKED"}
    assert gateway.charged(str(placed.pk)) == total - 600


def test_accept_against_expiry_has_one_winner(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)

    together(lambda: accept(offer), lambda: expiring.expire_due(now=offer.expires_at))

    state = Offer.objects.get().state
    assert state in {"ACCEPTED", "EXPIRED"}
    assert gateway.charged(str(placed.pk)) == (24 if state == "ACCEPTED" else 0)


def test_s62_two_first_views_make_one_offer():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)

    together(*[lambda: offered(placed)] * 6)

    assert Offer.objects.count() == Decision.objects.count() == 1
    assert OfferEvent.objects.filter(kind="shown").count() == 1
