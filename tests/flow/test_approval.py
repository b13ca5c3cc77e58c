"""A provider that asks the buyer each time: approved, refused, forgotten."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from upsell import conf
from upsell.exceptions import ChargeDeclined
from upsell.models import Attempt, Offer
from upsell.models.tokens import offer_token
from upsell.ports import (
    ChargeRequest,
    ChargeResult,
    ChargeState,
    RedirectGateway,
    RefundResult,
    RefundState,
)
from upsell.services import accepting, fulfilling, offering, reconciling, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


class Payfriend(RedirectGateway):
    """What a host writes: open, take, look up, give back. Nothing is taken before ``finish``."""

    slug = "payfriend"
    label = "Payfriend"

    def __init__(self) -> None:
        self.opened: dict[str, ChargeRequest] = {}
        self.answers: dict[str, bool] = {}
        self.taken: dict[str, Decimal] = {}

    def begin(self, request: ChargeRequest) -> tuple[str, str]:
        self.opened[request.key] = request
        return f"pf-{request.key}", f"https://payfriend.example/?back={request.return_url}"

    def finish(self, reference: str) -> ChargeResult:
        request = self.opened[reference.removeprefix("pf-")]
        state = {None: ChargeState.REQUIRES_ACTION, False: ChargeState.DECLINED}.get(
            self.answers.get(reference), ChargeState.CAPTURED
        )
        if state is ChargeState.CAPTURED:
            self.taken[reference] = request.amount
        return ChargeResult(state=state, reference=reference, amount=request.amount)

    def look_up(self, key: str) -> ChargeResult | None:
        if key not in self.opened:
            return None
        taken = f"pf-{key}" in self.taken
        state = ChargeState.CAPTURED if taken else ChargeState.REQUIRES_ACTION
        amount = self.opened[key].amount
        return ChargeResult(state=state, reference=f"pf-{key}", amount=amount)

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        self.taken[reference] -= amount
        return RefundResult(state=RefundState.REFUNDED, reference=f"re-{key}")


@pytest.fixture
def payfriend(settings) -> Payfriend:
    settings.UPSELL_GATEWAYS = {"payfriend": f"{__name__}.Payfriend"}
    made = conf.gateways()["payfriend"]
    assert isinstance(made, Payfriend)
    return made


@pytest.fixture
def asked(payfriend) -> Offer:
    """Accepted by somebody who only holds the link: nothing happens without their approval."""
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, payment_method="payfriend", card="")
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None
    return accepting.accept(
        token=offer_token(page.offer), quote_number=1, trusted=False, return_url="https://shop/back"
    )


def test_an_approved_payment_is_taken_once_and_can_be_undone(payfriend, asked):
    attempt = Attempt.objects.get()
    assert asked.state == "ACTION_REQUIRED"
    assert attempt.action_url == "https://payfriend.example/?back=https://shop/back"
    assert payfriend.taken == {}
    payfriend.answers[attempt.reference] = True

    offer = fulfilling.resume(token=offer_token(asked))

    assert (offer.state, payfriend.taken) == ("ACCEPTED", {attempt.reference: Decimal(24)})
    undoing.undo(token=offer_token(offer), trusted=True)
    assert payfriend.taken == {attempt.reference: 0}


def test_a_refused_payment_leaves_the_offer_open(payfriend, asked):
    payfriend.answers[Attempt.objects.get().reference] = False

    with pytest.raises(ChargeDeclined):
        fulfilling.resume(token=offer_token(asked))

    assert Offer.objects.get().state == "SHOWN"
    assert payfriend.taken == {}


def test_a_buyer_who_never_comes_back_pays_nothing(payfriend, asked):
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))

    assert Offer.objects.get().state == "EXPIRED"
    assert payfriend.taken == {}


def test_what_was_taken_before_the_deadline_is_not_given_up(payfriend, asked):
    attempt = Attempt.objects.get()
    payfriend.answers[attempt.reference] = True
    payfriend.finish(attempt.reference)

    assert payfriend.cancel(attempt.reference, attempt.key).state is ChargeState.CAPTURED
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))

    assert Offer.objects.get().state == "ACCEPTED"


@pytest.mark.parametrize("method", ["begin", "finish", "look_up"])
def test_a_method_that_is_missing_is_named(method):
    with pytest.raises(NotImplementedError, match=rf"must give {method}\(\)"):
        getattr(RedirectGateway(), method)("x")
