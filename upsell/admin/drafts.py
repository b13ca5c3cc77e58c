"""The campaign that is tried as if it were live: chosen from those that are not."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from upsell import clock
from upsell.admin.access import allowed_channels
from upsell.models import Campaign

_LISTED = 100
_LOOKED_AT = 500


def chosen(request: HttpRequest, typed: str) -> Campaign | None:
    """Return the campaign with this key; none where there is none of theirs."""
    # More digits than a key can have are no key, and more than some databases take.
    if not (typed.isascii() and typed.isdecimal() and len(typed) < 19):
        return None
    campaign = Campaign.objects.filter(pk=int(typed), archived=False).first()
    return campaign if campaign is not None and _is_theirs(request, campaign) else None


def unknown(typed: str) -> str:
    """Return what is said of a campaign that was not found, whoever's it is."""
    return _("There is no campaign “%s”.") % typed


def offered(request: HttpRequest, also: Campaign | None) -> list[Campaign]:
    """Return those of their campaigns that are not live now, edited last first, and one more."""
    now = clock.now()
    idle = Q(valid_from__gt=now) | Q(valid_until__lt=now) | ~Q(status=Campaign.Status.LIVE)
    rows = Campaign.objects.filter(idle, archived=False).order_by("-edited_at", "-pk")
    rows = rows.only("name", "channels")[:_LOOKED_AT]
    mine = [row for row in rows if _is_theirs(request, row)][:_LISTED]
    return mine if also is None or also in mine else [also, *mine]


def _is_theirs(request: HttpRequest, campaign: Campaign) -> bool:
    allowed = allowed_channels(request)
    return allowed is None or not campaign.channels or bool(set(campaign.channels) & allowed)
