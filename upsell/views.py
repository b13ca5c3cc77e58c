"""The one-click offer page. Every view translates, calls one service, and translates back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import decorator_from_middleware
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from upsell import clock, conf, queries
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable, OfferNotFound
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.presenting.offers import GONE, shown_offer
from upsell.presenting.visitors import client_address, is_a_person
from upsell.queries import Page
from upsell.services import accepting, declining, fulfilling, hearing, offering, undoing

logger = logging.getLogger("upsell")

STATUS_OF = {
    "not_found": 404,
    "form_refused": 403,
    "login_required": 403,
    "quote_changed": 409,
    "order_changed": 409,
    "order_released": 409,
    "already_in_order": 409,
    "expired": 410,
    "declined": 410,
    "revoked": 410,
    "withdrawn": 410,
    "payment_declined": 402,
    "out_of_stock": 422,
    "product_unavailable": 422,
    "rate_limited": 429,
    "payment_unavailable": 503,
}
"""The stable codes and what they are in HTTP."""

View = Callable[..., HttpResponseBase]


_POLICY = re.compile("csp|content_?security_?policy", re.IGNORECASE)


_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What reading a body comes to that is not what was expected; a database that is down is not."""


class _Proof(CsrfViewMiddleware):
    """Django's own check of a form, with a page that says what to do where it fails."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        logger.warning("a form was refused: %s", reason)
        if _wants_json(request):
            return JsonResponse({"code": "form_refused"}, status=STATUS_OF["form_refused"])
        # An undo link opens nothing but itself; every other form stands on the page above it.
        here, name = request.path.rstrip("/").rsplit("/", 1)
        back = request.path if name == "undo" else f"{here}/"
        return render(request, "upsell/refused.html", {"back_url": back}, status=403)


def private(*methods: str) -> Callable[[View], View]:
    """Answer these methods, and nobody but the buyer: no store, no frame, no index.

    The view runs outside any transaction, also where the host wraps requests in one: money is
    never moved inside a transaction. Whoever gets the request afterwards, Django's log of
    refusals among them, finds a path without the link's secret.
    """

    def made(view: View) -> View:
        proven = decorator_from_middleware(_Proof)(view)

        @wraps(view)
        def answered(request: HttpRequest, **captured: Any) -> HttpResponseBase:
            try:
                response: HttpResponseBase
                if request.method in methods:
                    response = proven(request, **captured)
                else:
                    response = HttpResponseNotAllowed(methods)
            finally:
                token = captured.get("token")
                request.path = request.path.replace(f"/{token}/", "/-/")
            response["Cache-Control"] = "private, no-store"
            response["Referrer-Policy"] = "same-origin"
            response["X-Robots-Tag"] = "noindex"
            response["X-Frame-Options"] = "DENY"
            patch_vary_headers(response, ["Cookie"])
            # Middleware that sends a policy leaves alone what has one: ours would be all there is.
            if not any(_POLICY.search(path) for path in settings.MIDDLEWARE):
                response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
            return response

        # Checked above, with a page of our own: the host's middleware would refuse before.
        outside: View = transaction.non_atomic_requests(csrf_exempt(answered))
        return outside

    return made


@private("GET", "HEAD")
def offer(request: HttpRequest, token: str) -> HttpResponse:
    """Show an offer as it stands. Changes nothing but the first-shown stamp, once."""
    page = _page(token)
    if page.offer is not None and is_a_person(request) and _may_act(request, page.offer):
        offering.show(offer_id=page.offer.pk, now=clock.now())
        page.offer.refresh_from_db(fields=["state"])
    return _shown(request, page)


@private("POST")
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Take a yes. The body carries the quote's number and nothing else that counts."""
    page = _page(token)
    number, *more = request.POST.getlist("quote") or [""]
    if more or not (number.isascii() and number.isdigit() and len(number) < 9):
        return _problem(request, token, "bad_input", 400)
    return _answer(
        request,
        token,
        lambda: accepting.accept(
            token=token,
            quote_number=int(number),
            trusted=page.offer is not None and _may_act(request, page.offer),
            return_url=_absolute(request, token),
            address=client_address(request),
        ),
    )


@private("POST")
def decline(request: HttpRequest, token: str) -> HttpResponse:
    """Take a no."""
    return _answer(request, token, lambda: declining.decline(token=token))


@private("GET", "HEAD", "POST")
def undo(request: HttpRequest, token: str) -> HttpResponse:
    """Give back. A link in a mail shows a page with a button; only the button does it."""
    page = queries.page_by_undo_token(token) or queries.page_by_token(token)
    if page is None or page.offer is None:
        raise Http404
    offer_page = offer_token(page.offer)
    if request.method != "POST":
        return _shown(request, page, undo_url=reverse("upsell:undo", args=[token]))
    trusted = _may_act(request, page.offer)
    return _answer(request, offer_page, lambda: undoing.undo(token=token, trusted=trusted))


@private("GET", "HEAD")
def status(request: HttpRequest, token: str) -> HttpResponse:
    """Say where an offer stands, for the script that waits."""
    page = _page(token)
    if page.offer is None:
        raise Http404
    return JsonResponse({"state": page.offer.state, "code": page.offer.failure_code})


@private("GET", "HEAD", "POST")
def challenge_return(request: HttpRequest, token: str) -> HttpResponse:
    """Back from the bank. Arriving shows a button; pressing it (the script does) finishes."""
    page = _page(token)
    if request.method != "POST":
        return _shown(request, page, returning=True)
    return _answer(request, token, lambda: fulfilling.resume(token=token))


@private("POST")
def seen(request: HttpRequest, token: str) -> HttpResponse:
    """Stamp the first impression when the offer came into sight."""
    page = _page(token)
    if page.offer is not None and _may_act(request, page.offer):
        offering.show(offer_id=page.offer.pk, now=clock.now())
    return HttpResponse(status=204)


@private("GET", "HEAD")
def fragment(request: HttpRequest) -> HttpResponse:
    """Render the offer of the order just placed in this session, for pages that are cached."""
    order_ref = conf.shop().order_for_request(request)
    page = None if order_ref is None else offering.page_for_request(request, order_ref)
    shown = None if page is None else shown_offer(page, now=clock.now())
    if shown is None or shown.state in GONE:
        return HttpResponse(status=204)
    return render(request, "upsell/includes/offer.html", {"offer": shown})


@csrf_exempt
@transaction.non_atomic_requests
@require_POST
def webhook(request: HttpRequest, gateway: str) -> HttpResponse:
    """Take a provider's report; the gateway verifies its signature on the raw body."""
    made = conf.gateway_by_slug(gateway)
    if made is None:
        raise Http404
    try:
        results = list(made.parse_webhook(request))
    except _UNREADABLE as error:
        # A wrong signature, or a body that anybody may have sent and the gateway did not expect.
        logger.warning("a report to gateway %s was refused: %s", gateway, type(error).__name__)
        return HttpResponse(status=400)
    hearing.hear(gateway_slug=gateway, results=results)
    return HttpResponse(status=200)


# ------------------------------------------------------------------ what the views share


def _page(token: str) -> Page:
    page = queries.page_by_token(token)
    if page is None:
        raise Http404
    return page


def _may_act(request: HttpRequest, row: Offer) -> bool:
    return conf.shop().may_act(request, row.order_ref or row.occasion_ref)


def _absolute(request: HttpRequest, token: str) -> str:
    path = reverse("upsell:return", args=[token])
    base = str(conf.get("UPSELL_BASE_URL")).rstrip("/")
    return base + path if base else request.build_absolute_uri(path)


def _shown(request: HttpRequest, page: Page, **extra: Any) -> HttpResponse:
    shown = shown_offer(page, now=clock.now())
    return render(request, "upsell/offer.html", {"offer": shown, **extra})


def _wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _answer(request: HttpRequest, token: str, work: Callable[[], Offer]) -> HttpResponse:
    """Call one service; answer with a page to go to, or with a code for a script."""
    try:
        row = work()
    except OfferNotFound:
        raise Http404 from None
    except ChargeDeclined as error:
        return _problem(request, token, error.code, STATUS_OF.get(error.code, 402))
    except OfferNotAcceptable as error:
        response = _problem(request, token, error.code, STATUS_OF.get(error.code, 409))
        if error.retry_after is not None:
            response["Retry-After"] = str(max(1, int(error.retry_after.total_seconds())))
        return response
    except Exception:
        # The database gave up, or the host's shop raised: foreign code. Where money may have
        # moved by then, the row says that it is being confirmed; else nothing was charged.
        logger.exception("an answer to an offer could not be taken")
        page = queries.page_by_token(token)
        if page is None or page.offer is None or page.offer.state not in _UNDER_WAY:
            return _problem(request, token, "payment_unavailable", 503)
        return _answered(request, token, page.offer)
    return _answered(request, token, row)


_UNDER_WAY = frozenset({"ACCEPTING", "ACTION_REQUIRED", "NEEDS_ATTENTION"})


def _answered(request: HttpRequest, token: str, row: Offer) -> HttpResponse:
    if _wants_json(request):
        told = {"state": row.state}
        if row.client_secret:  # for Stripe.js and its like, on the host's page
            told["client_secret"] = row.client_secret
        return JsonResponse(told, status=202 if row.state in _UNDER_WAY else 200)
    response = HttpResponseRedirect(reverse("upsell:offer", args=[token]))
    response.status_code = 303
    return response


def _problem(request: HttpRequest, token: str, code: str, status_code: int) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"code": code}, status=status_code)
    page = _page(token)
    shown = shown_offer(page, now=clock.now())
    return render(request, "upsell/offer.html", {"offer": shown, "error": code}, status=status_code)
