"""What happened to an offer, in words: its events, its refunds, and why."""

from __future__ import annotations

from datetime import datetime

from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.models import Offer, Refund
from upsell.presenting.mails import shown_money
from upsell.presenting.reasons import in_words

NOTHING = "–"

_KINDS: dict[str, str | Promise] = {
    "revoke_requested": gettext_lazy("to be taken back once the payment is settled"),
    "erased": gettext_lazy("the buyer's details erased"),
    "refunded": gettext_lazy("money given back"),
}
_REASONS: dict[str, str | Promise] = {
    "amount_mismatch": gettext_lazy("The payment provider took another amount than was asked."),
    "already_in_order": gettext_lazy("The product came into the order meanwhile."),
    "apply_failed": gettext_lazy("It was paid, and the order could not be changed."),
    "challenge_expired": gettext_lazy("The buyer did not come back from the bank."),
    "customer_undo": gettext_lazy("The buyer undid it."),
    "erased": gettext_lazy("The buyer's details were erased."),
    "late": gettext_lazy("The money came when the offer was over."),
    "order_changed": gettext_lazy("The order changed meanwhile."),
    "out_of_stock": gettext_lazy("It was sold out meanwhile."),
    "payment_declined": gettext_lazy("The payment was declined."),
    "payment_unknown": gettext_lazy("The payment provider could not say whether it was paid."),
    "product_unavailable": gettext_lazy("The product was not for sale any more."),
    "quote_changed": gettext_lazy("The amount changed meanwhile."),
    "refund_refused": gettext_lazy("The payment provider refused to give the money back."),
    "revoked": gettext_lazy("It was taken back."),
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
