"""What must hold of a dozen rounds when they have settled: read from order, ledger and shelf."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal

from example_shop.adapter import CardGateway
from example_shop.models import OrderChange, OrderLine, Product
from tests.soak.buyers import Sale
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, OutboxMessage, Refund
from upsell.services import auditing

LEFT_TO_STAFF = {"refund_refused", "amount_mismatch"}


class Wholeness:
    """Made before the rounds begin, and asked when they are over."""

    def __init__(self, *, since: datetime) -> None:
        self._since = since
        self._there = _there()

    def of(self, sales: list[Sale]) -> Counter[str]:
        """Fail unless all is whole; return how the sales ended."""
        told: Counter[str] = Counter()
        found = [
            str(breach)
            for row in auditing.audit(since=self._since, outside=True)
            for breach in row.breaches
        ]
        found += [str(breach) for breach in auditing.whole()]
        assert not found, "\n".join(found)
        unsettled = set(Attempt.objects.unsettled().values_list("state", flat=True))
        assert unsettled <= {"NEEDS_ATTENTION"}, f"I20: {unsettled}"
        assert not Refund.objects.filter(state="PENDING"), "I20: a refund waits"
        waits = OutboxMessage.objects.filter(state__in=["PENDING", "SENDING", "FAILED"])
        assert not waits, f"I20: {list(waits.values('kind', 'state', 'reason'))}"
        assert _there() == self._there, "I10: nothing comes from nowhere, and nothing is lost"
        for sale in sales:
            told[f"offer {_whole(sale)}"] += 1
            errors = {page.path for page in sale.pages if page.code == 500}
            ours = [path for path in errors if path.startswith("/upsell/")]
            assert not ours, f"an error page: {ours}"
            told["pages"] += len(sale.pages)
            told["pages of 503"] += sum(page.code == 503 for page in sale.pages)
        return told


def _whole(sale: Sale) -> str:
    """One sale: what the provider keeps is what the order grew by, and its lines say the same."""
    offer, gateway = sale.offer, CardGateway()
    placed = type(sale.placed).objects.get(pk=sale.placed.pk)
    if offer is None:
        assert gateway.charges(sale.ref) == []
        assert placed.total_gross == 600
        return "none"
    live = _stands(offer)
    acceptance = Acceptance.objects.filter(offer=offer).first()
    due = acceptance.quote.due_gross if acceptance is not None and live else Decimal(0)
    assert placed.total_gross == 600 + due, f"order {sale.ref} grew by what is due"
    lines = OrderLine.objects.filter(order=placed)
    added = lines.exclude(change_id="").exclude(change_id=None).count()
    assert added == live, f"order {sale.ref}: {added} lines were added"
    captured = [row for row in gateway.charges(sale.ref) if row["state"] == "CAPTURED"]
    if offer.failure_code not in LEFT_TO_STAFF:
        kept = due if offer.state == "ACCEPTED" else Decimal(0)
        assert gateway.charged(sale.ref) == kept, f"order {sale.ref}: {offer.state}, {captured}"
    applied = Attempt.objects.filter(offer=offer, state="APPLIED").count()
    assert applied <= 1, "one charge at most is kept"
    return offer.state


def _stands(offer: Offer) -> bool:
    """Whether the change is in the order: also in one that was cancelled with it."""
    events = OfferEvent.objects.filter(offer=offer, after="REVERSED", reason="customer_undo")
    return offer.state in {"ACCEPTED", "REVERSED"} and not events.exists()


def _there() -> int:
    """Units on the shelf, held, or in somebody's order, of what is offered."""
    skus = ["CA", "W2"]
    shelf = sum(Product.objects.filter(sku__in=skus).values_list("stock", flat=True))
    rows = {row.change_id: row for row in OrderChange.objects.select_related("product")}
    held = sum(row.taken for row in rows.values() if row.state == "held")
    sold = 0
    for line in OrderLine.objects.filter(product__sku__in=skus).select_related("order"):
        placed = line.order
        shelved = placed.cancelled or (placed.refunded and not placed.released)
        if not shelved:
            sold += rows[line.change_id].taken if line.change_id else line.quantity
    return shelf + held + sold
