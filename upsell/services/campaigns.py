"""Campaigns written: saved from plain values, copied, and every edit kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from upsell import clock
from upsell.models import (
    Campaign,
    CampaignCopy,
    CampaignExclusion,
    CampaignRevision,
    CampaignTrigger,
)
from upsell.services.campaign_checks import Finding, validate
from upsell.services.campaign_shapes import datetime_of

__all__ = [
    "Finding",
    "dump",
    "duplicate",
    "next_priority",
    "record_edit",
    "save_campaign",
    "validate",
]

_STEP = 10
_TIMES = ("valid_from", "valid_until")
FIELDS = (
    "name", "slug", "status", "kind", "offer_by", "product_ref", "product_map", "must_fit",
    "channels", "moments", "match", "bounds", "currencies", "groups", "countries",
    "payment_methods", "allow_if_present", "not_bought_days", "not_seen_days", "rule", "percent",
    "amounts", "from_regular", "allow_free", "allow_below_cost", "quantity_rule", "quantity",
    "shipping", "shipping_flat", "stock", "documents", "priority", "weight", "valid_from",
    "valid_until", "motivation", "default_language", "note", "archived",
)  # fmt: skip
COPY = ("headline", "body", "benefits", "image_url", "image_alt", "accept_label", "decline_label")


def save_campaign(*, user: Any = None, slug: str, **fields: Any) -> Campaign:
    """Create the campaign of this slug, or change what is named of it, as one edit.

    Args:
        user: Who did it; none = the system.
        slug: Which campaign.
        **fields: The model's fields, amounts as strings or Decimals, and
            ``triggers``, ``exclusions`` (lists of ``kind``, ``ref``, ``exact``, ``quantity``) and
            ``copy`` (language to words). Lists given replace the ones there.

    Raises:
        ValidationError: By field; nothing was written.
    """
    unknown = sorted(set(fields) - set(FIELDS) - {"triggers", "exclusions", "copy"})
    if unknown:
        raise ValidationError(_("A campaign has no %s.") % ", ".join(unknown))
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update().filter(slug=slug).first()
        before = {} if campaign is None else dump(campaign)
        values = {**(before or defaults()), **_plain(fields), "slug": slug}
        if campaign is None:
            values["name"] = values["name"] or slug
            if "priority" not in fields:
                values["priority"] = next_priority()
            if "quantity_rule" not in fields and values["kind"] == Campaign.Kind.UPSELL:
                values["quantity_rule"] = Campaign.QuantityRule.MATCH.value
        errors, _warnings = validate(values, campaign_id=campaign.pk if campaign else None)
        if errors:
            raise ValidationError(by_field(errors))
        if campaign is None:
            campaign = Campaign(slug=slug)
        _write(campaign, values)
        record_edit(campaign, user, before)
    return campaign


def defaults() -> dict[str, Any]:
    """Return a new campaign's values, as ``dump`` gives them."""
    return dump(Campaign())


def dump(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign with its child rows as plain JSON values; amounts are strings."""
    values = fields_of(campaign)
    saved = campaign.pk is not None
    values["triggers"] = [
        {"kind": row.kind, "ref": row.ref, "exact": row.exact, "quantity": row.quantity}
        for row in (_rows(campaign.triggers) if saved else ())
    ]
    values["exclusions"] = [
        {"kind": row.kind, "ref": row.ref, "quantity": row.quantity}
        for row in (_rows(campaign.exclusions) if saved else ())
    ]
    values["copy"] = {
        row.language: {name: getattr(row, name) for name in COPY}
        for row in (_rows(campaign.copies) if saved else ())
    }
    return values


def fields_of(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign's own fields as plain JSON values, without its child rows."""
    return {name: _json(getattr(campaign, name)) for name in FIELDS}


def record_edit(campaign: Campaign, user: Any, before: Mapping[str, Any]) -> CampaignRevision:
    """Write down what an edit changed, and move the time by which equals are ranked.

    Call it last, in the edit's own transaction: the revision is what decisions point to.
    """
    with transaction.atomic():
        fresh = Campaign.objects.select_for_update().prefetch_related(None).get(pk=campaign.pk)
        number = fresh.revision + 1
        at = clock.now()
        Campaign.objects.filter(pk=campaign.pk).update(revision=number, edited_at=at)
        campaign.revision, campaign.edited_at = number, at
        return CampaignRevision.objects.create(
            campaign=campaign,
            number=number,
            at=at,
            by=user if user is not None and getattr(user, "pk", None) else None,
            before=dict(before),
            after=dump(fresh),
        )


def duplicate(*, campaign_id: int, user: Any = None) -> Campaign:
    """Copy a campaign: switched off, at the next free priority, under a slug of its own."""
    with transaction.atomic():
        campaign = Campaign.objects.get(pk=campaign_id)
        values = dump(campaign)
        base = f"{campaign.slug[:100]}-copy"
        taken = set(Campaign.objects.filter(slug__startswith=base).values_list("slug", flat=True))
        slug = next(
            name
            for name in (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
            if name not in taken
        )
        values |= {
            "slug": slug,
            "name": _("%s (copy)") % campaign.name[:100],
            "status": Campaign.Status.OFF.value,
            "priority": next_priority(),
            "archived": False,
        }
        copy = Campaign(slug=slug)
        _write(copy, values)
        record_edit(copy, user, {})
    return copy


def next_priority() -> int:
    """Return the next free priority: ten above the highest, so that others fit between."""
    highest = Campaign.objects.aggregate(most=Max("priority"))["most"]
    return _STEP if highest is None else (int(highest) // _STEP + 1) * _STEP


def by_field(findings: list[Finding]) -> dict[str, list[str]]:
    """Return findings as Django's form errors want them."""
    told: dict[str, list[str]] = {}
    for finding in findings:
        told.setdefault(finding.field or NON_FIELD_ERRORS, []).append(finding.message)
    return told


def _write(campaign: Campaign, values: Mapping[str, Any]) -> None:
    for name in FIELDS:
        if name in _TIMES:
            setattr(campaign, name, datetime_of(values[name]))
        else:
            setattr(campaign, name, values[name])
    # What a column cannot hold is said by its name: databases differ in what they take.
    campaign.clean_fields()
    campaign.save()
    campaign.triggers.all().delete()
    campaign.exclusions.all().delete()
    campaign.copies.all().delete()
    triggers = [CampaignTrigger(campaign=campaign, **row) for row in values["triggers"]]
    exclusions = [CampaignExclusion(campaign=campaign, **row) for row in values["exclusions"]]
    copies = [
        CampaignCopy(campaign=campaign, language=language, **words)
        for language, words in values["copy"].items()
    ]
    for name, rows in (("triggers", triggers), ("exclusions", exclusions), ("copy", copies)):
        for row in rows:
            _clean(row, name)
    CampaignTrigger.objects.bulk_create(triggers)
    CampaignExclusion.objects.bulk_create(exclusions)
    CampaignCopy.objects.bulk_create(copies)


def _clean(row: CampaignTrigger | CampaignExclusion | CampaignCopy, name: str) -> None:
    try:
        row.clean_fields(exclude={"campaign"})
    except ValidationError as error:
        raise ValidationError({name: error.messages}) from error


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _json(value) for name, value in fields.items()}
    for name in ("triggers", "exclusions"):
        if name in values:
            if not _are_rows(values[name]):
                raise ValidationError({name: _("This must be a list of rows.")})
            values[name] = [_child(row, exact=name == "triggers") for row in values[name]]
    if "copy" in values:
        words_of = values["copy"]
        if not isinstance(words_of, dict) or not _are_rows([*words_of.values()]):
            raise ValidationError({"copy": _("The words must be given by language.")})
        empty: dict[str, Any] = {name: [] if name == "benefits" else "" for name in COPY}
        for language, words in values["copy"].items():
            unknown = sorted(set(words) - set(COPY))
            if unknown:
                raise ValidationError({"copy": _("Words have no %s.") % ", ".join(unknown)})
            values["copy"][language] = {**empty, **words}
    return values


def _are_rows(rows: object) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


def _child(row: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    plain = {
        "kind": row.get("kind", "PRODUCT"),
        "ref": row.get("ref", ""),
        "quantity": row.get("quantity", 1),
    }
    return {**plain, "exact": bool(row.get("exact"))} if exact else plain


def _json(value: Any) -> Any:
    """Return a value as JSON keeps it: amounts and times as strings, sets as sorted lists."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_json(item) for item in value)
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    # A TextChoices member is a str; JSON and comparisons want the bare one.
    return str(value.value) if isinstance(value, str) and hasattr(value, "value") else value


def _rows(related: Any) -> list[Any]:
    return sorted(related.all(), key=lambda row: row.pk)
