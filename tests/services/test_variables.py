"""What a message says, gathered at its step: of the starter's order, and of the newest purchase."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from django.contrib.auth.models import User

from example_shop.models import OrderLine
from tests.factories import campaign, catalogue, order
from tests.standing import offer_in
from upsell import conf, snapshots
from upsell.engine.conditions import FactSpec, FactType
from upsell.engine.variables import ROWS, SENT_WITH
from upsell.models import EventInbox, Journey, JourneyRun, MessageTemplate
from upsell.presenting.messages import CONDITION, MET
from upsell.services import templates, variables
from upsell.services.variables import Asking

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _addresses(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"


@pytest.fixture
def products():
    """The shop of the cases."""
    return catalogue()


def run_of(placed, **options):
    occasion = conf.shop().order(str(placed.pk)) if placed else None
    return JourneyRun(
        journey=Journey(name="Follow up"),
        customer_key=snapshots.customer_key(occasion.customer) if occasion else "v:1",
        order_ref=str(placed.pk) if placed else "",
        channel="web",
        entered_at=NOON,
        **options,
    )


def told(names, placed=None, **options):
    return variables.gather(names, run=run_of(placed, **options), now=NOON)


def test_items_are_those_of_one_order_in_its_order(products):
    placed = order(products, ("DT", 2), ("W1", 1), charged={"DT": "19.80"}, locale="de-DE")

    found = told(
        {
            *("purchased.1.name", "purchased.1.quantity", "purchased.1.price_formatted"),
            *("purchased.1.original_price", "purchased.1.line_total_shown", "purchased.2.sku"),
            *("purchased.items", "purchased.total_count", "purchased.kinds", "purchased.3.name"),
        },
        placed,
    )

    assert found == {
        "purchased.1.name": "DT",
        "purchased.1.quantity": "2",
        "purchased.1.price_formatted": "9,90",
        "purchased.1.original_price": "12",
        "purchased.1.line_total_shown": "19,80\xa0€",
        "purchased.2.sku": "W1",
        "purchased.items": "2 × DT and W1",
        "purchased.total_count": "3",
        "purchased.kinds": "2",
    }


def test_returned_lines_are_left_out(products):
    placed = order(products, ("DT", 1), ("W1", 3))
    OrderLine.objects.filter(product=products["DT"]).update(returned=1)
    OrderLine.objects.filter(product=products["W1"]).update(returned=1)

    found = told({"purchased.1.name", "purchased.1.quantity", "purchased.1.line_total"}, placed)

    assert found == {
        "purchased.1.name": "W1",
        "purchased.1.quantity": "2",
        "purchased.1.line_total": "1200",
    }


def test_a_ninth_line_is_in_the_list_of_all_items_only(products):
    placed = order(products, *[("DT", n) for n in range(1, 10)])
    names = {f"purchased.{n}.name" for n in range(1, 9)}

    found = told({*names, "purchased.items", ROWS}, placed)

    assert set(found) == {*names, "purchased.items", ROWS}
    assert len(json.loads(found[ROWS])) == 9
    assert "9 × DT" in found["purchased.items"]


def test_the_starter_is_frozen_and_the_last_purchase_is_not(products):
    """J32: diapers, then another product while waiting."""
    buyer = User.objects.create_user("emily")
    first = order(products, ("DT", 1), user=buyer, placed_at=NOON - timedelta(hours=3))
    order(products, ("CA", 1), user=buyer, placed_at=NOON - timedelta(hours=1))
    order(products, ("IN", 1), user=buyer, placed_at=NOON + timedelta(hours=1))

    found = told({"starter.product_name", "last.product_name", "last.purchase_amount"}, first)

    assert found == {
        "starter.product_name": "DT",
        "last.product_name": "CA",
        "last.purchase_amount": "24",
    }


@pytest.mark.parametrize(
    ("parameters", "name", "value"),
    [
        pytest.param({"metric": "seats"}, "starter.metric", "seats", id="a text"),
        pytest.param({"tags": ["a", "b"]}, "starter.tags", "a, b", id="a list"),
        pytest.param({"used": 8}, "starter.used", "8", id="a number"),
        pytest.param({"metric": ""}, "starter.metric", None, id="empty"),
        pytest.param({}, "starter.metric", None, id="not told"),
    ],
)
def test_parameters_of_the_starter_are_told_as_they_were(parameters, name, value):
    found = told({name}, starter={"name": "usage.threshold", "parameters": parameters})

    assert found.get(name) == value


def test_the_product_of_a_cart_is_named_by_the_shop(products):
    starter = {"name": "cart.added", "parameters": {"product_ref": str(products["CA"].pk)}}

    found = told({"starter.product_name", "starter.product_url"}, starter=starter)

    assert found["starter.product_name"] == "CA"
    assert found["starter.product_url"].startswith("https://shop.example/")


def test_the_latest_event_is_the_newest_until_now():
    for hour, value in [(-2, "old"), (-1, "new"), (1, "to come")]:
        at = NOON + timedelta(hours=hour)
        EventInbox.objects.create(
            source="HOST",
            event_id=value,
            name="cart.added",
            customer_key="v:1",
            parameters={"value": value},
            occurred_at=at,
            received_at=at,
        )

    assert told({"latest.cart.added.value", "latest.page.viewed.path"}) == {
        "latest.cart.added.value": "new"
    }


def test_an_offer_tells_its_price_as_it_was_promised(products):
    campaign(products["CA"], rule="FIXED", amounts={"EUR": "20.00"})
    offer = offer_in("SHOWN", products)
    placed = order(products)

    names = {"offer.name", "offer.price_formatted", "offer.due_shown", "offer.kind", "offer.link"}
    found = told(names, placed, found={"offer": offer.pk})

    assert found == {
        "offer.name": "CA",
        "offer.price_formatted": "20.00",
        "offer.due_shown": "€20.00",
        "offer.kind": "cross_sell",
    }


def test_suggestions_and_answers_of_webhooks_are_what_steps_found():
    row = {"ref": "1", "name": "Cable", "url": "/p/1/", "image": ""}

    found = told(
        {"suggestion.1.name", "suggestion.1.url", "suggestion.2.name", "webhook.score.points"},
        found={"suggestions": [row], "webhook": {"score": {"points": 7}}},
    )

    assert found == {
        "suggestion.1.name": "Cable",
        "suggestion.1.url": "https://shop.example/p/1/",
        "webhook.score.points": "7",
    }


@pytest.mark.parametrize(
    ("locale", "price", "currency", "shown"),
    [
        pytest.param("en-GB", "39.0000", "EUR", "€39.00", id="as the language writes it"),
        pytest.param("de-DE", "39.0000", "EUR", "39,00\xa0€", id="as another does"),
        pytest.param("de-DE", "1.5", "KWD", "1,500\xa0KWD", id="a currency of three places"),
        pytest.param("en", "3900", "JPY", "¥3,900", id="a currency of none"),
    ],
)
def test_a_suggestion_has_its_price_with_its_currency(products, locale, price, currency, shown):
    placed = order(products, locale=locale)
    row = {"ref": "1", "name": "Cable", "url": "/p/1/", "price": price, "currency": currency}

    found = told({"suggestion.1.price"}, placed, found={"suggestions": [row]})

    assert found == {"suggestion.1.price": shown}


@pytest.mark.parametrize(
    ("locale", "reason", "words"),
    [
        pytest.param("en", "looked_at", "You looked at it", id="looked at"),
        pytest.param("en", "best_seller", "Often booked with it", id="a best seller"),
        pytest.param("en", "another", None, id="no words for it"),
        pytest.param("de-AT", "looked_at", "Sie haben es angesehen", id="the buyer's language"),
        pytest.param("de", "best_seller", "Oft dazu gebucht", id="and for the other"),
    ],
)
def test_a_suggestion_says_why_in_the_language_of_its_buyer(
    products, german, locale, reason, words
):
    placed = order(products, locale=locale)
    row = {"ref": "1", "name": "Cable", "price": "9.0000", "currency": "EUR", "reason": reason}

    found = told({"suggestion.1.reason"}, placed, found={"suggestions": [row]})

    assert found == ({"suggestion.1.reason": words} if words else {})


@pytest.fixture
def german(tmp_path, settings):
    """A host's own translation: the package ships the sentences, in English."""
    catalog = Catalog(locale="de")
    catalog.add("You looked at it", "Sie haben es angesehen")
    catalog.add("Often booked with it", "Oft dazu gebucht")
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "django.mo").open("wb") as file:
        write_mo(file, catalog)
    settings.LOCALE_PATHS = [str(tmp_path)]


def test_links_and_what_is_known_of_a_person_are_not_gathered(products):
    placed = order(products, email="emily@example.org")

    found = told({*SENT_WITH, "shop.name", "journey.name"}, placed)

    assert found == {"shop.name": "Web", "journey.name": "Follow up"}
    assert "emily" not in json.dumps(found)


def test_an_order_that_is_gone_leaves_its_names_out(products):
    run = run_of(None)
    run.order_ref = "999999"

    assert variables.gather({"order.number", "purchased.items"}, run=run, now=NOON) == {}


def test_texts_of_the_shop_are_one_line_and_not_endless(products):
    products["DT"].title = "A\r\nBcc: b"
    products["DT"].save()
    placed = order(products, ("DT", 1))

    starter = {"name": "order.placed", "parameters": {"note": "x" * 1000}}

    found = told({"purchased.1.name", "starter.note"}, placed, starter=starter)

    assert found["purchased.1.name"] == "A Bcc: b"
    assert found["starter.note"] == "x" * 500


def published(*blocks, languages=("en",)):
    content = {tag: {"subject": "Hi {order.number}", "blocks": list(blocks)} for tag in languages}
    template = MessageTemplate.objects.create(slug="hello", name="Hello", content=content)
    return templates.publish(template, user=None, now=NOON, specs=SPECS)


SPECS = {"order.lines": FactSpec(name="order.lines", type=FactType.INT)}


def test_names_of_a_version_are_those_of_all_its_languages():
    version = published({"kind": "text", "text": "{last.product_name|it}"}, languages=("en", "de"))

    assert variables.names_of(version) == {
        *("order.number", "last.product_name", "shop.name", "shop.url"),
    }


@pytest.mark.parametrize(("lines", "is_met"), [(1, False), (2, True), (None, False)])
def test_a_condition_is_asked_once_and_kept(lines, is_met):
    tree = {"fact": "order.lines", "op": "ge", "value": 2}
    version = published({"kind": "text", "text": "Hi", "show_if": tree})
    names = {name for name in variables.names_of(version) if name.startswith(CONDITION)}

    def ask(asked):
        return {one: lines for one in asked if lines is not None}

    found = variables.gather(
        names, run=run_of(None), now=NOON, asking=Asking(specs=SPECS, gather=ask)
    )

    assert found == (dict.fromkeys(names, MET) if is_met else {})
    assert variables.gather(names, run=run_of(None), now=NOON) == {}
