"""A campaign in words: what it does, where it stands, and what an edit changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import formats, timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.engine.campaigns import (
    DocumentPolicy,
    Match,
    OfferBy,
    OfferKind,
    QuantityRule,
    RuleKind,
    ShippingPolicy,
    StockPolicy,
    TriggerKind,
)
from upsell.models import Campaign, CampaignCopy
from upsell.presenting.mails import shown_money

Label = Callable[[str, str], str]
"""(kind, reference) to what the shop calls it."""

Values = Mapping[str, Any]
"""A campaign as ``services.campaigns.dump`` gives it."""

NOTHING = "–"


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


# ------------------------------------------------------------------ the whole campaign


def sentence(values: Values, label: Label = bare) -> str:
    """Return the whole campaign as one sentence, and what restricts it as a few more."""
    channels = [label("channel", ref) for ref in values.get("channels", [])]
    parts = [
        _("When an order in %(channels)s %(triggers)s%(worth)s, %(offer)s.")
        % {
            "channels": _listed(channels, _("or")) or _("no sales channel"),
            "triggers": _triggers(values, label),
            "worth": _worth(values.get("bounds", {})),
            "offer": _offer(values, label),
        },
        _leaves(values, label),
    ]
    return " ".join(part for part in [*parts, *_restrictions(values, label)] if part)


def because(values: Values, label: Label = bare) -> str:
    """Return in one sentence what about an order makes a campaign offer something."""
    if any(row["kind"] == TriggerKind.ALWAYS for row in values.get("triggers", [])):
        ends = _listed(_ends(values.get("bounds", {})), _("or"))
        if ends:
            return _("Every order worth %s net is offered this.") % ends
        return _("Every order is offered this.")
    return _("The order %(triggers)s%(worth)s.") % {
        "triggers": _triggers(values, label),
        "worth": _worth(values.get("bounds", {})),
    }


def offered(values: Values, label: Label = bare) -> tuple[str, str]:
    """Return (product, how and at what price), short enough for a row of a list."""
    how = _("instead, %s") if values.get("kind") == OfferKind.UPSELL else _("in addition, %s")
    return _product(values, label), how % _price(values)


def unseen(values: Values, label: Label = bare) -> list[str]:
    """Return who does not see it, as sentences: the other half of what a campaign does."""
    told = [
        *_restrictions(values, label),
        "" if values.get("allow_if_present") else _("Not where the order holds it already."),
        _("Not where the order has had an offer, is cancelled, or is being packed."),
        _("Not while a campaign with a higher priority fits the order."),
    ]
    return [words for words in told if words]


def _triggers(values: Values, label: Label) -> str:
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
    if row.get("exact"):
        told = _("%s (this variant)") % told
    units = int(row.get("quantity") or 1)
    if units > 1:
        return _("at least %(units)d × %(thing)s") % {"units": units, "thing": told}
    return told


def _worth(bounds: Mapping[str, Sequence[str | None]]) -> str:
    told = _ends(bounds)
    return _(" and is worth %s net") % _listed(told, _("or")) if told else ""


def _ends(bounds: Mapping[str, Sequence[str | None]]) -> list[str]:
    told = []
    for currency, (least, most) in sorted(bounds.items()):
        if least and most:
            ends = {"least": _money(least, currency), "most": _money(most, currency)}
            told.append(_("between %(least)s and %(most)s") % ends)
        elif least:
            told.append(_("at least %s") % _money(least, currency))
        elif most:
            told.append(_("at most %s") % _money(most, currency))
    return told


def _product(values: Values, label: Label) -> str:
    told = {
        OfferBy.MAP.value: _("the product that the table names"),
        OfferBy.NEXT_MODEL.value: _("the next dearer model"),
    }.get(values.get("offer_by", ""))
    ref = values.get("product_ref", "")
    told = told or (label("product", ref) if ref else _("a product that is not chosen yet"))
    units = int(values.get("quantity") or 1)
    upsell = values.get("kind") == OfferKind.UPSELL
    return f"{units} × {told}" if units > 1 and not upsell else told


def _offer(values: Values, label: Label) -> str:
    told = {"what": _product(values, label), "price": _price(values)}
    if values.get("kind") == OfferKind.UPSELL:
        return _("offer %(what)s instead, %(price)s") % told
    return _("offer %(what)s in addition, %(price)s") % told


def _price(values: Values) -> str:
    rule, upsell = values.get("rule"), values.get("kind") == OfferKind.UPSELL
    amounts = _listed(_amounts(values.get("amounts", {})), _("or")) or "?"
    if rule == RuleKind.PERCENT:
        told = _("at %s %% off") % _percent(values.get("percent"))
        return _("%s, for the difference") % told if upsell else told
    if rule == RuleKind.AMOUNT:
        told = _("at %s off") % amounts
        return _("%s, for the difference") % told if upsell else told
    if rule == RuleKind.FIXED:
        told = _("for %s") % amounts
        return _("%s less what was paid for the old one") % told if upsell else told
    if rule == RuleKind.FIXED_DIFFERENCE:
        return _("for %s more") % amounts
    return _("for the difference") if upsell else _("at its selling price")


def _leaves(values: Values, label: Label) -> str:
    """What goes out of the order, in words: of an upsell staff must never be unsure of it."""
    if values.get("kind") != OfferKind.UPSELL:
        return ""
    rows = values.get("triggers", [])
    named = [label("product", row["ref"]) for row in rows if row["kind"] == TriggerKind.PRODUCT]
    if not named:
        return _("The matching item of the highest value leaves the order.") if rows else ""
    what = _listed(named, _("and"))
    return {
        QuantityRule.ONE.value: _("One unit of %s leaves the order."),
        QuantityRule.SET.value: _("Every unit of %s leaves the order, for one of the new."),
    }.get(values.get("quantity_rule", ""), _("Every unit of %s leaves the order.")) % what


def _restrictions(values: Values, label: Label) -> list[str]:
    told = []
    for field, kind, words in (
        ("groups", "group", _("Only for %s.")),
        ("countries", "country", _("Only where it is delivered to %s.")),
        ("payment_methods", "payment_method", _("Only where it was paid by %s.")),
        ("currencies", "", _("Only in %s.")),
    ):
        if values.get(field):
            told.append(words % _listed([label(kind, ref) for ref in values[field]], _("or")))
    excluded = [_thing(row, label) for row in values.get("exclusions", [])]
    if excluded:
        told.append(_("Never with %s.") % _listed(excluded, _("or")))
    return [*told, *_flags(values), *_memory(values), *_schedule(values)]


def _flags(values: Values) -> list[str]:
    flat = _listed(_amounts(values.get("shipping_flat", {})), _("or")) or "?"
    shipping, stock = values.get("shipping"), values.get("stock")
    told = (
        (values.get("must_fit"), _("Only if it fits what was bought.")),
        (values.get("allow_if_present"), _("Also when the order holds it already.")),
        (shipping == ShippingPolicy.FLAT, _("Delivery costs %s.") % flat),
        (shipping == ShippingPolicy.NONE_NEEDED_ONLY, _("Only if nothing has to be delivered.")),
        (stock == StockPolicy.BACKORDER, _("Also when it has to be ordered in.")),
        (stock == StockPolicy.IGNORE, _("Whatever the stock is.")),
        (
            values.get("documents") == DocumentPolicy.SKIP_IF_INVOICED,
            _("Not once an invoice is written."),
        ),
    )
    return [words for holds, words in told if holds]


def _memory(values: Values) -> list[str]:
    told = []
    bought, seen = values.get("not_bought_days"), values.get("not_seen_days")
    if bought:
        words = ngettext(
            "Not to buyers who bought it in the last day.",
            "Not to buyers who bought it in the last %(n)d days.",
            bought,
        )
        told.append(words % {"n": bought})
    if seen:
        words = ngettext(
            "Not to buyers who were shown it in the last day.",
            "Not to buyers who were shown it in the last %(n)d days.",
            seen,
        )
        told.append(words % {"n": seen})
    return told


def _schedule(values: Values) -> list[str]:
    start, end = _time(values.get("valid_from")), _time(values.get("valid_until"))
    if start and end:
        return [_("From %(start)s until %(end)s.") % {"start": start, "end": end}]
    if start:
        return [_("From %s on.") % start]
    return [_("Until %s.") % end] if end else []


# ------------------------------------------------------------------ field by field


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One field of a campaign in words, before and after an edit."""

    name: str
    before: str
    after: str


def differences(before: Values, after: Values, label: Label = bare) -> list[Told]:
    """Return what an edit changed, field by field, in words."""
    rows = [
        Told(
            name=field_name(name),
            before=value_in_words(name, before.get(name), label),
            after=value_in_words(name, after.get(name), label),
        )
        for name in after
        if name != "copy" and _differ(name, before.get(name), after.get(name))
    ]
    return [*rows, *_words(before.get("copy") or {}, after.get("copy", before.get("copy")) or {})]


def _words(before: Values, after: Values) -> Iterator[Told]:
    """Yield what changed of the words, language by language."""
    for language in dict.fromkeys((*before, *after)):
        was, now = before.get(language) or {}, after.get(language) or {}
        for part in dict.fromkeys((*was, *now)):
            if (was.get(part) or "") != (now.get(part) or ""):
                name = {"part": capfirst(_verbose(CampaignCopy, part)), "language": language}
                yield Told(
                    name=_("%(part)s (%(language)s)") % name,
                    before=_plain(was.get(part)),
                    after=_plain(now.get(part)),
                )


def _differ(name: str, before: Any, after: Any) -> bool:
    if name == "percent":
        return _percent(before) != _percent(after)
    return bool(before != after)


def field_name(name: str) -> str:
    """Return what staff call a field."""
    named = {"triggers": _("triggers"), "exclusions": _("never together with"), "copy": _("words")}
    return str(capfirst(named.get(name) or _verbose(Campaign, name)))


_KINDS = {
    "channels": "channel",
    "groups": "group",
    "countries": "country",
    "payment_methods": "payment_method",
}


def value_in_words(name: str, value: Any, label: Label = bare) -> str:
    """Return the value of one field in words; a dash where there is none.

    What has another shape than a campaign's, as an old file or row may, is shown as it stands.
    """
    if value in (None, "", [], {}):
        return NOTHING
    try:
        return _in_words(name, value, label)
    except (TypeError, ValueError, KeyError, AttributeError):
        return _plain(value)


def _in_words(name: str, value: Any, label: Label) -> str:
    if name in ("triggers", "exclusions"):
        return "; ".join(
            _("every order") if row["kind"] == TriggerKind.ALWAYS else _thing(row, label)
            for row in value
        )
    if name == "bounds":
        return "; ".join(_ends(value))
    if name in ("amounts", "shipping_flat"):
        return "; ".join(_amounts(value))
    if name == "product_map":
        pairs = ((label("product", bought), label("product", new)) for bought, new in value)
        return "; ".join(f"{bought} → {new}" for bought, new in pairs)
    if name == "product_ref":
        return label("product", value)
    if name in _KINDS:
        return ", ".join(label(_KINDS[name], ref) for ref in value)
    if name in ("valid_from", "valid_until"):
        return _time(value)
    if name == "percent":
        return _("%s %%") % _percent(value)
    choices = dict(getattr(_field(Campaign, name), "flatchoices", None) or ())
    return str(choices.get(value) or _plain(value))


def _plain(value: Any) -> str:
    if value in (None, "", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return "; ".join(_plain(item) for item in value)
    return str(value)


def _field(model: Any, name: str) -> Any:
    return next((field for field in model._meta.fields if field.name == name), None)


def _verbose(model: Any, name: str) -> str:
    field = _field(model, name)
    return str(field.verbose_name) if field else name.replace("_", " ")


def _amounts(amounts: Mapping[str, str]) -> list[str]:
    return [_money(amount, currency) for currency, amount in amounts.items()]


def _money(amount: Any, currency: str) -> str:
    try:
        return shown_money(Decimal(str(amount)), currency)
    except InvalidOperation:
        return f"{amount} {currency}"


def _percent(value: Any) -> str:
    percent = str(value or "0")
    return percent.rstrip("0").rstrip(".") if "." in percent else percent


def _time(value: Any) -> str:
    """Return a time as staff write it; what is none stands as it was typed."""
    if not value:
        return ""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    at = timezone.localtime(at) if timezone.is_aware(at) else at
    return str(formats.date_format(at, "DATETIME_FORMAT"))


def _listed(words: Sequence[str], last: str) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
