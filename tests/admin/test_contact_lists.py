"""The lists that journeys put buyers on: counted, looked at, and handed over."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.screens import XSS, url
from upsell import conf
from upsell.models import Consent, Journey, ListMember
from upsell.ports import Agreed, Contact
from upsell.services import consenting

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIST, EXPORT = "listmember_changelist", "listmember_export"


@pytest.fixture(autouse=True)
def _reached(shop, monkeypatch):
    """The shop knows where everybody is, and says nothing of what they agreed to."""
    answer = lambda who, medium: Contact(address=f"{who.user_ref}@example.org")  # noqa: E731
    monkeypatch.setattr(conf.shop(), "contact", answer)
    monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, use: Agreed.UNKNOWN)


def member(name: str, *, agreed: bool = True, slug: str = "Summer sale", **options) -> ListMember:
    told = {"user_ref": name, "channel": "web", "joined_at": NOON, "order_ref": f"O-{name}"}
    if agreed:
        consenting.grant(
            customer_key=f"u:{name}", medium="email", purpose="ads", source="account", now=NOON
        )
    return ListMember.objects.create(slug=slug, customer_key=f"u:{name}", **(told | options))


def page_of(client, **query) -> str:
    answer = client.get(url(LIST), query)
    assert answer.status_code == 200
    return answer.content.decode()


def exported(client, **data):
    return client.post(url(EXPORT), {"list": "Summer sale", "as": "addresses"} | data)


def rows_of(answer) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.getvalue().decode())))


# ------------------------------------------------------------------ looking


def test_lists_are_counted_and_found_by_name(client, boss):
    assert "There is no list yet" in page_of(client)
    member("ann")
    member("bob", agreed=False)
    member("ann", slug="Winter & Co", agreed=False)

    page = page_of(client)
    assert 'href="?list=Summer%20sale">Summer sale</a></th><td>2</td>' in page
    assert 'href="?list=Winter%20%26%20Co">Winter &amp; Co</a></th><td>1</td>' in page
    page = page_of(client, q="WINTER")
    assert "Summer sale" not in page
    assert "Winter &amp; Co" in page
    assert "No list has “spring” in its name" in page_of(client, q="spring")


def test_of_a_list_only_who_agreed_is_shown(client, boss):
    journey = Journey.objects.create(name="Flights", slug="flights")
    member("ann", journey=journey)
    member("bob", agreed=False)

    page = page_of(client, list="Summer sale")

    assert "2 buyers are on this list." in page
    assert "Of 1 it is noted that they agreed" in page
    assert "O-ann" in page
    assert "Flights" in page
    assert "O-bob" not in page
    assert "example.org" not in page


def test_of_a_list_of_whom_nobody_agreed_nobody_is_shown(client, boss):
    member("bob", agreed=False)

    page = page_of(client, list="Summer sale")

    assert "1 buyer is on this list." in page
    assert "Of nobody on it a consent is noted yet." in page


def test_members_are_filtered(client, boss):
    journeys = [Journey.objects.create(name=name, slug=name) for name in ("a", "b")]
    member("ann", journey=journeys[0])
    member("bob", journey=journeys[1], channel="other")

    def shown(**query):
        page = page_of(client, list="Summer sale", **query)
        return {name for name in ("ann", "bob") if f"O-{name}" in page}

    assert shown() == {"ann", "bob"}
    assert shown(channel="web") == {"ann"}
    assert shown(journey=str(journeys[1].pk)) == {"bob"}
    assert shown(channel="web", journey=str(journeys[1].pk)) == set()
    assert shown(channel="nowhere") == set()
    assert shown(journey="1 OR 1=1") == set()


def test_a_long_list_has_pages(client, boss):
    for number in range(51):
        member(f"{number:03}", joined_at=NOON + timedelta(minutes=number))

    first, second = (page_of(client, list="Summer sale", page=page) for page in ("1", "2"))

    assert (first.count("O-"), second.count("O-")) == (50, 1)
    assert "Page 1 of 2" in first
    assert 'rel="next" href="?list=Summer+sale&amp;page=2"' in first
    assert "O-050" in first, "newest first"
    assert page_of(client, list="Summer sale", page="x").count("O-") == 50


@pytest.mark.parametrize("query", [{"list": "Summer sale"}, {}], ids=["members", "lists"])
def test_fifty_rows_cost_as_many_statements_as_one(client, boss, query):
    def statements() -> int:
        page_of(client, **query)  # what is kept for a while is kept
        with CaptureQueriesContext(connection) as told:
            page_of(client, **query)
        return len(told)

    journey = Journey.objects.create(name="a", slug="a")
    member("ann", journey=journey)
    one = statements()
    for number in range(49):
        member(f"{number}", journey=journey)
        member(f"{number}", slug=f"list {number}", agreed=False)

    assert statements() == one


@pytest.mark.parametrize("name", ["nowhere", "", "\x00", "Summer sale\x00", XSS])
def test_a_list_that_is_not_there_is_not_found(client, boss, name):
    member("ann")

    assert client.get(url(LIST), {"list": name}).status_code == 404
    assert exported(client, list=name).status_code == 404


def test_names_are_text(client, boss):
    journey = Journey.objects.create(name=XSS, slug="x")
    member("ann", slug=XSS, order_ref=XSS, channel=XSS, journey=journey)

    for page in (page_of(client), page_of(client, list=XSS), page_of(client, q=XSS)):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


# ------------------------------------------------------------------ handing over


def test_addresses_of_who_agreed_are_exported(client, boss, caplog):
    member("ann")
    member("bob", agreed=False)
    with caplog.at_level(logging.INFO, logger="upsell"):
        answer = exported(client)
        rows = rows_of(answer)

    assert rows == [["email", "since"], ["ann@example.org", "2026-03-02T12:00:00+00:00"]]
    assert answer.streaming
    assert answer["Content-Disposition"] == 'attachment; filename="summer-sale-addresses.csv"'
    assert "no-store" in answer["Cache-Control"]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (boss, "Summer sale")
    assert entry.change_message == "Exported: addresses."
    assert "1 addresses" in caplog.text
    assert "example.org" not in caplog.text


def test_for_advertising_there_are_hashes_and_nothing_else(client, boss):
    member("Ann")

    rows = rows_of(exported(client, **{"as": "hashes"}))

    assert rows == [["email"], [hashlib.sha256(b"ann@example.org").hexdigest()]]


def test_what_the_shop_grants_is_noted_before_it_is_used(client, boss, monkeypatch):
    monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, use: Agreed.GRANTED)
    member("ann", agreed=False)

    assert len(rows_of(exported(client))) == 2
    assert Consent.objects.get().purpose == "ads"


def test_where_nobody_agreed_the_file_has_a_heading_alone(client, boss):
    member("bob", agreed=False)

    assert rows_of(exported(client)) == [["email", "since"]]


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM", "\t=1", "＝1", "'=1"])
def test_no_address_is_a_formula(client, boss, monkeypatch, start):
    answer = lambda who, medium: Contact(address=f"{start}@example.org")  # noqa: E731
    monkeypatch.setattr(conf.shop(), "contact", answer)
    member("ann")

    (_head, (address, _since)) = rows_of(exported(client))

    assert address == f"'{start.strip()}@example.org"


def test_what_is_filtered_is_exported(client, boss):
    member("ann")
    member("bob", channel="other")

    assert [row[0] for row in rows_of(exported(client, channel="other"))] == [
        "email", "bob@example.org",
    ]  # fmt: skip
    assert exported(client, channel="nowhere").status_code == 404
    assert exported(client, **{"as": "everything"}).status_code == 404


def test_who_may_look_may_not_export(client, shop, signed_in):
    member("ann")
    signed_in("view_listmember")

    assert "Export" not in page_of(client, list="Summer sale")
    assert exported(client).status_code == 403
    assert not LogEntry.objects.exists()


def test_who_may_export_is_asked_to_post(client, shop, signed_in):
    member("ann")
    signed_in("view_listmember", "export_listmember")

    assert page_of(client, list="Summer sale").count('name="as"') == 2
    assert client.get(url(EXPORT), {"list": "Summer sale", "as": "hashes"}).status_code == 405
    assert len(rows_of(exported(client))) == 2


def test_limited_staff_see_and_export_their_channels_alone(client, shop, signed_in):
    member("ann")
    member("bob", channel="other")
    member("eve", channel="other", slug="Theirs")
    signed_in("view_listmember", "export_listmember", channels=("web",))

    page = page_of(client)
    assert "</a></th><td>1</td>" in page
    assert "Theirs" not in page
    page = page_of(client, list="Summer sale")
    assert "O-ann" in page
    assert "O-bob" not in page
    assert client.get(url(LIST), {"list": "Theirs"}).status_code == 404
    assert [row[0] for row in rows_of(exported(client))] == ["email", "ann@example.org"]
    assert exported(client, list="Theirs").status_code == 404
    assert exported(client, channel="other").status_code == 404
