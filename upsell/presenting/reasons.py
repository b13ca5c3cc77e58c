"""Every reason in words: one table for admin, API and log alike."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell.engine.campaigns import CampaignSpec, Reason
from upsell.ports import Occasion
from upsell.presenting.campaigns import Label, value_in_words
from upsell.presenting.mails import shown_money

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
    Reason.OTHER_ARM: gettext_lazy("The buyer is in another arm of an experiment."),
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


REMEDIES: dict[str, tuple[str | Promise, str]] = {
    Reason.OFF: (gettext_lazy("Set its status to live when it is ready."), "id_status"),
    Reason.STAFF_ONLY: (gettext_lazy("Set its status to live when it is ready."), "id_status"),
    Reason.NOT_STARTED: (gettext_lazy("Let it begin earlier, or wait."), "id_valid_from_0"),
    Reason.ENDED: (gettext_lazy("Let it end later, or archive it."), "id_valid_until_0"),
    Reason.WRONG_MOMENT: (gettext_lazy("Nothing: it is meant for another moment."), ""),
    Reason.WRONG_CHANNEL: (gettext_lazy("Choose the sales channel as well, if it is meant for it."), "id_channels"),
    Reason.TRIGGER_ABSENT: (gettext_lazy("Widen the triggers: more products, a category, fewer units, or any instead of all."), "triggers-group"),
    Reason.BELOW_MIN: (gettext_lazy("Lower the least value of an order, or leave it open."), "id_bounds"),
    Reason.ABOVE_MAX: (gettext_lazy("Raise the highest value of an order, or leave it open."), "id_bounds"),
    Reason.CURRENCY_UNSUPPORTED: (gettext_lazy("Add amounts in that currency: bounds, price and delivery each need their own."), "id_currencies"),
    Reason.GROUP: (gettext_lazy("Add groups, or choose none so that it is for everybody."), "id_groups"),
    Reason.COUNTRY: (gettext_lazy("Add countries, or choose none so that it is for all."), "id_countries"),
    Reason.PAYMENT_METHOD_FILTER: (gettext_lazy("Add payment methods, or choose none so that it is for all."), "id_payment_methods"),
    Reason.EXCLUDED_PRODUCT_PRESENT: (gettext_lazy("Look at what it is never shown together with."), "exclusions-group"),
    Reason.ALREADY_IN_ORDER: (gettext_lazy("Offer something that is bought less often along with it."), "id_product_ref"),
    Reason.ALREADY_PURCHASED: (gettext_lazy("Shorten the days, or leave them empty for what is used up and bought again."), "id_not_bought_days"),
    Reason.SEEN_BEFORE: (gettext_lazy("Shorten the days, or write another campaign for those who come again."), "id_not_seen_days"),
    Reason.OTHER_ARM: (gettext_lazy("Nothing: that is what the experiment is for."), ""),
    Reason.PRODUCT_UNAVAILABLE: (gettext_lazy("Put the product on sale again in the shop, or offer another."), "id_product_ref"),
    Reason.OUT_OF_STOCK: (gettext_lazy("Order more, allow backorders, or offer another product."), "id_stock"),
    Reason.NO_SHIPPING_ADDRESS: (gettext_lazy("Offer something that needs no delivery to buyers of such orders."), "id_product_ref"),
    Reason.SHIPPING_POLICY: (gettext_lazy("Choose other delivery terms, or add the amount in that currency."), "id_shipping"),
    Reason.NO_PRICE: (gettext_lazy("Give the product a price in that currency in the shop."), "id_rule"),
    Reason.UPSELL_TARGET_MISSING: (gettext_lazy("Nothing: buyers changed their orders in time."), ""),
    Reason.TARGET_NOT_REPLACEABLE: (gettext_lazy("Make it a cross-sell if nothing needs to leave the order."), "id_kind"),
    Reason.NOT_COMPATIBLE: (gettext_lazy("Tell the shop what the product fits, or do not ask for it."), "id_must_fit"),
    Reason.NOT_MORE_EXPENSIVE: (gettext_lazy("Offer a dearer model, or discount it less."), "id_rule"),
    Reason.BELOW_MIN_CHARGE: (gettext_lazy("Raise the price or the number of units: such small amounts cannot be collected."), "id_quantity"),
    Reason.PAYMENT_NOT_SUPPORTED: (gettext_lazy("Ask your developers: this payment method has no way to collect more."), "id_payment_methods"),
    Reason.INVOICED: (gettext_lazy("Choose another policy for documents, if invoices may be changed."), "id_documents"),
    Reason.SELLER: (gettext_lazy("Offer a product of the merchant who takes the order."), "id_product_ref"),
    Reason.RECURRING: (gettext_lazy("Offer a product that is paid once."), "id_product_ref"),
    Reason.OUTRANKED: (gettext_lazy("Raise its priority, or narrow the campaign that wins."), "id_priority"),
    Reason.NOT_REACHED: (gettext_lazy("Raise its priority, or narrow the campaign that wins."), "id_priority"),
}  # fmt: skip
"""Of one campaign's reasons: what staff can do, and where on its form; empty = nowhere there."""


def remedy(code: str) -> tuple[str, str]:
    """Return what to do about a reason, and where on the campaign's form; empty where unknown."""
    words, place = REMEDIES.get(code, ("", ""))
    return str(words), place


def detail(code: str, spec: CampaignSpec, occasion: Occasion, label: Label) -> str:
    """Return what the campaign wanted and what was there, where numbers or names say more."""
    make = _DETAILS.get(code)
    return make(spec, occasion, label) if make else ""


def _wanted_trigger(spec: CampaignSpec, _occasion: Occasion, label: Label) -> str:
    rows = [
        {"kind": row.kind.value, "ref": row.ref, "exact": row.exact, "quantity": row.quantity}
        for row in spec.triggers
    ]
    if not rows:
        return _("It has no trigger.")
    return _("Wanted: %s.") % value_in_words("triggers", rows, label)


def _wanted_value(spec: CampaignSpec, occasion: Occasion, _label: Label) -> str:
    bounds = spec.bounds.get(occasion.currency)
    ends = (bounds.least, bounds.most) if bounds else (None, None)
    told = value_in_words(
        "bounds", {occasion.currency: [str(end) if end is not None else None for end in ends]}
    )
    there = shown_money(occasion.goods.net, occasion.currency)
    return _("Wanted: %(wanted)s. There: %(there)s.") % {"wanted": told, "there": there}


def _wanted_currency(spec: CampaignSpec, occasion: Occasion, _label: Label) -> str:
    wanted = sorted(spec.currencies or {*spec.bounds, *spec.rule.amounts, *spec.shipping_flat})
    told = {"wanted": ", ".join(wanted), "there": occasion.currency}
    return _("Wanted: %(wanted)s. There: %(there)s.") % told


def _wanted_group(spec: CampaignSpec, occasion: Occasion, label: Label) -> str:
    return _both("groups", sorted(spec.groups), sorted(occasion.customer.group_refs), label)


def _wanted_country(spec: CampaignSpec, occasion: Occasion, label: Label) -> str:
    there = [occasion.shipping_country] if occasion.shipping_country else []
    return _both("countries", sorted(spec.countries), there, label)


def _wanted_payment(spec: CampaignSpec, occasion: Occasion, label: Label) -> str:
    there = [occasion.payment_method] if occasion.payment_method else []
    return _both("payment_methods", sorted(spec.payment_methods), there, label)


def _both(name: str, wanted: list[str], there: list[str], label: Label) -> str:
    told = {
        "wanted": value_in_words(name, wanted, label),
        "there": value_in_words(name, there, label),
    }
    return _("Wanted: %(wanted)s. There: %(there)s.") % told


def _excluded(spec: CampaignSpec, _occasion: Occasion, label: Label) -> str:
    rows = [
        {"kind": row.kind.value, "ref": row.ref, "quantity": row.quantity}
        for row in spec.exclusions
    ]
    return _("Excluded: %s.") % value_in_words("exclusions", rows, label)


def _window(spec: CampaignSpec, _occasion: Occasion, _label: Label) -> str:
    start, end = (value_in_words("valid_from", at) for at in (spec.valid_from, spec.valid_until))
    return _("It runs from %(start)s until %(end)s.") % {"start": start, "end": end}


def _days(spec: CampaignSpec, _occasion: Occasion, _label: Label) -> str:
    days = spec.not_bought_days or 0
    return ngettext("It looks back %d day.", "It looks back %d days.", days) % days


_DETAILS: dict[str, Callable[[CampaignSpec, Occasion, Label], str]] = {
    Reason.TRIGGER_ABSENT: _wanted_trigger,
    Reason.BELOW_MIN: _wanted_value,
    Reason.ABOVE_MAX: _wanted_value,
    Reason.CURRENCY_UNSUPPORTED: _wanted_currency,
    Reason.GROUP: _wanted_group,
    Reason.COUNTRY: _wanted_country,
    Reason.PAYMENT_METHOD_FILTER: _wanted_payment,
    Reason.EXCLUDED_PRODUCT_PRESENT: _excluded,
    Reason.NOT_STARTED: _window,
    Reason.ENDED: _window,
    Reason.ALREADY_PURCHASED: _days,
}
