"""At the desk: one order for who talks to its buyer. It shows; only sending the link writes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock, conf
from upsell.admin import finding
from upsell.admin.access import may_see_channel
from upsell.admin.pages import PageAdmin
from upsell.admin.widgets import labels
from upsell.exceptions import UpsellError
from upsell.models import Desk, Offer
from upsell.presenting import desk as words
from upsell.presenting import wording
from upsell.presenting.campaigns import because
from upsell.presenting.offers import shown_offer
from upsell.services import campaigns, desk


@admin.register(Desk)
class DeskAdmin(PageAdmin):
    """What one order is offered, why, and what to say."""

    page_title = gettext_lazy("At the desk")
    page_template = "admin/upsell/desk.html"

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Whether they may have a buyer mailed the link."""
        return self.has_view_permission(request) and request.user.has_perm("upsell.send_desk")

    def answer(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            return self._send(request)
        asked = request.GET.get("order", "").strip()[:190]
        context: dict[str, Any] = {"asked": asked}
        if not asked:
            return self.page(request, recent=finding.recent(request), **context)
        found = finding.order(request, asked)
        if found is None:
            return self.page(request, error=finding.unknown(asked), **context)
        try:
            told = desk.look(order_ref=found.ref, now=clock.now())
        except (UpsellError, LookupError, ValueError):
            return self.page(request, error=finding.unknown(asked), **context)
        may_send = self.has_send_permission(request)
        return self.page(request, **context | _context(told), may_send=may_send)

    def _send(self, request: HttpRequest) -> HttpResponse:
        if not self.has_send_permission(request):
            raise PermissionDenied
        typed = request.POST.get("offer", "")
        number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 19 else 0
        offer = Offer.objects.filter(pk=number).first()
        if offer is None or not may_see_channel(request, offer.channel):
            raise Http404
        refusal = "not_asked_for"
        if request.POST.get("asked_for") == "yes":
            refusal = desk.send_link(offer_id=offer.pk, actor=f"staff:{request.user.pk}")
        if refusal:
            messages.warning(request, str(words.NOT_SENT[refusal]))
        else:
            messages.success(request, _("The link is on its way to the order's mail address."))
        address = redirect(f"{self.admin_site.name}:upsell_desk_changelist")
        address["Location"] += "?" + urlencode({"order": offer.order_ref or offer.occasion_ref})
        return address


def _context(told: desk.AtTheDesk) -> dict[str, Any]:
    occasion, label = told.occasion, labels()
    context: dict[str, Any] = {
        "occasion": occasion,
        "asked": occasion.number or occasion.ref,
        "channel": label("channel", occasion.channel),
        "order_url": conf.shop().order_url(occasion.ref),
        "made": told.made,
    }
    offer = told.page.offer if told.page else None
    if told.page is None or offer is None:
        return context | {"nothing": words.why_nothing(told.codes)}
    shown = shown_offer(told.page, now=clock.now())
    over = None if shown and shown.state == "open" else words.BECAME.get(_state(offer, shown))
    return context | {
        "offer": offer,
        "shown": shown,
        "over": over,
        "campaign": told.campaign,
        "until": wording.time_of_day(offer.expires_at),
        "because": because(campaigns.dump(told.campaign), label) if told.campaign else "",
        "to_say": words.to_say(shown) if shown and over is None else [],
        "not_sent": words.NOT_SENT.get(told.not_sent, ""),
    }


def _state(offer: Offer, shown: Any) -> str:
    """Return where an offer stands; one whose time is over may not have been closed yet."""
    return "expired" if shown and shown.state == "expired" else offer.state.lower()
