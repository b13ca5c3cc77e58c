"""Journeys to a file and back: looked at first, imported when told to, into a draft."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.admin.screens import XSS, url
from tests.services.journeys import END, MAIL, T0, WAIT_3H, journey
from upsell.models import Journey, MessageTemplate
from upsell.services import journey_drafts, journey_files, journey_publishing, templates

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("addressed")]

BOUGHT = {"fact": "purchased", "args": {"ancillary": "true"}, "op": "is", "value": True}
CHECK = {
    "type": "check",
    "branches": [{"id": "bought", "when": BOUGHT}],
    "to": {"bought": "end", "otherwise": "mail"},
}


@pytest.fixture
def made(shop) -> Journey:
    return journey(
        {"wait": {**WAIT_3H, "to": {"next": "check"}}, "check": CHECK, "mail": MAIL, "end": END},
        slug="flight", policy="after", again_after=T0 - T0.replace(day=1), priority=7,
        exits=[{"id": "bought", "event": "order.placed", "where": BOUGHT}],
        goals=[{"id": "sold", "event": "order.placed", "within": "P5D"}],
        where={"fact": "starter.channel", "op": "is", "value": "web"},
        testers=["u:somebody"],
    )  # fmt: skip


def look(client, document, **more):
    text = document if isinstance(document, str) else json.dumps(document)
    return client.post(url("journey_import"), {"text": text} | more)


def everything() -> list:
    drafts = [
        (row.slug, row.state, journey_files.export_(row)) for row in Journey.objects.order_by("pk")
    ]
    return [drafts, list(MessageTemplate.objects.order_by("pk").values())]


# ------------------------------------------------------------------ there and back


def test_what_is_exported_comes_back_the_same(client, boss, made):
    answer = client.get(url("journey_export", made.pk))
    assert answer["Content-Disposition"] == 'attachment; filename="journey-flight.json"'
    assert "u:somebody" not in answer.content.decode(), "whom a shop tries it on stays there"
    told = json.loads(answer.content)
    MessageTemplate.objects.update(slug="elsewhere")
    Journey.objects.update(slug="elsewhere")

    looked = look(client, told)
    assert (Journey.objects.count(), MessageTemplate.objects.count()) == (1, 1)
    assert "Import now" in looked.content.decode()
    done = client.post(url("journey_import"), {"text": looked.context["text"], "commit": "yes"})

    fresh = Journey.objects.get(slug="flight")
    assert done.url == url("journey_change", fresh.pk)
    assert journey_files.export_(fresh) == told
    assert (fresh.state, fresh.channels, fresh.version, fresh.testers) == ("DRAFT", [], None, [])
    assert MessageTemplate.objects.get(slug="reminder").version is None
    assert LogEntry.objects.get().object_id == str(fresh.pk)


def test_what_is_published_is_exported_beside_the_draft(client, boss, made):
    made.steps.filter(name="wait").update(told={"for": "PT9H"})
    MessageTemplate.objects.update(name="Another", content={"en": "half"})

    draft, published = (
        json.loads(client.get(url("journey_export", made.pk), {"of": of}).content)
        for of in ("", "published")
    )

    waits = [one["journey"]["definition"]["steps"]["wait"]["for"] for one in (draft, published)]
    assert waits == ["PT9H", "PT3H"]
    words = [one["templates"]["reminder"]["content"] for one in (draft, published)]
    assert words[0] == {"en": "half"}
    assert words[1]["en"]["blocks"] == [{"kind": "text", "text": "Hello"}]
    assert set(published["templates"]) == {"reminder"}


def test_a_segment_goes_by_its_name_in_a_draft(client, boss, made):
    tree = {"fact": "segment", "args": {"slug": "vip"}, "op": "is", "value": True}
    Journey.objects.update(where=tree)
    told = journey_files.export_(Journey.objects.get())
    Journey.objects.update(slug="elsewhere")

    page = look(client, told)

    assert page.context["faults"] == []
    assert any("vip" in line for line in page.context["to_do"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
def test_a_published_journey_keeps_where_it_begins(made):
    """A database may keep the steps of a version in another order than they were published in."""
    made.version.refresh_from_db()
    told = journey_files.export_(made, published=True)
    Journey.objects.update(slug="elsewhere")

    outcome = journey_files.import_(told, commit=True)

    row = Journey.objects.get(pk=outcome.journey_id)
    assert journey_drafts.look_at(row).document["first"] == "wait"
    row.channels = ["web"]
    row.save()
    version = journey_publishing.publish(row, now=T0)
    assert version.sha256 == made.version.sha256


# ------------------------------------------------------------------ what is there already


def test_a_journey_is_found_by_its_slug_and_only_its_draft_changes(client, boss, made):
    told = journey_files.export_(made)
    told["journey"] |= {"priority": 9, "name": "Flight, anew"}
    steps = told["journey"]["definition"]["steps"]
    steps["wait"]["for"] = "PT5H"
    steps["later"] = {"type": "wait", "for": "P1D", "to": {"next": "mail"}}
    steps["check"]["to"]["otherwise"] = "later"
    version = made.version_id

    outcome = look(client, told).context["outcome"]

    assert (outcome.new, outcome.changes) == (False, ("name", "priority"))
    assert (outcome.added, outcome.changed, outcome.gone) == ({"later"}, {"wait", "check"}, ())
    assert [one.changed for one in outcome.templates] == [False]
    look(client, told, commit="yes")
    made.refresh_from_db()
    assert (made.state, made.version_id, made.channels) == ("LIVE", version, ["web"])
    assert made.steps.get(name="wait").told == {"for": "PT5H"}
    assert made.testers == ["u:somebody"]


def test_the_same_again_changes_nothing(client, boss, made):
    page = look(client, journey_files.export_(made))

    assert "All of it is there already." in page.content.decode()
    assert "Import now" not in page.content.decode()


def test_a_message_that_is_there_gets_another_draft_and_stays_published(client, boss, made):
    told = journey_files.export_(made)
    told["templates"]["reminder"]["content"]["en"]["blocks"][0]["text"] = "Other words"

    (one,) = look(client, told).context["outcome"].templates
    assert (one.new, one.changed) == (False, True)
    look(client, told, commit="yes")

    row = MessageTemplate.objects.select_related("version").get()
    assert row.content["en"]["blocks"][0]["text"] == "Other words"
    assert row.version.content["en"]["blocks"][0]["text"] == "Hello"


def test_a_stopped_journey_stays_as_it_is(client, boss, made):
    told = journey_files.export_(made)
    told["journey"]["priority"] = 9
    Journey.objects.update(state="STOPPED")
    before = everything()

    page = look(client, told, commit="yes")

    assert "Copy it instead" in page.context["faults"][0]
    assert everything() == before


def test_what_is_to_be_done_before_publishing_is_said(client, boss, made):
    told = journey_files.export_(made)
    Journey.objects.update(slug="elsewhere")
    MessageTemplate.objects.update(slug="elsewhere")

    page = look(client, told)

    assert page.context["to_do"] == [
        "steps.mail.template: the message template “reminder” is not published yet"
    ]


# ------------------------------------------------------------------ what is wrong with a file


def broken(made, change):
    told = journey_files.export_(made)
    change(told["journey"], told["templates"])
    return told


def _many(journey, messages):
    journey["definition"]["steps"]["wait"]["for"] = "soon"
    journey["definition"]["steps"]["mail"]["to"].pop("sent")
    journey["priority"] = "high"
    messages["reminder"]["content"]["en"]["blocks"][0]["text"] = "{no.such}"


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        pytest.param(lambda j, m: j.pop("slug"), ["journey.slug"], id="no slug"),
        pytest.param(lambda j, m: j.update(slug="a b"), ["journey.slug"], id="no slug of ours"),
        pytest.param(lambda j, m: j.update(slug=["a"]), ["journey.slug"], id="a list"),
        pytest.param(lambda j, m: j.update(name=" "), ["journey.name"], id="a blank name"),
        pytest.param(lambda j, m: j.update(control=51), ["journey.control"], id="over half"),
        pytest.param(lambda j, m: j.update(control=True), ["journey.control"], id="yes"),
        pytest.param(lambda j, m: j.update(late_event="day"), ["journey.late_event"], id="words"),
        pytest.param(lambda j, m: j.update(late_event="P9999D"), ["journey.late_event"], id="long"),
        pytest.param(lambda j, m: j.update(state="LIVE"), ["journey.state"], id="unknown"),
        pytest.param(lambda j, m: j.pop("definition"), ["journey.definition"], id="no steps"),
        pytest.param(lambda j, m: j.update(definition=[]), ["journey.definition"], id="no object"),
        pytest.param(
            lambda j, m: j["definition"]["steps"]["wait"]["to"].update(next="nowhere"),
            ["journey.definition.steps.wait.to.next"], id="no such step",
        ),
        pytest.param(
            lambda j, m: j["definition"]["exit"][0].update(id="A B"),
            ["journey.definition.exit.0.id"], id="an exit",
        ),
        pytest.param(
            lambda j, m: m["reminder"].update(medium="fax"), ["templates.reminder.medium"],
            id="medium",
        ),
        pytest.param(
            lambda j, m: m["reminder"].update(medium="sms"), ["templates.reminder.medium"],
            id="another medium",
        ),
        pytest.param(
            lambda j, m: m["reminder"].update(default_language="de"),
            ["templates.reminder.content.de"], id="language",
        ),
        pytest.param(lambda j, m: j.clear(), ["journey.slug", "journey.name"], id="empty"),
        pytest.param(
            lambda j, m: m.update({"a b": {}}), ["templates.a b", "templates.a b.name"],
            id="an empty message",
        ),
        pytest.param(lambda j, m: m.update({"x": 3}), ["templates.x"], id="no message"),
        pytest.param(
            _many,
            [
                "journey.priority", "journey.definition.steps.wait.for",
                "journey.definition.steps.mail.to.sent",
                "templates.reminder.content.en.blocks.0.text",
            ],
            id="all of it at once",
        ),
    ],
)  # fmt: skip
def test_every_fault_is_named_with_its_place_and_nothing_is_lost(client, boss, made, change, paths):
    text = json.dumps(broken(made, change))
    before = everything()

    page = look(client, text, commit="yes")

    assert page.status_code == 200
    told = [line.partition(":")[0] for line in page.context["faults"]]
    assert set(paths) <= set(told)
    assert page.context["text"] == text
    assert everything() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "Choose a file first", id="nothing"),
        pytest.param("{", "cannot be read", id="half a file"),
        pytest.param("[]", "holds no journey", id="a list"),
        pytest.param('{"format": "upsell.journey"}', "of schema null", id="no schema"),
        pytest.param('{"format": "upsell.journey", "schema": 2}', "of schema 2", id="newer"),
        pytest.param('{"format": "upsell.journey", "schema": NaN}', "cannot be read", id="NaN"),
        pytest.param('{"format": "a\\u0000"}', "cannot be read", id="NUL"),
        pytest.param('{"format": "a\\ud800"}', "cannot be read", id="half a character"),
        pytest.param("[" * 100_000, "cannot be read", id="deep"),
        pytest.param("9" * 5_000, "cannot be read", id="a long number"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_keeps_what_was_typed(client, boss, text, told):
    page = look(client, text, commit="yes")

    assert told in page.context["error"]
    assert page.context["text"] == text
    assert not Journey.objects.exists()


def test_a_file_is_taken_as_it_is_saved(client, boss, made):
    text = "\ufeff" + journey_files.as_json(made)

    page = client.post(url("journey_import"), {"file": SimpleUploadedFile("j.json", text.encode())})

    assert page.context["outcome"].slug == "flight"
    refused = SimpleUploadedFile("j.json", "ü".encode("cp1252"))
    assert "UTF-8" in client.post(url("journey_import"), {"file": refused}).context["error"]


def test_no_word_of_a_file_becomes_markup(client, boss, made):
    def change(journey, messages):
        journey["name"] = XSS
        messages["reminder"]["name"] = XSS

    good = look(client, broken(made, change)).content.decode()
    bad = look(client, broken(made, lambda j, m: j.update({XSS: XSS}))).content.decode()

    for page in (good, bad):
        assert XSS not in page
        assert "&lt;script&gt;" in page


# ------------------------------------------------------------------ who may


@pytest.mark.parametrize(
    "rights",
    [
        ("view_journey", "add_journey"),
        ("view_journey", "change_journey"),
        ("view_journey", "run_journey"),
    ],
)
def test_importing_takes_the_rights_to_add_and_to_change(rights, client, signed_in, made):
    signed_in(*rights)

    assert client.get(url("journey_import")).status_code == 403
    assert look(client, journey_files.export_(made), commit="yes").status_code == 403


def test_a_journey_of_other_channels_is_not_touched(client, signed_in, made):
    told = journey_files.export_(made)
    told["journey"]["priority"] = 99
    signed_in("view_journey", "add_journey", "change_journey", channels=("other",))
    before = everything()

    page = look(client, told, commit="yes")

    assert "channels that are not yours" in page.context["error"]
    assert everything() == before
    assert client.get(url("journey_export", made.pk)).status_code == 404


def test_messages_take_their_own_right(client, signed_in, made):
    told = journey_files.export_(made)
    told["journey"]["slug"] = "fresh"
    told["templates"]["reminder"]["name"] = "Other"
    signed_in("view_journey", "add_journey", "change_journey", "add_messagetemplate")
    before = everything()

    page = look(client, told, commit="yes")

    assert "may not write those" in page.context["error"]
    assert everything() == before
    assert templates.is_kept(MessageTemplate.objects.get()) is False
