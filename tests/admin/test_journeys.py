"""Journeys in the admin: the list, the form with its steps, what is wrong, and the picture."""

from __future__ import annotations

import html as markup
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.screens import XSS, url
from upsell.engine.journeys.draft import StepDraft
from upsell.models import Journey, MessageTemplate
from upsell.services import journey_drafts, ready_journeys

WRITES = ("view_journey", "add_journey", "change_journey", "delete_journey")


def form(*steps, exits=(), goals=(), **changes):
    """What a browser sends; a step is a mapping of its fields. None leaves a field out."""
    data = {
        "name": "Flight", "category": "marketing", "channels": ["web"], "event": "order.placed",
        "policy": "per_key", "after": "exit", "concurrency": "per_key",
        "if_active": "ignore", "cap_per_day": "1",
        "late_event_0": "1", "late_event_1": "D", "lead_time_0": "2", "lead_time_1": "H",
        "priority": "0", "control": "10", "mode": "REAL",
    }  # fmt: skip
    for prefix, rows in (("steps", steps), ("exits", exits), ("goals", goals)):
        data |= {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": 0}
        for place, row in enumerate(rows):
            data |= {f"{prefix}-{place}-{name}": value for name, value in row.items()}
    return {key: value for key, value in (data | changes).items() if value is not None}


WAIT = {"kind": "wait", "name": "wait_1", "for_0": "3", "for_1": "H"}
MAIL = {"kind": "send", "name": "mail_1", "medium": "email", "template": "thanks"}
END = {"kind": "exit", "name": "end"}


def rows(journey):
    return [(row.name, row.kind, row.told, row.to) for row in journey.steps.order_by("position")]


def saved(client, *steps, **changes) -> Journey:
    answer = client.post(url("journey_add"), form(*steps, **changes))
    assert answer.status_code == 302, answer.context["form"].errors
    return Journey.objects.latest("pk")


def seeded(*steps: StepDraft, **values) -> Journey:
    told = {"slug": "flight", "name": "Flight", "channels": ["web"], "event": "order.placed"}
    return journey_drafts.save(journey=None, values=told | values, steps=steps)


# ------------------------------------------------------------------ what is typed


def test_steps_are_stored_in_their_order_and_lead_to_the_next(client, boss, shop) -> None:
    MessageTemplate.objects.create(slug="thanks", name="Thanks")

    made = saved(client, END | {"place": "3"}, MAIL | {"place": "2"}, WAIT | {"place": "1"})

    assert made.slug == "flight"
    assert rows(made) == [
        ("wait_1", "wait", {"for": "PT3H"}, {"next": "mail_1"}),
        ("mail_1", "send", {"medium": "email", "template": "thanks"},
         {"sent": "end", "skipped": "end", "failed": "end"}),
        ("end", "exit", {}, {}),
    ]  # fmt: skip


def when(prefix, fact, op, value="", args=""):
    return {f"{prefix}-0-join": "and", f"{prefix}-0-fact": fact, f"{prefix}-0-args": args,
            f"{prefix}-0-op": op, f"{prefix}-0-value": value}  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "told", "to"),
    [
        pytest.param(
            {"kind": "wait", "for_0": "2", "for_1": "D", "until": "09:00", "weekdays": ["1", "5"]},
            {"for": "P2D", "until": "09:00", "weekdays": [1, 5]},
            {"next": "end"},
            id="a wait for weekdays",
        ),
        pytest.param(
            {"kind": "wait", "for_0": "P1DT3H", "for_1": "H"}, {"for": "P1DT3H"}, {"next": "end"},
            id="a wait as it is written",
        ),
        pytest.param(
            {"kind": "wait_for_event", "event": "order.changed", "timeout_0": "30",
             "timeout_1": "M", "match_starter": "order_id, product_id"},
            {"event": "order.changed", "timeout": "PT30M",
             "match_starter": ["order_id", "product_id"]},
            {"matched": "end", "timeout": "end"},
            id="an event",
        ),
        pytest.param(
            {"kind": "check", "branch_0_name": "Bought it", "branch_0_to": "end",
             **when("branch_0_when", "purchased", "is", "yes", "ancillary=true")},
            {"branches": [{"id": "bought_it", "when": {
                "fact": "purchased", "args": {"ancillary": "true"}, "op": "is", "value": True,
            }}]},
            {"bought_it": "end", "otherwise": "end"},
            id="a branch",
        ),
        pytest.param(
            {"kind": "reachable", "media_0": "sms", "media_1": "email", "to_none": "end"},
            {"media": ["sms", "email"]},
            {"sms": "end", "email": "end", "none": "end"},
            id="media in their order",
        ),
        pytest.param(
            {"kind": "split", "key": "k", "arm_0_name": "a", "arm_0_share": "33.33",
             "arm_1_name": "b", "arm_1_share": "66.67"},
            {"key": "k", "arms": {"a": 3333, "b": 6667}},
            {"a": "end", "b": "end"},
            id="a split",
        ),
        pytest.param(
            {"kind": "offer", "suggestions": "0", "on_none": "skip"},
            {"suggestions": 0, "on_none": "skip"},
            {"offer": "end", "suggestions": "end", "none": "end"},
            id="an offer, without suggestions",
        ),
        pytest.param({"kind": "tag", "tag": "vip"}, {"tag": "vip"}, {"next": "end"}, id="a tag"),
        pytest.param(
            {"kind": "webhook", "target": "crm"}, {"target": "crm"},
            {"ok": "end", "failed": "end"}, id="a call",
        ),
        pytest.param({"kind": "goto_journey", "journey": "x"}, None, None, id="no such journey"),
    ],
)  # fmt: skip
def test_each_kind_is_stored_as_the_engine_reads_it(typed, told, to, client, boss, shop) -> None:
    sent = form({"name": "one", **typed}, END)

    answer = client.post(url("journey_add"), sent)

    if told is None:
        assert answer.status_code == 200
        assert not Journey.objects.exists()
        return
    assert answer.status_code == 302, answer.context["steps"].errors
    assert rows(Journey.objects.get())[0] == ("one", typed["kind"], told, to)


def test_what_is_stored_comes_back_unchanged(client, boss, shop) -> None:
    """Every ready-made journey is opened, sent as the browser would, and is the same."""
    for ready in ready_journeys.READY:
        made = ready_journeys.copy(ready.slug)
        before = journey_drafts.look_at(made).document
        page = client.get(url("journey_edit", made.pk))

        answer = client.post(url("journey_edit", made.pk), as_the_browser_sends(page))

        assert answer.status_code == 302, ready.slug
        made.refresh_from_db()
        assert journey_drafts.look_at(made).document == before, ready.slug


def as_the_browser_sends(page) -> dict[str, list[str]]:
    """Return the fields of the page's form, templates left out."""
    html = re.sub(r"<template.*?</template>", "", page.content.decode(), flags=re.S)
    html = html[html.index('id="upsell-journey-plan"') :]
    html = html[: html.index("</form>")]
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        name, kind = (re.search(rf'{key}="([^"]*)"', tag) for key in ("name", "type"))
        value = re.search(r'value="([^"]*)"', tag)
        if not name or (kind and kind[1] in {"submit", "button"}):
            continue
        if kind and kind[1] == "checkbox" and " checked" not in tag:
            continue
        bare = "on" if kind and kind[1] == "checkbox" else ""
        sent.setdefault(name[1], []).append(_plain(value[1]) if value else bare)
    for name, options in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', html, re.S):
        found = re.findall(r'<option value="([^"]*)"[^>]*?( selected)?>', options)
        chosen = next((value for value, mark in found if mark), found[0][0] if found else "")
        sent[name] = [_plain(chosen)]
    for name, text in re.findall(r'<textarea name="([^"]*)"[^>]*>(.*?)</textarea>', html, re.S):
        sent[name] = [_plain(text.strip())]
    return sent


def _plain(text: str) -> str:
    return markup.unescape(text)


def test_a_step_that_is_renamed_is_led_to_as_before(client, boss, shop) -> None:
    made = seeded(
        StepDraft(name="wait", kind="wait", told={"for": "PT3H"}, to={"next": "end"}),
        StepDraft(name="mail", kind="send", told={"medium": "email", "template": "x"}),
        StepDraft(name="end", kind="exit"),
    )
    MessageTemplate.objects.create(slug="x", name="x")

    client.post(
        url("journey_edit", made.pk),
        form({**WAIT, "was": "wait", "name": "first", "to_next": "end"},
             {"kind": "send", "was": "mail", "name": "mail", "medium": "email", "template": "x"},
             {"kind": "exit", "was": "end", "name": "over"}),
    )  # fmt: skip

    assert [(name, to) for name, _kind, _told, to in rows(made)] == [
        ("first", {"next": "over"}),
        ("mail", {"sent": "over", "skipped": "over", "failed": "over"}),
        ("over", {}),
    ]


def test_steps_without_a_name_are_given_one(client, boss, shop) -> None:
    made = saved(client, WAIT | {"name": ""}, WAIT | {"name": ""}, END | {"name": ""})

    assert [name for name, *_rest in rows(made)] == ["wait_1", "wait_2", "exit_1"]


def test_what_is_left_out_is_gone(client, boss, shop) -> None:
    made = saved(client, WAIT | {"DELETE": "on"}, {"kind": "", "name": "nothing"}, END)

    assert [name for name, *_rest in rows(made)] == ["end"]


def test_exits_and_goals_are_stored(client, boss, shop) -> None:
    made = saved(
        client, END,
        exits=({"id": "", "event": "order.cancelled"}, {"id": "", "event": ""}),
        goals=({"id": "bought", "event": "order.placed", "within_0": "5", "within_1": "D"},),
    )  # fmt: skip

    assert made.exits == [{"id": "order_cancelled", "event": "order.cancelled"}]
    assert made.goals == [{"id": "bought", "event": "order.placed", "within": "P5D"}]


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        pytest.param((WAIT | {"for_0": "soon"},), {}, id="no number"),
        pytest.param((WAIT, WAIT | {"place": "9"}), {}, id="a name twice"),
        pytest.param((MAIL | {"template": "x" * 200},), {}, id="too long"),
        pytest.param((WAIT,), {"control": "51"}, id="a control group of more than half"),
        pytest.param((WAIT,), {"event": ""}, id="no event"),
        pytest.param((WAIT,), {"channels": ["odd"]}, id="no such channel"),
        pytest.param((WAIT,), when("where", "order.net", "ge", "12"), id="an amount, no currency"),
        pytest.param((WAIT,), when("where", "order.net", "is", "EUR 1"), id="not compared so"),
        pytest.param((WAIT,), when("where", "odd", "is", "1"), id="no such fact"),
        pytest.param((WAIT,), {"where-written": "[" * 5000}, id="a tree too deep"),
        pytest.param((WAIT,), {"testers": "a\x00b"}, id="a NUL"),
    ],
)
def test_nothing_typed_is_lost_when_it_is_refused(steps, changes, client, boss, shop) -> None:
    told = "Bon voyage"

    answer = client.post(url("journey_add"), form(*steps, **({"name": told} | changes)))

    assert answer.status_code == 200
    assert not Journey.objects.exists()
    html = answer.content.decode()
    assert "nothing you typed is lost" in html
    assert f'value="{told}"' in html
    for step in steps:
        assert f'value="{step.get("for_0") or step["name"]}"' in html


def test_a_draft_with_faults_is_saved_and_each_leads_to_its_step(client, boss, shop) -> None:
    made = saved(client, {"kind": "wait", "name": "wait_1"}, MAIL | {"template": ""})

    page = client.get(url("journey_change", made.pk)).content.decode()

    assert "It cannot be published like this" in page
    edit = url("journey_edit", made.pk)
    assert f'<a href="{edit}#step-wait_1">wait_1, For: is missing</a>' in page
    form_page = client.get(edit).content.decode()
    assert '<a href="#step-mail_1">' in form_page
    assert "<li>Message: is missing</li>" in form_page
    assert 'id="step-mail_1"' in form_page


def test_a_form_is_checked_without_being_saved(client, boss, shop, settings) -> None:
    settings.UPSELL_BASE_URL = "https://shop.example"
    MessageTemplate.objects.create(slug="thanks", name="Thanks")
    told = client.post(url("journey_validate"), form(WAIT, MAIL, END)).json()
    odd = client.post(url("journey_validate"), form(WAIT | {"for_0": "soon"})).json()

    assert told["readable"]
    assert [fault["step"] for fault in told["faults"]] == ["mail_1"]
    assert told["lasts"] == "3 hours"
    assert not odd["readable"]
    assert not Journey.objects.exists()


def test_what_is_stopped_stays_as_it_is(client, boss, shop) -> None:
    made = seeded(StepDraft(name="end", kind="exit"), state="STOPPED")

    answer = client.post(url("journey_edit", made.pk), form(WAIT, END))

    assert answer.status_code == 200
    assert "Copy it instead" in answer.content.decode()
    assert [name for name, *_rest in rows(made)] == ["end"]


# ------------------------------------------------------------------ who may


def test_limited_staff_write_into_their_channels_alone(client, signed_in, shop) -> None:
    signed_in(*WRITES, channels=("web",))
    other = seeded(StepDraft(name="end", kind="exit"), slug="other", channels=["other"])
    both = seeded(StepDraft(name="end", kind="exit"), slug="both", channels=["web", "other"])

    refused = client.post(url("journey_add"), form(END, channels=["other"]))

    assert refused.status_code == 200
    assert client.get(url("journey_change", other.pk)).status_code == 404
    assert client.get(url("journey_change", both.pk)).status_code == 200
    assert client.post(url("journey_edit", both.pk), form(WAIT)).status_code == 403
    assert Journey.objects.count() == 2


@pytest.mark.parametrize("act", ["publish", "pause", "resume", "sunset", "stop"])
def test_running_is_a_right_of_its_own(act, client, signed_in, shop) -> None:
    made = seeded(StepDraft(name="end", kind="exit"))
    signed_in(*WRITES)

    assert client.post(url(f"journey_{act}", made.pk), {"confirmed": "yes"}).status_code == 403


# ------------------------------------------------------------------ what is done


def test_a_life(client, boss, shop) -> None:
    made = seeded(StepDraft(name="wait", kind="wait", told={"for": "PT3H"}),
                  StepDraft(name="end", kind="exit"))  # fmt: skip

    def act(name: str, **data: str) -> str:
        answer = client.post(url(f"journey_{name}", made.pk), {"confirmed": "yes"} | data)
        made.refresh_from_db()
        return made.state if answer.status_code == 302 else "refused"

    asked = client.get(url("journey_publish", made.pk))
    assert asked.status_code == 200
    assert Journey.objects.get().state == "DRAFT"
    done = [act("pause"), act("publish"), act("pause"), act("resume"),
            act("resume", how="shift"), act("sunset"), act("stop"), act("publish")]  # fmt: skip

    assert done == ["refused", "LIVE", "PAUSED", "refused", "LIVE", "SUNSET", "STOPPED", "refused"]


def test_it_says_that_the_draft_is_another_than_what_is_published(client, boss, shop) -> None:
    made = seeded(StepDraft(name="end", kind="exit"))
    client.post(url("journey_publish", made.pk), {"confirmed": "yes"})
    same = client.get(url("journey_change", made.pk)).context["changed"]

    client.post(url("journey_edit", made.pk), form(WAIT, END))

    assert not same
    page = client.get(url("journey_change", made.pk))
    assert page.context["changed"]
    assert "The draft differs from version 1" in page.content.decode()


def test_faults_forbid_publishing(client, boss, shop) -> None:
    made = seeded(StepDraft(name="wait", kind="wait"))

    answer = client.post(url("journey_publish", made.pk), {"confirmed": "yes"})

    assert answer.status_code == 200
    assert "wait, For: is missing" in answer.content.decode()
    assert Journey.objects.get().state == "DRAFT"


def test_a_ready_made_journey_is_copied(client, boss, shop) -> None:
    answer = client.post(url("journey_ready"), {"slug": "flight"})
    odd = client.post(url("journey_ready"), {"slug": "odd"})

    made = Journey.objects.get()
    assert answer["Location"] == url("journey_edit", made.pk)
    assert odd.status_code == 200


def test_a_journey_is_copied_and_only_a_draft_deleted(client, boss, shop) -> None:
    made = seeded(StepDraft(name="end", kind="exit"), state="LIVE")

    client.post(url("journey_copy", made.pk), {"confirmed": "yes"})
    copied = Journey.objects.exclude(pk=made.pk).get()
    client.post(url("journey_delete", made.pk), {"confirmed": "yes"})
    client.post(url("journey_delete", copied.pk), {"confirmed": "yes"})

    assert (copied.state, copied.channels, copied.slug) == ("DRAFT", [], "flight-2")
    assert list(Journey.objects.all()) == [made]


def test_a_walk_tells_when_what_would_happen(client, boss, shop) -> None:
    MessageTemplate.objects.create(slug="thanks", name="Thanks")
    made = saved(client, WAIT, MAIL, END)

    asked = {"begun": "2026-03-02T10:00", "reached_by": ["email"]}
    answer = client.get(url("journey_walk", made.pk), asked)

    assert [line["what"] for line in answer.context["lines"]] == [
        "wait_1: Wait 3 hours", "mail_1: Send e-mail “thanks” → sent",
    ]  # fmt: skip
    assert [line["after"] for line in answer.context["lines"]] == ["3 hours", "3 hours"]


# ------------------------------------------------------------------ how it looks


def test_no_word_of_staff_becomes_markup(client, boss, shop) -> None:
    made = seeded(
        StepDraft(name="tag", kind="tag", told={"tag": XSS}),
        StepDraft(name="end", kind="exit", told={"reason": XSS}),
        name=XSS[:100],
    )
    for page in ("change", "edit", "walk", "publish", "copy"):
        assert "<script>alert" not in client.get(url(f"journey_{page}", made.pk)).content.decode()
    assert "<script>alert" not in client.get(url("journey_changelist")).content.decode()


def test_pages_hold_no_style_and_no_script_of_their_own(client, boss, shop) -> None:
    made = ready_journeys.copy("flight")
    for page in ("change", "edit", "walk"):
        html = client.get(url(f"journey_{page}", made.pk)).content.decode()
        body = html[html.index('id="content"') :]
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*src=)", body), page


def test_fifty_journeys_cost_as_many_statements_as_one(client, boss, shop) -> None:
    seeded(StepDraft(name="end", kind="exit"))
    with CaptureQueriesContext(connection) as one:
        client.get(url("journey_changelist"))
    for place in range(49):
        seeded(StepDraft(name="end", kind="exit"), slug=f"j{place}", name=f"J{place}")
    with CaptureQueriesContext(connection) as fifty:
        client.get(url("journey_changelist"))

    assert len(fifty) <= len(one)
