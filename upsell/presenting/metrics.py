"""The figures of ``upsell.engine.metrics`` in words: the dashboard and the docs take them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one figure is called, and what it is."""

    title: str | Promise
    definition: str | Promise


def _words(title: str | Promise, definition: str | Promise) -> Words:
    return Words(title=title, definition=definition)


SPLITS: Mapping[str, str | Promise] = {
    "new_or_returning": gettext_lazy("New or returning"),
    "customer_group": gettext_lazy("Customer group"),
    "country": gettext_lazy("Country"),
    "device": gettext_lazy("Device"),
    "language": gettext_lazy("Language"),
}
"""What results can be split by, in words."""

KINDS: Mapping[str, Mapping[str, str | Promise]] = {
    "new_or_returning": {
        "new": gettext_lazy("new buyers"),
        "returning": gettext_lazy("returning buyers"),
    },
    "device": {
        "phone": gettext_lazy("phone"),
        "tablet": gettext_lazy("tablet"),
        "desktop": gettext_lazy("desktop"),
    },
}
"""Split to the names of its values, where they are ours."""

WORDS: Mapping[str, Words] = {
    "eligible": _words(
        gettext_lazy("Offers made"),
        gettext_lazy("Orders for which a campaign won, those held out on purpose included. "
                     "Counted on the day the offer was made."),
    ),
    "held_out": _words(
        gettext_lazy("Held out"),
        gettext_lazy("Of the offers made, those never shown on purpose, to measure against."),
    ),
    "shown": _words(
        gettext_lazy("Shown"),
        gettext_lazy("Of the offers made, those that the buyer has seen at least once."),
    ),
    "view_rate": _words(
        gettext_lazy("View rate"), gettext_lazy("Shown, as a share of the offers made."),
    ),
    "accepted": _words(
        gettext_lazy("Accepted"),
        gettext_lazy("Of the offers made, those accepted, also if undone or refunded later."),
    ),
    "acceptance_rate": _words(
        gettext_lazy("Acceptance"),
        gettext_lazy("Accepted, as a share of the shown: over all units, never a mean of daily "
                     "rates. The interval is Wilson's, of 95 %."),
    ),
    "declined": _words(
        gettext_lazy("Declined"), gettext_lazy("Of the offers made, those declined."),
    ),
    "decline_rate": _words(
        gettext_lazy("Decline rate"), gettext_lazy("Declined, as a share of the shown."),
    ),
    "unanswered": _words(
        gettext_lazy("No answer"),
        gettext_lazy("Shown, and neither accepted nor declined, or not yet."),
    ),
    "sold": _words(
        gettext_lazy("Sold"),
        gettext_lazy("Offers accepted, counted on the day of the accept, as all money is."),
    ),
    "revenue_net": _words(
        gettext_lazy("Upsell revenue"),
        gettext_lazy("The accepted new lines, less what was paid for the lines they replaced: an "
                     "upgrade from 50 to 70 is 20. Before tax and delivery, per currency."),
    ),
    "returned_net": _words(
        gettext_lazy("Came back"),
        gettext_lazy("What of the upsell revenue came back within 30 days of the accept, by undo, "
                     "refund, withdrawal or cancellation. Counted on the day of the accept."),
    ),
    "net_revenue": _words(
        gettext_lazy("Net revenue"),
        gettext_lazy("Upsell revenue, less what came back of it. The last 30 days may still "
                     "shrink."),
    ),
    "revenue_per_shown": _words(
        gettext_lazy("Net revenue per offer shown"),
        gettext_lazy("Net revenue, divided by the offers shown."),
    ),
    "discount_net": _words(
        gettext_lazy("Discount given"),
        gettext_lazy("How much less the accepted offers cost than their selling prices. A row of "
                     "its own, never subtracted."),
    ),
    "discounted": _words(
        gettext_lazy("Sold with a discount"),
        gettext_lazy("Of the sold, those that cost less than their selling price."),
    ),
    "discount_share": _words(
        gettext_lazy("Discount share"),
        gettext_lazy("Sold with a discount, as a share of the sold. The interval is Wilson's, of "
                     "95 %."),
    ),
    "discount_rate": _words(
        gettext_lazy("Discount of revenue"),
        gettext_lazy("Discount given, as a share of the upsell revenue."),
    ),
    "costed": _words(
        gettext_lazy("Costs known"),
        gettext_lazy("Of the sold, those of which the shop said what the new products cost, and "
                     "those they replaced, when they were accepted."),
    ),
    "costed_net": _words(
        gettext_lazy("Net revenue, costs known"),
        gettext_lazy("Net revenue of the sold whose costs are known."),
    ),
    "costed_discount_net": _words(
        gettext_lazy("Discount given, costs known"),
        gettext_lazy("Discount given on the sold whose costs are known."),
    ),
    "cost_net": _words(
        gettext_lazy("Cost of goods"),
        gettext_lazy("What the new units cost the shop, less what the replaced ones cost that "
                     "went back to stock, where both are known. Nothing where the whole came back "
                     "within 30 days."),
    ),
    "profit": _words(
        gettext_lazy("Profit"),
        gettext_lazy("Net revenue less the cost of goods, of the sold whose costs are known. "
                     "Where they are not, it is not told. Payment fees are not in it: no gateway "
                     "reports them."),
    ),
    "return_on_investment": _words(
        gettext_lazy("Return on investment"),
        gettext_lazy("Profit, divided by the discount given for it. Messages cost nothing in it: "
                     "the app sends none that advertise. Without a discount there is none."),
    ),
    "undone": _words(
        gettext_lazy("Undone"), gettext_lazy("Of the sold, those that the buyer undid."),
    ),
    "refunded": _words(
        gettext_lazy("Refunded"),
        gettext_lazy("Of the sold, those given back within 30 days in part or whole, other than "
                     "by undo."),
    ),
    "accepted_rated": _words(
        gettext_lazy("Accepted, said how it was"),
        gettext_lazy("Of the accepted, those whose buyer answered the question on the page."),
    ),
    "accepted_points": _words(
        gettext_lazy("Accepted, sum of scores"),
        gettext_lazy("What these said, 1 to 5, added up."),
    ),
    "satisfaction_accepted": _words(
        gettext_lazy("Satisfaction, accepted"),
        gettext_lazy("Mean score of those who accepted, from 1, very poor, to 5, very good, each "
                     "counted on the day the offer was made. The interval, of 95 %, is Wilson's "
                     "over the way from 1 to 5: never too narrow."),
    ),
    "declined_rated": _words(
        gettext_lazy("Declined, said how it was"),
        gettext_lazy("Of the declined, those whose buyer answered the question on the page."),
    ),
    "declined_points": _words(
        gettext_lazy("Declined, sum of scores"),
        gettext_lazy("What these said, 1 to 5, added up."),
    ),
    "satisfaction_declined": _words(
        gettext_lazy("Satisfaction, declined"),
        gettext_lazy("The same of those who declined."),
    ),
}  # fmt: skip
"""Figure to its words, in the order in which they are read. The names are those of ``Tally``."""
