"""Campaigns to a file and back."""

from __future__ import annotations

import pytest

from tests import factories
from upsell.models import Campaign
from upsell.services import campaign_files

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("write", [campaign_files.as_json, campaign_files.as_csv])
def test_a_file_brings_back_what_was_exported(write):
    shop = factories.catalogue()
    made = factories.campaign(shop["DT"], shop["W1"], name="=1+1", slug="a", note="'quoted")
    text = write(Campaign.objects.filter(pk=made.pk))
    rows = campaign_files.read(text)

    same = campaign_files.import_(rows)
    Campaign.objects.all().delete()
    preview = campaign_files.import_(rows)

    assert (same[0].new, same[0].changes, same[0].errors) == (False, (), ())
    assert (preview[0].new, preview[0].errors) == (True, ())
    assert not Campaign.objects.exists()
    campaign_files.import_(rows, commit=True)
    again = Campaign.objects.get()
    assert (again.name, again.note, again.not_bought_days) == ("=1+1", "'quoted", None)
    assert write(Campaign.objects.all()) == text


def test_csv_runs_no_formula():
    shop = factories.catalogue()
    factories.campaign(shop["DT"], shop["W1"], name="=HYPERLINK(1)")

    assert ",'=HYPERLINK" in "," + campaign_files.as_csv(Campaign.objects.all()).splitlines()[1]


def test_one_bad_row_stops_all():
    shop = factories.catalogue()
    made = factories.campaign(shop["DT"], shop["W1"], slug="a")
    rows = campaign_files.export_([made])
    rows += [rows[0] | {"slug": "b", "kind": "NONSENSE"}, rows[0] | {"slug": "c"}]

    outcomes = campaign_files.import_(rows, commit=True)

    assert [bool(outcome.errors) for outcome in outcomes] == [False, True, False]
    assert Campaign.objects.count() == 1
