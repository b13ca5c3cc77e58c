"""The one-click offer page. Every view translates, calls one service, and translates back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature
from django.db import connection, transaction
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
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import decorator_from_middleware
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from upsell import clock, conf, queries, snapshots
from upsell.engine.metrics import SCORES
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable, OfferNotFound
from upsell.models import EventInbox, Offer
from upsell.models.tokens import offer_token
from upsell.presenting import clicks, preferences, telling, visitors
from upsell.presenting.offers import GONE, opened, shown_offer
from upsell.presenting.visitors import client_address, is_a_person
from upsell.queries import Page
from upsell.services import (
    accepting,
    clicking,
    declining,
    events,
    fulfilling,
    hearing,
    leaving,
    limiting,
    linking,
    offering,
    preferring,
    rating,
    undoing,
)
from upsell.services.locking import GAVE_UP

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
    "unavailable": 503,
}
"""The stable codes and what they are in HTTP."""

LOOK_AGAIN_SECONDS = 10
"""When a database that is down may be asked again."""

_SCORES = frozenset(map(str, SCORES))

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
        return render(request, "upsell/refused.html", {"back_url": _back(request)}, status=403)


_proven: Callable[[View], View] = decorator_from_middleware(_Proof)


def by_link(view: View) -> View:
    """Ask for no form of ours: mail programs post, and the link says enough."""
    return view


def private(*methods: str, proof: Callable[[View], View] = _proven) -> Callable[[View], View]:
    """Answer these methods, and nobody but the buyer: no store, no frame, no index.

    The view runs outside any transaction, also where the host wraps requests in one: money is
    never moved inside a transaction. Where the database is down, the page says to look again in a
    moment. Whoever gets the request afterwards, Django's log of refusals among them, finds a path
    without the link's secret.
    """

    def made(view: View) -> View:
        proven = proof(view)

        @wraps(view)
        def answered(request: HttpRequest, **captured: Any) -> HttpResponseBase:
            try:
                response: HttpResponseBase
                if request.method in methods:
                    response = proven(request, **captured)
                else:
                    response = HttpResponseNotAllowed(methods)
            except GAVE_UP:
                logger.exception("the database cannot be asked")
                response = unavailable(request)
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
        try:
            offering.show(offer_id=page.offer.pk, now=clock.now())
            page.offer.refresh_from_db(fields=["state"])
        except GAVE_UP:  # a copy that takes no writes: it is stamped at the next look
            logger.exception("offer %s could not be stamped as shown", page.offer.pk)
    response = _shown(request, page, rated="rated" in request.GET)
    address = _provider_of(page) if "approve" in request.GET else ""
    if address:
        # Not a redirection of the form: many policies let a form go nowhere but to this host.
        response["Refresh"] = f"0; url={iri_to_uri(address)}"
    return response


@private("POST")
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Take a yes. The body carries the quote's number and nothing else that counts."""
    page = _page(token)
    number, *more = request.POST.getlist("quote") or [""]
    if more or not (number.isascii() and number.isdigit() and len(number) < 9):
        return _problem(request, token, "bad_input", 400)
    clicking.confirm(clicks.came_from(clicks.mark_of(request)))
    response = _answer(
        request,
        token,
        "ACCEPTED",
        lambda: accepting.accept(
            token=token,
            quote_number=int(number),
            trusted=page.offer is not None and _may_act(request, page.offer),
            return_url=_absolute(request, token),
            address=client_address(request),
        ),
    )
    by_approval = page.quote is not None and page.quote.collection == "REDIRECT_APPROVAL"
    if by_approval and response.status_code == 303:
        response["Location"] += "?approve"
    return response


@private("POST")
def decline(request: HttpRequest, token: str) -> HttpResponse:
    """Take a no."""
    clicking.confirm(clicks.came_from(clicks.mark_of(request)))
    return _answer(request, token, "DECLINED", lambda: declining.decline(token=token))


@private("POST")
def rate(request: HttpRequest, token: str) -> HttpResponse:
    """Take what a buyer says of an offer that they answered: one number."""
    _page(token)
    score, *more = request.POST.getlist("score") or [""]
    if more or score not in _SCORES:
        return _problem(request, token, "bad_input", 400)
    return _answer(
        request, token, "", lambda: rating.rate(token=token, score=int(score)), query="?rated"
    )


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
    work = partial(undoing.undo, token=token, trusted=trusted)
    return _answer(request, offer_page, "REVERSED", work)


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
    return _answer(request, token, "ACCEPTED", lambda: fulfilling.resume(token=token))


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


@csrf_exempt  # what it takes is signed, from a page of ours, and about who sends it
@transaction.non_atomic_requests
@require_POST
def track(request: HttpRequest) -> HttpResponse:
    """Take what a page says that its visitor did, of those who agreed to it."""
    response = HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    if not visitors.is_from_here(request):
        response.status_code = 403
        return response
    if visitors.is_a_robot(request) or "Sec-Purpose" in request.headers:
        return response
    try:
        response.status_code = _tracked(request, response)
    except Exception:
        # The host's shop and cache are foreign code, and nobody reads the answer.
        logger.exception("an event of a page could not be taken")
        response.status_code = 503
    return response


def _tracked(request: HttpRequest, response: HttpResponse) -> int:
    try:
        # The largest is read and one byte more, whatever the sender says of its length.
        body = request.read(telling.MOST_BYTES + 1)
        sealed, _sign, mark = body[: telling.MOST_BYTES].decode().partition("\n")
        told = telling.unsealed(sealed)
    except (BadSignature, UnicodeDecodeError, OSError):
        return 400
    shop, now = conf.shop(), clock.now()
    if not shop.may_track(request):
        return 204
    wait = limiting.wait_to_tell(address=client_address(request), now=now)
    if wait is not None:
        response["Retry-After"] = str(max(1, int(wait.total_seconds())))
        return STATUS_OF["rate_limited"]
    clicking.confirm(clicks.came_from(mark))
    customer = shop.customer(request)
    key = snapshots.customer_key(customer) if customer is not None else ""
    key = key or visitors.visitor_key(request) or visitors.remember(request, response)
    events.record(
        told.name,
        customer_key=key,
        source=EventInbox.Source.TAG,
        order_ref=told.order_ref,
        event_id=told.event_id(key),
        parameters=told.parameters,
        now=now,
    )
    return 204


# ------------------------------------------------------------------ what the buyer wants to get


@private("GET", "HEAD", "POST", proof=by_link)
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Let a buyer leave, by one press; a mail program posts the same. Looking changes nothing."""
    link = _link(preferences.UNSUBSCRIBE, token)
    done = request.method == "POST"
    if done:
        leaving.unsubscribe(
            customer_key=link.customer_key,
            medium=link.medium,
            purpose=link.purpose,
            how="one_click" if _is_one_click(request) else "link",
            now=clock.database_now(),
        )
        if _is_one_click(request):
            return HttpResponse("unsubscribed", content_type="text/plain")
    told = {
        "done": done,
        "by": preferences.NAMES.get(link.medium, ""),
        "preferences_url": preferences.path_of(preferences.PREFERENCES, link),
    }
    return render(request, "upsell/unsubscribe.html", told)


def _is_one_click(request: HttpRequest) -> bool:
    """Whether a mail program asks, as RFC 8058 has it: it reads no page and follows nothing."""
    return request.POST.get("List-Unsubscribe") == "One-Click"


@private("GET", "HEAD", "POST")
def preferences_page(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a buyer gets by which medium; its button saves what they change."""
    link = _link(preferences.PREFERENCES, token)
    look = partial(
        preferring.choices,
        customer_key=link.customer_key,
        medium=link.medium,
        is_owner=_is_theirs(request, link.customer_key),
    )
    offered = look()
    saved = request.method == "POST"
    if saved:
        preferring.save(
            customer_key=link.customer_key,
            offered=offered,
            wanted=frozenset(request.POST.getlist("medium")),
            words={row.medium: _agreed_words(row.medium) for row in offered},
            now=clock.database_now(),
        )
        offered = look()
    told = {
        "saved": saved,
        "choices": [(row, preferences.NAMES[row.medium]) for row in offered],
        "may_save": any(row.is_on or row.may_turn_on for row in offered),
    }
    return render(request, "upsell/preferences.html", told)


def _agreed_words(medium: str) -> str:
    return _("Offers and news that fit your orders, %(by)s") % {"by": preferences.NAMES[medium]}


def _link(what: str, token: str) -> preferences.Link:
    link = preferences.opened(what, token)
    if link is None:
        raise Http404
    return link


def _is_theirs(request: HttpRequest, customer_key: str) -> bool:
    customer = conf.shop().customer(request)
    key = "" if customer is None else snapshots.customer_key(customer)
    return bool(key) and key in linking.family([customer_key])


# ------------------------------------------------------------------ what the views share


def _page(token: str) -> Page:
    page = queries.page_by_token(token)
    if page is None:
        raise Http404
    return page


def _provider_of(page: Page) -> str:
    """Return the page of the provider that asks the buyer for approval; empty without one."""
    shown = shown_offer(page, now=clock.now())
    if shown is None or shown.state != "challenge" or shown.collected_by != "REDIRECT_APPROVAL":
        return ""
    return shown.action_url


def _may_act(request: HttpRequest, row: Offer) -> bool:
    return conf.shop().may_act(request, row.order_ref or row.occasion_ref)


def _absolute(request: HttpRequest, token: str) -> str:
    path = reverse("upsell:return", args=[token])
    base = str(conf.get("UPSELL_BASE_URL")).rstrip("/")
    return base + path if base else request.build_absolute_uri(path)


def _shown(request: HttpRequest, page: Page, **extra: Any) -> HttpResponse:
    shown = shown_offer(page, now=clock.now())
    came_by = clicks.mark_of(request)
    return render(request, "upsell/offer.html", {"offer": shown, "came_by": came_by, **extra})


def _back(request: HttpRequest) -> str:
    """An undo link opens nothing but itself; every other address stands below its offer's page."""
    if request.resolver_match is None or request.resolver_match.url_name in _BY_THEMSELVES:
        return request.path
    return request.path.rstrip("/").rsplit("/", 1)[0] + "/"


_BY_THEMSELVES = frozenset(
    {
        *("offer", "undo", "fragment", "unsubscribe", "preferences", "feedback", "view_online"),
        "follow",
    }
)


def unavailable(request: HttpRequest) -> HttpResponse:
    """Say that nothing can be said just now, with a page that asks no database."""
    response: HttpResponse
    if _wants_json(request):
        response = JsonResponse({"code": "unavailable"})
    else:
        # Without the request no context processor of the host's runs.
        response = HttpResponse(
            render_to_string("upsell/unavailable.html", {"back_url": _back(request)})
        )
    response.status_code = STATUS_OF["unavailable"]
    response["Retry-After"] = str(LOOK_AGAIN_SECONDS)
    return response


def _wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _answer(
    request: HttpRequest, token: str, wanted: str, work: Callable[[], Offer], query: str = ""
) -> HttpResponse:
    """Call one service; answer with a page to go to, or with a code for a script.

    ``wanted`` is the state that the work leads to: where it broke after that, it was done.
    """
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
        connection.close_if_unusable_or_obsolete()
        page = queries.page_by_token(token)
        if page is None or page.offer is None or page.offer.state not in {*_UNDER_WAY, wanted}:
            return _problem(request, token, "payment_unavailable", 503)
        return _answered(request, token, page.offer)
    return _answered(request, token, row, query)


ASKED = "ACTION_REQUIRED"
_UNDER_WAY = frozenset({"ACCEPTING", ASKED, "NEEDS_ATTENTION"})


def _answered(request: HttpRequest, token: str, row: Offer, query: str = "") -> HttpResponse:
    if _wants_json(request):
        told = {"state": row.state}
        if row.client_secret:  # for Stripe.js and its like, on the host's page
            told["client_secret"] = row.client_secret
        asked = row.attempts.filter(live_offer=row).first() if row.state == ASKED else None
        if asked is not None and opened(asked.action_url):
            told["action_url"] = asked.action_url
        return JsonResponse(told, status=202 if row.state in _UNDER_WAY else 200)
    response = HttpResponseRedirect(reverse("upsell:offer", args=[token]) + query)
    response.status_code = 303
    return response


def _problem(request: HttpRequest, token: str, code: str, status_code: int) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"code": code}, status=status_code)
    page = _page(token)
    shown = shown_offer(page, now=clock.now())
    told = {"offer": shown, "error": code, "came_by": clicks.mark_of(request)}
    return render(request, "upsell/offer.html", told, status=status_code)
