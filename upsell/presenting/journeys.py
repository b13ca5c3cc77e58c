"""Journeys in words: what a step does, what came of it, and why a run ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell.engine.conditions import duration_of
from upsell.engine.journeys.definition import Kind

Words = str | Promise

KINDS: Mapping[Kind, Words] = {
    Kind.WAIT: gettext_lazy("Wait"),
    Kind.WAIT_FOR_EVENT: gettext_lazy("Wait for an event"),
    Kind.CHECK: gettext_lazy("Check"),
    Kind.REACHABLE: gettext_lazy("Can the buyer be reached?"),
    Kind.BEST_MEDIUM: gettext_lazy("Choose the best medium"),
    Kind.SEND: gettext_lazy("Send a message"),
    Kind.SPLIT: gettext_lazy("Split at random"),
    Kind.OFFER: gettext_lazy("Find an offer"),
    Kind.WEBHOOK: gettext_lazy("Call a webhook"),
    Kind.TAG: gettext_lazy("Put a tag on"),
    Kind.EXIT: gettext_lazy("End"),
    Kind.GOTO_JOURNEY: gettext_lazy("Go on in another journey"),
}
MEDIUM_WORDS: Mapping[str, Words] = {
    "email": gettext_lazy("e-mail"),
    "sms": gettext_lazy("SMS"),
    "onsite": gettext_lazy("on the shop's pages"),
    "push": gettext_lazy("push"),
}
_OUTCOMES: Mapping[str, Words] = {
    "next": gettext_lazy("then"),
    "matched": gettext_lazy("it came"),
    "timeout": gettext_lazy("it did not come"),
    "otherwise": gettext_lazy("otherwise"),
    "none": gettext_lazy("nothing"),
    "sent": gettext_lazy("sent"),
    "skipped": gettext_lazy("left out"),
    "failed": gettext_lazy("failed"),
    "offer": gettext_lazy("an offer"),
    "suggestions": gettext_lazy("suggestions"),
    "ok": gettext_lazy("it worked"),
    "branch": gettext_lazy("leads to"),
    "reachable": gettext_lazy("leads to"),
    "arm": gettext_lazy("leads to"),
    **MEDIUM_WORDS,
}


def outcome_in_words(outcome: str) -> str:
    """Return what an outcome is called; a branch's or an arm's own name as it is."""
    return str(_OUTCOMES.get(outcome, outcome))


_FIELDS: Mapping[str, Words] = {
    "for": gettext_lazy("For"),
    "until": gettext_lazy("Until"),
    "weekdays": gettext_lazy("On"),
    "event": gettext_lazy("For the event"),
    "timeout": gettext_lazy("At most"),
    "where": gettext_lazy("If"),
    "match_starter": gettext_lazy("Same as at the beginning"),
    "branches": gettext_lazy("Branch"),
    "media": gettext_lazy("First"),
    "medium": gettext_lazy("By"),
    "template": gettext_lazy("Message"),
    "category": gettext_lazy("Category"),
    "max_lateness": gettext_lazy("Not later than"),
    "key": gettext_lazy("Key"),
    "arms": gettext_lazy("Arm"),
    "campaign": gettext_lazy("Campaign"),
    "suggestions": gettext_lazy("Suggestions"),
    "target": gettext_lazy("Target"),
    "tag": gettext_lazy("Tag"),
    "journey": gettext_lazy("Journey"),
    "type": gettext_lazy("What"),
}


def field_in_words(path: str) -> str:
    """Return what a field of a step is called: ``to.sent``, ``branches.1.when``."""
    name, _dot, rest = path.partition(".")
    if name == "to":
        return _("“%s” leads to") % outcome_in_words(rest) if rest else _("leads to")
    place = rest.partition(".")[0]
    number = f" {int(place) + 1}" if place.isdecimal() else ""
    return f"{_FIELDS.get(name, name)}{number}"


def length_in_words(length: timedelta) -> str:
    """Return a duration to the minute: “1 day 3 hours”."""
    parts = []
    hours, minutes = divmod(length.seconds // 60, 60)
    if length.days:
        parts.append(ngettext("%d day", "%d days", length.days) % length.days)
    if hours:
        parts.append(ngettext("%d hour", "%d hours", hours) % hours)
    if minutes:
        parts.append(ngettext("%d minute", "%d minutes", minutes) % minutes)
    return " ".join(parts) or _("no time at all")


def written_length(data: object) -> str:
    """Return an ISO 8601 duration in words; what is none as it is."""
    found = duration_of(data)
    return str(data) if found is None else length_in_words(found)


def step_in_words(kind: str, told: Mapping[str, object]) -> str:
    """Return what a step does, shortly: “Wait 3 hours”, “Send e-mail flight-1”."""
    match kind:
        case Kind.WAIT:
            text = _("Wait %s") % written_length(told.get("for"))
            until = told.get("until")
            return (
                _("%(wait)s, until %(until)s") % {"wait": text, "until": until} if until else text
            )
        case Kind.WAIT_FOR_EVENT:
            return _("Wait for %s") % told.get("event", "?")
        case Kind.CHECK:
            return _("Check")
        case Kind.REACHABLE | Kind.BEST_MEDIUM:
            media = told.get("media")
            names = [str(MEDIUM_WORDS.get(str(one), one)) for one in _list(media)]
            text = _("Reachable by %s?") if kind == Kind.REACHABLE else _("Best of %s")
            return text % ", ".join(names)
        case Kind.SEND:
            medium = str(MEDIUM_WORDS.get(str(told.get("medium")), told.get("medium", "?")))
            return _("Send %(medium)s “%(template)s”") % {
                "medium": medium, "template": told.get("template", "?"),
            }  # fmt: skip
        case Kind.SPLIT:
            return _("Split %s") % told.get("key", "")
        case Kind.OFFER:
            named = told.get("campaign")
            return _("Offer %s") % named if named else _("Find the best offer")
        case Kind.WEBHOOK:
            return _("Call %s") % told.get("target", "?")
        case Kind.TAG:
            return _("Tag %s") % told.get("tag", "?")
        case Kind.GOTO_JOURNEY:
            return _("Go on in %s") % told.get("journey", "?")
        case Kind.EXIT:
            return _("End: %s") % told["reason"] if told.get("reason") else _("End")
    return kind


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
