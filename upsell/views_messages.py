"""What one message of a journey leads to: its question, itself, a page of the shop's, others."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string

from upsell import clock, conf
from upsell.engine.metrics import SCORES
from upsell.engine.placeholders import Unresolved
from upsell.presenting import clicks, journey_letters, message_links, visitors, wording
from upsell.services import clicking, feedback, journey_showing
from upsell.services.journey_showing import OnPage
from upsell.views import by_link, private, unavailable

logger = logging.getLogger("upsell")

_NUMBERS = {str(score): score for score in SCORES}

ALONE = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https:;"
    " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a mail may do as a page: show pictures and the styles that mails need inside, and lead away.
No script, no form, and nothing of the host's origin."""


@private("GET", "HEAD", "POST", proof=by_link)
def feedback_page(request: HttpRequest, token: str) -> HttpResponse:
    """Ask one question. Looking changes nothing, whatever ``score`` says: it is only chosen.

    A POST needs no account and no cookie, as unsubscribing: the link says who answers, and a
    browser inside a mail program keeps none.
    """
    rated = message_links.feedback_opened(token)
    if rated is None or not feedback.is_open(rated):
        raise Http404
    wanted = (request.POST if request.method == "POST" else request.GET).getlist("score")
    chosen = _NUMBERS.get(wanted[0]) if len(wanted) == 1 else None
    done = request.method == "POST" and chosen is not None
    if done and chosen is not None:
        clicking.confirm(rated.message)
        feedback.give(rated, score=chosen, now=clock.database_now())
    said = feedback.given(rated)
    told = {
        "done": done,
        "refused": request.method == "POST" and not done,
        "said": wording.score(said) if said is not None else "",
        "chosen": chosen or said,
        "choices": [(score, wording.score(score)) for score in SCORES],
        "about_order": bool(rated.order_ref),
    }
    return render(request, "upsell/feedback.html", told, status=400 if told["refused"] else 200)


@private("GET", "HEAD")
def view_online(request: HttpRequest, token: str) -> HttpResponse:
    """Show a mail that was sent, for programs that show it badly. The link is enough."""
    key = message_links.view_opened(token)
    if key is None:
        raise Http404
    message = journey_letters.sent(key)
    if message is None:
        raise Http404
    try:
        page = journey_letters.page(message)
    except Unresolved:
        raise Http404 from None  # what it says is not known any more
    except Exception:
        # The shop's ports are foreign code.
        logger.exception("message %s could not be shown", message.pk)
        return unavailable(request)
    return HttpResponse(page, headers={"Content-Security-Policy": ALONE})


@private("GET", "HEAD")
def onsite(request: HttpRequest) -> HttpResponse:
    """Render the message that waits for this visitor, for pages that are cached; 204 without one.

    A page of the shop's own has to ask: looked at from elsewhere it uses up nothing.
    """

    def rendered(found: OnPage) -> str:
        told = {"message": found, "dismiss_url": message_links.dismiss_path(found.key, back)}
        return render_to_string("upsell/includes/message.html", told, request)

    back, html = _led(request), ""
    if visitors.is_from_here(request):
        html = journey_showing.show(request, render=rendered, now=clock.now())
    return HttpResponse(html, status=200 if html else 204)


def _led(request: HttpRequest) -> str:
    """Return the path of the page that asked; the front page where nothing says so."""
    page = urlsplit(request.headers.get("Referer", ""))
    if page.netloc != request.get_host():
        return "/"
    return (page.path or "/") + (f"?{page.query}" if page.query else "")


@private("POST", proof=by_link)
def dismiss(request: HttpRequest, token: str) -> HttpResponse:
    """Close a message on a page, and lead back to that page. The link, signed, is enough."""
    told = message_links.dismiss_opened(token)
    if told is None:
        raise Http404
    message, back = told
    journey_showing.dismiss(message)
    response = HttpResponseRedirect(back)
    response.status_code = 303
    return response


@private("GET", "HEAD")
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """Lead on to where a link of a message goes, on the shop's own hosts; that counts nothing.

    No statement: the link holds also once the message is gone from our tables.
    """
    followed = clicks.opened(token)
    if followed is None:
        raise Http404
    return HttpResponseRedirect(clicks.marked(followed) if conf.click_links() else followed.address)
