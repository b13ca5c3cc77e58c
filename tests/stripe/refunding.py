"""Money going back: refunds, at most what is left, and disputes."""

from __future__ import annotations

import time
from typing import Any

from tests.stripe import shapes
from tests.stripe.book import Book, numbers
from tests.stripe.errors import Refused, wrong_parameter
from tests.stripe.parameters import sorted_out


class Refunding(Book):
    """Writes about refunds and disputes; one at a time, which the proxy sees to."""

    async def create_refund(
        self, parameters: dict[str, Any], *, key: str = "", outside: bool = False
    ) -> dict[str, Any]:
        passed, kept = sorted_out("refund.create", parameters)
        charge = await self._refundable(passed)
        left = charge["amount"] - charge["amount_refunded"]
        amount = passed.get("amount", left)
        if left == 0:
            raise Refused(
                400,
                f"Charge {charge['id']} has already been refunded.",
                code="charge_already_refunded",
            )
        if amount > left:
            raise Refused(
                400,
                f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
                param="amount",
            )
        wanted = {"charge": charge["id"], "amount": amount, "metadata": passed.get("metadata", {})}
        raw = await self.ask("POST", "/v1/refunds", wanted)
        self.refunds[raw["id"]] = shapes.Refund(
            id=raw["id"],
            payment_intent=charge["payment_intent"],
            key=key,
            reason=kept.get("reason"),
            status=self.next_refund,
            amount=amount,
            outside=outside,
        )
        made = await self.refund(raw["id"])
        self.webhooks.emit("refund.created", made)
        self.webhooks.emit("charge.refunded", await self.charge(charge["id"]))
        return made

    async def update_refund(self, refund_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
        passed, _ = sorted_out("refund.update", parameters)
        await self.refund(refund_id)
        await self.ask("POST", f"/v1/refunds/{refund_id}", passed)
        return await self.refund(refund_id)

    async def settle_refund(self, refund_id: str, status: str) -> dict[str, Any]:
        """Let a refund succeed, or fail, after the fact."""
        await self.refund(refund_id)
        self.refunds[refund_id].status = status
        after = await self.refund(refund_id)
        self.webhooks.emit("refund.updated", after)
        if status == "failed":
            self.webhooks.emit("refund.failed", after)
        return after

    async def _refundable(self, passed: dict[str, Any]) -> dict[str, Any]:
        if ("charge" in passed) == ("payment_intent" in passed):
            raise wrong_parameter("charge", "Give one of charge and payment_intent.")
        if "charge" in passed:
            charge = await self.charge(passed["charge"])
            intent = await self.intent(charge["payment_intent"])
        else:
            intent = await self.intent(passed["payment_intent"])
        if intent["status"] != "succeeded":
            raise Refused(
                400, f"This PaymentIntent ({intent['id']}) has no successful charge to refund."
            )
        charge = await self.charge(intent["latest_charge"])
        if charge["disputed"]:
            raise Refused(
                400, f"Charge {charge['id']} has been charged back.", code="charge_disputed"
            )
        return charge

    # Disputes

    async def open_dispute(self, intent_id: str, amount: int | None, reason: str) -> Any:
        intent = await self.intent(intent_id)
        dispute = {
            "id": f"du_{next(numbers):014d}",
            "object": "dispute",
            "amount": intent["amount_received"] if amount is None else amount,
            "charge": intent["latest_charge"],
            "created": int(time.time()),
            "currency": intent["currency"],
            "evidence": {},
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": intent_id,
            "reason": reason,
            "status": "needs_response",
        }
        self.disputes[dispute["id"]] = dispute
        self.webhooks.emit("charge.dispute.created", dispute)
        return dispute

    async def close_dispute(self, dispute_id: str, *, won: bool) -> Any:
        self.disputes[dispute_id]["status"] = "won" if won else "lost"
        self.webhooks.emit("charge.dispute.closed", self.disputes[dispute_id])
        return self.disputes[dispute_id]
