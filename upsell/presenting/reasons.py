"""Every reason in words: one table for admin, API and log alike."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.engine.campaigns import Reason

WORDS: dict[Reason, str | Promise] = {
    Reason.DISABLED: gettext_lazy("Offers are switched off for this sales channel."),
    Reason.ALREADY_HAS_OFFER: gettext_lazy("This order was made an offer already; there is one per order."),
    Reason.ORDER_CANCELLED: gettext_lazy("The order is cancelled."),
    Reason.ORDER_REFUNDED: gettext_lazy("The order is refunded."),
    Reason.ORDER_TEST: gettext_lazy("It is a test order; only staff-only campaigns look at those."),
    Reason.ORDER_DRAFT: gettext_lazy("The order is a draft; it is looked at again once placed."),
    Reason.ORDER_RENEWAL: gettext_lazy("The order is a renewal nobody is looking at."),
    Reason.PAYMENT_FAILED: gettext_lazy("The order's own payment failed; it is looked at again once paid."),
    Reason.WINDOW_CLOSED: gettext_lazy("The time to answer was over, or less than a minute was left."),
    Reason.ORDER_RELEASED: gettext_lazy("The order is picked, packed or shipped already."),
    Reason.TIMEOUT: gettext_lazy("Deciding took too long; the next look decides again."),
    Reason.ERROR: gettext_lazy("Something went wrong; the next look decides again, the log has more."),
    Reason.NO_CAMPAIGN: gettext_lazy("There is no campaign that is switched on."),
    Reason.NO_MATCH: gettext_lazy("No campaign qualified."),
    Reason.OFF: gettext_lazy("The campaign is switched off."),
    Reason.STAFF_ONLY: gettext_lazy("The campaign is shown to staff only."),
    Reason.NOT_STARTED: gettext_lazy("The campaign had not started."),
    Reason.ENDED: gettext_lazy("The campaign had ended."),
    Reason.WRONG_MOMENT: gettext_lazy("The campaign does not appear at this moment."),
    Reason.WRONG_CHANNEL: gettext_lazy("The campaign does not run in this sales channel."),
    Reason.TRIGGER_ABSENT: gettext_lazy("The order does not contain what triggers the campaign."),
    Reason.BELOW_MIN: gettext_lazy("The goods are worth less than the campaign asks for, before tax."),
    Reason.ABOVE_MAX: gettext_lazy("The goods are worth more than the campaign allows, before tax."),
    Reason.CURRENCY_UNSUPPORTED: gettext_lazy("The campaign has no amounts in the order's currency."),
    Reason.GROUP: gettext_lazy("The buyer is in none of the campaign's customer groups."),
    Reason.COUNTRY: gettext_lazy("The order is not delivered to one of the campaign's countries."),
    Reason.PAYMENT_METHOD_FILTER: gettext_lazy("The order was not paid by one of the campaign's payment methods."),
    Reason.EXCLUDED_PRODUCT_PRESENT: gettext_lazy("The order contains something the campaign excludes."),
    Reason.ALREADY_IN_ORDER: gettext_lazy("The offered product is in the order already."),
    Reason.ALREADY_PURCHASED: gettext_lazy("The buyer bought the offered product not long ago."),
    Reason.SEEN_BEFORE: gettext_lazy("The buyer was shown this campaign not long ago."),
    Reason.PRODUCT_UNAVAILABLE: gettext_lazy("The offered product is not for sale."),
    Reason.OUT_OF_STOCK: gettext_lazy("The offered product is not in stock in that number."),
    Reason.NO_SHIPPING_ADDRESS: gettext_lazy("The product must be delivered, and the order has no address for it."),
    Reason.SHIPPING_POLICY: gettext_lazy("The campaign's delivery terms do not fit this product or currency."),
    Reason.NO_PRICE: gettext_lazy("There is no price for it in the order's currency."),
    Reason.UPSELL_TARGET_MISSING: gettext_lazy("What would be replaced is not in the order any more."),
    Reason.TARGET_NOT_REPLACEABLE: gettext_lazy("What would be replaced cannot leave the order, for example because it is shipped, a bundle or a gift card."),
    Reason.NOT_COMPATIBLE: gettext_lazy("The offered product is not said to fit what was bought."),
    Reason.NOT_MORE_EXPENSIVE: gettext_lazy("The offered product costs less than what was paid for the replaced one."),
    Reason.BELOW_MIN_CHARGE: gettext_lazy("The amount is below what the payment provider can collect."),
    Reason.PAYMENT_NOT_SUPPORTED: gettext_lazy("The order's payment method cannot collect more."),
    Reason.INVOICED: gettext_lazy("The order has an invoice, and the campaign leaves such orders alone."),
    Reason.SELLER: gettext_lazy("The offered product is sold by another merchant."),
    Reason.RECURRING: gettext_lazy("The offered product is a subscription, which is not offered with one click."),
    Reason.OUTRANKED: gettext_lazy("It qualified, but another campaign has a higher priority."),
    Reason.NOT_REACHED: gettext_lazy("Another campaign won before this one was looked at."),
}  # fmt: skip


def in_words(code: str) -> str:
    """Return a reason code as a sentence; a code nobody knows is shown as it stands."""
    name, _colon, fact = code.partition(":")
    if name == "condition" and fact:
        return _("The condition on “%s” is not met.") % fact
    if name == "fact_missing" and fact:
        return _("The shop could not say “%s”, so its condition is not met.") % fact
    try:
        return str(WORDS[Reason(code)])
    except (ValueError, KeyError):
        return code
