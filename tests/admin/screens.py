"""What several tests of the admin post and look for."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from tests import factories
from upsell.models import Offer
from upsell.services import offering

XSS = '"><script>alert(1)</script>'
WRITES = ("view_campaign", "add_campaign", "change_campaign", "delete_campaign")


def url(name: str, *args: object) -> str:
    return reverse(f"admin:upsell_{name}", args=args)


LIST, ADD = "campaign_changelist", "campaign_add"


def form(shop, **changes):
    """What a browser sends for a new campaign; None leaves a field out."""
    data = {
        "name": "Detergent", "slug": "detergent", "status": "LIVE", "kind": "CROSS_SELL",
        "offer_by": "PRODUCT", "product_ref": str(shop["DT"].pk), "match": "ANY",
        "channels": ["web"], "bounds": "EUR 10.00 -", "rule": "LIST", "percent": "0",
        "quantity_rule": "FIXED", "quantity": "1", "shipping": "FREE", "stock": "REQUIRE",
        "documents": "ADD_AND_NOTIFY", "priority": "10", "weight": "1", "default_language": "en",
        "triggers-TOTAL_FORMS": "1", "triggers-INITIAL_FORMS": "0",
        "triggers-0-kind": "PRODUCT", "triggers-0-ref": str(shop["W1"].pk),
        "triggers-0-quantity": "1",
        "exclusions-TOTAL_FORMS": "0", "exclusions-INITIAL_FORMS": "0",
        "copies-TOTAL_FORMS": "1", "copies-INITIAL_FORMS": "0", "copies-0-language": "en",
        "copies-0-headline": "Clean clothes", "copies-0-benefits": "Soft\nMild",
    }  # fmt: skip
    return {key: value for key, value in (data | changes).items() if value is not None}


def act(client, action: str, *campaigns, **more):
    """Choose an action of the list of campaigns."""
    chosen = {"action": action, "_selected_action": [row.pk for row in campaigns]}
    return client.post(url(LIST), chosen | more)


def offered(shop, *lines, staff: bool = False, **options) -> Offer:
    """Place an order and look at its confirmation, as its buyer does."""
    placed = factories.order(shop, *lines, **options)
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), staff=staff, show=True)
    assert page is not None
    assert page.offer is not None, page.decision.reason
    return page.offer


def said(response) -> list[str]:
    """What the page says on top."""
    return [str(message) for message in response.context["messages"]]
