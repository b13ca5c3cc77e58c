"""Offers in a Salesman shop: seen, accepted, undone, and the order its API shows afterwards."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import close_old_connections, connection
from django.utils import timezone

from tests.salesman_project import changing
from tests.salesman_project.adapter import TeaShop
from tests.salesman_project.gateways import CardGateway
from tests.salesman_project.shopping import JSON, Shopper, ref, state
from tests.salesman_project.teashop import stock
from tests.salesman_project.teashop.models import Order, Tea
from upsell import hooks, ports
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.services import accepting, offering

servers_only = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="locks do nothing on SQLite"
)


def campaign(offered, trigger, *, kind="CROSS_SELL", **more):
    """A live campaign of the web shop, through the public door."""
    return hooks.save_campaign(
        slug=f"{kind.lower()}-{offered.code}",
        status="LIVE",
        kind=kind,
        channels=["web"],
        triggers=[{"kind": "PRODUCT", "ref": ref(trigger)}],
        product_ref=ref(offered),
        **more,
    )


def told(shopper, order):
    """The order as Salesman's own API tells it, without what only says when."""
    shown = shopper.order(order)
    return {
        "lines": [
            (row["product"]["code"], row["quantity"], row["total"]) for row in shown["items"]
        ],
        "rows": [(row["modifier"], row["amount"]) for row in shown["extra_rows"]],
        **{name: shown[name] for name in ("subtotal", "total", "amount_paid", "is_paid", "status")},
    }


def whole(shopper, order):
    """All that Salesman's API tells of an order, but for times and payments."""
    shown = shopper.order(order)
    return {name: shown[name] for name in shown if name not in {"date_updated", "payments"}}


def on_the_shelf(row):
    row.refresh_from_db()
    return row.stock


# ------------------------------------------------------------------ through the pages


def test_a_guest_buys_accepts_and_undoes(goods):
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 2))
    before = whole(shopper, order)
    page = shopper.thanks()
    assert state(page) == "open"
    assert "€80.00" in page.content.decode()

    done = shopper.press(page, "accept")

    assert state(done) == "accepted", done.content.decode()
    assert told(shopper, order) == {
        "lines": [("green", 2, "25.00"), ("tin", 1, "80.00")],
        "rows": [("shipping", "4.90")],
        "subtotal": "105.00",
        "total": "109.90",
        "amount_paid": "109.90",
        "is_paid": True,
        "status": "PROCESSING",
    }
    assert "1 x Tin: 80.00" in shopper.thanks().content.decode()
    assert CardGateway().charged(str(order.pk)) == 80
    assert on_the_shelf(goods["tin"]) == 19

    undone = shopper.press(done, "undo")

    assert state(undone) == "undone"
    assert whole(shopper, order) == before
    assert CardGateway().charged(str(order.pk)) == 0
    assert on_the_shelf(goods["tin"]) == 20
    paid = {row["transaction_id"][:6]: row["amount"] for row in shopper.order(order)["payments"]}
    assert paid.pop("order-") == "29.90"
    assert paid.pop("refund") == "-80.00"
    assert list(paid.values()) == ["80.00"]
    call_command("upsell_audit")


def test_a_dearer_tea_takes_the_place_of_the_first_and_its_part_of_the_voucher(goods):
    """3.00 less on 12.50 + 9.99 is 1.67 and 1.33: the buyer is credited 10.83."""
    campaign(goods["tin"], goods["green"], kind="UPSELL")
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1), (goods["black"], 1), discount=Decimal(3))
    before = whole(shopper, order)
    assert told(shopper, order)["rows"] == [("voucher", "-3.00"), ("shipping", "4.90")]

    done = shopper.press(shopper.thanks(), "accept")

    assert CardGateway().charged(str(order.pk)) == Decimal("69.17")  # 80.00 - 10.83
    assert told(shopper, order) == {
        "lines": [("black", 1, "9.99"), ("tin", 1, "80.00")],
        "rows": [("voucher", "-1.33"), ("shipping", "4.90")],
        "subtotal": "89.99",
        "total": "93.56",
        "amount_paid": "93.56",
        "is_paid": True,
        "status": "PROCESSING",
    }
    assert [on_the_shelf(goods[code]) for code in ("green", "black", "tin")] == [20, 19, 19]

    assert state(shopper.press(done, "undo")) == "undone"
    assert whole(shopper, order) == before
    assert [on_the_shelf(goods[code]) for code in ("green", "black", "tin")] == [19, 19, 20]
    call_command("upsell_audit")


def test_two_presses_are_one_line(goods):
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1))
    page = shopper.thanks()

    assert [state(shopper.press(page, "accept")) for _ in range(2)] == ["accepted"] * 2

    assert [row[0] for row in told(shopper, order)["lines"]] == ["green", "tin"]
    assert on_the_shelf(goods["tin"]) == 19
    assert CardGateway().charged(str(order.pk)) == 80


def test_an_invoice_grows_and_is_still_open(goods):
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1), paid_by="invoice")

    assert state(shopper.press(shopper.thanks(), "accept")) == "accepted"

    assert shopper.order(order)["total"] == "97.40"
    assert shopper.order(order)["is_paid"] is False
    call_command("upsell_audit")


def test_a_member_finds_the_line_in_the_list_of_orders(goods):
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    shopper.force_login(User.objects.create_user("ada"))
    shopper.buy((goods["green"], 1))

    shopper.press(shopper.thanks(), "accept")

    (shown,) = shopper.api("get", "orders/")
    assert [row["product"]["code"] for row in shown["items"]] == ["green", "tin"]


@pytest.mark.parametrize(
    ("address", "offered"),
    [
        pytest.param("1 Road, Berlin", "Tin", id="can be sent"),
        pytest.param("", "How to brew", id="nowhere to send"),
    ],
)
def test_who_gave_no_address_is_offered_what_needs_none(goods, address, offered):
    campaign(goods["tin"], goods["black"], priority=9)
    campaign(goods["brewing"], goods["black"], priority=1)
    shopper = Shopper()
    order = shopper.buy((goods["black"], 1))
    Order.objects.filter(pk=order.pk).update(shipping_address=address)

    text = shopper.thanks().content.decode().partition("data-upsell-offer")[2]

    assert offered in text


def test_what_is_not_counted_is_added_and_taken_back(goods):
    campaign(goods["brewing"], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1))

    done = shopper.press(shopper.thanks(), "accept")
    assert told(shopper, order)["lines"][1] == ("brewing", 1, "19.00")

    assert state(shopper.press(done, "undo")) == "undone"
    assert len(told(shopper, order)["lines"]) == 1


def test_who_has_only_the_token_sees_the_order_and_may_not_accept(goods):
    campaign(goods["tin"], goods["green"])
    shopper, other = Shopper(), Shopper()
    order = shopper.buy((goods["green"], 1))
    page = shopper.thanks()

    seen = other.thanks(token=order.token)
    assert order.ref in seen.content.decode()
    assert state(seen) is None
    other.press(page, "accept")

    assert [row[0] for row in told(shopper, order)["lines"]] == ["green"]


def test_staff_cancel_between_seeing_and_accepting(goods):
    campaign(goods["tin"], goods["green"])
    shopper, staff = Shopper(), Shopper()
    staff.force_login(User.objects.create_user("boss", is_staff=True))
    order = shopper.buy((goods["green"], 1))
    page = shopper.thanks()

    staff.put(f"/api/orders/{order.ref}/status/", {"status": "CANCELLED"}, **JSON)
    shopper.press(page, "accept")

    assert Offer.objects.get().state == "REVOKED"
    assert told(shopper, order)["total"] == "17.40"
    assert on_the_shelf(goods["tin"]) == 20


@pytest.mark.parametrize(
    ("ours", "total"),
    [
        pytest.param(True, "97.40", id="this shop's"),
        pytest.param(False, "17.40", id="as Salesman has it: the control"),
    ],
)
def test_staff_who_opened_the_order_before_it_grew_may_save_it_after(
    goods, monkeypatch, ours, total
):
    """Salesman's API and admin write all of an order back, also what they never touched."""
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    opened = shopper.buy((goods["green"], 1))
    shopper.press(shopper.thanks(), "accept")

    if not ours:
        monkeypatch.delattr(Order, "save")
    opened.status = "PACKED"
    opened.save()

    assert told(shopper, opened)["status"] == "PACKED"
    assert told(shopper, opened)["total"] == total


@pytest.mark.parametrize("code", ["tin", "brewing"])
def test_a_product_deleted_between_offer_and_yes(goods, code):
    campaign(goods[code], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1))
    before, page = whole(shopper, order), shopper.thanks()
    goods[code].delete()

    shopper.press(page, "accept")

    assert whole(shopper, order) == before
    assert CardGateway().charged(str(order.pk)) == 0
    assert outcome(Offer.objects.get()) == "product_unavailable"


def test_a_card_that_is_declined_changes_nothing(goods):
    campaign(goods["tin"], goods["green"])
    shopper = Shopper()
    order = shopper.buy((goods["green"], 1), card="card_declined")
    before = whole(shopper, order)

    shopper.press(shopper.thanks(), "accept")

    assert whole(shopper, order) == before
    assert on_the_shelf(goods["tin"]) == 20


def test_everything_is_wired(goods):
    call_command("check", fail_level="WARNING")


# ------------------------------------------------------------------ units and undo


def one_of(order, item, units, product):
    """An offer of one unit of a product for so many of a line, 20 dearer."""
    line = next(row for row in TeaShop().order(str(order.pk)).lines if row.ref == str(item.pk))
    credit = ports.credit(line, units=units)
    part = ports.Replaced(
        line_ref=line.ref, quantity=units, credit=credit, product_ref=line.product.ref
    )
    return ports.Change(
        id="change-1",
        kind=ports.ChangeKind.REPLACE,
        order_ref=str(order.pk),
        product_ref=ref(product),
        quantity=1,
        unit=ports.Price(currency="EUR", net=credit.net + 20, gross=credit.gross + 20),
        shipping=ports.Price.zero("EUR"),
        replaces=(part,),
    )


def test_one_of_three_units_leaves_with_its_cent(goods):
    """10.00 less on three at 9.99: 19.97 was paid, 6.66 of it for the first."""
    shopper, shop = Shopper(), TeaShop()
    order = shopper.buy((goods["black"], 3), discount=Decimal(10))
    before = whole(shopper, order)
    change = one_of(order, order.items.get(), 1, goods["tin"])
    quote = shop.quote(change)
    assert (quote.credit.gross, quote.amount_due.gross) == (Decimal("6.66"), 20)

    applied = shop.apply(change, quote, shop.hold(change, quote))

    now = shop.order(str(order.pk))
    assert [(line.quantity, str(line.total.gross)) for line in now.lines] == [
        (2, "13.31"),
        (1, "26.66"),
    ]
    shown = told(shopper, order)
    assert shown["rows"] == [("voucher", "-6.67"), ("shipping", "4.90")]
    assert Decimal(shown["total"]) - Decimal(before["total"]) == 20
    rows = sum(Decimal(amount) for _name, amount in shown["rows"])
    assert Decimal(shown["subtotal"]) + rows == Decimal(shown["total"])

    shop.revert(change, applied)
    assert whole(shopper, order) == before
    assert [on_the_shelf(goods[code]) for code in ("black", "tin")] == [17, 20]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda order: order.items.update(quantity=5), "order_changed", id="edited"),
        pytest.param(lambda order: stand(order, "PACKED"), "order_released", id="packed"),
        pytest.param(lambda order: stand(order, "REFUNDED"), "order_changed", id="refunded"),
        pytest.param(
            lambda order: Tea.objects.filter(code="black").update(stock=0),
            "out_of_stock",
            id="sold",
        ),
    ],
)
def test_an_undo_that_cannot_be_whole_is_refused(goods, spoil, reason):
    shopper, shop = Shopper(), TeaShop()
    order = shopper.buy((goods["black"], 3))
    change = one_of(order, order.items.get(), 1, goods["tin"])
    quote = shop.quote(change)
    applied = shop.apply(change, quote, shop.hold(change, quote))
    spoil(order)
    before = whole(shopper, order)

    with pytest.raises(ports.Refused) as refused:
        shop.revert(change, applied)

    assert refused.value.reason == reason
    assert whole(shopper, order) == before
    assert on_the_shelf(goods["tin"]) == 19


def stand(order, status):
    Order.objects.filter(pk=order.pk).update(status=status)


def test_delivery_of_an_offer_is_on_the_row_that_the_buyer_reads(goods):
    shopper, shop = Shopper(), TeaShop()
    order = shopper.buy((goods["brewing"], 1))
    change = replace(
        one_of(order, order.items.get(), 1, goods["tin"]),
        kind=ports.ChangeKind.APPEND,
        replaces=(),
        shipping=ports.Price(currency="EUR", net=Decimal(3), gross=Decimal(3)),
    )
    before = whole(shopper, order)
    quote = shop.quote(change)

    applied = shop.apply(change, quote, shop.hold(change, quote))
    assert told(shopper, order)["rows"] == [("shipping", "3.00")]
    assert (told(shopper, order)["subtotal"], told(shopper, order)["total"]) == ("58.00", "61.00")

    shop.revert(change, applied)
    assert whole(shopper, order) == before


# ------------------------------------------------------------------ the last unit


def offers_of_the_last(goods, *, orders):
    campaign(goods["tin"], goods["green"])
    Tea.objects.filter(code="tin").update(stock=1)
    placed = [Shopper().buy((goods["green"], 1)) for _ in range(orders)]
    now = timezone.now()
    return [offering.offer_for(order_ref=str(o.pk), now=now, show=True).offer for o in placed]


def outcome(offer):
    try:
        answer = accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)
    except (OfferNotAcceptable, ChargeDeclined) as refused:
        return refused.code
    return answer.state


def together(offers):
    gate, came = threading.Barrier(len(offers)), []

    def run(offer):
        close_old_connections()
        try:
            gate.wait(20)
            came.append(outcome(offer))
        except Exception as crash:
            came.append(repr(crash))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[offer]) for offer in offers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(came)


def test_the_last_unit_is_sold_once(goods):
    offers = offers_of_the_last(goods, orders=2)

    assert [outcome(offer) for offer in offers] == ["ACCEPTED", "out_of_stock"]

    assert on_the_shelf(goods["tin"]) == 0
    call_command("upsell_audit")


def test_eight_orders_at_once_for_the_last_unit(goods):
    offers = offers_of_the_last(goods, orders=8)

    assert together(offers) == ["ACCEPTED", *["out_of_stock"] * 7]

    assert on_the_shelf(goods["tin"]) == 0
    taken = [CardGateway().charged(offer.order_ref) for offer in offers]
    assert sorted(taken) == [*[0] * 7, 80]
    call_command("upsell_audit")


@servers_only
def test_without_the_lock_both_have_the_last_unit(goods, monkeypatch):
    """The control: each looks at the shelf before the other has written."""
    offers, both = offers_of_the_last(goods, orders=2), threading.Barrier(2)

    def careless(units):
        left = {pk: Tea.objects.get(pk=pk).stock for pk in units}
        both.wait(20)
        for pk, count in units.items():
            if left[pk] + count < 0:
                raise stock.SoldOut("gone")
            Tea.objects.filter(pk=pk).update(stock=left[pk] + count)

    monkeypatch.setattr(changing.stock, "locked", lambda ids: {})
    monkeypatch.setattr(changing.stock, "move", careless)

    assert together(offers) == ["ACCEPTED", "ACCEPTED"]
