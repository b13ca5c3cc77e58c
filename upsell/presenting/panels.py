"""What a shop's own staff screen says of an order's offer."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

from upsell.presenting import wording
from upsell.presenting.mails import shown_money
from upsell.queries import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPanel:
    """One offer, in a few lines for people who look at the order."""

    coming: str
    """What was offered: "1 × Teapot"."""
    leaving: str
    """What it replaces; empty for a cross-sell."""
    amount: str
    state: str
    url: str
    """The offer in the admin; empty where there is no admin."""


def order_panel(page: Page | None) -> OrderPanel | None:
    """Return what to show of an order that was offered something."""
    if page is None or page.offer is None or page.quote is None:
        return None
    offer, terms = page.offer, page.offer.terms
    if offer.state == "SUPPRESSED":
        return None
    try:
        url = reverse("admin:upsell_offer_change", args=[offer.pk])
    except NoReverseMatch:
        url = ""
    replaced = (wording.units(row["quantity"], row["title"]) for row in terms["replaced"])
    return OrderPanel(
        coming=wording.units(offer.quantity, terms["product"]["title"]),
        leaving=wording.listed(list(replaced)),
        amount=shown_money(page.quote.due_gross, offer.currency),
        state=str(offer.get_state_display()),
        url=url,
    )
