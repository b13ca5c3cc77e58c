"""Why was this order offered that, or nothing, and what would be: every campaign's reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _

from upsell import conf
from upsell.admin import drafts, finding
from upsell.admin.access import allowed_channels
from upsell.admin.widgets import labels
from upsell.engine.campaigns import CampaignSpec, Reason, Verdict
from upsell.exceptions import UpsellError
from upsell.models import Decision
from upsell.presenting.campaigns import Label
from upsell.presenting.facts import Facts, facts_in_words, lines_of
from upsell.presenting.reasons import detail, in_words, remedy
from upsell.services import explaining, offering
from upsell.services.explaining import Explained

_ELSEWHERE = frozenset({
    Reason.OFF, Reason.STAFF_ONLY, Reason.NOT_STARTED, Reason.ENDED, Reason.WRONG_MOMENT,
    Reason.WRONG_CHANNEL,
})  # fmt: skip
"""Reasons that have nothing to do with the order: such campaigns are listed apart."""


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Answer for the order that was asked for."""
    if not model_admin.has_simulate_permission(request):
        raise PermissionDenied
    return TemplateResponse(
        request,
        "admin/upsell/why.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            **context_for(request),
        },
    )


def context_for(request: HttpRequest) -> dict[str, Any]:
    """Return the page's values: the order, what was decided, every campaign's reason, the facts."""
    asked, as_of, typed = (
        request.GET.get(name, "").strip()[:190] for name in ("order", "at", "with")
    )
    draft = drafts.chosen(request, typed)
    context: dict[str, Any] = {
        "title": _("Why this offer, or none?"),
        "asked": asked,
        "as_of": as_of,
        "draft": draft,
        "drafts": drafts.offered(request, draft),
        "verdicts": [],
    }
    if typed and draft is None:
        return context | {"error": drafts.unknown(typed)}
    if not asked:
        return context | {"recent": finding.recent(request)}
    at = _time(as_of)
    if as_of and at is None:
        told_at = _("“%s” is not a time such as 2026-03-02 10:00.")
        return context | {"error": told_at % as_of}
    found = finding.order(request, asked)
    if found is None:
        return context | {"error": finding.unknown(asked)}
    try:
        if at is None and draft is None:
            told = explaining.explain_order(order_ref=found.ref)
        else:
            ids = [draft.pk] if draft else []
            told = explaining.simulate(order_ref=found.ref, at=at, drafts=ids)
    except (UpsellError, LookupError, ValueError):
        return context | {"error": finding.unknown(asked)}
    label = labels()
    allowed = allowed_channels(request)
    visible = [
        verdict
        for verdict in told.explanation.verdicts
        if allowed is None or not verdict.campaign.channels or verdict.campaign.channels & allowed
    ]
    rows = [_row(verdict, told, label) for verdict in visible]
    rows += _gone(told, rows)
    for row in rows:
        row["as_if_live"] = draft is not None and row["campaign"].id == draft.pk
    decision = told.decision
    return context | {
        "asked": told.occasion.number or asked,
        "occasion": told.occasion,
        "channel": label("channel", told.occasion.channel),
        "order_url": conf.shop().order_url(told.occasion.ref),
        "at": told.at,
        "simulated": told.simulated,
        "held_back": in_words(told.held_back) if told.held_back else "",
        "decision": decision,
        "offer": getattr(decision, "offer", None) if decision else None,
        "winner": next((row for row in rows if row["won"]), None),
        "order_reason": _order_reason(told),
        "verdicts": rows,
        "here": [row for row in rows if row["code"] not in _ELSEWHERE],
        "elsewhere": [row for row in rows if row["code"] in _ELSEWHERE],
        "facts": _facts(told, label),
    }


def _time(typed: str) -> datetime | None:
    """Read a time; none for what is none, and for years in which no shop of ours sells."""
    try:
        at = parse_datetime(typed)
    except ValueError:
        return None
    if at is None or not 2000 <= at.year < 2100:
        return None
    return make_aware(at) if is_naive(at) else at


def _order_reason(told: Explained) -> str:
    """Why nothing was offered, or would be, for the order as a whole."""
    if told.decision is not None:
        return in_words(told.decision.reason) if told.decision.reason else ""
    return in_words(told.explanation.reason) if told.explanation.reason else ""


def _row(verdict: Verdict, told: Explained, label: Label) -> dict[str, Any]:
    """Return one campaign's outcome: as it was decided where it was looked at, else as of today."""
    spec, decision = verdict.campaign, told.decision
    today, code = verdict.reason, verdict.reason
    looked_at = dict(decision.candidates) if decision else {}
    won = not today and decision is None
    if decision is not None:
        won = decision.campaign_id == spec.id
        code = "" if won else looked_at.get(spec.id, today)
    changed = decision is not None and spec.id in {*looked_at, decision.campaign_id}
    return {
        "campaign": spec,
        "channels": spec.channels,
        "won": won,
        "code": code,
        "reason": _("It won.") if won and decision is not None else _said(code, won),
        "detail": detail(code, spec, told.occasion, label) if code == today else "",
        "also": [in_words(reason) for reason in verdict.also] if code == today else [],
        "today": _said(today, not today) if changed and code != today else "",
        "edited_since": decision is not None and spec.edited_at > decision.at,
        "place": remedy(code)[1],
    }


def _said(code: str, won: bool) -> str:
    if won:
        return _("It wins.")
    return (
        in_words(code) if code else _("It was not there when this was decided; it would win now.")
    )


def _gone(told: Explained, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the winner where it is archived by now: an answer without it would be wrong."""
    decision = told.decision
    campaign = decision.campaign if decision else None
    if campaign is None or any(row["won"] for row in rows):
        return []
    return [
        {
            "campaign": CampaignSpec(
                id=campaign.pk,
                name=campaign.name,
                priority=campaign.priority,
                edited_at=campaign.edited_at,
            ),
            "channels": frozenset(campaign.channels),
            "won": True,
            "code": "",
            "reason": _("It won."),
            "detail": _("It is archived by now."),
            "also": [],
            "today": "",
            "edited_since": False,
            "place": "",
        }
    ]


def _facts(told: Explained, label: Label) -> Facts:
    decision: Decision | None = told.decision
    facts = decision.facts if decision else offering.facts_of(told.occasion)
    refs = [line["product"] for line in lines_of(facts)]
    try:
        products = conf.shop().products(refs)
    except (UpsellError, LookupError, ValueError):
        products = {}
    titles = {ref: product.title for ref, product in products.items()}
    return facts_in_words(facts, titles, label)
