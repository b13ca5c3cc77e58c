"""What the contract of a ``Gateway`` says, as tests."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from upsell.ports import (
    ChargeRequest,
    ChargeResult,
    ChargeState,
    CollectionWay,
    Occasion,
    RefundState,
    minor_units,
)

_SILENT = {CollectionWay.CHARGE_SAVED, CollectionWay.ADD_TO_BALANCE}
_PAID = {ChargeState.CAPTURED, ChargeState.AUTHORIZED, ChargeState.DEFERRED}


class GatewayConformance:
    """The contract of ``upsell.ports.Gateway``. Subclass it, and give the two methods."""

    def make_gateway(self) -> Any:
        """Return your gateway, pointed at your provider's test system."""
        raise AssertionError("give your gateway: override make_gateway()")

    def order(self) -> Occasion:
        """Return an order whose payment this gateway can collect more with."""
        raise AssertionError("give an order: override order()")

    def spoil(self, request: ChargeRequest, how: str) -> ChargeRequest | None:
        """Return the request changed so that your provider does this: ``declined``,
        ``challenge`` or ``lost`` (charged, the answer never comes). None = it cannot."""
        return None

    def taken(self, order_ref: str) -> Decimal | None:
        """Return what the provider took for an order, less what it gave back. None = unknown."""
        return None

    def approve(self, answer: ChargeResult) -> None:
        """Answer for the buyer, with yes, on the provider's approval page: for gateways that
        always ask (``REDIRECT_APPROVAL``)."""
        raise AssertionError(f"wanted it paid, found {answer.state}; override approve()")

    can_refund = True
    """Whether money was moved at all: an open balance moves none."""

    # ------------------------------------------------------------ tests

    def test_nobody_who_only_holds_a_link_pays_silently(self) -> None:
        gateway, order = self.make_gateway(), self.order()
        answer = gateway.collection(order, Decimal("5.00"), order.currency, trusted=False)
        assert answer.how not in _SILENT, f"not trusted, and {answer.how}"

    def test_the_order_s_own_payment_can_collect_more(self) -> None:
        gateway, order = self.make_gateway(), self.order()
        for amount in (None, Decimal("5.00")):
            answer = gateway.collection(order, amount, order.currency, trusted=True)
            assert answer.how is not CollectionWay.NONE, f"of {amount}: {answer}"
            assert isinstance(answer.min_amount, Decimal), f"no float: {answer.min_amount!r}"

    def test_a_charge_takes_the_amount_once_however_often_it_is_asked(self) -> None:
        gateway, request = self._request()
        first = self._paid(gateway, request)
        second = self._paid(gateway, request)
        assert first.state in _PAID, f"wanted it paid, found {first.state}"
        assert second.state is first.state, f"asked again: {second.state}"
        assert second.reference == first.reference, "asked again, another object was made"
        assert first.amount in (None, request.amount), f"took {first.amount}"
        self._took(request, request.amount)

    def test_one_key_never_charges_two_amounts(self) -> None:
        gateway, request = self._request()
        self._paid(gateway, request)
        dearer = request.amount + 1
        units = minor_units(dearer, request.currency)
        gateway.charge(replace(request, amount=dearer, minor_units=units))
        self._took(request, request.amount)

    def test_twelve_at_once_are_one_charge(self) -> None:
        gateway, request = self._request()
        together, answers = threading.Barrier(12), []

        def ask() -> None:
            together.wait()
            answers.append(gateway.charge(request))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 12, "a charge raised; UNKNOWN is an answer"
        made = {row.reference for row in answers if row.reference}
        assert len(made) <= 1, f"one key, and {len(made)} objects of the provider"
        self._finished(gateway, answers[0])
        self._took(request, request.amount)

    def test_a_key_is_found_afterwards_and_an_unknown_one_is_nothing(self) -> None:
        gateway, request = self._request()
        if not self.can_refund:
            return
        assert self._found(gateway, request) is None, "nothing was asked yet"
        made = self._paid(gateway, request)
        found = self._found(gateway, request)
        assert found is not None, "what was charged is found by its key"
        assert (found.state, found.reference) == (made.state, made.reference), f"found {found}"

    def test_a_lost_answer_is_unknown_and_found_by_its_key(self) -> None:
        gateway, request = self._request()
        lost = self.spoil(request, "lost")
        if lost is None:
            return
        answer = gateway.charge(lost)
        assert answer.state is ChargeState.UNKNOWN, f"wanted UNKNOWN, found {answer.state}"
        found = self._found(gateway, lost)
        assert found is not None, "it was charged, and cannot be found"
        assert found.state in _PAID, f"it was charged, and is {found.state}"

    def test_a_refusal_is_declined_and_takes_nothing(self) -> None:
        gateway, request = self._request()
        refused = self.spoil(request, "declined")
        if refused is None:
            return
        answer = gateway.charge(refused)
        assert answer.state is ChargeState.DECLINED, f"wanted DECLINED, found {answer.state}"
        self._took(request, Decimal(0))

    def test_a_challenge_says_where_and_can_be_given_up(self) -> None:
        gateway, request = self._request()
        asks = self.spoil(request, "challenge")
        if asks is None:
            return
        answer = gateway.charge(asks)
        assert answer.state is ChargeState.REQUIRES_ACTION, f"found {answer.state}"
        assert answer.reference, "a challenge has a reference to resume by"
        given_up = gateway.cancel(answer.reference, asks.key)
        assert given_up.state not in _PAID, f"given up, and {given_up.state}"
        self._took(request, Decimal(0))

    def test_a_refund_gives_back_once_and_never_more_than_was_taken(self) -> None:
        gateway, request = self._request()
        if not self.can_refund:
            return
        made = self._paid(gateway, request)
        key, half = f"ups-{uuid.uuid4()}", request.amount / 2
        for _ in range(2):
            answer = gateway.refund(made.reference, half, request.currency, key)
            assert answer.state in {RefundState.REFUNDED, RefundState.PENDING}, f"{answer}"
        self._took(request, half)
        more = gateway.refund(
            made.reference, request.amount, request.currency, f"ups-{uuid.uuid4()}"
        )
        assert more.state is RefundState.REFUSED, f"more than was taken: {more.state}"
        self._took(request, half)

    def test_a_refund_of_nothing_is_refused(self) -> None:
        gateway = self.make_gateway()
        answer = gateway.refund("no-such-charge", Decimal(1), "EUR", f"ups-{uuid.uuid4()}")
        assert answer.state is not RefundState.REFUNDED, "nothing was charged, and it came back"

    def test_a_webhook_without_a_signature_is_refused(self) -> None:
        gateway = self.make_gateway()

        unsigned = SimpleNamespace(body=b"{}", headers={}, META={})
        try:
            found = gateway.parse_webhook(unsigned)
        except ValueError:
            return
        raise AssertionError(f"wanted ValueError without a signature, found {found!r}")

    def test_an_unknown_reference_is_no_payment(self) -> None:
        answer = self.make_gateway().resume("no-such-charge")
        assert answer.state not in _PAID, f"nothing was charged, and it is {answer.state}"

    # ------------------------------------------------------------ how

    def _request(self) -> tuple[Any, ChargeRequest]:
        gateway, order = self.make_gateway(), self.order()
        amount = Decimal("10.00")
        collection = gateway.collection(order, amount, order.currency, trusted=True)
        key = f"ups-{uuid.uuid4()}"
        return gateway, ChargeRequest(
            key=key,
            order_ref=order.ref,
            order_number=order.number,
            amount=amount,
            currency=order.currency,
            minor_units=minor_units(amount, order.currency),
            credential=collection.credential,
            return_url="https://shop.example/back/",
            metadata={"key": key, "order": order.ref},
        )

    def _paid(self, gateway: Any, request: ChargeRequest) -> ChargeResult:
        """Charge; where the provider asks the buyer each time, as the buyer says yes."""
        answer: ChargeResult = gateway.charge(request)
        return self._finished(gateway, answer)

    def _finished(self, gateway: Any, answer: ChargeResult) -> ChargeResult:
        if answer.state is not ChargeState.REQUIRES_ACTION:
            return answer
        self.approve(answer)
        finished: ChargeResult = gateway.resume(answer.reference)
        return finished

    def _found(self, gateway: Any, request: ChargeRequest) -> ChargeResult | None:
        found: ChargeResult | None = gateway.find(
            request.key, request.order_ref, datetime(2020, 1, 1, tzinfo=UTC)
        )
        return found

    def _took(self, request: ChargeRequest, wanted: Decimal) -> None:
        taken = self.taken(request.order_ref)
        assert taken is None or taken == wanted, f"wanted {wanted} taken, found {taken}"
