"""How this shop collects: on the invoice, or with the card that paid, on the test ledger."""

from __future__ import annotations

from upsell.testing.gateway import BalanceGateway, LedgerGateway


class Invoice(BalanceGateway):
    slug = "invoice"


class Card(LedgerGateway):
    slug = "card"

    def credential_for(self, order):
        return str(order.facts.get("payment_reference", "")) or "card_ok"
