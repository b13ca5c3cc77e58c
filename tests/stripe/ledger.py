"""What arrived and what was really taken: the truth a test compares the shop's books with.

Requests are noted as they come. Money is read from localstripe's own objects, not from answers:
an answer can be lost, wrong or never have been sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.stripe.provider import Provider


@dataclass(kw_only=True)
class Call:
    """One request that arrived, whatever became of it."""

    method: str
    path: str
    key: str
    """The idempotency key, empty where none came."""
    parameters: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    executed: bool = False
    """It took effect, or was answered with a refusal by the endpoint itself."""
    replayed: bool = False
    status: int | None = None
    """What was sent back; None while under way and where nothing was sent."""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Charge:
    """Money taken, in minor units."""

    id: str
    payment_intent: str
    keys: tuple[str, ...]
    """The keys of the requests that created and confirmed it."""
    amount: int
    refunded: int
    currency: str
    metadata: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Money given back, in minor units; ``status`` may be failed, and then it was not."""

    id: str
    payment_intent: str
    key: str
    amount: int
    currency: str
    status: str
    outside: bool
    """Made on the dashboard."""
    metadata: dict[str, str]


class Ledger:
    """Calls, charges, refunds. ``where`` arguments are the metadata of the intent."""

    def __init__(self, provider: Provider, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._provider = provider
        self._run = run
        self.calls: list[Call] = []

    def clear(self) -> None:
        self.calls = []

    def writes(self, path: str = "") -> list[Call]:
        """Return the requests that were no GET, to this path only if given."""
        return [
            call for call in list(self.calls) if call.method != "GET" and path in ("", call.path)
        ]

    @property
    def without_key(self) -> list[Call]:
        """Every POST that came without an idempotency key: a second charge waiting to happen."""
        return [call for call in self.writes() if call.method == "POST" and not call.key]

    def charges(self, where: dict[str, str] | None = None, *, key: str = "") -> list[Charge]:
        """Return the charges that succeeded and were captured, oldest first."""
        return [
            charge
            for charge in self._run(self._charges())
            if (where or {}).items() <= charge.metadata.items() and (not key or key in charge.keys)
        ]

    def refunds(self, where: dict[str, str] | None = None) -> list[Refund]:
        """Return the refunds of those charges, oldest first, whatever their status."""
        intents = {charge.payment_intent for charge in self.charges(where)}
        return [refund for refund in self._run(self._refunds()) if refund.payment_intent in intents]

    def net(self, where: dict[str, str] | None = None) -> int:
        """Return what was taken less what was given back, in minor units of one currency.

        Raises:
            ValueError: More than one currency is among them.
        """
        charges = self.charges(where)
        if len({charge.currency for charge in charges}) > 1:
            raise ValueError("amounts of several currencies have no sum")
        return sum(charge.amount - charge.refunded for charge in charges)

    def net_by(self, name: str) -> dict[str, int]:
        """Return ``net`` for every value of one name of the metadata."""
        values = {charge.metadata.get(name, "") for charge in self.charges()}
        return {value: self.net({name: value}) for value in sorted(values) if value}

    def charges_by_key(self) -> Counter[str]:
        """Count the charges that each key made: none may be above one."""
        return Counter(key for charge in self.charges() for key in charge.keys if key)

    async def _charges(self) -> list[Charge]:
        return [
            Charge(
                id=charge["id"],
                payment_intent=charge["payment_intent"],
                keys=tuple(self._provider.intents[charge["payment_intent"]].keys),
                amount=charge["amount_captured"],
                refunded=charge["amount_captured"] - charge["amount"] + charge["amount_refunded"],
                currency=charge["currency"],
                metadata=charge["metadata"],
            )
            for charge in reversed(await self._provider.all("charges"))
            if charge["paid"] and charge["captured"]
        ]

    async def _refunds(self) -> list[Refund]:
        return [
            Refund(
                id=refund["id"],
                payment_intent=refund["payment_intent"],
                key=self._provider.refunds[refund["id"]].key,
                amount=refund["amount"],
                currency=refund["currency"],
                status=refund["status"],
                outside=self._provider.refunds[refund["id"]].outside,
                metadata=refund["metadata"],
            )
            for refund in reversed(await self._provider.all("refunds"))
        ]
