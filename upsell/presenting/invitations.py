"""What the mail with the link to an open offer says."""

from __future__ import annotations

from typing import Any

from upsell import clock, conf, queries
from upsell.models import Offer
from upsell.ports import Occasion
from upsell.presenting import wording
from upsell.presenting.mails import absolute
from upsell.presenting.offers import shown_offer


def link_values(offer: Offer, occasion: Occasion) -> dict[str, Any]:
    """Return the offer as its page shows it, and the way there. One statement."""
    page = queries.page_for(offer.order_ref or "")
    shown = None if page is None else shown_offer(page, now=clock.now())
    if shown is None:
        raise LookupError(f"offer {offer.pk} has nothing to show")
    return {
        "number": occasion.number,
        "offer": shown,
        "link": absolute(shown.page_url),
        "until": wording.date_and_time(offer.expires_at),
        "terms_url": absolute(str(conf.get("UPSELL_TERMS_URL"))),
        "returns_url": absolute(str(conf.get("UPSELL_RETURNS_URL"))),
    }
