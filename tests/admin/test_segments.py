"""Segments: written as rows, asked of a buyer, and kept while somebody uses them."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from tests.factories import catalogue, order
from upsell.models import Journey, Segment
from upsell.services import segments

pytestmark = pytest.mark.django_db


def posted(*rows: dict, name: str = "conditions") -> dict[str, str]:
    data = {}
    for place, row in enumerate(rows):
        told = {"join": "and", "args": "", "op": "is"} | row
        data |= {f"{name}-{place}-{key}": str(value) for key, value in told.items()}
    return data


def leaf(fact, op, value=None, **args):
    found = {"fact": fact} | ({"args": args} if args else {}) | {"op": op}
    return found if value is None else found | {"value": value}


def url(name, *args):
    return reverse(f"admin:upsell_segment_{name}", args=args)


def test_staff_write_one_change_it_and_look_who_is_in_it(admin_client):
    made = admin_client.post(
        url("add"),
        {"name": "Repeat", "slug": "repeat"}
        | posted({"fact": "purchases.count", "op": "ge", "value": "2"}),
    )
    assert made.status_code == 302, made.content.decode()
    row = Segment.objects.get()
    assert row.conditions == leaf("purchases.count", "ge", 2)

    page = admin_client.get(url("change", row.pk)).content.decode()
    assert 'name="conditions-0-value" value="2"' in page
    assert 'value="segment"' not in page, "a segment is made of no other"

    placed = order(catalogue(), ("W1", 1))
    answer = admin_client.get(url("who", row.pk), {"order": placed.number}).content.decode()
    assert "is not in it" in answer
    assert "Not met: Orders with it (orders)." in answer


def test_one_in_use_stays_and_keeps_its_slug(admin_client):
    row = segments.copy_ready("paid")
    named = leaf("segment", "is", True, slug="paid")
    Journey.objects.create(slug="j", name="After the flight", where=named)

    gone = admin_client.post(url("delete", row.pk), {"post": "yes"}, follow=True)
    renamed = admin_client.post(
        url("change", row.pk),
        {"name": "Paid", "slug": "other"} | posted({"fact": "purchased", "value": "yes"}),
    )

    assert "After the flight" in gone.content.decode()
    assert "After the flight" in renamed.content.decode()
    assert Segment.objects.get().slug == "paid"


def test_a_ready_made_one_is_copied(admin_client):
    assert "First-time buyer" in admin_client.get(url("ready")).content.decode()

    made = admin_client.post(url("ready"), {"slug": "first-time-buyer"})

    assert made["Location"] == url("change", Segment.objects.get().pk)
    assert admin_client.post(url("ready"), {"slug": "none"}).status_code == 404


def test_a_fact_that_is_gone_is_told(admin_client):
    row = Segment.objects.create(
        slug="s", name="S", conditions={"all": [{"any": [leaf("gone", "is", True)]}]}
    )
    placed = order(catalogue(), ("W1", 1))

    page = admin_client.get(url("who", row.pk), {"order": placed.number}).content.decode()

    assert "there is no fact called" in page
    assert admin_client.get(url("change", row.pk)).status_code == 200


def test_one_without_conditions_is_refused_and_nothing_typed_is_lost(admin_client):
    page = admin_client.post(
        url("add"), {"name": "Nobody", "slug": "nobody"} | posted({"fact": ""})
    )

    assert "One condition at least." in page.content.decode()
    assert 'value="Nobody"' in page.content.decode()


def test_conditions_that_rows_cannot_say_stay_as_they_are(admin_client):
    tree = {"not": leaf("purchased", "is", True)}
    row = Segment.objects.create(slug="s", name="S", conditions=tree)
    page = admin_client.get(url("change", row.pk)).content.decode()
    assert "conditions-written" in page

    written = {"name": "Other", "slug": "s", "conditions-written": json.dumps(tree)}
    admin_client.post(url("change", row.pk), written)

    row.refresh_from_db()
    assert (row.name, row.conditions) == ("Other", tree)
