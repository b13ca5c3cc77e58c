"""What happened to an offer, in words: its events, its refunds, and why."""

from __future__ import annotations

from datetime import datetime

from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.models import Offer, OfferEvent, Refund
from upsell.presenting.mails import shown_money
from upsell.presenting.reasons import in_words

NOTHING = "–"

_KINDS: dict[str, str | Promise] = {
    "asked_again": gettext_lazy("staff asked the provider again"),
    "attended": gettext_lazy("what came of that"),
    "dispute_lost": gettext_lazy("dispute lost"),
    "dispute_open": gettext_lazy("disputed by the buyer's bank"),
    "dispute_won": gettext_lazy("dispute won"),
    "giving_back": gettext_lazy("staff gave the money back and closed it"),
    "line_refunded": gettext_lazy("a part refunded by the shop"),
    "locked_out": gettext_lazy("kept from trying again"),
    "link_sent": gettext_lazy("staff had the buyer mailed the link"),
    "rated": gettext_lazy("the buyer said how it was"),
    "revoke_requested": gettext_lazy("to be taken back once the payment is settled"),
    "undo_requested": gettext_lazy("asked back by the buyer"),
    "erased": gettext_lazy("the buyer's details erased"),
    "refunded": gettext_lazy("money given back"),
    "withdrawal": gettext_lazy("withdrawn from by the buyer, under the law"),
    "withdrawal_requested": gettext_lazy("withdrawal stated by the buyer"),
}
_REASONS: dict[str, str | Promise] = {
    "amount_mismatch": gettext_lazy("The payment provider took another amount than was asked."),
    "asked_for": gettext_lazy("The buyer asked for it."),
    "absent_once": gettext_lazy(
        "The provider knows of no payment. It is asked once more after a minute; then this closes."
    ),
    "accepted": gettext_lazy("It had been paid, and the order was changed."),
    "already_in_order": gettext_lazy("The product came into the order meanwhile."),
    "apply_failed": gettext_lazy("It was paid, and the order could not be changed."),
    "challenge_expired": gettext_lazy("The buyer did not come back from the bank."),
    "closed": gettext_lazy("Nothing that was paid for it is kept."),
    "customer_undo": gettext_lazy("The buyer undid it."),
    "dashboard": gettext_lazy("It was given back at the payment provider."),
    "dispute_lost": gettext_lazy("The buyer's bank took the money back."),
    "erased": gettext_lazy("The buyer's details were erased."),
    "given_back": gettext_lazy("Staff gave it up; what had been charged went back to the buyer."),
    "going_back": gettext_lazy(
        "The provider has not confirmed the refund yet. It is asked again by itself."
    ),
    "limit_address": gettext_lazy("Too many tries to pay from one network address."),
    "limit_buyer": gettext_lazy("Too many tries to pay by this buyer."),
    "limit_refused": gettext_lazy("Too many refused cards of this buyer, or network address."),
    "late": gettext_lazy("The money came when the offer was over."),
    "not_asked": gettext_lazy(
        "The provider does not answer lately, and is left alone for a while. Try again later."
    ),
    "not_waiting": gettext_lazy("It did not need anybody any more."),
    "order_changed": gettext_lazy("The order changed meanwhile."),
    "out_of_stock": gettext_lazy("It was sold out meanwhile."),
    "payment_declined": gettext_lazy("The payment was declined."),
    "payment_unknown": gettext_lazy("The payment provider could not say whether it was paid."),
    "product_unavailable": gettext_lazy("The product was not for sale any more."),
    "quote_changed": gettext_lazy("The amount changed meanwhile."),
    "refund_refused": gettext_lazy("The payment provider refused to give the money back."),
    "refunded": gettext_lazy("The money went back before the order was changed."),
    "revoked": gettext_lazy("It was taken back."),
    "still_waits": gettext_lazy("The provider says nothing new: nothing was changed."),
    "unknown": gettext_lazy(
        "The provider cannot say yet whether it was paid. What it took goes back by itself as"
        " soon as it does."
    ),
    "withdrawal": gettext_lazy("The buyer withdrew from the contract."),
    "withdrawn": gettext_lazy("Staff withdrew it."),
}
_ACTORS: dict[str, str | Promise] = {
    "buyer": gettext_lazy("the buyer"),
    "host": gettext_lazy("the shop"),
    "staff": gettext_lazy("staff"),
    "system": gettext_lazy("by itself"),
}
_ATTEMPTS: dict[str, str | Promise] = {
    "STARTED": gettext_lazy("under way"),
    "ACTION_REQUIRED": gettext_lazy("waiting for the buyer's bank"),
    "REFUNDING": gettext_lazy("being given back"),
    "NEEDS_ATTENTION": gettext_lazy("needs attention"),
    "APPLIED": gettext_lazy("collected"),
    "DECLINED": gettext_lazy("declined"),
    "RELEASED": gettext_lazy("nothing was taken"),
    "REFUNDED": gettext_lazy("given back"),
}
_CHARGES: dict[str, str | Promise] = {
    "CAPTURED": gettext_lazy("paid"),
    "AUTHORIZED": gettext_lazy("authorised"),
    "REQUIRES_ACTION": gettext_lazy("the buyer has to confirm"),
    "PENDING": gettext_lazy("pending"),
    "DECLINED": gettext_lazy("declined"),
    "DEFERRED": gettext_lazy("on the order's balance"),
    "UNKNOWN": gettext_lazy("not known"),
}
_COLLECTIONS: dict[str, str | Promise] = {
    "ADD_TO_BALANCE": gettext_lazy("added to the order's balance"),
    "CHARGE_SAVED": gettext_lazy("charged to what is on file"),
    "REDIRECT_APPROVAL": gettext_lazy("approved by the buyer at the provider"),
    "NONE": gettext_lazy("nothing to pay"),
}
_REFUNDS: dict[str, str | Promise] = {
    "PENDING": gettext_lazy("under way"),
    "DONE": gettext_lazy("given back"),
    "REFUSED": gettext_lazy("refused"),
}


def exactly(at: datetime | None) -> str:
    """Return a time to the second, for what happens within one."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    return f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}"


def shortly(at: datetime | None) -> str:
    """Return a time that fits a column."""
    if at is None:
        return NOTHING
    return str(formats.date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT"))


def kind_in_words(kind: str) -> str:
    """Return what an event is: a change of state is told by the state."""
    return str(_KINDS.get(kind) or state_in_words(kind.upper()))


def state_in_words(state: str) -> str:
    """Return a state of an offer as its list shows it."""
    return str(dict(Offer.State.choices).get(state, state)) or NOTHING


def reason_in_words(code: str) -> str:
    """Return why, as a sentence; a provider's own code as it stands."""
    return str(_REASONS.get(code) or in_words(code)) if code else NOTHING


def why_in_words(event: OfferEvent) -> str:
    """Return why something happened; of a lock-out also until when."""
    told = reason_in_words(event.reason)
    until = event.figures.get("until")
    if not until:
        return told
    at = shortly(datetime.fromisoformat(until))
    return _("%(reason)s Until %(at)s.") % {"reason": told, "at": at}


def actor_in_words(actor: str, staff: str = "") -> str:
    """Return who did it; ``staff`` is the name of the member of staff where it was one."""
    if staff_of(actor):
        return _("%s (staff)") % (staff or staff_of(actor))
    return str(_ACTORS.get(actor, actor)) or NOTHING


def staff_of(actor: str) -> str:
    """Return the key of the member of staff; empty where it was nobody of them."""
    kind, _colon, key = actor.partition(":")
    return key if kind == "staff" and key.isdigit() else ""


def attempt_in_words(state: str) -> str:
    """Return where a try to collect stands."""
    return str(_ATTEMPTS.get(state, state))


def charge_in_words(state: str) -> str:
    """Return what the payment provider said of it."""
    return str(_CHARGES.get(state, state)) or NOTHING


def collection_in_words(how: str) -> str:
    """Return how an amount is collected."""
    return str(_COLLECTIONS.get(how, how))


def refund_in_words(refund: Refund) -> str:
    """Return one refund: how much, where it stands, and why."""
    told = {
        "amount": shown_money(refund.amount, refund.currency),
        "state": str(_REFUNDS.get(refund.state, refund.state)),
        "reason": reason_in_words(refund.reason),
    }
    return _("%(amount)s %(state)s. %(reason)s") % told
