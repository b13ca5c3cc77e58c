"""What pickers ask: the shop's products, categories, groups … by what staff type."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse

from upsell.admin import widgets
from upsell.admin.access import may_see_channel

PICKERS = frozenset(
    {"product", "category", "brand", "tag", "group", "channel", "country", "payment_method"}
)
MOST = 30


def choices(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Answer Django's select2 from the shop."""
    if not model_admin.has_view_or_change_permission(request):
        raise PermissionDenied
    kind, term = request.GET.get("field_name", ""), request.GET.get("term", "")[:100]
    found = widgets.choices(kind, term, MOST) if kind in PICKERS else ()
    rows = [
        {"id": row.ref, "text": row.label}
        for row in found
        if kind != "channel" or may_see_channel(request, row.ref)
    ]
    return JsonResponse({"results": rows, "pagination": {"more": False}})
