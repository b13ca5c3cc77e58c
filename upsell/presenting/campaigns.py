"""A campaign in words: what it does, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.engine.campaigns import Match, OfferBy, OfferKind, RuleKind, TriggerKind
from upsell.models import Campaign

Label = Callable[[str, str], str]
"""(kind, reference) to what the shop calls it."""


def bare(_kind: str, ref: str) -> str:
    """Call a thing by its reference, where the shop is not asked."""
    return ref


def state_of(campaign: Campaign, *, now: datetime) -> tuple[str, str]:
    """Return a campaign's standing as (code, words)."""
    if campaign.archived:
        return "archived", _("archived")
    if campaign.status == Campaign.Status.OFF:
        return "off", _("off")
    if not campaign.channels:
        return "nowhere", _("runs nowhere")
    if campaign.valid_until and now > campaign.valid_until:
        return "ended", _("ended")
    if campaign.status == Campaign.Status.STAFF_ONLY:
        return "staff", _("staff only")
    if campaign.valid_from and now < campaign.valid_from:
        return "scheduled", _("scheduled")
    return "live", _("live")


def sentence(values: Mapping[str, Any], label: Label = bare) -> str:
    """Return the whole campaign as one or a few sentences, from ``services.campaigns.dump``."""
    channels = [label("channel", ref) for ref in values.get("channels", [])]
    parts = [
        _("When an order in %(channels)s %(triggers)s%(worth)s, %(offer)s.")
        % {
            "channels": _listed(channels, _("or")) or _("no sales channel"),
            "triggers": _triggers(values, label),
            "worth": _worth(values.get("bounds", {})),
            "offer": _offer(values, label),
        }
    ]
    parts += _restrictions(values, label)
    return " ".join(parts)


def _triggers(values: Mapping[str, Any], label: Label) -> str:
    rows = values.get("triggers", [])
    if not rows:
        return _("contains something that is not chosen yet")
    if any(row["kind"] == TriggerKind.ALWAYS for row in rows):
        return _("is placed")
    told = [_thing(row, label) for row in rows]
    word = _("and") if values.get("match") == Match.ALL else _("or")
    return _("contains %s") % _listed(told, word)


def _thing(row: Mapping[str, Any], label: Label) -> str:
    name = label(row["kind"].lower(), row["ref"])
    told = {
        TriggerKind.CATEGORY.value: _("something of the category %s"),
        TriggerKind.BRAND.value: _("something of the brand %s"),
        TriggerKind.TAG.value: _("something marked %s"),
    }.get(row["kind"], "%s") % name
    units = int(row.get("quantity") or 1)
    if units > 1:
        return _("at least %(units)d × %(thing)s") % {"units": units, "thing": told}
    return told


def _worth(bounds: Mapping[str, Sequence[str | None]]) -> str:
    told = []
    for currency, (least, most) in sorted(bounds.items()):
        if least and most:
            told.append(
                _("between %(least)s and %(most)s %(currency)s")
                % {"least": least, "most": most, "currency": currency}
            )
        elif least:
            told.append(
                _("at least %(least)s %(currency)s") % {"least": least, "currency": currency}
            )
        elif most:
            told.append(_("at most %(most)s %(currency)s") % {"most": most, "currency": currency})
    return _(" and is worth %s net") % _listed(told, _("or")) if told else ""


def _offer(values: Mapping[str, Any], label: Label) -> str:
    upsell = values.get("kind") == OfferKind.UPSELL
    what = {
        OfferBy.MAP.value: _("the product that the table names"),
        OfferBy.NEXT_MODEL.value: _("the next dearer model"),
    }.get(values.get("offer_by", ""), label("product", values.get("product_ref") or "?"))
    units = int(values.get("quantity") or 1)
    if not upsell and units > 1:
        what = f"{units} × {what}"
    price = _price(values, upsell=upsell)
    if upsell:
        return _("offer %(what)s instead, %(price)s") % {"what": what, "price": price}
    return _("offer %(what)s in addition, %(price)s") % {"what": what, "price": price}


def _price(values: Mapping[str, Any], *, upsell: bool) -> str:
    rule = values.get("rule")
    amounts = _listed(
        [f"{amount} {cur}" for cur, amount in values.get("amounts", {}).items()], _("or")
    )
    if rule == RuleKind.PERCENT:
        percent = str(values.get("percent", "0"))
        percent = percent.rstrip("0").rstrip(".") if "." in percent else percent
        told = _("at %s %% off") % percent
        return _("%s, for the difference") % told if upsell else told
    if rule == RuleKind.AMOUNT:
        told = _("at %s off") % (amounts or "?")
        return _("%s, for the difference") % told if upsell else told
    if rule == RuleKind.FIXED:
        return _("for %s") % (amounts or "?")
    if rule == RuleKind.FIXED_DIFFERENCE:
        return _("for %s more") % (amounts or "?")
    return _("for the difference") if upsell else _("at its selling price")


def _restrictions(values: Mapping[str, Any], label: Label) -> list[str]:
    told = []
    for field, kind, words in (
        ("groups", "group", _("Only for %s.")),
        ("countries", "country", _("Only where it is delivered to %s.")),
        ("payment_methods", "payment_method", _("Only where it was paid by %s.")),
    ):
        if values.get(field):
            told.append(words % _listed([label(kind, ref) for ref in values[field]], _("or")))
    excluded = [_thing(row, label) for row in values.get("exclusions", [])]
    if excluded:
        told.append(_("Never with %s.") % _listed(excluded, _("or")))
    days = values.get("not_bought_days")
    if days:
        told.append(
            ngettext(
                "Not to buyers who bought it in the last day.",
                "Not to buyers who bought it in the last %(n)d days.",
                days,
            )
            % {"n": days}
        )
    return told


def _listed(words: Sequence[str], last: str) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
