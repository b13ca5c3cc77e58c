"""One buyer's passage through a journey in words: what was done, why, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.engine.journeys.definition import Kind
from upsell.models import GoalHit, JourneyRun, OutboxMessage, StepLog
from upsell.presenting.journeys import MEDIUM_WORDS, Words, outcome_in_words, step_in_words

REASONS: Mapping[str, Words] = {
    "completed": gettext_lazy("came to the end"),
    "goal": gettext_lazy("reached the goal"),
    "unreachable": gettext_lazy("cannot be reached"),
    "no_consent": gettext_lazy("did not agree to be written to"),
    "stale": gettext_lazy("it was too late for it"),
    "journey_stopped": gettext_lazy("the journey was stopped"),
    "superseded": gettext_lazy("another journey took over, or it began anew"),
    "erased": gettext_lazy("the buyer's details were erased"),
    "staff": gettext_lazy("ended by staff"),
    "capped": gettext_lazy("the buyer had enough messages"),
    "render_error": gettext_lazy("something the message says was not known"),
    "dismissed": gettext_lazy("the buyer closed it"),
    "holdout": gettext_lazy("the buyer is in a control group"),
    "cap": gettext_lazy("the buyer had entered often enough"),
    "too_late": gettext_lazy("the event was too old"),
    "late_event": gettext_lazy("the event was too old"),
    "paused": gettext_lazy("the journey was paused"),
    "where": gettext_lazy("the condition did not hold"),
    "already_done": gettext_lazy("the buyer was through it already"),
    "already_in": gettext_lazy("the buyer is in it already"),
    "already_entered": gettext_lazy("it was begun for that already"),
    "active": gettext_lazy("the buyer is in it already"),
    "merged": gettext_lazy("the run that is under way goes on with what the event says"),
    "too_soon": gettext_lazy("the buyer was through it not long ago"),
    "group": gettext_lazy("the buyer is in another journey of the group"),
    "channel": gettext_lazy("the journey does not run in that sales channel"),
    "test": gettext_lazy("the journey is a test, and the buyer is not listed"),
    "order_gone": gettext_lazy("the order is not there any more"),
    "order_cancelled": gettext_lazy("the order was cancelled"),
    "order_refunded": gettext_lazy("the order was refunded"),
    "error": gettext_lazy("the shop could not be asked"),
    "late": gettext_lazy("the event was too old"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a timeline."""

    at: datetime | None
    what: str
    why: str = ""
    kind: str = ""
    """Chooses its icon: a kind of step, ``entry``, ``goal``, ``end`` or ``now``."""


def reason_in_words(reason: str) -> str:
    """Return why a run ended, an entry was refused or a branch was not taken; unknown as it is."""
    head, _colon, rest = reason.partition(":")
    if rest and head == "exit":
        return _("left: %s") % rest
    if rest and head == "condition":
        return _("“%s” is not as asked") % rest
    if rest and head == "fact_missing":
        return _("“%s” is not known") % rest
    if rest and head == "goto":
        return _("went on in %s") % rest
    return str(REASONS.get(reason, reason.replace("_", " ")))


def hop_in_words(step: str, kind: str, told: Mapping[str, object], outcome: str) -> str:
    """Return a step that was left behind: “reach: Reachable by e-mail? → e-mail”."""
    text = f"{step}: {step_in_words(kind, told)}"
    return text if outcome == "next" else f"{text} → {outcome_in_words(outcome)}"


def timeline(
    run: JourneyRun,
    *,
    log: Iterable[StepLog],
    messages: Iterable[OutboxMessage],
    hits: Iterable[GoalHit],
    told: Mapping[str, Mapping[str, object]],
) -> list[Entry]:
    """Return a passage from its beginning, in the order in which things happened.

    Args:
        run: Whose it is.
        log: Its steps, in order.
        messages: Of the run.
        hits: Goals that it reached.
        told: Step to its row of the version's document.
    """
    name = str(run.starter.get("name") or "") if isinstance(run.starter, dict) else ""
    entered = _("Entered, with %s") % name if name else _("Entered")
    found = [Entry(at=run.entered_at, what=entered, why=_of_control(run), kind="entry")]
    for row in log:
        found.append(
            Entry(
                at=row.at,
                what=hop_in_words(row.step, row.kind, told.get(row.step, {}), row.outcome),
                why=reason_in_words(row.reason) if row.reason else "",
                kind=row.kind,
            )
        )
    for message in messages:
        found.append(_message(message))
    for hit in hits:
        amount = f" {hit.amount.normalize():f} {hit.currency}" if hit.amount is not None else ""
        found.append(Entry(at=hit.at, what=_("Goal reached: %s") % hit.goal + amount, kind="goal"))
    if run.ended_at is not None:
        what = _("Over: %s") % reason_in_words(run.end_reason)
        found.append(Entry(at=run.ended_at, what=what, kind="end"))
    order = {entry: place for place, entry in enumerate(found)}
    last = {"end": 1}
    found.sort(key=lambda one: (one.at or run.entered_at, last.get(one.kind, 0), order[one]))
    return found


def _of_control(run: JourneyRun) -> str:
    if run.is_control:
        return _("In the control group: goes through in silence.")
    if run.mode == "DRY_RUN":
        return _("A dry run: nothing is sent.")
    if run.mode == "TEST":
        return _("A test.")
    return ""


def _message(row: OutboxMessage) -> Entry:
    medium = str(MEDIUM_WORDS.get(row.medium, row.medium or row.get_kind_display()))
    what = _("Message by %(medium)s of %(step)s: %(state)s") % {
        "medium": medium, "step": row.step, "state": row.get_state_display(),
    }  # fmt: skip
    why = reason_in_words(row.reason) if row.reason else ""
    if row.clicked_at:
        why = f"{why} {_('The buyer opened its link.')}".strip()
    return Entry(at=row.sent_at or row.created_at, what=what, why=why, kind=Kind.SEND.value)


def why_still_here(
    run: JourneyRun, *, paused: bool, told: Mapping[str, object], now: datetime
) -> list[str]:
    """Return why an active run is where it is, and what moves it; nothing for one that is over."""
    if not run.is_active:
        return []
    found = [_("It stands at %(step)s: %(what)s.") % {
        "step": run.step, "what": step_in_words(str(told.get("type", "")), told),
    }]  # fmt: skip
    if run.state == JourneyRun.State.STUCK:
        found.append(
            _("It failed %(tries)d times and waits for you: %(error)s")
            % {"tries": run.tries, "error": run.error or "?"}
        )
        return found
    if paused:
        found.append(_("The journey is paused: nobody moves."))
    if run.waiting_for:
        found.append(_("It waits for the event %s.") % run.waiting_for)
    if told.get("type") in (Kind.SEND, Kind.WEBHOOK) and run.due_at is None:
        found.append(_("Its message is not settled yet."))
    if run.tries:
        found.append(
            _("It failed %(tries)d times and is tried again: %(error)s")
            % {"tries": run.tries, "error": run.error or "?"}
        )
    if run.due_at is not None and run.due_at <= now and not paused:
        found.append(_("Its time has come: the next look of “upsell_run” moves it."))
    return found
