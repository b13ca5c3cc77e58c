"""What a test holds of the Stripe server: the fixture ``stripe`` is one of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.stripe.proxy import API_KEY, Proxy


@dataclass(frozen=True)
class SavedCard:
    """A card saved for a customer: what a shop keeps of an earlier payment."""

    customer: str
    payment_method: str


class Stripe:
    """The account, its dashboard and the buyer's bank. Nothing done here is in ``ledger.calls``.

    ``url`` and ``api_key`` are for the client; ``faults``, ``ledger`` and ``webhooks`` are
    described where they are defined. Amounts are minor units.
    """

    api_key = API_KEY

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.url = proxy.url
        self.faults = proxy.faults
        self.ledger = proxy.ledger
        self.webhooks = proxy.webhooks

    def reset(self) -> None:
        """Forget every object, event, key, fault and call; cut what is under way."""
        self._proxy.run(self._proxy.clear())

    # The buyer

    def save_card(self, card: str = "pm_card_visa", *, customer: str = "") -> SavedCard:
        """Save one of Stripe's test cards (``shapes.TEST_CARDS``), for a new customer or this one.

        "pm_card_visa" pays, "pm_card_authenticationRequired" is challenged,
        "pm_card_chargeCustomerFail" declines, "pm_card_visa_chargeDeclinedInsufficientFunds" too.
        """
        saved: SavedCard = self._proxy.run(self._save(card, customer))
        return saved

    async def _save(self, card: str, customer: str) -> SavedCard:
        provider = self._proxy.provider
        if not customer:
            customer = (await provider.ask("POST", "/v1/customers", {}))["id"]
        made = await provider.card(card)
        await provider.ask("POST", f"/v1/payment_methods/{made}/attach", {"customer": customer})
        return SavedCard(customer=customer, payment_method=made)

    def approve(self, intent_id: str) -> str:
        """Pass the challenge. Return where the bank sends the buyer; nobody goes there yet."""
        return self._write(self._proxy.answer_challenge(intent_id, success=True))

    def fail(self, intent_id: str) -> str:
        """Fail the challenge. Return as ``approve`` does."""
        return self._write(self._proxy.answer_challenge(intent_id, success=False))

    # The dashboard

    def intent(self, intent_id: str) -> dict[str, Any]:
        """Return a PaymentIntent as it is, whatever faults are armed."""
        return self._proxy.run(self._proxy.provider.intent(intent_id))

    def refund(self, intent_id: str, amount: int | None = None) -> dict[str, Any]:
        """Refund from outside: all that is left, or this much. No key, no metadata of ours."""
        wanted = {"payment_intent": intent_id, "reason": "requested_by_customer"}
        if amount is not None:
            wanted["amount"] = str(amount)
        return self._write(self._proxy.provider.create_refund(wanted, outside=True))

    def cancel(self, intent_id: str) -> dict[str, Any]:
        """Cancel from outside."""
        reason = {"cancellation_reason": "abandoned"}
        return self._write(self._proxy.provider.cancel_intent(intent_id, reason))

    def open_dispute(
        self, intent_id: str, amount: int | None = None, *, reason: str = "fraudulent"
    ) -> dict[str, Any]:
        """Let the buyer's bank take the money back, all of it or this much, for now."""
        return self._write(self._proxy.provider.open_dispute(intent_id, amount, reason))

    def close_dispute(self, dispute_id: str, *, won: bool) -> dict[str, Any]:
        return self._write(self._proxy.provider.close_dispute(dispute_id, won=won))

    # Stripe itself

    def start_refunds_as(self, status: str) -> None:
        """Make refunds from now on begin as "pending" rather than "succeeded"."""
        self._proxy.provider.next_refund = status

    def settle_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """Let a refund become "succeeded", "failed" or "canceled" after the fact."""
        return self._write(self._proxy.provider.settle_refund(refund_id, status))

    def search_finds_nothing(self, times: int) -> None:
        """Let the next searches find nothing: Stripe's index lags behind. Lists never do."""
        self._proxy.provider.lookups_in_vain = times

    def forget_key(self, key: str) -> None:
        """Let an idempotency key be older than the day for which Stripe keeps it."""
        self._proxy.keys.forget(key)

    def settle_webhooks(self) -> None:
        """Return once automatic delivery (``webhooks.deliver_to``) has nothing under way."""
        self._proxy.run(self.webhooks.settled())

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Refuse every connection: the port is closed while in here."""
        self._proxy.run(self._proxy.refuse())
        try:
            yield
        finally:
            self._proxy.run(self._proxy.listen())

    def _write(self, work: Any) -> Any:
        return self._proxy.run(self._proxy.write(work))
