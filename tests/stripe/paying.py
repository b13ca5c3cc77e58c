"""Payments: intents created, confirmed, challenged, captured and canceled, and the cards."""

from __future__ import annotations

from typing import Any

from tests.stripe import shapes
from tests.stripe.book import Book, numbers
from tests.stripe.errors import Refused, declined, unexpected_state
from tests.stripe.parameters import check_redirects, sorted_out


class Paying(Book):
    """Writes about intents; one at a time, which the proxy sees to."""

    async def create_intent(self, parameters: dict[str, Any], *, key: str = "") -> Any:
        passed, kept = sorted_out("intent.create", parameters)
        if "payment_method" in passed:
            passed["payment_method"] = await self._usable(
                passed["payment_method"], passed.get("customer")
            )
        raw = await self.ask("POST", "/v1/payment_intents", passed)
        known = shapes.Intent(id=raw["id"], number=next(numbers), kept=kept, keys=[key])
        self.intents[raw["id"]] = known
        self.webhooks.emit("payment_intent.created", self.shown_intent(raw))
        if kept.get("confirm"):
            return await self._confirm(known)
        return self.shown_intent(raw)

    async def update_intent(self, intent_id: str, parameters: dict[str, Any]) -> Any:
        passed, kept = sorted_out("intent.update", parameters)
        before = await self.intent(intent_id)
        if passed.get("payment_method"):
            passed["payment_method"] = await self._usable(
                passed["payment_method"], passed.get("customer", before["customer"])
            )
        if passed:
            await self.ask("POST", f"/v1/payment_intents/{intent_id}", passed)
        self.intents[intent_id].kept |= kept
        return await self.intent(intent_id)

    async def confirm_intent(
        self, intent_id: str, parameters: dict[str, Any], *, key: str = ""
    ) -> Any:
        _, kept = sorted_out("intent.confirm", parameters)
        before = await self.intent(intent_id)
        may = ["requires_confirmation"] + ["requires_payment_method"] * ("payment_method" in kept)
        if before["status"] not in may:
            raise unexpected_state("confirm", before)
        for once in ("off_session", "error_on_requires_action"):  # they count for one attempt
            self.intents[intent_id].kept.pop(once, None)
        check_redirects(self.intents[intent_id].kept | kept)
        if card := kept.pop("payment_method", None):
            card = await self._usable(card, before["customer"])
            # To localstripe an intent with a failed charge is at its end; with none it is open.
            begin_again = {"payment_method": card, "latest_charge": None}
            await self.ask("POST", f"/v1/payment_intents/{intent_id}", begin_again)
        self.intents[intent_id].kept |= kept
        self.intents[intent_id].keys.append(key)
        return await self._confirm(self.intents[intent_id])

    async def cancel_intent(self, intent_id: str, parameters: dict[str, Any]) -> Any:
        _, kept = sorted_out("intent.cancel", parameters)
        before = await self.intent(intent_id)
        if before["status"] in ("succeeded", "canceled", "processing"):
            raise unexpected_state("cancel", before)
        await self.ask("POST", f"/v1/payment_intents/{intent_id}/cancel", {})
        self.intents[intent_id].cancel(kept.get("cancellation_reason"))
        return await self._announced(intent_id)

    async def capture_intent(self, intent_id: str, parameters: dict[str, Any]) -> Any:
        passed, _ = sorted_out("intent.capture", parameters)
        before = await self.intent(intent_id)
        if before["status"] != "requires_capture":
            raise unexpected_state("capture", before)
        await self.ask("POST", f"/v1/payment_intents/{intent_id}/capture", passed)
        self.intents[intent_id].captured = passed.get("amount_to_capture")
        return await self._announced(intent_id)

    async def authenticate(self, intent_id: str, *, success: bool) -> Any:
        """Answer the challenge as the buyer does on the bank's page."""
        before = await self.intent(intent_id)
        if before["status"] != "requires_action":
            return before
        return await self._authenticate(before, success=success)

    async def _authenticate(self, before: dict[str, Any], *, success: bool) -> Any:
        secret = {"client_secret": before["client_secret"], "success": success}
        card = before["payment_method"]
        self.intents[before["id"]].decline_code = ""
        try:
            await self.ask("POST", f"/v1/payment_intents/{before['id']}/_authenticate", secret)
        except Refused as refused:
            if refused.answer.status != 402:
                raise
            known = self.intents[before["id"]]
            known.decline_code = self.decline_codes.get(card, "generic_decline")
        return await self._announced(before["id"])

    async def _confirm(self, known: shapes.Intent) -> dict[str, Any]:
        """Confirm and return the intent.

        Raises:
            Refused: The card was declined.
        """
        card = (await self.intent(known.id))["payment_method"]
        known.decline_code = ""
        try:
            await self.ask("POST", f"/v1/payment_intents/{known.id}/confirm", {})
        except Refused as refused:
            if refused.answer.status != 402:
                raise
            known.decline_code = self.decline_codes.get(card, "generic_decline")
        after = await self.intent(known.id)
        nobody_there = known.kept.get("off_session") or known.kept.get("error_on_requires_action")
        if after["status"] == "requires_action" and nobody_there:
            secret = {"client_secret": after["client_secret"], "success": False}
            await self.ask("POST", f"/v1/payment_intents/{known.id}/_authenticate", secret)
            known.decline_code = "authentication_required"
        after = await self._announced(known.id)
        if known.decline_code:
            raise declined(known.decline_code, after)
        return after

    async def _announced(self, intent_id: str) -> dict[str, Any]:
        """Return the intent, after the event that tells of its new status."""
        shown = await self.intent(intent_id)
        saves = self.intents[intent_id].kept.get("setup_future_usage") and shown["customer"]
        if saves and shown["status"] == "succeeded":
            path = f"/v1/payment_methods/{shown['payment_method']}/attach"
            await self.ask("POST", path, {"customer": shown["customer"]})
        names = {
            "canceled": "payment_intent.canceled",
            "processing": "payment_intent.processing",
            "requires_action": "payment_intent.requires_action",
            "requires_capture": "payment_intent.amount_capturable_updated",
            "requires_payment_method": "payment_intent.payment_failed",
            "succeeded": "payment_intent.succeeded",
        }
        if shown["status"] in names:
            self.webhooks.emit(names[shown["status"]], shown)
        return shown

    # Cards

    async def card(self, name: str) -> str:
        """Return the id of a payment method: a new one where Stripe's name of a test card came."""
        if name not in shapes.TEST_CARDS:
            return name
        card = shapes.TEST_CARDS[name]
        wanted = {"number": card.number, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
        made = await self.ask("POST", "/v1/payment_methods", {"type": "card", "card": wanted})
        self.decline_codes[made["id"]] = card.decline_code or "generic_decline"
        return str(made["id"])

    async def _usable(self, name: str, customer: str | None) -> str:
        """Return the card, refusing one that belongs to another customer, or to one unnamed."""
        card = await self.card(name)
        owner = (await self.ask("GET", f"/v1/payment_methods/{card}"))["customer"]
        if owner is not None and owner != customer:
            raise Refused(
                400,
                f"The payment method {card} belongs to a customer: name that customer.",
                param="payment_method",
            )
        return card
