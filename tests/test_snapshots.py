"""The campaigns a worker holds follow every edit, whichever way it was made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import models
from django.utils import timezone

from example_shop.models import Product
from tests.factories import campaign, catalogue
from upsell import snapshots
from upsell.models import (
    Campaign,
    CampaignCopy,
    CampaignExclusion,
    CampaignSet,
    CampaignTrigger,
    ChannelSettings,
)

pytestmark = [pytest.mark.django_db, pytest.mark.databases]


def first() -> Campaign:
    return Campaign.objects.order_by("pk")[0]


def last() -> Campaign:
    return Campaign.objects.order_by("-pk")[0]


def edit(**values: object) -> None:
    row = first()
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))


def renamed_in_bulk() -> None:
    rows = list(Campaign.objects.all())
    for row in rows:
        row.name = f"{row.name}!"
    Campaign.objects.bulk_update(rows, ["name"])


def moved_to_another_campaign() -> None:
    trigger = CampaignTrigger.objects.get(campaign=first())
    trigger.campaign = last()
    trigger.ref = "moved"
    trigger.save()


EDITS: dict[str, Callable[[], object]] = {
    "a campaign is saved": lambda: first().save(),
    "one field is saved": lambda: edit(priority=99),
    "it is switched off": lambda: edit(status="OFF"),
    "it is archived": lambda: edit(archived=True),
    "all are updated": lambda: Campaign.objects.update(priority=3, edited_at=timezone.now()),
    "some are updated": lambda: Campaign.objects.filter(pk=last().pk).update(quantity=2),
    "all are updated in bulk": renamed_in_bulk,
    "one is made": lambda: campaign(Product.objects.get(sku="CA")),
    "several are made in bulk": lambda: Campaign.objects.bulk_create(
        Campaign(name=n, slug=n, status="LIVE", kind="CROSS_SELL", channels=["web"]) for n in "xy"
    ),
    "one is deleted": lambda: last().delete(),
    "all are deleted": lambda: Campaign.objects.all().delete(),
    "a trigger is added": lambda: CampaignTrigger.objects.create(
        campaign=first(), kind="TAG", ref="new"
    ),
    "triggers are added in bulk": lambda: CampaignTrigger.objects.bulk_create(
        CampaignTrigger(campaign=row, kind="TAG", ref="bulk") for row in Campaign.objects.all()
    ),
    "a trigger is changed": lambda: CampaignTrigger.objects.filter(campaign=first()).update(
        quantity=3
    ),
    "a trigger moves": moved_to_another_campaign,
    "triggers move in bulk": lambda: CampaignTrigger.objects.filter(campaign=first()).update(
        campaign=last(), ref="bulk"
    ),
    "a trigger is deleted": lambda: CampaignTrigger.objects.get(campaign=first()).delete(),
    "triggers are deleted": lambda: CampaignTrigger.objects.all().delete(),
    "an exclusion is added": lambda: CampaignExclusion.objects.create(
        campaign=last(), kind="TAG", ref="not"
    ),
    "words are edited": lambda: CampaignCopy.objects.create(campaign=first(), headline="New"),
    "a channel is switched off": lambda: ChannelSettings.objects.create(
        channel="web", enabled=False
    ),
}


@pytest.mark.parametrize("how", EDITS)
def test_an_edit_is_followed_however_it_is_made(how):
    products = catalogue()
    for sku in ("W1", "W2", "DT"):
        campaign(products["CA"], products[sku])
    before = snapshots.index()

    EDITS[how]()

    followed = snapshots.index()
    snapshots.forget()
    anew = snapshots.index()
    assert followed.version == anew.version > before.version
    assert list(followed.specs()) == list(anew.specs())
    assert len(followed) == len(anew)
    assert followed.policies == anew.policies


def test_a_database_from_a_backup_is_read_anew():
    products = catalogue()
    made = campaign(products["CA"])
    CampaignSet.objects.update(version=50)
    assert [spec.priority for spec in snapshots.index().specs()] == [10]

    models.QuerySet(Campaign).filter(pk=made.pk).update(priority=7)
    CampaignSet.objects.update(version=9)

    assert [spec.priority for spec in snapshots.index().specs()] == [7]
