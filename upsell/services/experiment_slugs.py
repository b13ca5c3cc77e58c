"""Experiments as a host writes them: everything by its slug, so that a script may run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from upsell.models import Campaign, Experiment
from upsell.services import experiments


def save_experiment(*, slug: str, arms: Sequence[Mapping[str, Any]], **fields: Any) -> str:
    """Draft an experiment, or change the draft; one that was started stays as it is.

    Args:
        slug: Which experiment.
        arms: Rows of ``slug``, ``weight`` (ten-thousandths), ``campaign`` (a slug, or none) and
            ``overrides``.
        **fields: ``name``, ``question``, ``metric``, ``reading``, ``base``, ``smallest``,
            ``currency``, ``traffic`` (ten-thousandths), ``user``.

    Returns:
        Its state afterwards: ``DRAFT``, ``RUNNING`` or ``ENDED``.

    Raises:
        ValidationError: By field; nothing was written.
    """
    row = Experiment.objects.filter(slug=slug).first()
    if row is not None and row.state != Experiment.State.DRAFT:
        return str(row.state)
    named = {arm["campaign"] for arm in arms if arm.get("campaign")}
    keys = dict(Campaign.objects.filter(slug__in=named).values_list("slug", "pk"))
    unknown = sorted(named - set(keys))
    if unknown:
        raise ValidationError({"arms": _("There is no campaign “%s”.") % unknown[0]})
    rows = [{**arm, "campaign": keys.get(arm.get("campaign") or "")} for arm in arms]
    return str(experiments.save_draft(slug=slug, arms=rows, **fields).state)


def start_experiment(*, slug: str) -> None:
    """Begin an experiment. Twice is the same as once.

    Raises:
        ValidationError: By field: what is missing or wrong, that it has ended, or that there is
            none of this name.
    """
    row = Experiment.objects.filter(slug=slug).first()
    if row is None:
        raise ValidationError(_("There is no experiment “%s”.") % slug)
    experiments.start(experiment_id=row.pk)
