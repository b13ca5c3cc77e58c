"""The order that staff mean by what they typed: exactly that one, or none."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from upsell import conf
from upsell.admin.access import may_see_channel
from upsell.admin.widgets import choices, label_of
from upsell.exceptions import UpsellError
from upsell.models import Decision
from upsell.ports import Choice

_LOOKED_AT = 10


def order(request: HttpRequest, asked: str) -> Choice | None:
    """Return the order of this reference or number; none where there is none of theirs.

    What merely resembles it is not taken: an answer about another order would be believed.
    """
    found = list(choices("order", asked, _LOOKED_AT))
    exact = [row for row in found if asked in (row.ref, row.label)]
    choice = next(iter(exact or (found if len(found) == 1 else [])), None)
    if "\x00" in asked:
        return None
    try:
        occasion = conf.shop().order(choice.ref if choice else asked)
    except (UpsellError, LookupError, ValueError, ValidationError):
        return None
    if not may_see_channel(request, occasion.channel):
        return None
    return Choice(ref=occasion.ref, label=occasion.number or occasion.ref)


def unknown(asked: str) -> str:
    """Return what is said of an order that was not found, whoever's it is."""
    return _("The shop knows no order “%s”. Type its number as it stands on the order.") % asked


def recent(request: HttpRequest) -> list[Choice]:
    """Return the latest orders that staff may ask about, as the shop calls them."""
    from_shop = list(choices("order", "", _LOOKED_AT))
    decided = Decision.objects.filter(order_ref__isnull=False).order_by("-at", "-pk")
    rows = [row for row in decided[: _LOOKED_AT * 3] if may_see_channel(request, row.channel)]
    known = {row.ref: row for row in from_shop}
    mine = [
        known.get(str(row.order_ref))
        or Choice(ref=str(row.order_ref), label=label_of("order", str(row.order_ref)))
        for row in rows[:_LOOKED_AT]
    ]
    return mine or (from_shop if may_see_channel(request, "") else [])
