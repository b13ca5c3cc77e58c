"""Which sales channels a member of staff may see and touch, and what follows for campaigns."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from upsell.models import Campaign, ChannelAccess, Journey


def allowed_channels(request: HttpRequest) -> frozenset[str] | None:
    """Return the channels one member of staff is limited to; none = all. One statement."""
    cached = getattr(request, "_upsell_channels", ...)
    if cached is ...:
        rows = ChannelAccess.objects.filter(user_id=request.user.pk or 0)
        found = frozenset(rows.values_list("channel", flat=True))
        cached = found or None
        request._upsell_channels = cached  # type: ignore[attr-defined]
    return cached


def limited(request: HttpRequest, rows: QuerySet[Any], field: str = "channel") -> QuerySet[Any]:
    """Return those rows whose sales channel is one of theirs."""
    allowed = allowed_channels(request)
    return rows if allowed is None else rows.filter(**{f"{field}__in": sorted(allowed)})


def may_see_channel(request: HttpRequest, channel: str) -> bool:
    """Whether a sales channel is one of theirs."""
    allowed = allowed_channels(request)
    return allowed is None or channel in allowed


def may_touch(request: HttpRequest, row: Campaign | Journey) -> bool:
    """Whether every channel that a campaign or a journey runs in is one of theirs."""
    allowed = allowed_channels(request)
    return allowed is None or set(row.channels) <= allowed


def visible_ids(request: HttpRequest) -> list[int] | None:
    """Return the campaigns that run in one of their channels, or in none; none = all.

    Compared here, not in SQL: not every database can look into a JSON list.
    """
    allowed = allowed_channels(request)
    if allowed is None:
        return None
    rows = Campaign.objects.values_list("pk", "channels")
    return [pk for pk, channels in rows if not channels or set(channels) & allowed]


def may_write_campaigns(request: HttpRequest) -> bool:
    """Whether they write campaigns at all: child rows have no rights of their own."""
    user: Any = request.user
    return bool(user.has_perm("upsell.add_campaign") or user.has_perm("upsell.change_campaign"))
