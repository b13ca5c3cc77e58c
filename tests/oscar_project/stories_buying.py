"""Offers in an Oscar shop: seen, accepted, undone, and the rows that Oscar has afterwards."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.oscar_project import stocking
from tests.oscar_project.stocking import Order
from tests.oscar_project.walking import Shopper, offer_in
from upsell import hooks
from upsell.models import Attempt, Offer


def campaign(offered, trigger, *, kind="CROSS_SELL", **more):
    """A live campaign of the site, through the public door."""
    return hooks.save_campaign(
        slug=f"{kind.lower()}-{offered.upc}".lower(),
        status="LIVE",
        kind=kind,
        channels=["1"],
        triggers=[{"kind": "PRODUCT", "ref": str(trigger.pk)}],
        product_ref=str(offered.pk),
        **more,
    )


def rows(order):
    """The order as Oscar has it."""
    order = Order.objects.get(pk=order.pk)
    return {
        "total": (order.total_excl_tax, order.total_incl_tax),
        "lines": [
            (line.upc, line.quantity, line.line_price_excl_tax, line.line_price_incl_tax)
            for line in order.lines.all()
        ],
        "prices": sorted(order.line_prices.values_list("line__upc", "quantity", "price_incl_tax")),
        "events": sorted(
            order.payment_events.values_list("event_type__name", "amount", "reference")
        ),
        "paid for": sorted(
            stocking.PaymentEventQuantity.objects.filter(event__order=order).values_list(
                "line__upc", "quantity"
            )
        ),
        "discounts": [discount.amount for discount in order.discounts.all()],
        "stock": sorted(
            stocking.Product.objects.filter(stockrecords__num_allocated__gt=0).values_list(
                "upc", "stockrecords__num_allocated"
            )
        ),
    }


def bought_by_session(order):
    """The browser that placed an order."""
    shopper = Shopper()
    session = shopper.session
    session["checkout_order_id"] = order.pk
    session.save()
    return shopper


def thanks(shopper):
    return shopper.look("checkout:thank-you")


# ------------------------------------------------------------------ through the pages


def test_a_guest_buys_accepts_and_undoes(goods):
    campaign(goods["POT"], goods["TEA"])
    shopper = Shopper()
    page = shopper.buy(goods["TEA"])
    order = Order.objects.get()
    before = rows(order)

    assert offer_in(page) == "open"
    done = shopper.press(page, "accept")
    assert offer_in(done) == "accepted", done.content.decode()
    after = rows(order)
    assert [line[0] for line in after["lines"]] == ["TEA", "POT"]
    assert after["total"][1] - before["total"][1] == after["lines"][1][3]

    undone = shopper.press(done, "undo")
    assert undone.status_code == 200
    assert Offer.objects.get().state == "REVERSED"
    back = rows(order)
    assert {**back, "events": []} == {**before, "events": []}
    call_command("upsell_audit")


def test_the_pages_that_a_buyer_reads_afterwards(goods):
    """Thank-you page, account order, reorder; and the page of the shop's staff."""
    campaign(goods["POT"], goods["TEA"], kind="UPSELL")
    buyer = stocking.a_buyer()
    staff = stocking.a_buyer("boss@example.com", is_staff=True, is_superuser=True)
    shopper, boss = Shopper(), Shopper()
    shopper.force_login(buyer)
    boss.force_login(staff)
    page = shopper.buy(goods["TEA"])
    shopper.press(page, "accept")
    order = Order.objects.get()

    text = shopper.look("customer:order", order.number).content.decode()
    assert "Teapot" in text
    assert "Green tea" not in text
    assert order.number in shopper.look("customer:order-list").content.decode()
    seen = thanks(shopper)
    assert offer_in(seen) == "accepted"
    assert b"Green tea" not in seen.content.partition(b"Items purchased")[2]
    again = shopper.send("customer:order", {"action": "reorder"}, order.number)
    assert b"Teapot" in again.content
    text = boss.look("dashboard:order-detail", order.number).content.decode()
    offer = Offer.objects.get()
    assert reverse("admin:upsell_offer_change", args=[offer.pk]) in text
    assert "Teapot" in text


def test_what_staff_may_not_see_is_not_shown(goods):
    """Partner staff of Oscar's dashboard without our permission see no panel."""
    campaign(goods["POT"], goods["TEA"])
    shopper = Shopper()
    shopper.press(shopper.buy(goods["TEA"]), "accept")
    clerk = stocking.a_buyer("clerk@example.com", is_staff=True)
    browser = Shopper()
    browser.force_login(clerk)

    text = browser.look("dashboard:order-detail", Order.objects.get().number).content.decode()

    assert "upsell-panel" not in text


@pytest.mark.parametrize("who", ["another user", "a stranger", "a superuser by number"])
def test_who_did_not_buy_may_not_accept(goods, who):
    campaign(goods["POT"], goods["TEA"])
    shopper = Shopper()
    shopper.buy(goods["TEA"])
    order, offer = Order.objects.get(), Offer.objects.get()
    from upsell.models.tokens import offer_token  # noqa: PLC0415

    browser = Shopper()
    if who != "a stranger":
        browser.force_login(stocking.a_buyer("x@example.com", is_superuser="super" in who))
    seen = browser.look("checkout:thank-you", order_number=order.number)
    assert offer_in(seen) is None
    token = offer_token(offer)
    browser.post(reverse("upsell:accept", args=[token]), {"quote": 1, "answer": "accept"})

    assert not Attempt.objects.exists()
    assert order.lines.count() == 1


def test_a_checkout_without_session_is_offered_nothing_and_hurts_nothing(goods):
    """A REST checkout: no session, no ``post_checkout``; the owner finds the offer by log-in."""
    campaign(goods["POT"], goods["TEA"])
    buyer = stocking.a_buyer()
    order = stocking.place(("TEA", 1), user=buyer)
    shopper = Shopper()
    shopper.force_login(buyer)

    assert not Offer.objects.exists()
    assert hooks.offer_for(order_ref=str(order.pk)) is not None
    session = shopper.session
    session["checkout_order_id"] = order.pk
    session.save()
    assert offer_in(thanks(shopper)) == "open"


# ------------------------------------------------------------------ the exact rows


@pytest.mark.parametrize("paid_by", ["invoice", "card"])
def test_append_writes_what_the_shops_own_checkout_writes(goods, paid_by):
    campaign(goods["POT"], goods["TEA"], quantity=2)
    order = stocking.place(("TEA", 2), ("CUP", 1), paid_by=paid_by)
    before, shopper = rows(order), bought_by_session(order)

    shopper.press(thanks(shopper), "accept")

    after, line = rows(order), order.lines.get(upc="POT")
    assert after["lines"][:2] == before["lines"]
    assert (line.quantity, line.num_allocated, line.status) == (2, 2, "Pending")
    assert line.partner_sku == "POT"
    assert line.title == "Teapot"
    due = line.line_price_incl_tax
    assert after["total"][1] - before["total"][1] == due
    assert after["total"][0] - before["total"][0] == line.line_price_excl_tax
    assert dict(after["stock"]) == {**dict(before["stock"]), "POT": 2}
    booked = [row for row in after["events"] if row not in before["events"]]
    assert [(name, amount) for name, amount, _ in booked] == (
        [("Settled", due)] if paid_by == "card" else []
    )
    note = order.notes.get()
    assert "2 × Teapot" in note.message
    assert not note.is_editable()


@pytest.mark.parametrize("discount", ["0", "3.33"], ids=["no discount", "an order discount"])
def test_replace_moves_prices_discounts_events_and_stock(goods, discount):
    campaign(goods["POT"], goods["TEA"], kind="UPSELL")
    order = stocking.place(("TEA", 1), ("CUP", 2), discount=Decimal(discount), paid_by="card")
    before, shopper = rows(order), bought_by_session(order)
    paid = order.lines.get(upc="TEA").line_price_incl_tax

    shopper.press(thanks(shopper), "accept")

    after = rows(order)
    new = order.lines.get(upc="POT")
    assert not order.lines.filter(upc="TEA").exists()
    assert after["total"][1] - before["total"][1] == new.line_price_incl_tax - paid
    assert ("POT", 1) in after["paid for"]
    assert dict(after["stock"]) == {"CUP": 2, "POT": 1}
    offer = Offer.objects.get()
    assert offer.state == "ACCEPTED"
    shopper.press(shopper.get(reverse("upsell:offer", args=[_token(offer)])), "undo")
    back = rows(order)
    assert {**back, "events": []} == {**before, "events": []}


def _token(offer):
    from upsell.models.tokens import offer_token  # noqa: PLC0415

    return offer_token(offer)


def test_one_of_three_units_leaves_the_line(goods):
    campaign(goods["POT"], goods["TEA"], kind="UPSELL", quantity_rule="ONE")
    order = stocking.place(("TEA", 3), ("CUP", 1), discount=Decimal("1.00"), paid_by="card")
    before, shopper = rows(order), bought_by_session(order)

    shopper.press(thanks(shopper), "accept")

    after, line = rows(order), order.lines.get(upc="TEA")
    assert line.quantity == 2
    assert line.num_allocated == 2
    assert sum(row.quantity for row in line.prices.all()) == 2
    whole = next(row for row in before["lines"] if row[0] == "TEA")[3]
    credited = whole - line.line_price_incl_tax
    new = order.lines.get(upc="POT")
    assert after["total"][1] - before["total"][1] == new.line_price_incl_tax - credited
    assert dict(after["stock"]) == {"CUP": 1, "POT": 1, "TEA": 2}
    shopper.press(shopper.get(reverse("upsell:offer", args=[_token(Offer.objects.get())])), "undo")
    assert {**rows(order), "events": []} == {**before, "events": []}


def test_a_line_that_was_shipped_does_not_leave(goods):
    campaign(goods["POT"], goods["TEA"], kind="UPSELL")
    order = stocking.place(("TEA", 1), ("CUP", 1))
    stocking.ship(order, "CUP")

    assert offer_in(thanks(bought_by_session(order))) is None


def test_an_order_without_an_address_is_offered_what_needs_none(goods):
    campaign(goods["POT"], goods["BOOK"], priority=20)
    campaign(goods["BOOK"], goods["TEA"], priority=10)
    order = stocking.place(("TEA", 1), address=False)

    shopper = bought_by_session(order)

    assert offer_in(thanks(shopper)) == "open"
    assert Offer.objects.get().product_ref == str(goods["BOOK"].pk)


# ------------------------------------------------------------------ what may go wrong


@pytest.mark.parametrize("spoil", ["deleted", "no price", "not public", "sold out"])
def test_a_product_that_is_gone_when_the_buyer_accepts(goods, spoil):
    campaign(goods["POT"], goods["TEA"])
    order = stocking.place(("TEA", 1), paid_by="card")
    before, shopper = rows(order), bought_by_session(order)
    page, record = thanks(shopper), goods["POT"].stockrecords.get()
    if spoil == "deleted":
        goods["POT"].delete()
    elif spoil == "no price":
        record.price = None
        record.save()
    elif spoil == "not public":
        goods["POT"].is_public = False
        goods["POT"].save()
    else:
        record.num_in_stock = 0
        record.save()

    answer = shopper.press(page, "accept")

    assert (answer.status_code, offer_in(answer)) == (422, "failed")
    assert rows(order) == before
    wanted = "out_of_stock" if spoil == "sold out" else "product_unavailable"
    assert (Offer.objects.get().state, Offer.objects.get().failure_code) == ("FAILED", wanted)


@pytest.mark.parametrize("sku", ["SILK"])
def test_tax_that_is_known_only_at_checkout_means_no_offer(goods, sku, settings):
    if not settings.FORKED:
        pytest.skip("the stock shop knows every tax: it is none")
    campaign(goods[sku], goods["TEA"])
    order = stocking.place(("TEA", 1))

    assert offer_in(thanks(bought_by_session(order))) is None


def test_a_fork_keeps_what_it_writes_with_each_line(goods, settings):
    if not settings.FORKED:
        pytest.skip("of the forked shop")
    campaign(goods["POT"], goods["TEA"], kind="UPSELL")
    order = stocking.place(("TEA", 1), paid_by="card")
    shopper = bought_by_session(order)
    old = order.lines.get()
    old.gift_wrap = "paper"
    old.save()

    shopper.press(thanks(shopper), "accept")
    new = order.lines.get()
    assert new.cost_centre == f"web-{goods['POT'].pk}"
    assert [label.text for label in new.labels.all()] == ["label of Teapot"]
    shopper.press(shopper.get(reverse("upsell:offer", args=[_token(Offer.objects.get())])), "undo")

    back = order.lines.get()
    assert (back.pk, back.gift_wrap, back.cost_centre) == (old.pk, "paper", old.cost_centre)
    assert [label.text for label in back.labels.all()] == ["label of Green tea"]


def test_choices_name_what_is_sold(goods):
    from upsell.conf import shop  # noqa: PLC0415

    found = [choice.label for choice in shop().choices("product", "tray", 10)]
    assert found == ["Tray (small) · TRAY-S", "Tray (large) · TRAY-L"] or found == [
        "Tray (large) · TRAY-L",
        "Tray (small) · TRAY-S",
    ]
    for kind in ("category", "tag", "group", "channel", "country", "payment_method", "order"):
        assert shop().choices(kind, "zzz", 5) == []
    assert [row.label for row in shop().choices("country", "ger", 5)] == ["Germany"]
    assert shop().choices("channel", "", 5)[0].ref == "1"
