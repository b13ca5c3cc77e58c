"""A message as a buyer would get it, on a real order or an example. Nothing is written or sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import translation

from upsell import conf, snapshots
from upsell.engine import blocks
from upsell.engine.placeholders import Unresolved
from upsell.models import Journey, JourneyRun, MessageTemplate, Offer
from upsell.ports import Occasion
from upsell.presenting.message_examples import example_links, examples
from upsell.presenting.messages import CONDITION, Rendered, render
from upsell.services import variables

_OF_ORDERS = ("order.", "purchased.", "last.", "starter.product_", "shop.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What there is to see."""

    rendered: Rendered | None = None
    occasion: Occasion | None = None
    """The real order that it is about; none = an example."""
    faults: tuple[str, ...] = ()
    """Why it cannot be read."""
    missing: str = ""
    """A name for which this order has no value: the buyer would not be sent it."""


def preview(template: MessageTemplate, *, language: str, order_ref: str, now: datetime) -> Preview:
    """Return the draft in one language.

    Args:
        order_ref: A real order; its offer stands for the one the journey would make. Empty = an
            example.

    Raises:
        NotFound: There is no such order.
    """
    content, faults = blocks.read(template.content, medium=template.medium)
    if content is None:
        return Preview(faults=tuple(f"{fault.path}: {fault.message}" for fault in faults))
    language, letter = content.letter(language, template.default_language)
    names = letter.names | {"shop.name", "shop.url"}
    names |= {CONDITION + one for one in letter.conditions}
    with translation.override(language):
        values = examples(names, language)
    by_mail = template.medium == MessageTemplate.Medium.EMAIL
    occasion = None
    if order_ref:
        occasion = conf.shop().order(order_ref)
        found = variables.gather(names, run=_run(occasion, now), now=now)
        values = {
            name: text for name, text in values.items() if not name.startswith(_OF_ORDERS)
        } | found
    try:
        channel = occasion.channel if occasion is not None else ""
        made = render(
            template,
            values,
            locale=language,
            links=example_links(),
            postal_address=snapshots.policy(channel).postal_address if by_mail else "",
        )
    except Unresolved as error:
        return Preview(occasion=occasion, missing=error.name)
    return Preview(rendered=made, occasion=occasion)


def _run(occasion: Occasion, now: datetime) -> JourneyRun:
    offer = Offer.objects.filter(order_ref=occasion.ref).order_by("-pk").first()
    return JourneyRun(
        journey=Journey(name=""),
        customer_key=snapshots.customer_key(occasion.customer),
        order_ref=occasion.ref,
        channel=occasion.channel,
        found={"offer": offer.pk} if offer is not None else {},
        entered_at=now,
    )
