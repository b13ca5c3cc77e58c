"""Every state in which a buyer may meet an offer, and how to get there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from example_shop import orders
from example_shop.models import Product
from tests.browser.shopper import Shopper
from upsell.models import ChannelSettings, Offer
from upsell.models.tokens import offer_token, undo_token


def cross_sell(shopper: Shopper) -> None:
    shopper.buys("cam")
    shopper.thanks()


def upsell(shopper: Shopper) -> None:
    shopper.buys("wash7")
    shopper.thanks()


def upsell_in_yen(shopper: Shopper) -> None:
    shopper.buys("sencha", 2)
    shopper.thanks()


def on_invoice(shopper: Shopper) -> None:
    shopper.buys("deter", payment_method="invoice")
    shopper.thanks()


def without_a_picture(shopper: Shopper) -> None:
    upsell(shopper)
    row = Offer.objects.get()
    for product in (row.terms["product"], *row.terms["replaced"]):
        product["image_url"] = ""
    row.save()
    shopper.thanks()


def accepted(shopper: Shopper) -> None:
    upsell(shopper)
    shopper.accepts()


def added(shopper: Shopper) -> None:
    cross_sell(shopper)
    shopper.accepts()


def undone(shopper: Shopper) -> None:
    accepted(shopper)
    shopper.presses("Undo")


def declined(shopper: Shopper) -> None:
    cross_sell(shopper)
    shopper.declines()


def challenge(shopper: Shopper) -> None:
    shopper.buys("cam", card="card_challenge")
    shopper.thanks()
    shopper.accepts()


def approval(shopper: Shopper) -> None:
    shopper.buys("cam", payment_method="payfriend")
    shopper.thanks()
    shopper.accepts()
    shopper.page.get_by_role("button", name="Approve payment").wait_for()
    newest = Offer.objects.latest("pk")
    shopper.opens(f"/upsell/offers/{offer_token(newest)}/")


def refused(shopper: Shopper) -> None:
    shopper.buys("wash7", card="card_declined")
    shopper.thanks()
    shopper.accepts()


def refused_twice(shopper: Shopper) -> None:
    refused(shopper)
    shopper.accepts()


def confirming(shopper: Shopper) -> None:
    shopper.buys("cam", card="card_hang")
    shopper.thanks()
    shopper.accepts()


def sold_out(shopper: Shopper) -> None:
    upsell(shopper)
    Product.objects.filter(sku="wash9").update(stock=0)
    shopper.accepts()


def order_changed(shopper: Shopper) -> None:
    upsell(shopper)
    shopper.order.lines.update(returned=1)
    shopper.accepts()


def order_packed(shopper: Shopper) -> None:
    upsell(shopper)
    orders.pack(shopper.order.pk)
    shopper.accepts()


def figures_changed(shopper: Shopper) -> None:
    cross_sell(shopper)
    Product.objects.filter(sku="sd").update(tax_rate="0.07")
    shopper.accepts()


def expired(shopper: Shopper) -> None:
    cross_sell(shopper)
    Offer.objects.update(created_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now())
    shopper.accepts()


def taken_back(shopper: Shopper) -> None:
    cross_sell(shopper)
    orders.cancel(shopper.order.pk)
    shopper.accepts()


def not_signed_in(shopper: Shopper) -> None:
    cross_sell(shopper)
    shopper.page.context.clear_cookies()
    shopper.opens(f"/upsell/offers/{offer_token(Offer.objects.get())}/")
    shopper.accepts()


def undo_from_the_mail(shopper: Shopper) -> None:
    accepted(shopper)
    shopper.offer.get_by_role("heading").wait_for()
    shopper.opens(f"/upsell/offers/{undo_token(Offer.objects.get())}/undo/")


def too_late_to_undo(shopper: Shopper) -> None:
    accepted(shopper)
    shopper.offer.get_by_role("heading").wait_for()
    orders.pack(shopper.order.pk)
    shopper.presses("Undo")


def order_cancelled(shopper: Shopper) -> None:
    accepted(shopper)
    shopper.offer.get_by_role("heading").wait_for()
    orders.cancel(shopper.order.pk)
    shopper.page.reload()


def asks(shopper: Shopper) -> None:
    """Have the shop ask how it was."""
    ChannelSettings.objects.create(channel="", ask_satisfaction=True)


def accepted_and_asked(shopper: Shopper) -> None:
    asks(shopper)
    accepted(shopper)


def declined_and_asked(shopper: Shopper) -> None:
    asks(shopper)
    declined(shopper)


def rated(shopper: Shopper) -> None:
    accepted_and_asked(shopper)
    shopper.page.get_by_label("4, good").check()
    shopper.presses("Send my answer")


STATES: dict[str, Callable[[Shopper], None]] = {
    "open, cross-sell": cross_sell,
    "open, upsell": upsell,
    "open, one of two units, in yen": upsell_in_yen,
    "open, on an invoice": on_invoice,
    "open, without a picture": without_a_picture,
    "accepted, upsell": accepted,
    "accepted, cross-sell": added,
    "undone": undone,
    "undo from the mail": undo_from_the_mail,
    "too late to undo": too_late_to_undo,
    "order cancelled": order_cancelled,
    "declined": declined,
    "accepted, and asked how it was": accepted_and_asked,
    "declined, and asked how it was": declined_and_asked,
    "told how it was": rated,
    "the bank asks": challenge,
    "a provider asks for approval": approval,
    "card refused": refused,
    "card refused twice": refused_twice,
    "being confirmed": confirming,
    "sold out": sold_out,
    "order changed": order_changed,
    "order packed": order_packed,
    "figures changed": figures_changed,
    "expired": expired,
    "taken back": taken_back,
    "not signed in": not_signed_in,
}
