"""The objects, read: from localstripe, as Stripe shows them."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from tests.stripe import shapes
from tests.stripe.errors import Refused, no_such
from tests.stripe.webhooks import Webhooks
from tests.stripe.wire import fetch

EXPANDABLE = ("ch_", "cus_", "pi_", "pm_", "re_")
numbers = itertools.count(1)  # never begun again: an id of one test is not met in another


class Book:
    """What exists. Everything here runs in the proxy's event loop."""

    def __init__(self, localstripe_url: str, webhooks: Webhooks) -> None:
        self.localstripe_url = localstripe_url
        self.public_url = ""
        self.webhooks = webhooks
        self.clear()

    def clear(self) -> None:
        self.intents: dict[str, shapes.Intent] = {}
        self.refunds: dict[str, shapes.Refund] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.decline_codes: dict[str, str] = {}
        """Saved card -> what its bank says."""
        self.next_refund = "succeeded"
        self.lookups_in_vain = 0
        """How many searches find nothing yet: Stripe's search lags behind."""
        self.writing = asyncio.Lock()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask localstripe and return its answer, with its refusals as ours."""
        answer = await fetch(
            method,
            self.localstripe_url + path,
            headers={
                "Authorization": "Bearer sk_test_localstripe",
                "Content-Type": "application/json",
            },
            body=b"" if body is None else json.dumps(body).encode(),
        )
        if answer.status >= 500:
            raise Refused(500, f"localstripe failed on {method} {path}", kind="api_error")
        if answer.status >= 400:
            error = answer.content["error"]
            if answer.status == 404:
                raise no_such(path.split("/")[2].removesuffix("s"), path.split("/")[-1])
            raise Refused(
                answer.status,
                error.get("message", "Bad request"),
                **{name: value for name, value in error.items() if name in ("code", "charge")},
            )
        return answer.content if answer.body else None

    async def intent(self, intent_id: str) -> dict[str, Any]:
        if intent_id not in self.intents:
            raise no_such("payment_intent", intent_id, param="intent")
        return self.shown_intent(await self.ask("GET", f"/v1/payment_intents/{intent_id}"))

    def shown_intent(self, raw: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.public_url}/redirect/{raw['id']}"
        self.intents[raw["id"]].metadata = raw["metadata"]
        return shapes.intent(raw, self.intents[raw["id"]], redirect_url=url)

    async def charge(self, charge_id: str) -> dict[str, Any]:
        return self.shown_charge(await self.ask("GET", f"/v1/charges/{charge_id}"))

    def shown_charge(self, raw: dict[str, Any]) -> dict[str, Any]:
        known = self.intents.get(raw["payment_intent"] or "")
        paid = raw["amount"] if raw["captured"] and raw["paid"] else 0
        captured = (known.captured if known else None) or paid
        return shapes.charge(
            raw,
            known,
            captured=captured,
            refunded=paid - captured + self._refunded(known),
            disputed=any(
                dispute["charge"] == raw["id"] and dispute["status"] != "won"
                for dispute in self.disputes.values()
            ),
        )

    def _refunded(self, known: shapes.Intent | None) -> int:
        """Sum what was given back and did not come home again."""
        return sum(
            refund.amount
            for refund in self.refunds.values()
            if known and refund.payment_intent == known.id
            if refund.status not in ("failed", "canceled")
        )

    async def refund(self, refund_id: str) -> dict[str, Any]:
        if refund_id not in self.refunds:
            raise no_such("refund", refund_id)
        return shapes.refund(
            await self.ask("GET", f"/v1/refunds/{refund_id}"), self.refunds[refund_id]
        )

    async def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, newest first."""
        if kind == "disputes":
            return list(self.disputes.values())[::-1]
        if kind == "events":
            return self.webhooks.events[::-1]
        raws = (await self.ask("GET", f"/v1/{kind}?limit=1000000"))["data"]
        if kind == "payment_intents":
            raws = [raw for raw in raws if raw["id"] in self.intents]
            raws.sort(key=lambda raw: self.intents[raw["id"]].number, reverse=True)
            return [self.shown_intent(raw) for raw in raws]
        if kind == "charges":
            return [self.shown_charge(raw) for raw in reversed(raws)]
        by_id = {raw["id"]: raw for raw in raws}
        return [
            shapes.refund(by_id[refund_id], known)
            for refund_id, known in reversed(self.refunds.items())
        ]

    async def read(self, any_id: str) -> dict[str, Any]:
        """Return any object by its id, as Stripe shows it."""
        prefix = any_id.split("_", 1)[0]
        if prefix == "pi":
            return await self.intent(any_id)
        if prefix == "ch":
            return await self.charge(any_id)
        if prefix == "re":
            return await self.refund(any_id)
        if prefix in ("du", "evt"):
            kind = "disputes" if prefix == "du" else "events"
            found = [item for item in await self.all(kind) if item["id"] == any_id]
            if not found:
                raise no_such(kind.removesuffix("s"), any_id)
            return found[0]
        kind = "customers" if prefix == "cus" else "payment_methods"
        return dict(await self.ask("GET", f"/v1/{kind}/{any_id}"))

    async def expanded(self, value: Any, paths: list[str]) -> Any:
        """Put objects in the place of their ids, as ``expand`` asks for."""
        for path in paths:
            first, _, rest = path.partition(".")
            if isinstance(value, list):
                value = [await self.expanded(item, [path]) for item in value]
            elif isinstance(value, dict) and value.get(first) is not None:
                inner = value[first]
                if isinstance(inner, str) and inner.startswith(EXPANDABLE):
                    inner = await self.read(inner)
                value = {**value, first: await self.expanded(inner, [rest] if rest else [])}
        return value
