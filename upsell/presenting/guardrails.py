"""Alarms in words: what was counted, and what it suggests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from upsell.models import Alarm, Campaign
from upsell.presenting.results import number, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alarm."""

    alarm: Alarm
    campaign: Campaign
    title: str
    counted: str
    suggests: str


def told(alarms: Iterable[Alarm], channel_name: Callable[[str], str]) -> list[Told]:
    """Return alarms as a page shows them; their campaigns should be selected with them."""
    return [
        Told(
            alarm=row,
            campaign=row.campaign,
            title=_title(row),
            counted=_counted(row, channel_name),
            suggests=_suggests(row),
        )
        for row in alarms
    ]


def cannot_be_watched(events: Iterable[str]) -> list[str]:
    """Return a sentence for each guardrail that has nothing to go by."""
    return [
        _("Revenue that rises while fewer checkouts are completed cannot be watched: no "
          "%(event)s events.") % {"event": event}
        for event in events
    ]  # fmt: skip


def _title(row: Alarm) -> str:
    return {
        Alarm.Kind.REFUNDS: _("More comes back than usual"),
        Alarm.Kind.ACCEPTANCE: _("Hardly anybody accepts"),
        Alarm.Kind.NEVER_SHOWN: _("Live and never shown"),
        Alarm.Kind.DISCOUNT: _("Mostly sold with a discount"),
        Alarm.Kind.CHECKOUT: _("Offers earn more, and fewer checkouts are completed"),
    }[Alarm.Kind(row.kind)]


def _counted(row: Alarm, channel_name: Callable[[str], str]) -> str:
    values = {
        "hits": number(row.hits),
        "n": number(row.n),
        "rate": percent(row.hits / row.n),
        "base_hits": number(row.base_hits or 0),
        "base_n": number(row.base_n or 0),
        "base": percent((row.base_hits or 0) / (row.base_n or 1)),
        "channel": channel_name(row.channel),
    }
    words = {
        Alarm.Kind.REFUNDS: _(
            "Of %(n)s sold in 30 days, %(hits)s were undone, refunded or cancelled "
            "(%(rate)s\N{NO-BREAK SPACE}%%). Of %(base_n)s orders without an accepted offer, "
            "%(base_hits)s were (%(base)s\N{NO-BREAK SPACE}%%)."
        ),
        Alarm.Kind.ACCEPTANCE: _(
            "Of %(n)s shown in 30 days, %(hits)s were accepted (%(rate)s\N{NO-BREAK SPACE}%%)."
        ),
        Alarm.Kind.NEVER_SHOWN: _(
            "%(n)s orders were decided in its sales channels in 3 days, and it was never shown."
        ),
        Alarm.Kind.DISCOUNT: _(
            "%(channel)s: of %(n)s sold in 30 days, %(hits)s had a discount "
            "(%(rate)s\N{NO-BREAK SPACE}%%). Most of them came from this campaign."
        ),
        Alarm.Kind.CHECKOUT: _(
            "Of %(n)s buyers who began a checkout in 30 days, %(hits)s completed one "
            "(%(rate)s\N{NO-BREAK SPACE}%%); in the 30 days before, %(base_hits)s of %(base_n)s "
            "(%(base)s\N{NO-BREAK SPACE}%%). This campaign earned more than then, most of all."
        ),
    }
    return words[Alarm.Kind(row.kind)] % values


def _suggests(row: Alarm) -> str:
    return {
        Alarm.Kind.REFUNDS: _("Read the offer as a buyer does: does it say what arrives, and what "
                              "it costs?"),
        Alarm.Kind.ACCEPTANCE: _("Offer another product, or a cheaper one, before you change the "
                                 "words."),
        Alarm.Kind.NEVER_SHOWN: _("Look why it is not shown: most often another campaign comes "
                                  "first, or nobody buys what triggers it."),
        Alarm.Kind.DISCOUNT: _("Try it without the discount: it may sell as well, and earn more."),
        Alarm.Kind.CHECKOUT: _("Hold some buyers out, or test it in an experiment: an offer that "
                               "costs orders does not pay."),
    }[Alarm.Kind(row.kind)]  # fmt: skip
