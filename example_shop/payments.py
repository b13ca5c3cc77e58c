"""How orders are paid: one gateway for each way that can collect more later."""

from __future__ import annotations

from upsell.testing.gateway import BalanceGateway, LedgerGateway


class CardGateway(LedgerGateway):
    """Charges the card that paid the order. What a test card does is in its name."""

    slug = "card"
    challenge_url = "/challenge/"

    def credential_for(self, order):
        return str(order.facts.get("card", ""))


class InvoiceGateway(BalanceGateway):
    """Adds to the invoice while it is open."""

    slug = "invoice"
