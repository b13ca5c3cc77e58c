"""Who is looking: a person, or a browser's guess and a robot."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.module_loading import import_string

from upsell import conf

_ROBOTS = ("bot", "crawl", "spider", "slurp", "preview", "facebookexternal")


def is_a_person(request: HttpRequest) -> bool:
    """Whether this looks like somebody looking, and not a prefetch or a robot."""
    agent = request.headers.get("User-Agent", "").lower()
    return (
        request.method == "GET"
        and "Sec-Purpose" not in request.headers
        and not any(word in agent for word in _ROBOTS)
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


def sees_trials(request: HttpRequest) -> bool:
    """Whether this is staff who may see campaigns that are for staff only.

    A host's own user model may know neither staff nor permissions: then nobody is.
    """
    user = getattr(request, "user", None)
    may = getattr(user, "has_perm", None)
    return bool(getattr(user, "is_staff", False) and may and may("upsell.view_campaign"))
