"""What is wrong, or merely unwise, about an experiment: rows in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from upsell.engine.experiments import BUCKETS
from upsell.models import Arm, Campaign, Experiment, Phase
from upsell.services.campaign_checks import validate
from upsell.services.campaign_shapes import Finding
from upsell.services.campaigns import COPY, dump
from upsell.services.experiment_sizes import needed_per_arm

CONTROL = "control"
"""The arm that the others are compared with."""

OVERRIDES = frozenset({"product_ref", "rule", "percent", "amounts", "copy"})

# What arms may differ in, and the fields of a campaign that make the difference.
_OFFER, _PRICE, _COPY, _AUDIENCE, _TIMING, _PLACE = (
    "offer", "price", "copy", "audience", "timing", "place",
)  # fmt: skip
_KINDS: Mapping[str, tuple[str, ...]] = {
    _OFFER: ("kind", "offer_by", "product_ref", "product_map", "must_fit", "quantity_rule",
             "quantity", "shipping", "shipping_flat"),
    _PRICE: ("rule", "percent", "amounts", "from_regular"),
    _COPY: ("copy",),
    _AUDIENCE: ("triggers", "exclusions", "match", "bounds", "currencies", "groups", "countries",
                "payment_methods", "channels", "not_bought_days", "not_seen_days",
                "allow_if_present"),
    _TIMING: ("valid_from", "valid_until"),
    _PLACE: ("moments", "priority"),
}  # fmt: skip


def findings(
    row: Experiment, phase: Phase, arms: Sequence[Arm]
) -> tuple[list[Finding], list[Finding]]:
    """Return (errors, warnings) of an experiment; errors forbid a start, warnings never do.

    Cost: two statements for each arm with a campaign.
    """
    values = {arm.slug: _as_offered(arm) for arm in arms}
    errors = [*_of_arms(row, arms), *_of_sizes(row, arms), *_of_campaigns(row, arms, values)]
    return errors, list(_unwise(row, arms, values))


def differ_in(values: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Return in which of offer, price, copy, audience, timing and place arms differ.

    An arm without a campaign differs in nothing but that it offers nothing.
    """
    known = [one for one in values if one is not None]
    return [
        kind
        for kind, names in _KINDS.items()
        if any(one.get(name) != known[0].get(name) for one in known for name in names)
    ]


def _as_offered(arm: Arm) -> dict[str, Any] | None:
    """Return the campaign's values as the arm changes them; none where it offers nothing."""
    if arm.campaign_id is None or arm.campaign is None:
        return None
    values = dump(arm.campaign)
    changed = arm.overrides
    for name in ("rule", "percent", "amounts"):
        if name in changed:
            values[name] = changed[name]
    if "rule" in changed:
        values["percent"] = str(changed.get("percent", "0"))
        values["amounts"] = dict(changed.get("amounts", {}))
    if "product_ref" in changed:
        values["offer_by"], values["product_ref"] = "PRODUCT", changed["product_ref"]
    words = changed.get("copy", {})
    if isinstance(words, Mapping):
        for language, named in words.items():
            if isinstance(named, Mapping):
                known = values["copy"].get(language) or _default_words(values)
                values["copy"][language] = {**known, **named}
    return values


def _default_words(values: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {name: [] if name == "benefits" else "" for name in COPY}
    return {**empty, **values["copy"].get(values["default_language"], {})}


def _of_arms(row: Experiment, arms: Sequence[Arm]) -> Iterator[Finding]:
    if len(arms) < 2:
        yield _wrong("arms_few", _("An experiment needs two arms or more, and has %d.") % len(arms))
    control = next((arm for arm in arms if arm.slug == CONTROL), None)
    if arms and control is None:
        yield _wrong("no_control", _("One arm must be called “control”: the others are compared "
                                     "with it."))  # fmt: skip
    if control is not None and control.overrides:
        yield _wrong("control_changes", _("The control offers a campaign as it stands, or nothing: "
                                          "it changes nothing."))  # fmt: skip
    weights = sum(arm.weight for arm in arms)
    if arms and weights != BUCKETS:
        yield _wrong("weights", _("The weights must come to 100 %%, and come to %s %%.")
                     % _percent(weights))  # fmt: skip
    if not any(arm.campaign_id for arm in arms):
        yield _wrong("no_campaign", _("No arm offers anything: choose a campaign."))
    for arm in arms:
        unknown = sorted(set(arm.overrides) - OVERRIDES)
        if unknown:
            told = {"arm": arm.slug, "names": ", ".join(unknown)}
            yield _wrong("override", _("%(arm)s: an arm cannot change %(names)s.") % told)
        if arm.overrides and arm.campaign_id is None:
            yield _wrong("override", _("%s: there is no campaign whose terms it could change.")
                         % arm.slug)  # fmt: skip


def _of_sizes(row: Experiment, arms: Sequence[Arm]) -> Iterator[Finding]:
    if row.smallest <= 0:
        yield Finding(code="smallest", field="smallest",
                      message=_("The smallest difference worth finding is above 0."))  # fmt: skip
    if row.metric == Experiment.Metric.ACCEPTANCE:
        if not 0 < row.base < 1 or row.base + row.smallest >= 1:
            yield Finding(code="base", field="base",
                          message=_("Acceptance is a share between 0 and 1, such as 0.05 for 5 %, "
                                    "also with the difference on top."))  # fmt: skip
        if any(arm.slug == CONTROL and arm.campaign_id is None for arm in arms):
            yield Finding(code="metric", field="metric",
                          message=_("The control is offered nothing, so nothing can be accepted "
                                    "in it: compare revenue instead."))  # fmt: skip
    elif not row.currency:
        yield Finding(code="currency", field="currency",
                      message=_("Revenue is compared in one currency: say which."))  # fmt: skip
    elif row.reading != Experiment.Reading.ANY_DAY and not needed_per_arm(row, arms):
        yield Finding(code="size_unknown", field="reading",
                      message=_("How many buyers it needs cannot be told: there are too few orders "
                                "in %s to see how much revenue varies. Read it any day, or wait "
                                "for orders.") % row.currency)  # fmt: skip


def _of_campaigns(
    row: Experiment, arms: Sequence[Arm], values: Mapping[str, dict[str, Any] | None]
) -> Iterator[Finding]:
    named = {arm.campaign_id for arm in arms if arm.campaign_id is not None}
    taken = Arm.objects.filter(
        campaign__in=named,
        phase__ended_at__isnull=True,
        phase__experiment__state=Experiment.State.RUNNING,
    ).exclude(phase__experiment=row.pk)
    for other in taken.select_related("campaign", "phase__experiment"):
        told = {"campaign": str(other.campaign), "other": str(other.phase.experiment)}
        yield _wrong("taken", _("“%(campaign)s” is in the running experiment “%(other)s”. "
                                "A campaign is in one at a time.") % told)  # fmt: skip
    for arm in arms:
        offered = values[arm.slug]
        if offered is None or arm.campaign is None:
            continue
        if arm.campaign.archived:
            yield _wrong("archived", _("“%s” is archived.") % arm.campaign)
        if row.moment not in offered["moments"]:
            told = {"campaign": str(arm.campaign), "moment": row.moment}
            yield _wrong("moment", _("“%(campaign)s” does not appear at %(moment)s.") % told)
        if arm.overrides:
            for error in validate(offered, campaign_id=arm.campaign_id)[0]:
                yield _wrong(error.code, f"{arm.slug}: {error.message}")
    same = [slug for slug, one in values.items() for other, two in values.items()
            if slug < other and one is not None and _terms(arms, slug) == _terms(arms, other)
            and one == two]  # fmt: skip
    if same:
        yield _wrong("same", _("Two arms offer exactly the same: %s.") % ", ".join(sorted(same)))


def _terms(arms: Sequence[Arm], slug: str) -> int | None:
    return next(arm.campaign_id for arm in arms if arm.slug == slug)


def _unwise(
    row: Experiment, arms: Sequence[Arm], values: Mapping[str, dict[str, Any] | None]
) -> Iterator[Finding]:
    kinds = differ_in(list(values.values()))
    if len(kinds) > 1:
        names = {_OFFER: _("offer"), _PRICE: _("price"), _COPY: _("words"),
                 _AUDIENCE: _("audience"), _TIMING: _("timing"), _PLACE: _("place")}  # fmt: skip
        told = ", ".join(names[kind] for kind in kinds)
        yield _wrong("confounded", _("The arms differ in more than one thing (%s): the result will "
                                     "not say which one it was.") % told)  # fmt: skip
    for arm in arms:
        if arm.campaign is not None and arm.campaign.status != Campaign.Status.LIVE:
            yield _wrong("not_live", _("“%s” is not live, so nobody is offered it.") % arm.campaign)
    if row.reading != Experiment.Reading.ANY_DAY and row.metric == Experiment.Metric.REVENUE:
        yield Finding(code="spread", field="reading",
                      message=_("How much buyers' revenue varies is taken from the last 90 days; "
                                "if it varies more, the experiment finds less."))  # fmt: skip


def _percent(buckets: int) -> str:
    return format((Decimal(buckets) / 100).normalize(), "f")


def _wrong(code: str, message: str) -> Finding:
    return Finding(code=code, field="arms", message=message)
