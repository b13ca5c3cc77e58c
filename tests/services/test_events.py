"""What is told of a buyer is one row an event, and whatever is wrong with it breaks nothing."""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import close_old_connections, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import gettext_lazy

from example_shop.adapter import ExampleShop
from tests.factories import catalogue, order
from upsell import clock, hooks, signals, snapshots
from upsell.models import EventInbox
from upsell.ports import Customer
from upsell.presenting import visitors
from upsell.services import erasing, events, journey_hearing
from upsell.services.purging import purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
A_HASH = "e:" + "0" * 64
HOST = EventInbox.Source.HOST


def told(name="product.viewed", **arguments) -> EventInbox | None:
    """Tell of an event, and return its row."""
    hooks.track(name, **{"subject": "u:7", **arguments})
    return EventInbox.objects.order_by("-pk").first()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param("tea", "tea", id="text"),
        pytest.param(gettext_lazy("Yes"), "Yes", id="translated later"),
        pytest.param(3, 3, id="whole number"),
        pytest.param(True, True, id="yes"),
        pytest.param(None, None, id="nothing"),
        pytest.param(Decimal("19.90"), "19.90", id="amount"),
        pytest.param(NOON, "2026-03-02T12:00:00+00:00", id="time"),
        pytest.param(date(2026, 3, 2), "2026-03-02", id="day"),
        pytest.param(uuid.UUID(int=1), str(uuid.UUID(int=1)), id="uuid"),
        pytest.param(("1", Decimal("2.50")), ["1", "2.50"], id="list"),
        pytest.param(frozenset({"b", "a"}), ["a", "b"], id="set"),
        pytest.param("😀é", "😀é", id="beyond ascii"),
    ],
)
def test_a_parameter_is_stored_as_json_has_it(value, stored):
    row = told(value=value)

    row.refresh_from_db()
    assert row.parameters == {"value": stored}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param({"name": ""}, "1 to 80 characters", id="no name"),
        pytest.param({"name": "a" * 81}, "1 to 80 characters", id="a letter too long"),
        pytest.param({"name": "Product Viewed"}, "a-z, 0-9", id="another alphabet"),
        pytest.param({"name": "a\n"}, "a-z, 0-9", id="a line's end"),
        pytest.param({f"p{n}": n for n in range(81)}, "there were 81", id="one too many"),
        pytest.param({"text": "a" * 16_374}, "there were 16386", id="two bytes too many"),
        pytest.param({"amount": 1.5}, "there was a float", id="float"),
        pytest.param({"amount": [1, 1.5]}, "there was a float", id="float in a list"),
        pytest.param({"amount": Decimal("NaN")}, "there was a Decimal", id="no number"),
        pytest.param({"when": datetime(2026, 3, 2)}, "naive datetime", id="whose noon"),  # noqa: DTZ001
        pytest.param({"deep": {"a": 1}}, "there was a dict", id="nested"),
        pytest.param({"deep": [[1]]}, "there was a list", id="list in a list"),
        pytest.param({"text": "a\x00"}, "no database stores", id="nul"),
        pytest.param({"text": "\ud83d"}, "no database stores", id="half a letter"),
        pytest.param({"at": datetime(2026, 3, 2)}, "aware datetime", id="naive at"),  # noqa: DTZ001
        pytest.param({"event_id": "a" * 191}, "there were 191", id="long id"),
        pytest.param({"order_ref": "a" * 191}, "there were 191", id="long reference"),
        pytest.param({"subject": "bob@example.org"}, "customer key", id="an address"),
        pytest.param({"subject": "e:bob@example.org"}, "customer key", id="an address in a key"),
        pytest.param({"subject": "x:1"}, "customer key", id="another kind"),
        pytest.param({"subject": "u:" + "1" * 199}, "customer key", id="long key"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(arguments, why, caplog):
    assert told(**arguments) is None

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert why in record.message
    assert "bob" not in caplog.text


def test_what_is_just_small_enough_is_kept():
    row = told("a" * 80, text="a" * 16_372)
    assert row.name == "a" * 80
    assert len(told(**{f"p{n}": n for n in range(80)}).parameters) == 80


@pytest.mark.parametrize(
    ("at", "happened"),
    [
        pytest.param(None, NOON, id="now"),
        pytest.param(NOON - timedelta(days=3), NOON - timedelta(days=3), id="told late"),
        pytest.param(NOON + timedelta(seconds=1), NOON, id="a clock that is ahead"),
    ],
)
def test_when_it_happened(at, happened, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOON)

    row = told(at=at)

    assert (row.occurred_at, row.received_at, row.processed_at) == (happened, NOON, None)


def test_the_same_id_is_the_same_event_by_one_source():
    for _ in range(2):
        told(event_id="one")
        signals.event.send(sender=None, name="product.viewed", subject="u:7", event_id="one")
        told()

    found = sorted(EventInbox.objects.values_list("source", flat=True))
    assert found == ["HOST", "HOST", "HOST", "SIGNAL"]


def test_a_signal_says_the_same():
    signals.event.send(
        sender=None, name="feature.used", subject="a:12", at=NOON, feature="export", count=2
    )

    row = EventInbox.objects.get()
    assert (row.source, row.name, row.customer_key) == ("SIGNAL", "feature.used", "a:12")
    assert (row.occurred_at, row.parameters) == (NOON, {"feature": "export", "count": 2})


# ------------------------------------------------------------------ the host's transaction


def test_it_waits_for_the_hosts_commit():
    with transaction.atomic():
        told(event_id="one")
        assert not EventInbox.objects.exists()

    assert EventInbox.objects.get().event_id == "one"


def test_what_is_rolled_back_was_not_told():
    with transaction.atomic():
        told()
        transaction.set_rollback(True)

    assert not EventInbox.objects.exists()


def test_parameters_are_those_of_the_call():
    refs = ["1"]
    with transaction.atomic():
        told(product_refs=refs)
        refs.append("2")

    assert EventInbox.objects.get().parameters == {"product_refs": ["1"]}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param((snapshots, "customer_key"), id="whose it is"),
        pytest.param((ExampleShop, "ref"), id="what it is about"),
        pytest.param((events, "_is_new"), id="the row"),
        pytest.param((clock, "now"), id="the time"),
    ],
)
def test_a_mistake_of_ours_never_reaches_the_host(broken, monkeypatch, caplog):
    def raises(*args, **kwargs):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(*broken, raises)
    user = get_user_model().objects.create(username="bob")
    request = RequestFactory().get("/")
    request.user = user

    with transaction.atomic():
        hooks.track("product.viewed", request=request, product=user)
        get_user_model().objects.update(username="ann")

    assert get_user_model().objects.get().username == "ann"
    assert len([row for row in caplog.records if row.exc_info]) == 1


def test_fifty_reports_of_one_event_at_once_are_one_row():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    start, trouble = threading.Barrier(50), []

    def report() -> None:
        try:
            start.wait(20)
            told(event_id="one")
        except Exception as error:
            trouble.append(error)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=report) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert trouble == []
    assert EventInbox.objects.count() == 1


# ------------------------------------------------------------------ whose it is


def request_of(user=None, cookie="") -> object:
    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    request.session = {}
    if cookie:
        request.COOKIES[visitors.COOKIE] = cookie
    return request


def a_cookie() -> str:
    response = HttpResponse()
    visitors.remember(RequestFactory().get("/"), response)
    return response.cookies[visitors.COOKIE].value


@pytest.mark.parametrize("agrees", [True, False])
def test_a_visitor_is_known_only_who_agrees(agrees, monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: agrees, raising=False)
    cookie = a_cookie()

    hooks.track("cart.added", request=request_of(cookie=cookie))

    keys = list(EventInbox.objects.values_list("customer_key", flat=True))
    assert keys == ([f"v:{cookie.split(':')[0]}"] if agrees else [])


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("", id="none"),
        pytest.param("0" * 32, id="unsigned"),
        pytest.param("0" * 32 + ":1vx:forged", id="forged"),
    ],
)
def test_a_cookie_that_is_not_ours_is_nobodys(cookie, monkeypatch, caplog):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True, raising=False)

    hooks.track("cart.added", request=request_of(cookie=cookie))

    assert not EventInbox.objects.exists()
    assert caplog.records == []


def test_whose_it_is_first_who_is_told_then_signed_in_then_the_orders():
    user = get_user_model().objects.create(username="bob")
    placed = order(catalogue(), email="guest@example.org")
    guest = snapshots.customer_key(Customer(email="guest@example.org"))

    for arguments in (
        {"subject": "a:1", "request": request_of(user), "order_ref": str(placed.pk)},
        {"request": request_of(user), "order_ref": str(placed.pk)},
        {"request": request_of(), "order_ref": str(placed.pk)},
        {"order_ref": str(placed.pk)},
    ):
        hooks.track("checkout.completed", **arguments)

    keys = list(EventInbox.objects.order_by("pk").values_list("customer_key", flat=True))
    assert keys == ["a:1", f"u:{user.pk}", guest, guest]
    assert guest.startswith("e:")


def test_an_order_that_is_not_there_is_logged(caplog):
    hooks.track("order.packed", order_ref="4711")

    assert not EventInbox.objects.exists()
    assert "order.packed was not taken" in caplog.text


def test_a_product_becomes_its_reference():
    product = next(iter(catalogue().values()))

    assert told(product=product, category="teas").parameters == {
        "product_ref": str(product.pk),
        "category_ref": "teas",
    }


# ------------------------------------------------------------------ how it goes


def test_it_is_told_to_its_buyer_and_erased():
    told(product_ref="7", event_id="one")
    told(subject=A_HASH)

    (held,) = erasing.export(customer_keys=["u:7"])["eventinbox"]
    assert (held["name"], held["parameters"]) == ("product.viewed", {"product_ref": "7"})
    erasing.erase(customer_keys=["u:7"], now=NOON)

    row = EventInbox.objects.get(event_id="one")
    assert (row.customer_key, row.parameters, row.processed_at) == ("", {}, NOON)
    assert EventInbox.objects.filter(customer_key=A_HASH).count() == 1
    told(product_ref="7", event_id="one")
    assert not EventInbox.objects.filter(customer_key="u:7").exists()


@pytest.mark.parametrize("key", ["u:7", A_HASH, "a:12", "v:" + "0" * 32])
def test_staff_can_erase_by_every_kind_of_key(key, capsys):
    told(subject=key, product_ref="7")

    call_command("upsell_erase", "--key", key, "--yes")

    assert EventInbox.objects.get().customer_key == ""


def test_it_goes_after_90_days():
    told()

    assert dict(purge(now=timezone.now() + timedelta(days=89))) == {}
    assert dict(purge(now=timezone.now() + timedelta(days=91))) == {"events": 1}


def test_who_takes_consent_back_is_forgotten(monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True, raising=False)
    request, response = request_of(cookie=a_cookie()), HttpResponse()
    hooks.track("cart.added", request=request)
    told()

    hooks.forget_visitor(request, response)

    assert EventInbox.objects.get().customer_key == "u:7"
    assert response.cookies[visitors.COOKIE]["max-age"] == 0


def test_where_no_journey_listens_an_event_is_one_insert_and_due_work_one_update(
    django_assert_num_queries,
):
    snapshots.look_for_journeys()
    with CaptureQueriesContext(connection) as asked:
        hooks.track("product.viewed", subject="u:7", product_ref="7")
    kinds = [row["sql"].split()[0] for row in asked]
    assert [kind for kind in kinds if kind in {"INSERT", "SELECT", "UPDATE"}] == ["INSERT"]

    with django_assert_num_queries(1):
        assert journey_hearing.work(now=timezone.now()) == 0
    assert EventInbox.objects.get().processed_at is not None
