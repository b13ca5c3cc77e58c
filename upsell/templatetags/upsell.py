"""``{% load upsell %}``: the offer on the host's page, or nothing."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

from django import template
from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from upsell import clock, conf
from upsell.presenting.offers import GONE, shown_offer
from upsell.services import offering

logger = logging.getLogger("upsell")

register = template.Library()


@register.simple_tag(takes_context=True)
def upsell_offer(context: Any, order: object = None, *, lazy: bool = False) -> SafeString | str:
    """Render the offer of a placed order, or nothing at all.

    ``lazy=True`` renders a placeholder that a script fills from an address that is never
    cached, for pages that are. Whatever goes wrong is logged once and renders nothing:
    the host's page works as if we were not there. One statement once decided.
    """
    request: HttpRequest | None = context.get("request")
    if request is None or order is None:
        return ""
    try:
        if lazy:
            return render_to_string(
                "upsell/includes/lazy.html", {"fragment_url": reverse("upsell:fragment")}
            )
        # In the host's transaction an error of ours must not poison the host's work; where none
        # is open, none is begun: a page that reads takes no lock.
        inside = transaction.get_connection().in_atomic_block
        with transaction.atomic() if inside else nullcontext():
            return _rendered(context, request, order)
    except Exception:
        # The last door before the host's thank-you page: nothing of ours may pass it.
        logger.exception("the offer could not be rendered")
        return ""


def _rendered(context: Any, request: HttpRequest, order: object) -> SafeString | str:
    shop = conf.shop()
    order_ref = shop.ref(order)
    page = offering.page_for_request(request, order_ref)
    shown = None if page is None else shown_offer(page, now=clock.now())
    if shown is None or shown.state in GONE:
        return ""
    # As Django's inclusion tags do: the host's context processors are not run again.
    values = {"offer": shown, "request": request, "csrf_token": context.get("csrf_token")}
    found = context.template.engine.get_template("upsell/includes/offer.html")
    rendered: SafeString = found.render(context.new(values))
    return rendered
