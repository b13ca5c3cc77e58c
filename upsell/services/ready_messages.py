"""Messages to start from: staff copy one and change what they like. Data, and nothing is loaded.

They promise nothing that the shop did not say: no urgency, no scarcity, no price but the
offer's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from upsell.models import MessageTemplate
from upsell.services import ready_de, ready_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One message in every language that it is shipped in."""

    slug: str
    name: Any
    about: Any
    """When it fits."""

    @property
    def content(self) -> dict[str, Any]:
        """Return language to subject, preview line and blocks."""
        return {code: deepcopy(letters[self.slug]) for code, letters in _LANGUAGES.items()}


_LANGUAGES: Mapping[str, Mapping[str, Any]] = {"en": ready_en.LETTERS, "de": ready_de.LETTERS}

READY = (
    Ready(slug="thank-you", name=_("Thank you"), about=_("After an order, with what was bought.")),
    Ready(
        slug="complement",
        name=_("Complement to the order"),
        about=_("The order's own offer and suggestions, after any purchase."),
    ),
    Ready(
        slug="ancillary-flight",
        name=_("Ancillary for a flight"),
        about=_("Baggage, insurance, priority boarding, some hours after booking."),
    ),
    Ready(
        slug="ancillary-room",
        name=_("Ancillary for a room"),
        about=_("A better room, breakfast, late check-out, transfer."),
    ),
    Ready(
        slug="ancillary-car",
        name=_("Ancillary for a car"),
        about=_("Full insurance, GPS, child seat, roadside assistance."),
    ),
    Ready(
        slug="reminder",
        name=_("Reminder"),
        about=_("The second message about an order, whatever it offers."),
    ),
    Ready(
        slug="reminder-convenience",
        name=_("Reminder: convenience"),
        about=_("The second message about a trip: less to do on the day."),
    ),
    Ready(
        slug="reminder-protection",
        name=_("Reminder: protection"),
        about=_("The second message about a trip: what happens if plans change."),
    ),
    Ready(
        slug="reminder-time",
        name=_("Reminder: time"),
        about=_("The second message about a trip: less waiting."),
    ),
    Ready(
        slug="reminder-comfort",
        name=_("Reminder: comfort"),
        about=_("The second message about a room."),
    ),
    Ready(
        slug="reminder-safety",
        name=_("Reminder: safety"),
        about=_("The second message about a rented car."),
    ),
    Ready(
        slug="feedback",
        name=_("Feedback with one rating"),
        about=_("Some days after delivery: one question, 1 to 5."),
    ),
    Ready(
        slug="delivery",
        name=_("Delivery update"),
        about=_("When the order is on its way, with a complement."),
    ),
    Ready(
        slug="cart",
        name=_("Cart left behind"),
        about=_("An hour, or a day, after a cart was left."),
    ),
    Ready(
        slug="trial", name=_("Trial"), about=_("In the middle of a trial, to who uses it a lot.")
    ),
    Ready(slug="limit", name=_("Limit"), about=_("At 80 % or 100 % of a plan's limit.")),
    Ready(slug="renewal", name=_("Renewal"), about=_("Two weeks before a subscription renews.")),
)
"""All of them, in the order in which they are shown."""


def copy(slug: str, *, into: MessageTemplate | None = None) -> MessageTemplate:
    """Return a draft with the words of a ready-made message. It is a copy, and never follows.

    Args:
        slug: Of one of ``READY``.
        into: A new row, not saved, that has its own name and slug; none = one named like it.

    Raises:
        LookupError: There is no such message.
    """
    ready = next((one for one in READY if one.slug == slug), None)
    if ready is None:
        raise LookupError(f"there is no ready-made message {slug!r}")
    row = into or MessageTemplate(slug=_free(ready.slug), name=str(ready.name))
    row.content = ready.content
    if row.default_language not in row.content:
        row.default_language = "en"
    row.save()
    return row


def _free(slug: str) -> str:
    taken = set(
        MessageTemplate.objects.filter(slug__startswith=slug).values_list("slug", flat=True)
    )
    numbered = (f"{slug}-{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (slug, *numbered) if one not in taken)
