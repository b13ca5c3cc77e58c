"""``{% load upsell %}``: an offer or a message on the host's page, or nothing."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import partial
from typing import Any

from django import template
from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from upsell import clock, conf, queries
from upsell.presenting import message_links
from upsell.presenting.offers import GONE, shown_offer
from upsell.presenting.panels import order_panel
from upsell.presenting.telling import LOOKS, sealed, where
from upsell.services import events, journey_showing, offering
from upsell.services.journey_showing import OnPage

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


@register.simple_tag(takes_context=True)
def upsell_messages(context: Any, *, lazy: bool = False) -> SafeString | str:
    """Render the one message that waits for this visitor and is due the longest, or nothing.

    Rendering it for a person is its one impression. ``lazy=True`` renders a placeholder that a
    script fills from an address that is never cached, for pages that are. Whatever goes wrong is
    logged once and renders nothing.

    Cost: no statement for a visitor of whom nothing is known, and one a minute while there is no
    journey; else one, on indexes, for whoever nobody writes to, in a savepoint where the page is
    in a transaction. No cookie is set for anybody, and with ``lazy=True`` nothing is asked.
    """
    request: HttpRequest | None = context.get("request")
    if request is None:
        return ""
    try:
        if lazy:
            return render_to_string(
                "upsell/includes/lazy.html", {"fragment_url": reverse("upsell:onsite")}
            )
        return journey_showing.show(
            request, render=partial(_message, context, request), now=clock.now()
        )
    except Exception:
        # The last door before the host's page: nothing of ours may pass it.
        logger.exception("a message could not be rendered")
        return ""


def _message(context: Any, request: HttpRequest, found: OnPage) -> SafeString:
    dismiss_url = message_links.dismiss_path(found.key, request.get_full_path())
    values = {"message": found, "request": request, "dismiss_url": dismiss_url}
    template = context.template.engine.get_template("upsell/includes/message.html")
    rendered: SafeString = template.render(context.new(values))
    return rendered


@register.simple_tag(takes_context=True)
def upsell_order_panel(context: Any, order: object = None) -> SafeString | str:
    """Render, on a staff screen of the host's, what an order was offered and what became of it.

    Renders nothing where nothing was offered, and nothing for who may not look at offers.
    Whatever goes wrong is logged once and renders nothing. One statement.
    """
    request: HttpRequest | None = context.get("request")
    if request is None or order is None:
        return ""
    try:
        if not request.user.has_perm("upsell.view_offer"):
            return ""
        panel = order_panel(queries.page_for(conf.shop().ref(order)))
        if panel is None:
            return ""
        rendered: SafeString = render_to_string(
            "upsell/includes/order_panel.html", {"panel": panel}
        )
        return rendered
    except Exception:
        logger.exception("the panel of an order could not be rendered")
        return ""


@register.simple_tag(takes_context=True)
def upsell_track(
    context: Any, name: str, order: object = None, **parameters: Any
) -> SafeString | str:
    """Let the page tell of one event of whoever looks at it; without JavaScript it tells nothing.

    The page is the same for everybody, and may be cached for a day: who it was, and whether they
    agreed, is asked when it tells. Whatever goes wrong is logged once and renders nothing.
    No statement.
    """
    request: HttpRequest | None = context.get("request")
    if request is None:
        return ""
    try:
        told = events.referenced(parameters)
        if name in LOOKS:
            told = where(request) | told
        text = sealed(
            events.named(name),
            order_ref="" if order is None else conf.shop().ref(order),
            parameters=events.checked(told),
        )
        values = {"address": reverse("upsell:track"), "told": text}
        rendered: SafeString = render_to_string("upsell/includes/track.html", values)
        return rendered
    except ValueError as error:
        logger.warning("event %.80r was not put on the page: %s", name, error)
    except Exception:
        # The last door before the host's page: nothing of ours may pass it.
        logger.exception("event %.80r was not put on the page", name)
    return ""
