"""Who is looking: a person, or a browser's guess and a robot."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from django.utils.translation import get_language

from upsell import conf
from upsell.engine.traits import Visit

_ROBOTS = ("bot", "crawl", "spider", "slurp", "preview", "facebookexternal")

_TABLETS = ("ipad", "tablet", "kindle", "silk/", "playbook")
_PHONES = ("iphone", "ipod", "windows phone", "mobile")
_DESKTOPS = ("windows nt", "macintosh", "x11", "cros")

COOKIE = "upsell_visitor"
REMEMBERED = timedelta(days=365)
"""How long a browser is known as the same visitor's; it is not prolonged."""
_SIGNER = "upsell.visitor"


def device_class(*, mobile: str, agent: str) -> str:
    """Return ``phone``, ``tablet`` or ``desktop``; empty where nothing says which.

    An iPad that asks for the desktop page says it is a Macintosh, and counts as one.

    Args:
        mobile: The header ``Sec-CH-UA-Mobile``, which some browsers send: ``?1`` on phones.
        agent: The header ``User-Agent``.
    """
    told = agent.lower()
    if any(word in told for word in _TABLETS):
        return "tablet"
    if mobile.strip() == "?1" or any(word in told for word in _PHONES):
        return "phone"
    if "android" in told:
        return "tablet"  # phones say "Mobile" as well
    return "desktop" if any(word in told for word in _DESKTOPS) else ""


def visit_of(request: HttpRequest) -> Visit:
    """Return what a request says of who looks."""
    return Visit(
        device=device_class(
            mobile=request.headers.get("Sec-CH-UA-Mobile", ""),
            agent=request.headers.get("User-Agent", ""),
        ),
        language=get_language() or "",
    )


def is_a_robot(request: HttpRequest) -> bool:
    """Whether who asks says of itself that it is no person's browser."""
    agent = request.headers.get("User-Agent", "").lower()
    return any(word in agent for word in _ROBOTS)


def is_from_here(request: HttpRequest) -> bool:
    """Whether a page of the shop's own sent this, as the browser says; silence is a no."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    host = request.get_host()
    return request.headers.get("Origin") in {f"https://{host}", f"http://{host}"}


def is_a_person(request: HttpRequest) -> bool:
    """Whether this looks like somebody looking, and not a prefetch or a robot."""
    return (
        request.method == "GET" and "Sec-Purpose" not in request.headers and not is_a_robot(request)
    )


def client_address(request: HttpRequest) -> str:
    """Return the address that a request came from.

    Behind a proxy, ``REMOTE_ADDR`` is the proxy's: ``UPSELL_CLIENT_ADDRESS`` names a function of
    the host's that knows which header its own proxy sets. A header that anybody can send is
    never believed.
    """
    path = str(conf.get("UPSELL_CLIENT_ADDRESS"))
    if path:
        return str(import_string(path)(request) or "")
    return str(request.META.get("REMOTE_ADDR", ""))


def visitor_key(request: HttpRequest) -> str:
    """Return the key of the visitor that our cookie tells of; empty = there is none of ours."""
    signer = TimestampSigner(salt=_SIGNER)
    try:
        made: str = signer.unsign(request.COOKIES.get(COOKIE, ""), max_age=REMEMBERED)
    except BadSignature:
        return ""
    return f"v:{made}"


def remember(request: HttpRequest, response: HttpResponseBase) -> str:
    """Give a browser a key of its own, by a cookie of the first party, and return it."""
    made = secrets.token_hex(16)
    response.set_cookie(
        COOKIE,
        TimestampSigner(salt=_SIGNER).sign(made),
        max_age=REMEMBERED,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return f"v:{made}"


def forget(response: HttpResponseBase) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, samesite="Lax")


def sees_trials(request: HttpRequest) -> bool:
    """Whether this is staff who may see campaigns that are for staff only.

    A host's own user model may know neither staff nor permissions: then nobody is.
    """
    user = getattr(request, "user", None)
    may = getattr(user, "has_perm", None)
    return bool(getattr(user, "is_staff", False) and may and may("upsell.view_campaign"))
