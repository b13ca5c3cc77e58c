"""One order in sentences, for who talks to its buyer: what to know, and what to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.engine.campaigns import Reason
from upsell.presenting.offers import ShownOffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Became:
    """What became of an offer: the fact, and what the buyer may be told."""

    fact: str | Promise
    to_say: str | Promise


BECAME: Mapping[str, Became] = {
    "accepting": Became(
        fact=gettext_lazy("The buyer said yes, and the payment is being confirmed."),
        to_say=gettext_lazy("We are confirming your payment. Please do not pay again; a mail "
                            "tells you how it ended."),
    ),
    "action_required": Became(
        fact=gettext_lazy("The buyer said yes, and the bank asks them to confirm."),
        to_say=gettext_lazy("Your bank asks you to confirm the payment. Nothing is charged until "
                            "you do."),
    ),
    "needs_attention": Became(
        fact=gettext_lazy("The payment could not be confirmed; a colleague has to look at it."),
        to_say=gettext_lazy("We are looking into your payment. Please do not pay again; nothing "
                            "is charged twice."),
    ),
    "accepted": Became(
        fact=gettext_lazy("The buyer accepted it."),
        to_say=gettext_lazy("It is in your order. The mail with its confirmation has a link to "
                            "undo it, as long as that is possible."),
    ),
    "declined": Became(
        fact=gettext_lazy("The buyer declined it, and it stays declined."),
        to_say=gettext_lazy("You said no to our offer, so your order stays as it is. You can order "
                            "the product like any other."),
    ),
    "expired": Became(
        fact=gettext_lazy("Nobody answered in time."),
        to_say=gettext_lazy("Our offer stood for a short time after your order, and that is over. "
                            "You can order the product like any other."),
    ),
    "revoked": Became(
        fact=gettext_lazy("It was taken back."),
        to_say=gettext_lazy("We had to take our offer back. Nothing was charged for it."),
    ),
    "failed": Became(
        fact=gettext_lazy("The buyer said yes, and it could not be done."),
        to_say=gettext_lazy("That could not be added to your order. It is as you placed it, and "
                            "you owe nothing for it."),
    ),
    "reversed": Became(
        fact=gettext_lazy("It was accepted, and then given back."),
        to_say=gettext_lazy("It is out of your order again. What you paid for it goes back to "
                            "where you paid from."),
    ),
    "suppressed": Became(
        fact=gettext_lazy("This buyer is held out by chance: offers are measured against them."),
        to_say=gettext_lazy("Not everybody is shown an offer: some, by chance, see none, so that "
                            "we learn whether offers are of use."),
    ),
}  # fmt: skip

NOT_SENT: Mapping[str, str | Promise] = {
    "not_made": gettext_lazy("There is no link yet: the offer is made when the buyer looks at the "
                             "confirmation of the order."),
    "not_open": gettext_lazy("The offer cannot be answered any more."),
    "trial": gettext_lazy("It is a trial by staff: no buyer is to see it."),
    "already_sent": gettext_lazy("The link was sent already. It is sent once."),
    "no_address": gettext_lazy("The order has no mail address."),
    "no_base": gettext_lazy("The setting UPSELL_BASE_URL is empty, so a mail has no address to "
                            "link to. Ask your developers."),
    "not_asked_for": gettext_lazy("Tick that the buyer asked for it: without that it would be "
                                  "advertising."),
}  # fmt: skip
"""Why the link is not sent, for staff."""

_OF_THE_ORDER: Mapping[str, str | Promise] = {
    Reason.DISABLED: gettext_lazy("We make no offers after checkout at the moment."),
    Reason.ALREADY_HAS_OFFER: gettext_lazy("Each order gets one offer at most, and yours has had "
                                           "it."),
    Reason.ORDER_CANCELLED: gettext_lazy("Your order is cancelled, so there is nothing to add to."),
    Reason.ORDER_REFUNDED: gettext_lazy("Your order is refunded, so there is nothing to add to."),
    Reason.ORDER_DRAFT: gettext_lazy("Your order is not complete yet; an offer may come with its "
                                     "confirmation."),
    Reason.ORDER_RENEWAL: gettext_lazy("This order came by itself; offers are for when you order."),
    Reason.PAYMENT_FAILED: gettext_lazy("Your payment has not come through yet; an offer may come "
                                        "once it has."),
    Reason.WINDOW_CLOSED: gettext_lazy("Offers stand for a short time after ordering, and that was "
                                       "over when the confirmation was opened."),
    Reason.ORDER_RELEASED: gettext_lazy("Your order is being packed already, so nothing can be "
                                        "added to it."),
    Reason.TIMEOUT: gettext_lazy("That did not work at the time, and it was our fault: please open "
                                 "the confirmation of your order once more."),
    Reason.ERROR: gettext_lazy("That did not work at the time, and it was our fault: please open "
                               "the confirmation of your order once more."),
}  # fmt: skip
_OF_A_PRODUCT: Mapping[str, str | Promise] = {
    Reason.ALREADY_IN_ORDER: gettext_lazy("What we would have offered is in your order already."),
    Reason.ALREADY_PURCHASED: gettext_lazy("What we would have offered is something you bought "
                                           "from us not long ago."),
    Reason.SEEN_BEFORE: gettext_lazy("You saw this offer not long ago, and we do not repeat it so "
                                     "soon."),
    Reason.PRODUCT_UNAVAILABLE: gettext_lazy("What goes with your order is sold out at the "
                                             "moment."),
    Reason.OUT_OF_STOCK: gettext_lazy("What goes with your order is sold out at the moment."),
    Reason.NO_SHIPPING_ADDRESS: gettext_lazy("What goes with your order has to be delivered, and "
                                             "your order has no address for that."),
    Reason.UPSELL_TARGET_MISSING: gettext_lazy("What we would have exchanged is not in your order "
                                               "any more."),
    Reason.TARGET_NOT_REPLACEABLE: gettext_lazy("What you ordered cannot be exchanged any more."),
    Reason.PAYMENT_NOT_SUPPORTED: gettext_lazy("The way you paid lets us add nothing afterwards."),
    Reason.INVOICED: gettext_lazy("Your order has its invoice already, so we leave it as it is."),
}  # fmt: skip
"""Reasons that mean something to a buyer; others, such as a customer group, stay with the shop."""


def why_nothing(codes: Sequence[str]) -> str:
    """Answer "why did I get no offer?" in one sentence that a buyer understands, and that is true.

    Args:
        codes: The order's reason, then each campaign's, the highest rank first.
    """
    for code in codes[:1]:
        if code in _OF_THE_ORDER:
            return str(_OF_THE_ORDER[code])
    for code in codes:
        if code in _OF_A_PRODUCT:
            return str(_OF_A_PRODUCT[code])
    return _("We had nothing that goes well with this order.")


def to_say(offer: ShownOffer) -> list[str]:
    """Return what to tell the buyer of an open offer, sentence by sentence: what, what for, then
    what it costs, and that nothing happens by itself."""
    added = _("We would add %s to your order.") % offer.coming
    told = [offer.headline, offer.body, offer.exchange or added]
    if offer.is_free:
        told.append(_("It costs you nothing more."))
    else:
        cost = {"due": offer.due, "how": offer.collection}
        told.append(_("It would cost you %(due)s, %(how)s.") % cost)
    told.append(_("Nothing changes unless you press the button yourself, and you can undo it."))
    return [sentence for sentence in dict.fromkeys(told) if sentence]
