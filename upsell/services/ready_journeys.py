"""Journeys to start from: staff copy one and change what they like. Data, and nothing is loaded.

Each names messages of ``ready_messages`` by their slugs, and events and facts that are documented
in the reference. What a shop calls its categories is its own affair: conditions on them are left
to whoever copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from upsell import clock
from upsell.models import Journey, MessageTemplate
from upsell.services import journey_drafts, journey_states, ready_messages, templates

Document = Mapping[str, Any]
Rows = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One journey, as the document that would be published."""

    slug: str
    name: Any
    about: Any
    """When it fits."""
    document: Document
    values: Mapping[str, Any]
    """Columns of the journey beside the document."""


ANCILLARY: Rows = {
    "fact": "purchased",
    "args": {"ancillary": "true", "match_starter": "order_ref"},
    "op": "is",
    "value": True,
}
_THIS_ORDER: Rows = {
    "fact": "event.matches", "args": {"match_starter": "order_ref"}, "op": "is", "value": True,
}  # fmt: skip
_OUR_ORDER_EXITS = [
    {"id": "bought", "event": "order.changed", "where": {"all": [_THIS_ORDER, ANCILLARY]}},
    {"id": "cancelled", "event": "order.cancelled", "where": _THIS_ORDER},
    {"id": "refunded", "event": "order.refunded", "where": {"all": [
        _THIS_ORDER, {"fact": "order.refunded", "op": "is", "value": True},
    ]}},
    {"id": "withdrawn", "event": "consent.withdrawn"},
]  # fmt: skip
_BUYS_IT = [{"id": "ancillary", "event": "order.changed", "within": "P5D", "where": ANCILLARY}]


def _wait(for_: str, to: str, **more: Any) -> Rows:
    return {"type": "wait", "for": for_, **more, "to": {"next": to}}


def _check(when: Rows, to: str, otherwise: str, name: str = "yes") -> Rows:
    branches = [{"id": name, "when": when}]
    return {"type": "check", "branches": branches, "to": {name: to, "otherwise": otherwise}}


def _reach(to: str) -> Rows:
    return {"type": "reachable", "media": ["email"], "to": {"email": to, "none": "end"}}


def _mail(template: str, to: str) -> Rows:
    leads = dict.fromkeys(("sent", "skipped", "failed"), to)
    return {"type": "send", "medium": "email", "template": template, "to": leads}


def _offer(to: str) -> Rows:
    leads = {"offer": to, "suggestions": to, "none": "end"}
    return {"type": "offer", "suggestions": 3, "to": leads}


_END: Rows = {"type": "exit"}


def _document(event: str, steps: Rows, **more: Any) -> Document:
    made: Rows = {
        "start": {"event": event},
        "entry": {"policy": "per_key"},
        "exit": [],
        "goals": [],
    }
    if "where" in more:
        made["start"]["where"] = more.pop("where")
    return made | more | {"first": next(iter(steps)), "steps": {**steps, "end": _END}}


def _trip(first: str, second: str, letter: str, reminder: str) -> Document:
    """Ask after a while, and once more, unless it was bought, cancelled or begun."""
    return _document(
        "order.placed",
        {
            "wait_1": _wait(first, "bought_1"),
            "bought_1": _check(ANCILLARY, "end", "reach", "bought"),
            "reach": _reach("offer_1"),
            "offer_1": _offer("mail_1"),
            "mail_1": _mail(letter, "wait_2"),
            "wait_2": _wait(second, "bought_2"),
            "bought_2": _check(ANCILLARY, "end", "reach_2", "bought"),
            "reach_2": _reach("offer_2"),
            "offer_2": _offer("mail_2"),
            "mail_2": _mail(reminder, "end"),
        },
        where={"fact": "order.service_at", "op": "exists"},
        exit=_OUR_ORDER_EXITS,
        goals=_BUYS_IT,
    )


_CAME_BACK = _check(
    {"fact": "returned", "op": "is", "value": True}, "end", "reach", "came_back"
)  # fmt: skip


def _once(event: str, wait: str | None, letter: str, **more: Any) -> Document:
    """Write one mail, after a wait where there is one."""
    steps: Rows = {}
    if wait is not None:
        steps["wait"] = _wait(wait, "back")
        steps["back"] = _CAME_BACK
    steps["reach"] = _reach("mail")
    return _document(event, steps | {"mail": _mail(letter, "end")}, **more)


def _parameter(name: str, fact: str, op: str, value: Any) -> Rows:
    return {"fact": fact, "args": {"name": name}, "op": op, "value": value}


_BOUGHT_SINCE: Rows = {
    "fact": "purchased", "args": {"since": "entry"}, "op": "is", "value": True,
}  # fmt: skip
_RATED = [{"id": "rated", "event": "feedback.given", "where": _THIS_ORDER}]
_COMES_BACK = [{"id": "bought", "event": "order.placed"}]

READY = (
    Ready(
        slug="flight",
        name=_("Flight: baggage, insurance, priority"),
        about=_("Asks three hours after booking and once more the next day, unless it was bought,"
                " cancelled, or the flight has left."),
        document=_trip("PT3H", "P1D", "ancillary-flight", "reminder"),
        values={},
    ),
    Ready(
        slug="room",
        name=_("Room: breakfast, late check-out, transfer"),
        about=_("Two hours after booking, and once more the next day."),
        document=_trip("PT2H", "P1D", "ancillary-room", "reminder-comfort"),
        values={},
    ),
    Ready(
        slug="car",
        name=_("Car rental: insurance, GPS, child seat"),
        about=_("Two hours after booking, and once more the next day."),
        document=_trip("PT2H", "P1D", "ancillary-car", "reminder-safety"),
        values={},
    ),
    Ready(
        slug="warranty",
        name=_("Warranty after electronics"),
        about=_("A day after an appliance was delivered. Say which categories it is for."),
        document=_document(
            "order.delivered",
            {
                "wait": _wait("P1D", "bought", until="10:00"),
                "bought": _check(ANCILLARY, "end", "back", "bought"),
                "back": _CAME_BACK,
                "reach": _reach("offer"),
                "offer": _offer("mail"),
                "mail": _mail("reminder-protection", "end"),
            },
            exit=_OUR_ORDER_EXITS,
            goals=_BUYS_IT,
        ),
        values={},
    ),
    Ready(
        slug="cross-sell",
        name=_("What goes with it, after delivery"),
        about=_("Seven days after delivery, unless the order came back. Ends other journeys about"
                " what goes along."),
        document=_document(
            "order.delivered",
            {
                "wait": _wait("P7D", "back", until="10:00"),
                "back": _CAME_BACK,
                "reach": _reach("offer"),
                "offer": _offer("mail"),
                "mail": _mail("complement", "end"),
            },
            exit=_OUR_ORDER_EXITS,
            goals=_BUYS_IT,
        ),
        values={"exclusion_group": "ancillary", "exit_others": True, "priority": 10},
    ),
    Ready(
        slug="limit-80",
        name=_("80 % of the limit"),
        about=_("As soon as an account has used four fifths of what its plan holds."),
        document=_once(
            "usage.threshold", None, "limit",
            where={"all": [_parameter("ratio", "starter.number", "ge", "0.8"),
                           _parameter("ratio", "starter.number", "lt", "1")]},
            exit=[{"id": "upgraded", "event": "order.placed"}],
            goals=[{"id": "upgraded", "event": "order.placed", "within": "P14D"}],
        ),
        values={},
    ),
    Ready(
        slug="limit-100",
        name=_("The limit is reached"),
        about=_("As soon as an account has used all that its plan holds."),
        document=_once(
            "usage.threshold", None, "limit",
            where=_parameter("ratio", "starter.number", "ge", "1"),
            exit=[{"id": "upgraded", "event": "order.placed"}],
            goals=[{"id": "upgraded", "event": "order.placed", "within": "P14D"}],
        ),
        values={"priority": 10},
    ),
    Ready(
        slug="renewal",
        name=_("Renewal"),
        about=_("Fourteen days before a subscription ends, when the shop says that it is due."),
        document=_once(
            "subscription.renewal_due", None, "renewal",
            exit=[{"id": "renewed", "event": "order.placed"}],
            goals=[{"id": "renewed", "event": "order.placed", "within": "P14D"}],
        ),
        values={},
    ),
    Ready(
        slug="thank-you",
        name=_("Thank you, and how was it?"),
        about=_("Three days after delivery: thanks, and one question to be answered by a click."),
        document=_once(
            "order.delivered", "P3D", "feedback",
            exit=[*_RATED, {"id": "cancelled", "event": "order.cancelled", "where": _THIS_ORDER}],
            goals=[{**_RATED[0], "within": "P14D"}],
        ),
        values={},
    ),
    Ready(
        slug="cart",
        name=_("Cart left behind"),
        about=_("An hour after a cart was left, and once more the next day, unless it was bought."),
        document=_document(
            "cart.abandoned",
            {
                "wait_1": _wait("PT1H", "bought_1"),
                "bought_1": _check(_BOUGHT_SINCE, "end", "reach_1", "bought"),
                "reach_1": _reach("mail_1"),
                "mail_1": _mail("cart", "wait_2"),
                "wait_2": _wait("P1D", "bought_2"),
                "bought_2": _check(_BOUGHT_SINCE, "end", "reach_2", "bought"),
                "reach_2": _reach("mail_2"),
                "mail_2": _mail("cart", "end"),
            },
            exit=_COMES_BACK,
            goals=[{**_COMES_BACK[0], "within": "P5D"}],
        ),
        values={},
    ),
    Ready(
        slug="trial",
        name=_("Trial, on the fourth day"),
        about=_("On day four of a trial, if it was used on three occasions or more."),
        document=_document(
            "trial.started",
            {
                "wait": _wait("P4D", "used", until="10:00"),
                "used": _check(
                    {"fact": "event.count", "args": {"name": "feature.used", "since_entry": "true"},
                     "op": "ge", "value": 3},
                    "reach", "end", "used",
                ),
                "reach": _reach("mail"),
                "mail": _mail("trial", "end"),
            },
            exit=_COMES_BACK,
            goals=[{**_COMES_BACK[0], "within": "P14D"}],
        ),
        values={},
    ),
)  # fmt: skip


def copy(slug: str) -> Journey:
    """Make a draft of a ready-made journey; it is for no sales channel until somebody says so.

    Raises:
        LookupError: There is none of this slug.
    """
    found = next((one for one in READY if one.slug == slug), None)
    if found is None:
        raise LookupError(f"there is no ready-made journey “{slug}”")
    start, entry = found.document["start"], found.document["entry"]
    values = {
        "name": str(found.name),
        "slug": journey_drafts.free_slug(found.slug),
        "event": start["event"],
        "where": start.get("where"),
        "policy": entry["policy"],
        "exits": found.document["exit"],
        "goals": found.document["goals"],
        **found.values,
    }
    return journey_drafts.copy(document=found.document, values=values)


def start(
    slug: str,
    *,
    channels: Sequence[str],
    testers: Sequence[str] = (),
    compressed: bool = False,
    now: datetime | None = None,
) -> Journey:
    """Copy a ready-made journey with the messages that it sends, and let it begin.

    What is there already, by its slug, is left as it is.

    Args:
        testers: Customer keys, ``*`` = everybody: it is in test mode, for these alone.
        compressed: In test mode a day is a minute.

    Raises:
        LookupError: There is none of this slug.
        JourneyFaults: It cannot be published as the shop is set up.
    """
    told = now or clock.database_now()
    there: Journey | None = Journey.objects.filter(slug=slug).first()
    if there is not None:
        return there
    with transaction.atomic():
        row = copy(slug)
        for step in row.steps.filter(kind="send"):
            name = str(step.told["template"])
            if not MessageTemplate.objects.filter(slug=name).exists():
                templates.publish(ready_messages.copy(name), user=None, now=told)
        row.channels = list(channels)
        if testers:
            row.mode, row.testers, row.compressed = Journey.Mode.TEST, list(testers), compressed
        row.save()
        journey_states.go_live(row, now=told)
    return row
