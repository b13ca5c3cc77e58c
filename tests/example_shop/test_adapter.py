"""The adapter as the app asks it: plain values, strangers' references, and changes once."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import close_old_connections, connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop import adapter, models
from example_shop.adapter import ExampleShop
from example_shop.basket import Basket, Row, place
from example_shop.orders import SoldOut
from tests.counting import lines_of_code
from tests.factories import catalogue, order
from upsell import ports
from upsell.ports import Change, ChangeKind, Price, Replaced

SHOP = ExampleShop()


def change(placed, product, *, replaces=None, units=1, **options) -> Change:
    """What an offer of a product at its selling price would ask of the shop."""
    occasion = SHOP.order(str(placed.pk))
    ref = str(product.pk)
    parts = ()
    if replaces is not None:
        line = next(row for row in occasion.lines if row.product.ref == str(replaces.pk))
        credit = ports.credit(line, units=units)
        parts = (Replaced(line_ref=line.ref, quantity=units, credit=credit),)
    return Change(
        id=options.pop("id", "change-1"),
        kind=ChangeKind.REPLACE if parts else ChangeKind.APPEND,
        order_ref=str(placed.pk),
        product_ref=ref,
        quantity=units,
        unit=SHOP.availability([(ref, 1)], occasion)[ref].unit,
        replaces=parts,
        shipping=options.pop("shipping", Price.zero("EUR")),
        **options,
    )


def shape(placed) -> dict:
    placed.refresh_from_db()
    return {
        "order": {
            name: getattr(placed, name)
            for name in ("total_net", "total_gross", "shipping_net", "shipping_gross")
        },
        "lines": list(models.OrderLine.objects.filter(order=placed).order_by("pk").values()),
        "stock": dict(models.Product.objects.values_list("sku", "stock")),
    }


# ------------------------------------------------------------------ writes


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bought", "units", "due"),
    [
        pytest.param(("W1", 1), 1, "240", id="all of a line"),
        pytest.param(("W1", 3), 1, "240", id="one of three"),
        pytest.param(("W1", 3), 2, "480", id="two of three"),
    ],
)
def test_apply_is_the_quote_written_once_and_revert_gives_everything_back(bought, units, due):
    products = catalogue()
    placed = order(products, bought, ("DT", 2))
    before = shape(placed)
    promised = change(placed, products["W2"], replaces=products["W1"], units=units)
    quote = SHOP.quote(promised)

    first = SHOP.apply(promised, quote)
    again = SHOP.apply(promised, quote)

    after = shape(placed)
    assert first == again
    assert quote.amount_due.gross == Decimal(due)
    assert after["order"]["total_gross"] - before["order"]["total_gross"] == Decimal(due)
    assert after["stock"]["W2"] == before["stock"]["W2"] - units
    assert after["stock"]["W1"] == before["stock"]["W1"] + units

    SHOP.revert(promised, first)
    SHOP.revert(promised, first)

    assert shape(placed) == before


@pytest.mark.django_db
def test_delivery_of_an_offer_is_charged_and_given_back():
    products = catalogue()
    placed = order(products)
    before = shape(placed)
    delivery = ports.gross_price(Decimal("4.90"), rate=Decimal("0.2"), currency="EUR")
    promised = change(placed, products["CA"], shipping=delivery)

    applied = SHOP.apply(promised, SHOP.quote(promised))

    assert shape(placed)["order"]["shipping_gross"] == Decimal("4.90")
    assert applied.total_after.gross == Decimal("628.90")
    SHOP.revert(promised, applied)
    assert shape(placed) == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        pytest.param({"order": {"released": True}}, "order_released", id="packed"),
        pytest.param({"order": {"cancelled": True}}, "order_changed", id="cancelled"),
        pytest.param({"order": {"refunded": True}}, "order_changed", id="refunded"),
        pytest.param({"line": {"returned": 1}}, "order_changed", id="line returned"),
        pytest.param({"line": {"total_gross": "550"}}, "order_changed", id="line cheaper"),
        pytest.param({"line": {"locked_reason": "shipped"}}, "order_changed", id="line locked"),
        pytest.param({"product": {"sellable": False}}, "product_unavailable", id="off the shelf"),
        pytest.param({"product": {"stock": 0}}, "out_of_stock", id="sold out"),
    ],
)
def test_apply_refuses_what_was_not_quoted_and_leaves_all_as_it_was(happens, reason):
    products = catalogue()
    placed = order(products)
    promised = change(placed, products["W2"], replaces=products["W1"])
    quote = SHOP.quote(promised)
    models.Order.objects.update(**happens.get("order", {"currency": "EUR"}))
    models.OrderLine.objects.update(**happens.get("line", {"quantity": 1}))
    models.Product.objects.filter(sku="W2").update(**happens.get("product", {"sku": "W2"}))
    before = shape(placed)

    with pytest.raises(ports.Refused) as refused:
        SHOP.apply(promised, quote)

    assert refused.value.reason == reason
    assert shape(placed) == before


@pytest.mark.django_db
def test_another_amount_than_quoted_is_refused():
    products = catalogue()
    placed = order(products)
    promised = change(placed, products["CA"])
    quote = SHOP.quote(promised)

    with pytest.raises(ports.Refused, match="not what was quoted"):
        SHOP.apply(promised, replace(quote, amount_due=Price.zero("EUR")))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "values"),
    [
        pytest.param(models.Order, {"released": True}, id="packed"),
        pytest.param(models.Order, {"cancelled": True}, id="cancelled"),
        pytest.param(models.Order, {"refunded": True}, id="refunded"),
        pytest.param(models.OrderLine, {"returned": 1}, id="returned"),
        pytest.param(models.Product, {"stock": 0}, id="sold out"),
    ],
)
def test_revert_refuses_once_the_order_went_on(model, values):
    products = catalogue()
    placed = order(products)
    promised = change(placed, products["W2"], replaces=products["W1"])
    applied = SHOP.apply(promised, SHOP.quote(promised))
    model.objects.update(**values)
    before = shape(placed)

    with pytest.raises(ports.Refused):
        SHOP.revert(promised, applied)

    assert shape(placed) == before


@pytest.mark.django_db
@pytest.mark.parametrize(("policy", "held"), [("REQUIRE", None), ("BACKORDER", 1), ("IGNORE", 1)])
def test_a_hold_takes_what_the_policy_allows_and_release_gives_just_that_back(policy, held):
    products = catalogue()
    models.Product.objects.filter(sku="W2").update(stock=1)
    placed = order(products, ("W1", 2))
    promised = change(placed, products["W2"], replaces=products["W1"], units=2, stock_policy=policy)
    quote = SHOP.quote(promised)
    if held is None:
        with pytest.raises(ports.Refused, match="sold out"):
            SHOP.hold(promised, quote)
        return

    name = SHOP.hold(promised, quote)
    SHOP.hold(promised, quote)

    assert models.Product.objects.get(sku="W2").stock == 1 - held
    SHOP.release(name)
    SHOP.release(name)
    assert models.Product.objects.get(sku="W2").stock == 1


@pytest.mark.django_db
def test_quoting_writes_nothing_and_takes_no_lock():
    products = catalogue()
    placed = order(products)
    promised, before = change(placed, products["W2"], replaces=products["W1"]), shape(placed)

    with CaptureQueriesContext(connection) as captured:
        quote = SHOP.quote(promised)

    assert {row["sql"].split()[0] for row in captured} == {"SELECT"}
    assert not any("FOR UPDATE" in row["sql"] for row in captured)
    assert shape(placed) == before
    assert [(line.rate, line.amount) for line in quote.tax_lines] == [(Decimal("0.2"), 40)]


@pytest.mark.django_db
def test_a_payment_is_booked_once_and_a_hold_of_packing_is_lifted():
    placed = order(catalogue())
    until = timezone.now()
    for _ in range(2):
        SHOP.record_payment(str(placed.pk), "charge", Decimal(24), "EUR", "ch_1", "card")

    SHOP.hold_fulfilment(str(placed.pk), until)

    assert placed.payments.count() == 1
    assert models.Order.objects.get().hold_until == until
    SHOP.release_fulfilment(str(placed.pk))
    assert models.Order.objects.get().hold_until is None


# ------------------------------------------------------------------ reads

STRANGE = ["", "x", "²", "１", "-1", "1.0", "999999999999999999999", "0", "' or 1=1", "None"]


@pytest.mark.django_db
@pytest.mark.parametrize("ref", STRANGE)
def test_a_strangers_reference_is_unknown_and_never_a_crash(ref):
    products = catalogue()
    occasion = SHOP.order(str(order(products).pk))

    with pytest.raises(ports.NotFound):
        SHOP.order(ref)
    assert SHOP.products([ref, str(products["CA"].pk)]).keys() == {str(products["CA"].pk)}
    assert SHOP.availability([(ref, 1)], occasion) == {}
    assert not [row for row in SHOP.choices("product", ref, 5) if row.ref == ref and ref]
    request = RequestFactory().get("/")
    request.session, request.user = {}, AnonymousUser()
    assert not SHOP.may_act(request, ref)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "query", "first"),
    [
        ("product", "washpro 9", "WashPro 9 Smart"),
        ("product", "aria5-256", "Aria 5, 256 GB"),
        ("category", "washing-machines", "Washing machines"),
        ("category", "Laundry", "Laundry"),
        ("brand", "moo", "Moor"),
        ("tag", "vegan", "Vegan"),
        ("group", "club", "GreenHome Club"),
        ("channel", "kissa", "Kissa"),
        ("country", "de", "Germany"),
        ("country", "austria", "Austria"),
        ("payment_method", "invoice", "Invoice"),
        ("order", "500003", "500003"),
    ],
)
def test_staff_find_by_typing(shop, kind, query, first):
    call_command("seed_shop", "--orders", "5", verbosity=0)

    found = SHOP.choices(kind, query, 5)

    assert found[0].label == first
    exactly = SHOP.choices(kind, found[0].ref, 1)
    assert exactly[0] == found[0], "the exact reference comes first"
    assert SHOP.choices(kind, "", 3)
    assert len(SHOP.choices(kind, "", 1)) == 1


@pytest.mark.django_db
def test_an_unknown_kind_has_no_choices():
    assert list(SHOP.choices("colour", "", 5)) == []


@pytest.mark.django_db
def test_a_product_carries_its_whole_place_in_the_shop(shop):
    found = SHOP.products([str(shop["wash7"].pk), str(shop["aria5-256"].pk), str(shop["kit"].pk)])
    washer, phone, kit = (found[str(shop[sku].pk)] for sku in ("wash7", "aria5-256", "kit"))

    assert washer.category_refs == {"washing-machines", "laundry", "home"}
    assert washer.brand_ref == "washpro"
    assert washer.alternatives == (str(shop["wash7"].pk), str(shop["wash9"].pk))
    assert washer.cost == 380
    assert phone.parent_ref == str(shop["aria5"].pk)
    assert kit.attributes["fits"] == "clean moist"
    assert SHOP.products([str(shop["soft"].pk)])[str(shop["soft"].pk)].tags == {
        "refillable",
        "vegan",
    }


@pytest.mark.django_db
def test_reading_products_takes_as_many_queries_for_one_as_for_all(shop, django_assert_num_queries):
    refs = [str(product.pk) for product in shop.values()]

    with django_assert_num_queries(4):
        SHOP.products(refs[:1])
    with django_assert_num_queries(4):
        SHOP.products(refs)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("history", "lowest"),
    [
        pytest.param([], None, id="nothing known, nothing struck"),
        pytest.param([(-200, "24")], "24", id="never changed"),
        pytest.param([(-200, "20"), (-31, "24")], "24", id="cheaper, but not for a month"),
        pytest.param([(-200, "20"), (-29, "24")], "20", id="cheaper until 29 days ago"),
        pytest.param([(-200, "24"), (-20, "18"), (-10, "24")], "18", id="on sale meanwhile"),
    ],
)
def test_the_lowest_price_of_thirty_days(history, lowest):
    products = catalogue()
    now = timezone.now()
    for days, price in history:
        models.PriceChange.objects.create(
            product=products["CA"], price=price, since=now + timedelta(days=days)
        )
    occasion, ref = SHOP.order(str(order(products).pk)), str(products["CA"].pk)

    answer = SHOP.availability([(ref, 1)], occasion)[ref]

    assert (answer.lowest_30d and answer.lowest_30d.gross) == (lowest and Decimal(lowest))


@pytest.mark.django_db
def test_a_sale_price_is_what_sells_and_the_other_is_regular():
    products = catalogue()
    models.Product.objects.filter(sku="CA").update(sale_price="19")
    occasion, ref = SHOP.order(str(order(products).pk)), str(products["CA"].pk)

    answer = SHOP.availability([(ref, 1)], occasion)[ref]

    assert (answer.unit.gross, answer.regular.gross) == (19, 24)


@pytest.mark.django_db
def test_another_currency_has_no_price():
    products = catalogue()
    occasion = replace(SHOP.order(str(order(products).pk)), currency="JPY")

    assert SHOP.availability([(str(products["CA"].pk), 1)], occasion) == {}


@pytest.mark.django_db
def test_a_guest_is_known_by_the_address_whatever_its_case():
    products = catalogue()
    now = timezone.now()
    order(products, ("W1", 1), placed_at=now - timedelta(days=2))
    order(products, ("CA", 1), placed_at=now - timedelta(days=1))
    order(products, ("DT", 1), cancelled=True)
    order(products, ("IN", 1), refunded=True)
    models.Order.objects.filter(number="1001").update(email="Buyer@Example.ORG")
    guest = ports.Customer(email="buyer@example.org")

    found = SHOP.purchases(guest, now - timedelta(days=30), 10)

    assert [row.product_ref for row in found] == [str(products["CA"].pk), str(products["W1"].pk)]
    assert len(SHOP.purchases(guest, now - timedelta(days=30), 1)) == 1
    assert len(SHOP.purchases(guest, now - timedelta(days=1, hours=1), 10)) == 1
    assert SHOP.purchases(ports.Customer(), now - timedelta(days=30), 10) == []


@pytest.mark.django_db
def test_baskets_and_changed_orders_are_streamed_oldest_first():
    products = catalogue()
    now = timezone.now()
    one = order(products, ("W1", 1), ("DT", 2), changed_at=now - timedelta(hours=2))
    two = order(products, ("CA", 1), changed_at=now - timedelta(hours=1))

    assert list(SHOP.baskets(now - timedelta(days=1))) == [
        [str(products["W1"].pk), str(products["DT"].pk)],
        [str(products["CA"].pk)],
    ]
    first, cursor = SHOP.orders_since("", 1)
    assert first == [str(one.pk)]
    assert SHOP.orders_since(cursor, 10)[0] == [str(two.pk)]
    assert SHOP.orders_since("", 10)[0] == [str(one.pk), str(two.pk)]
    one.changed_at = now
    one.save()
    assert SHOP.orders_since(SHOP.orders_since("", 1)[1], 10)[0] == [str(one.pk)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("who", "may"),
    [("session", True), ("owner", True), ("other", False), ("staff", False), ("nobody", False)],
)
def test_who_may_act_for_the_buyer(who, may):
    users = get_user_model().objects
    owner, other = users.create_user("owner"), users.create_user("other")
    staff = users.create_superuser("staff")
    placed = order(catalogue(), user=owner)
    request = RequestFactory().get("/")
    request.session = {"order_refs": [str(placed.pk)]} if who == "session" else {}
    request.user = {"owner": owner, "other": other, "staff": staff}.get(who, AnonymousUser())

    assert SHOP.may_act(request, str(placed.pk)) is may


# ------------------------------------------------------------------ two buyers at once


@pytest.mark.databases
@pytest.mark.django_db(transaction=True)
def test_the_last_unit_is_sold_to_one_of_two_checkouts():
    products = catalogue()
    models.Product.objects.filter(sku="W2").update(stock=1)

    outcomes = _together(products["W2"], 2)

    assert outcomes == {"bought": 1, "sold out": 1}
    assert models.Product.objects.get(sku="W2").stock == 0
    assert models.Order.objects.count() == 1


def _together(product, buyers: int) -> Counter:
    ready, outcomes = threading.Barrier(buyers), []
    product.refresh_from_db()
    channel = product.channel

    def buy(number: int) -> None:
        close_old_connections()
        row = Row(product=product, quantity=1, before=product.selling)
        ready.wait()
        try:
            place(
                Basket(rows=(row,), channel=channel),
                AnonymousUser(),
                email=f"b{number}@example.org",
                street="Street 1",
                payment_method="card",
                card="card_ok",
            )
            outcomes.append("bought")
        except SoldOut:
            outcomes.append("sold out")
        finally:
            connection.close()

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(buyers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(outcomes)


@pytest.mark.databases
@pytest.mark.django_db(transaction=True)
def test_control_reading_first_and_writing_later_sells_the_last_unit_twice():
    """The same two checkouts without the lock: both see one unit."""
    products = catalogue()
    models.Product.objects.filter(sku="W2").update(stock=1)
    both_have_read, sold = threading.Barrier(2), []

    def careless() -> None:
        close_old_connections()
        stock = models.Product.objects.get(pk=products["W2"].pk).stock
        both_have_read.wait()
        if stock:
            sold.append(stock)
        connection.close()

    threads = [threading.Thread(target=careless) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sold == [1, 1]


def test_an_adapter_takes_less_than_two_hundred_lines_of_code():
    assert 100 < lines_of_code(Path(adapter.__file__)) < 200
