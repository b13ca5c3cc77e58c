"""Hostile questions and files get a clear answer: never an error page, nothing changed (T25)."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from example_shop.models import Product
from tests import factories
from tests.admin.test_campaigns import form
from tests.hostile import XSS
from tests.tables import unchanged
from upsell.models import Campaign, ChannelAccess, ChannelSettings
from upsell.services import campaign_files

pytestmark = pytest.mark.django_db

IMPORT = "admin:upsell_campaign_import"
WHY = "admin:upsell_campaign_why"


@pytest.fixture
def shop() -> dict[str, Product]:
    return factories.catalogue()


@pytest.fixture
def staff(shop) -> dict[str, Client]:
    """Somebody who may do everything, and somebody with one channel."""
    made = {}
    for name in ("boss", "limited"):
        user = User.objects.create_superuser(name)
        made[name] = Client()
        made[name].force_login(user)
    ChannelAccess.objects.create(user=User.objects.get(username="limited"), channel="web")
    return made


# ------------------------------------------------------------------ questions


TEXTS = [
    *XSS[:4], "x" * 5_000, "\x00", "%00", "'", '"', "\\", "%", "_", "é", "💩", "\ud7ff", "1" * 400,
]  # fmt: skip
TIMES = [
    "", "x", "2026", "2026-13-45", "2026-13-45T00:00", "2026-02-30T12:00", "2026-03-02T25:61",
    "0001-01-01T00:00", "9999-12-31T23:59:59", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00",
    "2026-03-29T02:30", "2026-10-25T02:30", "-1", "NaN", "1e309", "\x00", "2026-03-02T10:00+99:99",
    "2026-03-02 10:00", "٢٠٢٦-٠٣-٠٢T10:00", "2026-03-02T10:00:00.123456789",
]  # fmt: skip


@pytest.mark.databases
def test_why_answers_whatever_is_asked(shop, staff) -> None:
    factories.campaign(shop["DT"], shop["W1"])
    order = factories.order(shop)
    asked = [{"order": text} for text in TEXTS]
    asked += [{"order": str(order.pk), "at": text} for text in TIMES]
    with unchanged():
        for question in asked:
            for browser in staff.values():
                assert browser.get(reverse(WHY), question).status_code == 200, question


def test_why_says_that_a_time_is_none(shop, staff) -> None:
    """Answering for another time than the one typed would be worse than no answer."""
    order = factories.order(shop)

    page = staff["boss"].get(reverse(WHY), {"order": str(order.pk), "at": "2026-13-45T00:00"})

    assert "is not a time" in page.content.decode()
    assert page.context["verdicts"] == []


@pytest.mark.databases
def test_pickers_answer_whatever_is_asked(shop, staff) -> None:
    address = reverse("admin:upsell_campaign_choices")
    kinds = ["product", "category", "brand", "tag", "group", "channel", "country", "order", "x", ""]
    with unchanged():
        for number, text in enumerate(TEXTS):
            for kind in (kinds[number % len(kinds)], "product"):
                answer = staff["limited"].get(address, {"field_name": kind, "term": text})
                assert answer.status_code == 200
                assert answer["Content-Type"] == "application/json"
        for kind in TEXTS:
            answer = staff["boss"].get(address, {"field_name": kind, "term": "W1"})
            assert answer.json()["results"] == []


LISTS = ["campaign", "offer", "decision", "channelsettings", "channelaccess"]
FILTERS = [
    "q=%00", "q=" + "x" * 5_000, "o=99", "o=-1.1.1", "o=abc", "o=1&o=2", "p=-1", "p=999999999999",
    "p=abc", "e=1", "all=", "standing=x", "standing=live", "kind__exact=x", "rule__exact=%00",
    "password__startswith=a", "campaign__note__startswith=a", "user__password__startswith=a",
    "_connector=OR 1=1", "_negated=1", "state__exact=x", "campaign__id__exact=abc", "pk__in=1,2",
    "id__in=", "channel=%00", "reason=x", "trial__exact=maybe", "_popup=1", "_to_field=id",
    "_to_field=note", "_changelist_filters=%00", "terms__x=1", "facts__lines__0__ref=1",
    "order_ref=1",
]  # fmt: skip


@pytest.mark.parametrize("model", LISTS)
def test_lists_answer_whatever_is_asked(model, staff) -> None:
    """What is no filter of the list leads back to it, or is refused: it reads no other column."""
    address = reverse(f"admin:upsell_{model}_changelist")
    with unchanged():
        for question in FILTERS:
            answer = staff["boss"].get(f"{address}?{question}")
            assert answer.status_code in {200, 302, 400}, question


@pytest.mark.parametrize(
    ("action", "keys"),
    [("no_such", ["1"]), ("duplicate", []), ("withdraw_outstanding", ["987654"]),
     ("__class__", ["1"]), ("export_csv", ["-1"]), ("duplicate", ["1"] * 900)],
)  # fmt: skip
def test_actions_answer_whatever_is_asked(action, keys, staff) -> None:
    data = {"action": action, "_selected_action": keys, "index": "0", "confirmed": "yes"}
    with unchanged():
        answer = staff["boss"].post(reverse("admin:upsell_campaign_changelist"), data)
    assert answer.status_code in {200, 302, 400}


# ------------------------------------------------------------------ files


DEEP = "[" * 200_000
ROW = {"slug": "fresh", "kind": "CROSS_SELL", "channels": ["web"], "triggers": [{"kind": "ALWAYS"}]}


TEXT_FIELDS = ["name", "slug", "product_ref", "note", "default_language", "motivation"]
JSON_FIELDS = [
    "channels", "moments", "currencies", "groups", "countries", "payment_methods", "amounts",
    "shipping_flat", "bounds", "product_map", "triggers", "exclusions", "copy",
]  # fmt: skip
CODES = [
    "status", "kind", "offer_by", "match", "rule", "quantity_rule", "shipping", "stock",
    "documents",
]  # fmt: skip
NUMBERS = ["priority", "weight", "quantity", "percent", "not_bought_days", "not_seen_days"]
FLAGS = [
    "must_fit", "allow_if_present", "from_regular", "allow_free", "allow_below_cost", "archived",
]  # fmt: skip
TIMES_OF_A_FILE = ["valid_from", "valid_until"]
FIELDS = [*TEXT_FIELDS, *JSON_FIELDS, *CODES, *NUMBERS, *FLAGS, *TIMES_OF_A_FILE]
WRONG = [
    None, True, -1, 1.5, 10**30, "x", "", "\x00", "x" * 5_000, "\ud800", "2026-13-45", [], [1], {},
    [None], [[]], [{}], {"x": "y"}, {"EUR": None}, {"EUR": [1]}, {"EUR": ["1", "0"]},
    {"EUR": "NaN"}, {"EUR": "1e999"}, {"en": None}, {"en": 1}, {"en": {"x": 1}},
    {"en": {"headline": 1}}, {"en": {"benefits": 1}}, {"e" * 99: {"headline": "x"}},
    [{"kind": "PRODUCT", "ref": "1", "quantity": "x"}], [{"kind": "PRODUCT", "ref": {"x": 1}}],
    [{"kind": [], "ref": []}],
]  # fmt: skip
"""Values that are wrong in one field or another; the last ones in those that hold JSON."""


FILES = [
    pytest.param("", id="nothing"),
    pytest.param(" \n\t", id="blanks"),
    pytest.param("\x00", id="a NUL"),
    pytest.param("[", id="half a list"),
    pytest.param("[]", id="an empty list"),
    pytest.param("{}", id="no list"),
    pytest.param("null", id="null"),
    pytest.param("[null]", id="a list of nothing"),
    pytest.param("[[[]]]", id="lists in lists"),
    pytest.param('["x"]', id="a list of text"),
    pytest.param('[{"slug": null}]', id="no slug"),
    pytest.param('[{"slug": []}]', id="a list for a slug"),
    pytest.param('[{"name": "x"}]', id="a name alone"),
    pytest.param("[NaN]", id="no number"),
    pytest.param("[" + "9" * 10_000 + "]", id="a number of 10,000 digits"),
    pytest.param('[{"slug": "x", "priority": 1e999}]', id="infinity"),
    pytest.param(DEEP, id="200,000 deep"),
    pytest.param('{"a":' * 100_000, id="100,000 deep"),
    pytest.param('[{"slug": "x", "no_such_field": 1}]', id="an unknown field"),
    pytest.param('[{"slug": "x", "id": 1, "pk": 1, "revision": 9}]', id="our own columns"),
    pytest.param('[{"slug": "x", "user": 1}]', id="who it was"),
    pytest.param('[{"slug": "x", "__class__": 1, "self": 1}]', id="names of Python"),
    pytest.param("slug\n", id="a header alone"),
    pytest.param("a,b,c\n1,2,3\n", id="another table"),
    pytest.param("slug,name\nx\n", id="a short row"),
    pytest.param("slug,name\nx,y,z,w\n", id="a long row"),
    pytest.param('slug,name\n"x', id="an open quote"),
    pytest.param("slug,slug\na,b\n", id="a column twice"),
    pytest.param("slug,name\n" + "x" * 200_000 + ",y\n", id="a field of 200,000 characters"),
    pytest.param("slug,name\nx,\x00\n", id="a NUL in a cell"),
    pytest.param("slug,channels\nx,[[[[\n", id="half a list in a cell"),
    pytest.param("slug,channels\nx," + "[" * 50_000 + "\n", id="50,000 deep in a cell"),
    pytest.param("\ufeff[", id="a byte order mark"),
    pytest.param("PK\x03\x04", id="a spreadsheet"),
    pytest.param("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>", id="XML"),
    pytest.param("!!python/object/apply:os.system ['x']", id="YAML"),
]  # fmt: skip


@pytest.mark.parametrize("text", FILES)
@pytest.mark.parametrize("way", ["file", "text"])
def test_no_file_breaks_the_import(way, text, staff) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    data = {"file": SimpleUploadedFile("x", raw)} if way == "file" else {"text": text}
    with unchanged():
        for browser in staff.values():
            answer = browser.post(reverse(IMPORT), {**data, "commit": "yes"})
            assert answer.status_code == 200
            assert told(answer)
            if way == "file":
                data["file"].seek(0)


def told(answer) -> list[str]:
    """Return what the page says was wrong."""
    rows = answer.context.get("outcomes") or ()
    return [answer.context["error"]] if "error" in answer.context else [
        text for one in rows for text in one.errors
    ]  # fmt: skip


def test_every_field_of_a_file_is_tried() -> None:
    assert set(FIELDS) == set(campaign_files.COLUMNS)


def imported(row: dict[str, object]) -> list[str]:
    """Import a file of one campaign; return what was wrong with it."""
    try:
        rows = campaign_files.read(json.dumps([row]))
    except ValidationError as error:
        return error.messages
    (outcome,) = campaign_files.import_(rows, commit=True)
    return list(outcome.errors)


@pytest.mark.databases
@pytest.mark.parametrize("field", FIELDS)
def test_no_value_of_the_wrong_kind_breaks_the_import(field, shop, staff) -> None:
    """Each is refused with a word on it, or is what the field can hold."""
    fine = ROW | {"product_ref": str(shop["DT"].pk)}
    for value in WRONG if field in JSON_FIELDS else WRONG[:14]:
        Campaign.objects.all().delete()
        errors = imported(fine | {field: value})
        assert errors or Campaign.objects.exists(), value
        for made in Campaign.objects.all():
            made.full_clean()
    assert imported(fine | {"slug": "control"}) == []


@pytest.mark.databases
@pytest.mark.parametrize("field", ["slug", "channels", "triggers", "copy", "priority"])
def test_the_page_of_the_import_takes_any_value(field, shop, staff) -> None:
    """Staff with one channel as well: whose it is, is asked before what it is."""
    fine = ROW | {"product_ref": str(shop["DT"].pk)}
    for value in WRONG:
        text = json.dumps([fine | {field: value}])
        assert staff["limited"].post(reverse(IMPORT), {"text": text}).status_code == 200, value


TYPED = [
    "\x00", "a\x00b", "é", "💩", "x" * 5_000, "'", "EUR", "EUR 1e5", "EUR NaN - 1", "EUR 1 - 0",
    "EUR \x00 - 1", "1 ->", "->", "a -> b -> c", "\u202e", "<b>", "EUR 9" + "9" * 400,
]  # fmt: skip
BOXES = [
    "groups", "countries", "payment_methods", "bounds", "currencies", "amounts", "product_map",
    "name", "note", "slug", "priority", "quantity", "percent", "valid_from_0", "valid_until_1",
    "copies-0-language", "copies-0-benefits", "triggers-0-ref", "triggers-0-quantity",
    "triggers-TOTAL_FORMS", "default_language",
]  # fmt: skip


@pytest.mark.databases
def test_nothing_typed_breaks_the_form_of_a_campaign(shop, staff) -> None:
    add = reverse("admin:upsell_campaign_add")
    one_by_one = [{box: "\x00"} for box in BOXES]
    with unchanged():
        for typed in [*one_by_one, *(dict.fromkeys(BOXES, text) for text in TYPED)]:
            data = form(shop, **typed) | {"status": "NONE"}  # never saved: there is no such status
            assert staff["boss"].post(add, data).status_code == 200, typed


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xfe\x00\xd8", id="no UTF-8"),
        pytest.param("[{}]".encode("utf-16"), id="UTF-16"),
        pytest.param(bytes(range(256)) * 40, id="every byte"),
        pytest.param(b"[" + b" " * 3_000_000 + b"]", id="3 MB of blanks"),
        pytest.param(b"x" * 3_000_000, id="3 MB of text"),
    ],
)
def test_no_bytes_break_the_import(data, staff) -> None:
    with unchanged():
        answer = staff["boss"].post(
            reverse(IMPORT), {"file": SimpleUploadedFile("x.json", data), "commit": "yes"}
        )
    assert answer.status_code == 200
    assert told(answer)


def test_a_file_that_is_too_large_is_said_to_be(staff) -> None:
    """Cut off in the middle it would be called unreadable, and nobody would know why."""
    rows = [ROW | {"slug": f"s-{n}", "note": "x" * 900} for n in range(3_000)]
    upload = SimpleUploadedFile("x.json", json.dumps(rows).encode())

    answer = staff["boss"].post(reverse(IMPORT), {"file": upload})

    assert "2 MB" in answer.context["error"]


def test_a_file_of_very_many_campaigns_is_refused_before_each_is_checked(staff) -> None:
    """Each row is compared with all there are: a hundred thousand would take hours."""
    text = json.dumps([{"slug": f"s-{n}"} for n in range(50_000)])

    answer = staff["boss"].post(reverse(IMPORT), {"file": SimpleUploadedFile("x", text.encode())})

    assert "1,000" in answer.context["error"]


# ------------------------------------------------------------------ what a spreadsheet would run


FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(1)", "=cmd|'/C calc'!A0", '=HYPERLINK("http://evil.example")', "\t=1",
    "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠x", '"', '"=1"', '"a" b', "\\n", "'", "''=1",
    "a;=1+1", "a\t=1+1", "a,=1+1", 'a","=1+1', 'a";"=1', "'=1", "a\n=1", "a\r\n+1", "|=1", "%0A=1",
    "\u200b=1", "\ufeff=1", "a\x0b=1", '"a\n', "null", "[]", "1", ";=1", "\\u003b", "a;b",
]  # fmt: skip


def test_t26_no_cell_of_an_export_is_run(shop, staff) -> None:
    """Whatever a spreadsheet takes for the separator: a cell that begins a formula is text."""
    for number, text in enumerate(FORMULAS):
        factories.campaign(shop["DT"], shop["W1"], name=text[:120], note=text, slug=f"s-{number}")
    keys = list(Campaign.objects.values_list("pk", flat=True))

    answer = staff["boss"].post(
        reverse("admin:upsell_campaign_changelist"),
        {"action": "export_csv", "_selected_action": keys},
    )

    assert answer["Content-Disposition"].startswith("attachment")
    text = answer.content.decode()
    for separator in (",", ";", "\t"):
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        cells = [cell for line in rows for cell in line]
        assert [cell for cell in cells if cell[:1] in {*"=+-@＝＋－＠", "\t", "\r", "\n"}] == []


def test_t26_what_was_exported_comes_back_as_it_was(shop, staff) -> None:
    for number, text in enumerate(FORMULAS):
        factories.campaign(shop["DT"], shop["W1"], name="x", note=text, slug=f"s-{number}")
    keys = list(Campaign.objects.values_list("pk", flat=True))
    exported = staff["boss"].post(
        reverse("admin:upsell_campaign_changelist"),
        {"action": "export_csv", "_selected_action": keys},
    )

    answer = staff["boss"].post(
        reverse(IMPORT), {"file": SimpleUploadedFile("x.csv", exported.content)}
    )

    assert {one.changes for one in answer.context["outcomes"]} == {()}


def test_a_file_that_was_looked_at_can_be_imported(shop, staff) -> None:
    """Sent back as form fields, 1.5 MB of JSON would be past what Django takes at once."""
    fine = ROW | {"product_ref": str(shop["DT"].pk)}
    rows = [fine | {"slug": f"s-{n}", "note": '"' * 29_000} for n in range(25)]
    upload = SimpleUploadedFile("x.json", json.dumps(rows).encode())
    looked = staff["boss"].post(reverse(IMPORT), {"file": upload})
    assert not told(looked)
    before = looked.content.decode().partition('name="commit"')[0]
    send = before.rpartition("<form")[2].partition(">")[0]

    data = {"text": looked.context["text"], "commit": "yes"}
    if "multipart/form-data" in send:
        answer = staff["boss"].post(reverse(IMPORT), data)
    else:
        form = "application/x-www-form-urlencoded"
        answer = staff["boss"].post(reverse(IMPORT), urlencode(data), form)

    assert answer.status_code == 302
    assert Campaign.objects.count() == 25


# ------------------------------------------------------------------ settings of a channel


@pytest.mark.parametrize(
    ("field", "value"),
    [("sender", text) for text in (
        "a@example.org\r\nBcc: evil@example.org", "a@example.org\nX: y", "a@b, c@d.example", "shop",
        "Shop <>", "<a@example.org", "a@example.org\x00", "x" * 300, "Shop <a@b> <c@d>")]
    + [("staff_address", text) for text in ("x", "a@example.org, b@example.org", "a@b\r\nBcc: c@d")]
    + [("time_zone", text) for text in ("x", "../../etc/passwd", "Europe/Nowhere", "\x00")]
    + [("validity", text) for text in ("x", "-1", "-00:30:00", "9" * 30)]
    + [("undo_time", text) for text in ("x", "-1", "-00:30:00", "9" * 30)]
    + [("holdout", text) for text in ("21", "101", "-1", "x", "1e9", "NaN", "9" * 30)]
    + [("channel", text) for text in ("\x00", "x" * 300)],
)  # fmt: skip
def test_settings_that_cannot_hold_are_refused(field, value, staff) -> None:
    data = {"channel": "web", "enabled": "on", "holdout": "0", field: value}
    with unchanged():
        answer = staff["boss"].post(reverse("admin:upsell_channelsettings_add"), data)
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors


@pytest.mark.parametrize(
    ("field", "value"),
    [("sender", "shop@example.org"), ("sender", "Shop & Co <shop@example.org>"),
     ("sender", '"Müller, Söhne" <shop@example.org>'), ("time_zone", "Europe/Berlin"),
     ("validity", "00:45:00"), ("undo_time", "01:00:00"), ("holdout", "20")],
)  # fmt: skip
def test_settings_that_can_hold_are_saved(field, value, staff) -> None:
    data = {"channel": "web", "enabled": "on", "holdout": "0", field: value}

    answer = staff["boss"].post(reverse("admin:upsell_channelsettings_add"), data)

    assert answer.status_code == 302, answer.context["errors"]
    kept = ChannelSettings.objects.get()
    assert str(getattr(kept, field)).zfill(len(value)) == value
