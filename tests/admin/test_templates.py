"""Staff write a message in blocks, without a script, look at it, try it, and publish it."""

from __future__ import annotations

import re

import pytest
from django.core import mail

from tests import factories
from tests.admin.screens import XSS, said, url
from upsell.models import MessageTemplate, TemplateVersion
from upsell.services import ready_messages

pytestmark = pytest.mark.django_db

CHANGE, PREVIEW, FRAME = (f"messagetemplate_{name}" for name in ("change", "preview", "frame"))


def draft(*blocks, **options) -> MessageTemplate:
    rows = list(blocks) or [{"kind": "text", "text": "Hello"}]
    content = {"en": {"subject": "Hello", "preheader": "", "blocks": rows}}
    options = {"slug": "hello", "name": "Hello", "content": content} | options
    return MessageTemplate.objects.create(**options)


def typed(*blocks, subject="Hello", **more):
    """What a browser sends: each block's fields, in their order."""
    data = {"letter-subject": subject, "letter-preheader": "", "count": str(len(blocks))}
    for number, block in enumerate(blocks):
        data |= {f"block-{number}-{name}": value for name, value in block.items()}
    return data | more


HEADING = {"kind": "heading", "text": "Thank you"}
TEXT = {"kind": "text", "text": "Order {order.number}"}
BUTTON = {"kind": "button", "label": "Go", "link": "https", "address": "https://shop.example/"}


def shown(page) -> list[dict[str, object]]:
    """The blocks on the form, with what stands in their fields."""
    return [
        {name: block[name].value() for name in block.fields if block[name].value()}
        for block in page.context["letter"].blocks
    ]


def test_a_message_begins_with_a_name_and_may_begin_with_a_ready_made_one(client, boss):
    data = {"name": "Thanks", "slug": "thanks", "medium": "email", "default_language": "en",
            "start": "thank-you"}  # fmt: skip

    answer = client.post(url("messagetemplate_add"), data)

    row = MessageTemplate.objects.get()
    assert answer.url == url(CHANGE, row.pk)
    assert (row.slug, row.name, sorted(row.content)) == ("thanks", "Thanks", ["de", "en"])
    assert client.get(answer.url).status_code == 200


def test_a_ready_made_message_is_copied_as_often_as_one_likes(client, boss):
    page = client.get(url("messagetemplate_ready"))
    for _time in range(2):
        client.post(url("messagetemplate_ready"), {"copy": "feedback"})
    answer = client.post(url("messagetemplate_ready"), {"copy": "nothing"})

    assert page.content.decode().count('name="copy"') == len(ready_messages.READY)
    assert set(MessageTemplate.objects.values_list("slug", flat=True)) == {"feedback", "feedback-2"}
    assert "There is no such message." in said(answer)


def test_what_is_typed_is_saved_block_by_block(client, boss):
    row = draft()

    answer = client.post(url(CHANGE, row.pk), typed(HEADING, TEXT, BUTTON, subject="Hi"))

    row.refresh_from_db()
    assert answer.status_code == 302
    assert row.content["en"] == {
        "subject": "Hi",
        "preheader": "",
        "blocks": [
            HEADING,
            TEXT,
            {"kind": "button", "label": "Go", "link": "https://shop.example/"},
        ],
    }
    assert shown(client.get(url(CHANGE, row.pk)))[2] == BUTTON


@pytest.mark.parametrize(
    ("button", "kinds"),
    [
        pytest.param("up:1", ["text", "heading", "button"], id="up"),
        pytest.param("up:0", ["heading", "text", "button"], id="up, at the top"),
        pytest.param("down:0", ["text", "heading", "button"], id="down"),
        pytest.param("down:2", ["heading", "text", "button"], id="down, at the end"),
        pytest.param("remove:1", ["heading", "button"], id="remove"),
        pytest.param("add:rating", ["heading", "text", "button", "rating"], id="add"),
        pytest.param("add:video", ["heading", "text", "button"], id="no such kind"),
        pytest.param("up:9", ["heading", "text", "button"], id="no such place"),
        pytest.param("eat:1", ["heading", "text", "button"], id="no such button"),
        pytest.param("up:²", ["heading", "text", "button"], id="no number"),
    ],
)
def test_buttons_add_move_and_remove_and_save_nothing(client, boss, button, kinds):
    row = draft()
    before = row.content

    page = client.post(url(CHANGE, row.pk), typed(HEADING, TEXT, BUTTON, block=button))

    assert [block["kind"] for block in shown(page)] == kinds
    assert BUTTON in shown(page)
    row.refresh_from_db()
    assert row.content == before


def test_what_a_button_leaves_can_be_saved(client, boss):
    row = draft()
    page = client.post(url(CHANGE, row.pk), typed(HEADING, TEXT, block="up:1"))

    client.post(url(CHANGE, row.pk), typed(*shown(page)))

    row.refresh_from_db()
    assert row.content["en"]["blocks"] == [TEXT, HEADING]


@pytest.mark.parametrize(
    ("blocks", "subject", "place", "words"),
    [
        pytest.param([HEADING | {"text": "{x}"}], "Hi", (0, "text"), "no placeholder", id="name"),
        pytest.param([TEXT | {"text": "{% load x %}"}], "Hi", (0, "text"), "character 1", id="J68"),
        pytest.param(
            [TEXT, BUTTON | {"address": "javascript:x"}], "Hi", (1, "address"), "https", id="link"
        ),
        pytest.param([BUTTON | {"link": ""}], "Hi", (0, "link"), "missing", id="no link"),
        pytest.param([TEXT], "", (None, "subject"), "missing", id="no subject"),
        pytest.param([], "Hi", (None, "__all__"), "one block or more", id="no block"),
        pytest.param(
            [TEXT | {"kept": "{not json"}], "Hi", (0, "__all__"), "wanted a group", id="condition"
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_lost(
    client, boss, blocks, subject, place, words
):
    row = draft()
    before = row.content

    page = client.post(url(CHANGE, row.pk), typed(*blocks, subject=subject))

    letter = page.context["letter"]
    number, field = place
    form = letter.form if number is None else letter.blocks[number]
    assert words in " ".join(form.errors[field])
    assert shown(page) == [{k: v for k, v in block.items() if v} for block in blocks]
    row.refresh_from_db()
    assert row.content == before


def test_a_condition_set_elsewhere_moves_with_its_block(client, boss):
    tree = {"fact": "score", "op": "exists"}
    row = draft({"kind": "text", "text": "Hi", "show_if": tree})

    page = client.get(url(CHANGE, row.pk))

    assert "for some only" in page.content.decode()
    assert '"score"' in shown(page)[0]["kept"]


def test_a_language_starts_as_the_default_one_and_may_go_again(client, boss):
    row = draft(TEXT)

    page = client.get(url(CHANGE, row.pk) + "?language=de")
    client.post(url(CHANGE, row.pk) + "?language=de", typed(TEXT, subject="Hallo"))
    row.refresh_from_db()
    saved = sorted(row.content)
    client.post(url(CHANGE, row.pk) + "?language=de", typed(TEXT, drop="x"))
    client.post(url(CHANGE, row.pk) + "?language=en", typed(TEXT, drop="x"))

    row.refresh_from_db()
    assert shown(page) == [TEXT]
    assert "not saved yet" in page.content.decode()
    assert (saved, sorted(row.content)) == (["de", "en"], ["en"])


def test_publishing_asks_first_and_says_what_is_wrong(client, boss):
    row = draft()
    address = url("messagetemplate_publish", row.pk)

    asked = client.get(address)
    client.post(address, {})
    none = TemplateVersion.objects.count()
    client.post(address, {"confirmed": "yes"})
    again = client.get(address)
    MessageTemplate.objects.update(content={"en": {"subject": "", "blocks": []}})
    wrong = client.post(address, {"confirmed": "yes"})

    assert "never changes" in asked.content.decode()
    assert (none, TemplateVersion.objects.count()) == (0, 1)
    assert TemplateVersion.objects.get().published_by.username == "boss"
    assert "published already" in again.content.decode()
    assert "en.blocks: a message has one block or more" in wrong.content.decode()


def test_a_message_is_looked_at_on_an_example_and_on_a_real_order(client, boss, shop):
    placed = factories.order(shop, ("DT", 2))
    row = draft({"kind": "item_row"}, TEXT)

    example = client.get(url(FRAME, row.pk)).content.decode()
    real = client.get(url(FRAME, row.pk), {"order": str(placed.pk)}).content.decode()
    page = client.get(url(PREVIEW, row.pk), {"order": placed.number}).content.decode()
    none = client.get(url(PREVIEW, row.pk), {"order": "98765"}).content.decode()

    assert "Example product" in example
    assert "2 × DT" in real
    assert f"On order {placed.number}" in page
    assert "knows no order" in none


def test_a_value_that_an_order_has_not_is_told(client, boss, shop):
    placed = factories.order(shop)
    row = draft({"kind": "text", "text": "{purchased.3.name}"})

    page = client.get(url(PREVIEW, row.pk), {"order": placed.number})

    assert "nothing to put in place of purchased.3.name" in page.content.decode()
    assert client.get(url(FRAME, row.pk), {"order": str(placed.pk)}).content == b""


def test_the_frame_can_do_nothing(client, boss):
    answer = client.get(url(FRAME, draft().pk))

    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert "<script" not in answer.content.decode()


@pytest.mark.parametrize(("theme", "media"), [("dark", "@media all"), ("", "@media not all")])
def test_light_and_dark_are_shown_whatever_the_browser_has(client, boss, theme, media):
    html = client.get(url(FRAME, draft().pk), {"theme": theme}).content.decode()

    assert media in html
    assert "prefers-color-scheme" not in html


def test_the_plain_part_is_shown_as_text(client, boss):
    row = draft({"kind": "text", "text": XSS})

    page = client.get(url(PREVIEW, row.pk), {"part": "text"}).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_a_test_goes_to_who_asks_and_to_nobody_else(client, boss):
    row = draft()
    address = url("messagetemplate_test", row.pk)

    client.get(address)
    client.post(address, {"language": "en", "to": "other@example.org"})

    boss.email = ""
    boss.save()
    without = client.post(address, {"language": "en"}, follow=True)

    assert "Your own account has no mail address." in said(without)
    assert [sent.to for sent in mail.outbox] == [["boss@example.org"]]


def test_who_may_look_only_is_shown_the_preview(client, signed_in):
    row = draft()
    signed_in("view_messagetemplate")

    assert client.get(url(CHANGE, row.pk)).url == url(PREVIEW, row.pk)
    assert client.post(url(CHANGE, row.pk), typed(TEXT)).status_code == 403
    assert client.get(url(PREVIEW, row.pk)).status_code == 200
    assert client.get(url(FRAME, row.pk), {"order": "1"}).status_code == 403
    assert client.post(url("messagetemplate_test", row.pk)).status_code == 403


def test_what_was_sent_is_kept(client, boss):
    row, other = draft(), draft(slug="other")
    client.post(url("messagetemplate_publish", row.pk), {"confirmed": "yes"})
    version = TemplateVersion.objects.get()
    version.messages.create(
        key="j:1:a", kind="JOURNEY", not_before=version.published_at,
        created_at=version.published_at,
    )  # fmt: skip

    for one in (row, other):
        client.post(url("messagetemplate_delete", one.pk), {"confirmed": "yes"})

    assert list(MessageTemplate.objects.all()) == [row]


def test_the_list_says_where_each_one_stands(client, boss, django_assert_num_queries):
    row = draft()
    client.post(url("messagetemplate_publish", row.pk), {"confirmed": "yes"})
    MessageTemplate.objects.filter(pk=row.pk).update(content={"de": {}})
    for number in range(5):
        draft(slug=f"more-{number}")

    page = client.get(url("messagetemplate_changelist")).content.decode()

    told = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))
    assert "published, version 1 The draft has changed since." in told
    with django_assert_num_queries(6):
        client.get(url("messagetemplate_changelist"))
