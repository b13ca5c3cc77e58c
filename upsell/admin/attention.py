"""What waits for staff, said on the lists they open anyway."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from upsell.admin.access import limited
from upsell.models import Offer


def waiting(request: HttpRequest) -> dict[str, Any] | None:
    """Return how many offers need staff, and where; none = there is none, or none of theirs."""
    if not request.user.has_perm("upsell.view_offer"):
        return None
    count = limited(request, Offer.objects.all().waiting_for_staff()).count()
    address = reverse("admin:upsell_offer_changelist")
    return {"count": count, "url": f"{address}?attention=yes"} if count else None
