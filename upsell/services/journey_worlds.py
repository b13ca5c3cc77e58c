"""What a run's steps ask, and what they want done: asked outside any transaction, then written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from upsell import conf
from upsell.engine.conditions import Asked, Value
from upsell.engine.journeys.definition import Definition, Kind, Step
from upsell.engine.placeholders import Unresolved
from upsell.models import EventInbox, JourneyRun, ListMember, MessageTemplate, OutboxMessage
from upsell.ports import Contact, Who
from upsell.services import (
    capping,
    choosing_media,
    consenting,
    contact_lists,
    facts,
    journey_calls,
    journey_offers,
    variables,
)
from upsell.services.journey_entering import zone_named
from upsell.services.journey_hearing import who_of

LATENESS: Mapping[str, timedelta] = {
    "marketing": timedelta(hours=24),
    "transactional": timedelta(days=7),
}
"""So late a message still makes sense, where its step does not say."""

OUTCOMES: Mapping[str, str] = {
    "SENT": "sent",
    "UNKNOWN": "sent",
    "DRY_RUN": "sent",
    "SKIPPED": "skipped",
    "FAILED": "failed",
    "EXPIRED": "failed",
    "CANCELLED": "skipped",
}
"""State of a message to the outcome of its step; a state that is not here is waited for."""


@dataclass(slots=True)
class RunWorld:
    """The world of one run, as of one look."""

    run: JourneyRun
    plan: Definition
    now: datetime
    messages: list[OutboxMessage] = field(default_factory=list)
    """To be written with the run; those of medium e-mail and the like under the caps."""
    events: list[EventInbox] = field(default_factory=list)
    members: list[ListMember] = field(default_factory=list)
    """Places on contact lists, to be written with the run."""
    on_capped: str = "skip"
    found: dict[str, object] = field(default_factory=dict)
    _contacts: dict[str, Contact | None] = field(default_factory=dict)

    @property
    def who(self) -> Who:
        """Whom it is about."""
        return who_of(self.run)

    def facts(self, asked: Collection[Asked]) -> Mapping[Asked, Value]:
        """Return what is known of these now."""
        if not asked:
            return {}
        return facts.gather(
            asked,
            who=self.who,
            starter=self.run.starter,
            entered_at=self.run.entered_at,
            now=self.now,
            answers=self.run.found.get("webhook"),
        )

    def reachable(self, media: Collection[str]) -> Collection[str]:
        """Return those of the media by which the buyer may be written to now."""
        return [
            medium
            for medium in media
            if consenting.may_write(
                self.who,
                medium,
                self.run.journey.category,
                contact=self._contact(medium),
                now=self.now,
            ).ok
        ]

    def best(self, media: Collection[str]) -> str:
        """Return the one of them that was answered most often; empty = none."""
        return choosing_media.best(
            customer_key=self.run.customer_key,
            media=list(self.reachable(media)),
            unit=f"{self.run.pk}:{self.run.step}",
            now=self.now,
        )

    def do(self, step: Step) -> str:
        """Note what a step wants done; return its outcome, empty = not known yet."""
        return _DONE_BY[step.kind](self, step)

    # -------------------------------------------------------------- what steps want done

    def _send(self, step: Step) -> str:
        key = message_key(self.run, step)
        earlier = OutboxMessage.objects.filter(key=key).first()
        if earlier is not None:
            return OUTCOMES.get(earlier.state, "")
        message = self._message(step, key)
        reason = self._why_not(message)
        if not reason:
            try:
                message.variables = self._variables(message)
            except Unresolved as error:
                reason = f"render_error: {error.name}"
        if reason:
            message.state, message.reason = "SKIPPED", reason[:190]
            message.variables = {}
        elif self.run.mode == "DRY_RUN":
            message.state = "DRY_RUN"
        elif message.category == "marketing" and self.run.mode == "REAL":
            message.reserved_at = self.now
        self.on_capped = str(step.told.get("on_capped") or "skip")
        self.messages.append(message)
        return OUTCOMES.get(message.state, "")

    def _message(self, step: Step, key: str) -> OutboxMessage:
        medium = str(step.told["medium"])
        category = str(step.told.get("category") or self.run.journey.category)
        lateness = step.told.get("max_lateness")
        if not isinstance(lateness, timedelta):
            lateness = LATENESS[category]
        template = MessageTemplate.objects.get(slug=str(step.told["template"]))
        zone = zone_named(self.run.time_zone)
        return OutboxMessage(
            key=key,
            kind=OutboxMessage.Kind.JOURNEY,
            run=self.run,
            step=step.id,
            customer_key=self.run.customer_key,
            medium=medium,
            category=category,
            template_id=template.version_id,
            state="PENDING",
            not_before=capping.quiet_until(medium, zone, self.now, channel=self.run.channel),
            expires_at=min(self.run.due_at or self.now, self.now) + lateness,
            created_at=self.now,
        )

    def _why_not(self, message: OutboxMessage) -> str:
        if self.run.is_control:
            return "holdout"
        if message.expires_at is not None and self.now >= message.expires_at:
            return "stale"
        found = self.run.found | self.found
        if found.get("skip_next"):
            self.found["skip_next"] = False
            return "nothing to offer"
        reach = consenting.may_write(
            self.who,
            message.medium,
            message.category,
            contact=self._contact(message.medium),
            now=self.now,
        )
        return "" if reach.ok else reach.reason

    def _variables(self, message: OutboxMessage) -> dict[str, str]:
        version = message.template
        assert version is not None  # noqa: S101 - a journey is published with its templates only
        run = self.run
        run.found = run.found | self.found
        asking = variables.Asking(specs=facts.specs(), gather=self.facts)
        return variables.gather(variables.names_of(version), run=run, now=self.now, asking=asking)

    def _contact(self, medium: str) -> Contact | None:
        if medium == consenting.ONSITE:
            return None  # nobody's address is asked for
        if medium not in self._contacts:
            self._contacts[medium] = conf.shop().contact(self.who, medium)
        return self._contacts[medium]

    def _offer(self, step: Step) -> str:
        if self.run.is_control:
            return "none"
        told = journey_offers.offer(self.run, step, now=self.now)
        self.found |= told.found
        if told.outcome == "none" and step.told.get("on_none", "go_on") == "skip":
            self.found["skip_next"] = True
        return told.outcome

    def _webhook(self, step: Step) -> str:
        key = message_key(self.run, step)
        earlier = OutboxMessage.objects.filter(key=key).first()
        if earlier is not None:
            told = OUTCOMES.get(earlier.state, "")
            return {"sent": "ok", "": ""}.get(told, "failed")
        message = journey_calls.message(self.run, step, key=key, now=self.now)
        self.messages.append(message)
        return "ok" if message.state == "DRY_RUN" else ""

    def _tag(self, step: Step) -> str:
        slug = str(step.told["tag"])
        if self.run.mode != "DRY_RUN" and not self.run.is_control:
            self.members.append(contact_lists.member(slug, self.run, now=self.now))
        self.events.append(
            EventInbox(
                source=EventInbox.Source.OURS,
                event_id=message_key(self.run, step),
                name="list.joined",
                customer_key=self.run.customer_key,
                order_ref=self.run.order_ref,
                parameters={"list": slug},
                occurred_at=self.now,
                received_at=self.now,
            )
        )
        return "next"


_DONE_BY: Mapping[Kind, Callable[[RunWorld, Step], str]] = {
    Kind.SEND: RunWorld._send,
    Kind.OFFER: RunWorld._offer,
    Kind.WEBHOOK: RunWorld._webhook,
    Kind.TAG: RunWorld._tag,
}


def message_key(run: JourneyRun, step: Step) -> str:
    """Return the one key that a step's effect has for ever."""
    return f"j:{run.pk}:{step.id}"
