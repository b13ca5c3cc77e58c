"""Messages as staff write them: checked, published, and tried on oneself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Max

from upsell import snapshots
from upsell.engine import blocks
from upsell.engine.blocks import Content
from upsell.engine.conditions import FactSpec
from upsell.engine.journeys.definition import Fault
from upsell.engine.variables import never_known
from upsell.models import MessageTemplate, OutboxMessage, TemplateVersion
from upsell.presenting.messages import Rendered
from upsell.services import facts


def checked(
    content: object,
    *,
    medium: str,
    default_language: str,
    specs: Mapping[str, FactSpec] | None = None,
) -> tuple[Content | None, list[Fault]]:
    """Read what a message says; return it, or every fault with its place, as ``de.blocks.2.text``.

    Args:
        specs: The facts that a show-if may name; none = all that there are.
    """
    if specs is None:
        specs = facts.specs()
    made, faults = blocks.read(content, specs, medium=medium)
    if made is not None and default_language not in made.letters:
        said = ", ".join(sorted(made.letters))
        faults = [Fault(path=default_language, message=f"is the default, and it speaks {said}")]
        made = None
    return made, faults


def publish(
    template: MessageTemplate,
    *,
    user: Any,
    now: datetime,
    specs: Mapping[str, FactSpec] | None = None,
) -> TemplateVersion:
    """Publish the draft as the next version, which journeys send from then on.

    The same draft twice is one version: the second call returns the first one's.

    Raises:
        ValidationError: It has faults; one text for each, beginning with its place.
    """
    with transaction.atomic():
        row = MessageTemplate.objects.select_for_update().get(pk=template.pk)
        _made, faults = checked(
            row.content, medium=row.medium, default_language=row.default_language, specs=specs
        )
        if faults:
            raise ValidationError([told(fault) for fault in faults])
        before = row.version
        if (
            before is not None
            and before.content == row.content
            and before.default_language == row.default_language
        ):
            return before
        last = row.versions.aggregate(last=Max("number"))["last"] or 0
        version = TemplateVersion.objects.create(
            template=row,
            number=last + 1,
            content=row.content,
            default_language=row.default_language,
            published_at=now,
            published_by=user,
        )
        row.version = version
        row.save(update_fields=["version", "changed_at"])
    template.version = version
    return version


def told(fault: Fault) -> str:
    """Return a fault as one line: its place and what is wrong."""
    return f"{fault.path}: {fault.message}" if fault.path else fault.message


def unresolved(
    version: TemplateVersion, *, event: str, offer: bool, webhooks: Collection[str] = ()
) -> frozenset[str]:
    """Return names without a fallback that can never have a value in a journey.

    For publishing the journey: with one of them each message of the step would fail.

    Args:
        event: What the journey begins with.
        offer: Whether a step before it makes an offer and suggestions.
        webhooks: Steps that call a system, and were answered on every way to it.
    """
    content, _faults = blocks.read(version.content, medium="onsite")
    letters = () if content is None else tuple(content.letters.values())
    names = {name for letter in letters for name in letter.names}
    never = never_known(names, event=event, offer=offer, webhooks=webhooks)
    if version.template.medium != "email":  # there is a page of mails alone
        never |= names & {"links.view_online"}
    return frozenset(name for letter in letters for name in letter.unresolved(never))


def is_kept(template: MessageTemplate) -> bool:
    """Whether messages were made from it: then it is history, and stays."""
    return OutboxMessage.objects.filter(template__template=template).exists()


def send_test(rendered: Rendered, *, to: str, channel: str) -> None:
    """Mail a message to who is writing it, at once and without a row: it counts for nothing.

    Args:
        to: One address, of a member of staff.
        channel: The sales channel whose sender it has; empty = the one of all.
    """
    mail = EmailMultiAlternatives(
        subject=rendered.subject,
        body=rendered.text,
        from_email=snapshots.policy(channel).sender or None,
        to=[to],
    )
    mail.attach_alternative(rendered.html, "text/html")
    mail.send()
