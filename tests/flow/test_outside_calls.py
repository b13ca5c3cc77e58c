"""What goes to the provider is exact, and while it hangs the database waits for nobody."""

from __future__ import annotations

import decimal
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.utils import timezone

from example_shop.adapter import CardGateway
from example_shop.models import Order, Payment, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered, shape
from upsell.models import Offer
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import ChargeRequest
from upsell.services import fulfilling, messaging, reconciling, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

PATIENCE = 20


# ------------------------------------------------------------------ while somebody outside hangs


def refund(offer: Offer) -> None:
    accept(offer)
    undoing.undo(token=undo_token(offer), trusted=False)


def find(offer: Offer) -> None:
    accept(offer)
    reconciling.reconcile(now=timezone.now() + timedelta(seconds=31))


def resume(offer: Offer) -> None:
    accept(offer)
    fulfilling.resume(token=offer_token(offer))


def cancel(offer: Offer) -> None:
    accept(offer)
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))


def send(offer: Offer) -> None:
    accept(offer)
    messaging.send_due()


CALLS: dict[str, tuple[Callable[[Offer], object], str, type, str]] = {
    # what hangs -> what we do meanwhile, the buyer's card, and where it is called
    "a charge": (accept, "card_ok", CardGateway, "charge"),
    "a refund": (refund, "card_ok", CardGateway, "refund"),
    "a look-up": (find, "card_hang", CardGateway, "find"),
    "a return from the bank": (resume, "card_challenge", CardGateway, "resume"),
    "giving up a challenge": (cancel, "card_challenge", CardGateway, "cancel"),
    "the mail server": (send, "card_ok", EmailBackend, "send_messages"),
}


@pytest.fixture
def open_while_it_hangs(monkeypatch) -> Callable[..., list[str]]:
    """Do something in a session of its own; return its open transactions while a call hangs."""

    def observe(work: Callable[[], object], owner: type, name: str) -> list[str]:
        hangs, goes_on, real = threading.Event(), threading.Event(), getattr(owner, name)
        own: list[str] = []

        def hanging(*args: object) -> object:
            if connection.vendor == "sqlite" and connection.connection.in_transaction:
                own.append("in transaction")
            hangs.set()
            assert goes_on.wait(PATIENCE)
            return real(*args)

        def run() -> None:
            try:
                work()
            finally:
                connection.close()

        monkeypatch.setattr(owner, name, hanging)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert hangs.wait(PATIENCE), "nobody was called"
            return [*own, *open_transactions()]
        finally:
            goes_on.set()
            thread.join()

    return observe


OPEN = {
    "postgresql": "select state from pg_stat_activity where datname = current_database()"
    " and state like 'idle in transaction%'",
    "mysql": "select t.trx_state from information_schema.innodb_trx t join"
    " information_schema.processlist p on p.id = t.trx_mysql_thread_id where p.db = database()",
}


def open_transactions() -> list[str]:
    """Ask the server which sessions of ours wait inside a transaction."""
    if connection.vendor == "sqlite":
        return []
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            # It shows what it showed before to whoever asks again within a tenth of a second.
            cursor.execute("select sleep(0.15)")
        cursor.execute(OPEN[connection.vendor])
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("what", CALLS)
def test_i28_no_transaction_is_open_while_the_other_side_hangs_in(what, open_while_it_hangs):
    work, card, owner, name = CALLS[what]
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products, card=card))

    assert open_while_it_hangs(lambda: work(offer), owner, name) == []


def test_control_a_call_inside_a_transaction_is_seen(open_while_it_hangs):
    products = catalogue()
    campaign(products["CA"])
    offered(order(products))

    def careless() -> None:
        with transaction.atomic():
            Offer.objects.update(failure_code="")
            CardGateway().find("ups-any", "1", timezone.now())

    assert len(open_while_it_hangs(careless, CardGateway, "find")) == 1


# ------------------------------------------------------------------ what goes out


@pytest.mark.parametrize(
    ("currency", "price", "due", "minor_units"),
    [
        pytest.param("JPY", "999", "849", 849, id="yen"),
        pytest.param("EUR", "9.99", "8.49", 849, id="euro"),
        pytest.param("KWD", "1.235", "1.050", 1050, id="dinar"),
    ],
)
def test_i29_a13_the_provider_is_asked_for_the_minor_units_of(
    currency, price, due, minor_units, monkeypatch, gateway
):
    """15 % off, from the catalogue to the provider and back, and no float meets a Decimal."""
    requests: list[ChargeRequest] = []
    charge = CardGateway.charge
    monkeypatch.setattr(
        CardGateway, "charge", lambda self, row: requests.append(row) or charge(self, row)
    )
    products = catalogue(currency)
    Product.objects.filter(sku="CA").update(price=price)
    campaign(products["CA"], rule="PERCENT", percent=15)
    placed = order(products)
    before = shape(placed)

    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        offer = accept(offered(placed))

        (request,) = requests
        assert (type(request.amount), type(request.minor_units)) == (Decimal, int)
        assert (request.amount, request.minor_units) == (Decimal(due), minor_units)
        assert request.currency == currency
        assert Order.objects.get().total_gross - before["totals"][1] == Decimal(due)
        assert Payment.objects.get().amount == gateway.charged(str(placed.pk)) == Decimal(due)
        undoing.undo(token=undo_token(offer), trusted=False)

    assert shape(placed) == before
    assert gateway.charged(str(placed.pk)) == 0
