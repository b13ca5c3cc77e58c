"""What a payment provider is to us: one ``Gateway`` per way to pay, and its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from upsell.engine.types import Collection, CollectionWay, Occasion, Ref
from upsell.exceptions import Refused

if TYPE_CHECKING:
    from django.http import HttpRequest


class ChargeState(StrEnum):
    """What became of a charge."""

    CAPTURED = "CAPTURED"
    AUTHORIZED = "AUTHORIZED"
    """The host captures it with the order's own payment."""
    REQUIRES_ACTION = "REQUIRES_ACTION"
    """The buyer has to do something; ``action_url`` or ``client_secret`` says where."""
    PENDING = "PENDING"
    """Waits without anything for the buyer to do."""
    DECLINED = "DECLINED"
    """Refused by the provider, definitely. Nothing else is DECLINED."""
    DEFERRED = "DEFERRED"
    """On the host's open balance."""
    UNKNOWN = "UNKNOWN"
    """Time-out, reset, 5xx, unreadable: it may or may not have been charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """One try to collect. The same ``key`` never charges twice."""

    key: str
    """``ups-<attempt uuid>``, at most 64 characters."""
    order_ref: Ref
    order_number: str
    amount: Decimal
    currency: str
    minor_units: int
    """``amount`` by the currency's ISO exponent, never times 100."""
    credential: str = ""
    customer_present: bool = True
    return_url: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Carries the key, the order and the offer's uuid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeResult:
    """What the provider says of a charge. ``amount`` and ``currency`` are what was really taken."""

    state: ChargeState
    reference: str = ""
    """The provider's object, unique."""
    action_url: str = ""
    client_secret: str = ""
    decline_code: str = ""
    """``configuration`` = our mistake, not the buyer's card."""
    public_message: str = ""
    amount: Decimal | None = None
    currency: str = ""
    refunded: Decimal | None = None
    """Given back of it so far, by us or in the provider's dashboard. None = not said."""
    dispute: str = ""
    """``open``, ``won`` or ``lost`` where the buyer's bank takes it back; empty = none."""
    event_id: str = ""
    """Of the report that brought this; the provider's own, the same when it is sent again."""


class RefundState(StrEnum):
    """What became of a refund."""

    REFUNDED = "REFUNDED"
    PENDING = "PENDING"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    state: RefundState
    reference: str = ""
    message: str = ""


class Gateway(Protocol):
    """One way to pay. No method raises for the network: UNKNOWN is an answer."""

    slug: str

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        """Say how the order's own payment can collect more; the shop's tables only, no network.

        ``amount`` is none while deciding (not known yet) and exact when accepting.
        Where ``trusted`` is false (who only holds a link) never answer a silent way.
        """
        ...

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Collect, once per key. At most 5 s."""
        ...

    def resume(self, reference: str) -> ChargeResult:
        """Look again at a charge that needed the buyer, finishing it if it can be."""
        ...

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        """Say what became of this key. None = certainly nothing."""
        ...

    def cancel(self, reference: str, key: str) -> ChargeResult:
        """Give up a charge before its challenge expires. May answer that it was paid."""
        ...

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        """Give back, once per key; voids what is not captured yet."""
        ...

    def parse_webhook(self, request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
        """Verify the signature on the raw body; return (key, result) pairs.

        Raises:
            ValueError: The signature is wrong or too old.
        """
        ...


class BaseGateway:
    """Answers for a gateway that has no challenges, no look-up and no webhooks.

    One that only ever answers ADD_TO_BALANCE is never asked to charge.
    """

    slug: str = ""

    def charge(self, request: ChargeRequest) -> ChargeResult:
        return ChargeResult(state=ChargeState.DECLINED, decline_code="configuration")

    def resume(self, reference: str) -> ChargeResult:
        return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        return ChargeResult(state=ChargeState.UNKNOWN)

    def cancel(self, reference: str, key: str) -> ChargeResult:
        return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        return RefundResult(state=RefundState.REFUSED, message="this gateway cannot refund")

    def parse_webhook(self, request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
        raise ValueError(f"{self.slug} sends no webhooks")


class RedirectGateway(BaseGateway):
    """A provider that asks the buyer each time: an approval page, and the way back.

    A subclass gives four short methods that talk to the provider: ``begin``, ``finish``,
    ``look_up`` and, for undo, ``refund``. Who only holds an offer's link may pay this way,
    since nothing happens without the buyer's own approval.
    """

    label = ""
    """For the buyer: "Payfriend"."""
    min_amount = Decimal(0)

    def begin(self, request: ChargeRequest) -> tuple[Ref, str]:
        """Open a payment at the provider, once per ``request.key``.

        Returns:
            The provider's reference, and the address of the page that asks the buyer. It sends
            the buyer back to ``request.return_url``.

        Raises:
            Refused: The provider will not open it, for certain; its reason becomes the
                ``decline_code``. Whatever else is raised counts as UNKNOWN.
        """
        raise NotImplementedError(f"{type(self).__name__} must give begin()")

    def finish(self, reference: Ref) -> ChargeResult:
        """Take what the buyer approved, once; or say how the payment stands.

        REQUIRES_ACTION while the buyer has not answered, DECLINED where they would not pay.
        """
        raise NotImplementedError(f"{type(self).__name__} must give finish()")

    def look_up(self, key: str) -> ChargeResult | None:
        """Return the payment that was opened under a key; none = certainly nothing."""
        raise NotImplementedError(f"{type(self).__name__} must give look_up()")

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        return Collection(
            how=CollectionWay.REDIRECT_APPROVAL, label=self.label, min_amount=self.min_amount
        )

    def charge(self, request: ChargeRequest) -> ChargeResult:
        try:
            reference, address = self.begin(request)
        except Refused as refused:
            return ChargeResult(state=ChargeState.DECLINED, decline_code=refused.reason)
        return ChargeResult(
            state=ChargeState.REQUIRES_ACTION,
            reference=reference,
            action_url=address,
            amount=request.amount,
            currency=request.currency,
        )

    def resume(self, reference: str) -> ChargeResult:
        return self.finish(reference)

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        return self.look_up(key)

    def cancel(self, reference: str, key: str) -> ChargeResult:
        """Give up: what was not taken by now never will be, since taking it is ours to do."""
        found = self.look_up(key)
        if found is not None and found.state in {ChargeState.CAPTURED, ChargeState.AUTHORIZED}:
            return found
        return ChargeResult(state=ChargeState.DECLINED, reference=reference)
