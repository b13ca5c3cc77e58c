"""Payfriend's own page: another site, another look. Here the buyer says yes or no."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from example_shop.payfriend import provider

POLICY = (
    "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self' {shop}"
)


@require_http_methods(["GET", "HEAD", "POST"])
def approve(request, reference):
    """Ask the buyer, and send them back; the shop learns from us, never from the address."""
    payment = provider.payment(reference)
    if payment is None:
        raise Http404
    back = _with(payment.back, payment=payment.reference)
    if request.method == "POST":
        provider.answer(reference, approved=request.POST.get("answer") == "approve")
        response = HttpResponseRedirect(back)
        response.status_code = 303
    else:
        response = render(request, "payfriend/approve.html", {"payment": payment, "back": back})
    shop = urlsplit(payment.back)
    # A browser follows a form only where its policy lets it: here, back to the shop that asked.
    origin = f"{shop.scheme}://{shop.netloc}" if shop.netloc else ""
    response.headers["Content-Security-Policy"] = POLICY.format(shop=origin).rstrip()
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _with(address, **values):
    """Add values to the query of an address."""
    parts = urlsplit(address)
    query = "&".join(filter(None, [parts.query, urlencode(values)]))
    return urlunsplit(parts._replace(query=query))
