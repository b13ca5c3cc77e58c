"""Why was this order offered that, or nothing: the engine's own answer, in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _

from upsell import clock, conf, queries, snapshots
from upsell.admin.access import allowed_channels
from upsell.admin.widgets import choices
from upsell.engine import explain
from upsell.engine.campaigns import ChannelPolicy, History
from upsell.exceptions import NotFound, UpsellError
from upsell.presenting.reasons import in_words
from upsell.services import offering


def _time(typed: str) -> datetime | None:
    """Read a time; none for what is none, and for years in which no shop of ours sells."""
    try:
        at = parse_datetime(typed)
    except ValueError:
        return None
    if at is None or not 2000 <= at.year < 2100:
        return None
    return make_aware(at) if is_naive(at) else at


def context_for(request: HttpRequest) -> dict[str, Any]:
    """Return the page's values: the order asked for, every campaign with its reason, the facts."""
    context: dict[str, Any] = {"title": _("Why was this offered?"), "asked": "", "verdicts": []}
    asked = request.GET.get("order", "").strip()[:190]
    context["asked"] = asked
    if not asked:
        context["recent"] = choices("order", "", 10) if not allowed_channels(request) else ()
        return context
    try:
        if "\x00" in asked:
            raise NotFound
        found = next(iter(choices("order", asked, 1)), None)
        occasion = snapshots.gather(found.ref if found else asked)
    except (UpsellError, LookupError, ValueError, ValidationError):
        return {**context, "error": _("The shop does not know this order.")}
    allowed = allowed_channels(request)
    if allowed is not None and occasion.channel not in allowed:
        return {**context, "error": _("The shop does not know this order.")}
    typed = request.GET.get("at", "").strip()[:40]
    if typed and _time(typed) is None:
        return {**context, "error": _("“%s” is not a time such as 2026-03-02T10:00.") % typed}
    stored = queries.page_for(occasion.ref)
    decided = stored.decision if stored else None
    at = _time(typed) or (decided.at if decided else clock.now())
    terms = snapshots.policy(occasion.channel)
    keys = snapshots.customer_keys(occasion.customer)
    _version, seen = queries.version_and_seen(keys)
    ports = offering.Ports(
        shop=conf.shop(), occasion=occasion, now=at, products={}, availability={}
    )
    explanation = explain(
        occasion,
        snapshots.all_specs(),
        now=at,
        ask=ports.ask,
        # What this very order was offered must not rule it out when asking again.
        history=History(seen={pk: when for pk, when in seen.items() if when < at}),
        policy=ChannelPolicy(
            enabled=terms.enabled,
            validity=terms.validity,
            allow_recurring=bool(conf.get("UPSELL_ALLOW_RECURRING")),
        ),
    )
    visible = [
        verdict
        for verdict in explanation.verdicts
        if allowed is None or not verdict.campaign.channels or verdict.campaign.channels & allowed
    ]
    return {
        **context,
        "occasion": occasion,
        "at": at,
        "order_reason": in_words(explanation.reason) if explanation.reason else "",
        "verdicts": [
            {
                "campaign": verdict.campaign,
                "won": not verdict.reason,
                "reason": in_words(verdict.reason) if verdict.reason else _("This one wins."),
                "also": [in_words(code) for code in verdict.also],
                "code": verdict.reason,
            }
            for verdict in visible
        ],
        "decision": decided,
        "decision_reason": in_words(decided.reason) if decided and decided.reason else "",
        "facts": sorted(offering.facts_of(occasion).items()),
    }
