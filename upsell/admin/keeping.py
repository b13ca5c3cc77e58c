"""Campaigns that are measured: what changing one mixes up, and that it is archived, not deleted."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from upsell.models import Arm, Campaign, Experiment
from upsell.services import campaigns


def warnings(campaign: Campaign) -> list[str]:
    """Return what to say of the running experiments that a campaign is in. One statement."""
    present = Q(phases__arms__campaign=campaign.pk, phases__ended_at__isnull=True)
    rows = Experiment.objects.filter(present, state=Experiment.State.RUNNING).distinct()
    told = _("It is in the running experiment “%s”: a change mixes up what is measured. Begin a "
             "new phase of the experiment instead, or stop it first.")  # fmt: skip
    return [told % row.name for row in rows.order_by("name", "pk")]


def has_history(campaign: Campaign) -> bool:
    """Say whether offers or experiments point to a campaign, so that it is kept."""
    return campaign.offers.exists() or Arm.objects.filter(campaign=campaign.pk).exists()


def kept(campaign: Campaign) -> str:
    """Return why a campaign is not deleted, and what to do."""
    told = _("“%s” has a history, which is kept: archive it instead, by the action on the list. "
             "Nobody is offered it from then on.")  # fmt: skip
    return told % campaign


def archive(rows: list[Campaign], *, archived: bool, user: Any) -> tuple[int, list[str]]:
    """Archive campaigns, or take them out; return how many, and why others were left alone."""
    done, refused = 0, []
    for row in rows:
        if archived and warnings(row):
            refused.append(_("“%s” is in a running experiment: stop that first.") % row)
            continue
        try:
            campaigns.save_campaign(user=user, slug=row.slug, archived=archived)
        except ValidationError as error:
            refused.append(f"{row}: {' '.join(error.messages)}")
        else:
            done += 1
    return done, refused
