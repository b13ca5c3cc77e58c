"""How this shop collects: with the card that paid, on the test ledger, or on the open invoice."""

from __future__ import annotations

from upsell.testing.gateway import BalanceGateway, LedgerGateway


class CardGateway(LedgerGateway):
    slug = "card"

    def credential_for(self, order):
        return str(order.facts["card"])


class InvoiceGateway(BalanceGateway):
    slug = "invoice"
