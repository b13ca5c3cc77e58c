"""Campaigns to a file and back: looked at first, imported when told to."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from tests.admin.screens import act, said, url
from upsell.admin import importing
from upsell.models import Campaign, CampaignRevision
from upsell.services import campaign_files

pytestmark = pytest.mark.django_db
IMPORT = "campaign_import"


def upload(client, text, **more):
    raw = text if isinstance(text, bytes) else text.encode()
    return client.post(url(IMPORT), {"file": SimpleUploadedFile("c.csv", raw)} | more)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_what_is_exported_comes_back_by_slug(client, boss, shop, kind):
    made = factories.campaign(shop["DT"], shop["W1"], name="Ünïcode; “quoted”, =1")
    response = act(client, f"export_{kind}", made)
    text = response.content.decode().replace(made.slug, "fresh")

    looked = upload(client, text)
    assert Campaign.objects.count() == 1
    done = client.post(url(IMPORT), {"text": looked.context["text"], "commit": "yes"}, follow=True)

    assert response["Content-Disposition"] == f'attachment; filename="campaigns.{kind}"'
    assert Campaign.objects.get(slug="fresh").name == "Ünïcode; “quoted”, =1"
    assert CampaignRevision.objects.get().by == boss
    assert said(done) == ["1 campaign imported."]


def test_the_look_says_what_each_row_would_do(client, boss, shop):
    same, changed = (factories.campaign(shop["DT"], shop["W1"]) for _ in range(2))
    rows = campaign_files.export_([same, changed])
    rows[1] |= {"priority": 33, "percent": "12.5", "rule": "PERCENT"}
    rows.append(rows[0] | {"slug": "fresh"})

    page = upload(client, json.dumps(rows))

    told = {row["outcome"].slug: [(r.name, r.before, r.after) for r in row["rows"]]
            for row in page.context["told"]}  # fmt: skip
    assert told[same.slug] == []
    assert told[changed.slug] == [
        ("Price", "selling price", "percent off"), ("Percent", "0 %", "12.5 %"),
        ("Priority", "10", "33"),
    ]  # fmt: skip
    assert ("Offered product", "–", "DT") in told["fresh"]
    assert "Import now" in page.content.decode()
    assert CampaignRevision.objects.count() == 0


def test_a_refused_row_stops_the_file_and_says_which_field(client, boss, shop):
    rows = campaign_files.export_([factories.campaign(shop["DT"], shop["W1"])])
    rows = [rows[0] | {"slug": "good"}, rows[0] | {"slug": "bad", "percent": "120"}]

    looked = upload(client, json.dumps(rows))
    pressed = client.post(url(IMPORT), {"text": json.dumps(rows), "commit": "yes"})

    for page in (looked, pressed):
        outcomes = {row.slug: row.errors for row in page.context["outcomes"]}
        assert outcomes["good"] == ()
        assert "Percent: A percentage is between 0 and 100, and “120.00” is not." in outcomes["bad"]
        assert "Import now" not in page.content.decode()
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "Choose a file first", id="no file"),
        pytest.param("[", "cannot be read", id="half a file"),
        pytest.param("[]", "holds no campaigns", id="an empty list"),
        pytest.param('[{"name": "A"}]', "each needs a slug", id="no slug"),
        pytest.param('{"slug": "a", "kind": "X"}', None, id="one campaign alone"),
        pytest.param('[{"slug": "a"}, {"slug": "a"}]', "“a” is in the file twice", id="twice"),
        pytest.param("slug,colour\na,red\n", "no column “colour”", id="a column nobody knows"),
        pytest.param("slug,name\na,A,3\n", "no column “None”", id="more cells than columns"),
    ],
)
def test_a_file_that_cannot_be_taken_says_why(client, boss, text, told):
    page = client.post(url(IMPORT), {"text": text})

    assert (told or "x") in page.context.get("error", "x")
    assert not Campaign.objects.exists()


def test_a_file_in_another_alphabet_is_refused_not_guessed(client, boss, shop):
    made = factories.campaign(shop["DT"], shop["W1"], name="Größe")
    text = campaign_files.as_csv([made])

    page = upload(client, text.encode("cp1252"))

    assert "UTF-8" in page.context["error"]


def test_a_file_that_is_too_large_is_refused_not_cut(client, boss, shop, monkeypatch):
    made = factories.campaign(shop["DT"], shop["W1"])
    text = campaign_files.as_csv([made]).replace(made.slug, "fresh")
    monkeypatch.setattr(importing, "MOST_BYTES", len(text.encode()) - 1)

    page = upload(client, text)

    assert "at most" in page.context["error"]
    monkeypatch.setattr(importing, "MOST_BYTES", len(text.encode()))
    assert upload(client, text).context["outcomes"]


def test_a_spreadsheet_may_have_had_the_file(client, boss, shop):
    """It writes semicolons, TRUE for true, and leaves cells empty."""
    made = factories.campaign(shop["DT"], shop["W1"], must_fit=True, not_bought_days=30)
    rows = list(csv.DictReader(io.StringIO(campaign_files.as_csv([made]))))
    rows[0] |= {"slug": "fresh", "must_fit": "TRUE", "not_bought_days": "", "valid_from": ""}
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], delimiter=";")
    writer.writeheader()
    writer.writerows(rows)

    page = upload(client, "\ufeff" + out.getvalue())
    client.post(url(IMPORT), {"text": page.context["text"], "commit": "yes"})

    fresh = Campaign.objects.get(slug="fresh")
    assert (fresh.must_fit, fresh.not_bought_days, fresh.valid_from) == (True, None, None)


def test_importing_the_same_again_is_no_edit(client, boss, shop):
    made = factories.campaign(shop["DT"], shop["W1"], percent="5")
    edited_at = Campaign.objects.get().edited_at

    for percent in ("5", "5.00"):
        rows = [campaign_files.export_([made])[0] | {"percent": percent}]
        done = client.post(url(IMPORT), {"text": json.dumps(rows), "commit": "yes"}, follow=True)

    assert said(done) == ["0 campaigns imported. 1 stayed as it was."]
    assert Campaign.objects.get().edited_at == edited_at
    assert not CampaignRevision.objects.exists()
