"""Two buttons for an offer that needs attention, each behind a page that says what it will do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from upsell.models import Attempt, Offer
from upsell.presenting import attending as words
from upsell.presenting import timeline
from upsell.services import attending

Act = Callable[..., attending.Attended]
_GOOD = {"accepted", "closed"}


def ask(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the provider again: say what it does, and on POST do it."""
    if not model_admin.has_ask_permission(request):
        raise PermissionDenied
    return _page(model_admin, request, pk, words.to_ask, attending.ask_again)


def refund(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Give the money back and close: say what it does, and on POST do it."""
    if not model_admin.has_refund_permission(request):
        raise PermissionDenied
    return _page(model_admin, request, pk, words.to_give_back, attending.give_back)


def choices(model_admin: Any, request: HttpRequest, offer: Offer) -> dict[str, Any] | None:
    """Return what the offer's own page says and offers while it waits; none = it does not."""
    if not Offer.objects.filter(pk=offer.pk).waiting_for_staff().exists():
        return None
    return {
        "closed": offer.state != Offer.State.NEEDS_ATTENTION,
        "reason": timeline.reason_in_words(offer.failure_code),
        "money": words.money_of(offer),
        "goes_back": is_going_back(offer),
        "may_ask": model_admin.has_ask_permission(request),
        "may_refund": model_admin.has_refund_permission(request),
    }


def is_going_back(offer: Offer) -> bool:
    """Whether staff said already to give the money back."""
    pending = offer.attempts.filter(refunds__state="PENDING").exists()
    return pending or Attempt.objects.filter(live_offer=offer, state="REFUNDING").exists()


def _page(
    model_admin: Any,
    request: HttpRequest,
    pk: int,
    plan_of: Callable[[Offer, str], words.Plan],
    act: Act,
) -> HttpResponse:
    offer: Offer = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    if request.method == "POST":
        done = act(offer_id=offer.pk, actor=f"staff:{request.user.pk}")
        level = messages.SUCCESS if done.outcome in _GOOD else messages.WARNING
        messages.add_message(request, level, timeline.reason_in_words(done.outcome))
        return redirect(f"{model_admin.admin_site.name}:upsell_offer_change", offer.pk)
    waits = Offer.objects.filter(pk=offer.pk).waiting_for_staff().exists()
    provider = offer.attempts.order_by("-number").values_list("gateway", flat=True).first() or ""
    plan = plan_of(offer, provider)
    return TemplateResponse(
        request,
        "admin/upsell/offer/attend.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "title": plan.title,
            "original": offer,
            "plan": plan,
            "waits": waits,
            "goes_back": is_going_back(offer),
            "reason": timeline.reason_in_words(offer.failure_code),
        },
    )
