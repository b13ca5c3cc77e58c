"""A strict Content-Security-Policy: everything from here, nothing inline."""

from __future__ import annotations

POLICY = (
    "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)


def content_security_policy(get_response):
    """Add the policy to every answer that does not bring its own."""

    def middleware(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware
