"""What the buttons for an offer that needs attention will do, in words, with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from upsell.models import Attempt, Offer
from upsell.presenting.mails import shown_money

_PAID = {"CAPTURED", "AUTHORIZED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A page that asks before anything happens."""

    title: str
    steps: tuple[str, ...]
    """What will happen, and what will not, one sentence or two each."""
    figures: tuple[tuple[str, str], ...]
    """Name to value."""
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What is known of the money of an offer that needs attention."""

    asked: str
    taken: str
    """Empty where the provider has not said yet that it took anything."""
    returned: str
    """What went back, or is on its way; empty for nothing."""
    back: str
    """What would go back; empty where nothing is known to be left."""


def money_of(offer: Offer) -> Money:
    """Return what was asked, taken and given back, over all tries of an offer."""
    attempts = list(offer.attempts.order_by("number").prefetch_related("refunds"))
    asked = attempts[-1].amount if attempts else Decimal(0)
    currency = attempts[-1].taken_currency if attempts else offer.currency
    known = [row for row in attempts if row.charge_state in _PAID]
    taken = sum((row.taken for row in known), Decimal(0))
    returned = sum((_returned(row) for row in attempts), Decimal(0))
    left = taken - returned if _may_go_back(offer) else Decimal(0)

    def shown(amount: Decimal) -> str:
        return shown_money(amount, currency) if amount else ""

    return Money(
        asked=shown_money(asked, offer.currency),
        taken=shown(taken),
        returned=shown(returned),
        back=shown(left),
    )


def to_ask(offer: Offer, provider: str) -> Plan:
    """Say what asking the provider again will do."""
    told = money_of(offer)
    steps = [
        _("The payment provider is asked what became of the payment of %(asked)s. Asking charges "
          "nothing.") % {"asked": told.asked},
    ]  # fmt: skip
    if offer.state != Offer.State.NEEDS_ATTENTION:
        steps += [
            _("What went back there meanwhile is written down here."),
            _("Nothing else changes: the offer and the order stay as they are."),
        ]
    elif offer.failure_code == "payment_unknown":
        steps += [
            _("It was paid: the order grows by %(asked)s, as the buyer accepted, and the buyer is "
              "written to.") % {"asked": told.asked},
            _("It was refused, or the provider twice says, a minute apart, that it knows of no "
              "payment: the offer closes, nothing is owed, and what is held goes back on the "
              "shelf."),
            _("It cannot say: nothing changes, and the offer waits on."),
        ]  # fmt: skip
    else:
        steps += [
            _("It was refused or given back meanwhile: the offer closes, nothing is owed, and what "
              "is held goes back on the shelf."),
            _("Anything else: nothing changes, and the offer waits on. The order is not changed."),
        ]  # fmt: skip
    return Plan(
        title=_("Ask the provider again"),
        steps=tuple(steps),
        figures=_figures(offer, told, provider),
        button=_("Ask now"),
    )


def to_give_back(offer: Offer, provider: str) -> Plan:
    """Say what giving the money back will do."""
    told = money_of(offer)
    closed = offer.state != Offer.State.NEEDS_ATTENTION
    if told.back:
        steps = [
            _("%(back)s goes back to where the buyer paid from: all that was taken and not given "
              "back yet.") % {"back": told.back},
        ]  # fmt: skip
    else:
        steps = [
            _("Whether the %(asked)s were taken is not known, so the provider is asked first. They "
              "were: all of it goes back. They were not: nothing moves.") % {"asked": told.asked},
        ]  # fmt: skip
    if any(row.refunds.filter(state="REFUSED").exists() for row in offer.attempts.all()):
        steps.append(
            _("The provider refused this refund before. It is the same refund that is asked for "
              "again, so that it cannot be given twice.")
        )  # fmt: skip
    steps.append(_("The order stays as it is: nothing is added to it, nothing is taken out."))
    if not closed:
        steps.append(
            _("What is held for the buyer, %(what)s, goes back on the shelf.")
            % {"what": _held(offer)}
        )
        steps.append(
            _("The offer closes as failed, once the provider has answered. The buyer gets no other "
              "one for this order.")
        )  # fmt: skip
    else:
        state = str(offer.get_state_display())
        steps.append(_("The offer stays %(state)s.") % {"state": state})
    steps.append(_("This cannot be undone."))
    return Plan(
        title=_("Give the money back") if closed else _("Give the money back and close"),
        steps=tuple(steps),
        figures=_figures(offer, told, provider),
        button=_("Give back %(back)s") % {"back": told.back} if told.back else _("Ask, give back"),
    )


def _figures(offer: Offer, told: Money, provider: str) -> tuple[tuple[str, str], ...]:
    not_known = _("not known")
    return (
        (_("Order"), str(offer.terms.get("order_number") or offer.order_ref or "–")),
        (_("Product"), _held(offer)),
        (_("Payment provider"), provider or "–"),
        (_("Asked of the buyer"), told.asked),
        (_("Taken, as the provider says"), told.taken or not_known),
        (_("Given back, or on its way"), told.returned or _("nothing")),
        (_("References at the provider"), _references(offer) or not_known),
    )


def _references(offer: Offer) -> str:
    rows = offer.attempts.order_by("number")
    return ", ".join(row.reference for row in rows if row.reference)


def _held(offer: Offer) -> str:
    title = offer.terms.get("product", {}).get("title") or offer.product_ref
    return f"{offer.quantity} × {title}"


def _returned(attempt: Attempt) -> Decimal:
    rows = attempt.refunds.all()
    return sum((row.amount for row in rows if row.state != "REFUSED"), Decimal(0))


def _may_go_back(offer: Offer) -> bool:
    return offer.state != Offer.State.ACCEPTED
