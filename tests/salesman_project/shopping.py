"""The goods of the shop, and a person who buys them through Salesman's own API."""

from __future__ import annotations

import re
from decimal import Decimal

from django.test import Client
from django.urls import reverse

from tests.salesman_project.teashop.models import Course, Order, Tea, VoucherCode

TEAS = {"green": "12.50", "black": "9.99", "tin": "80.00", "gone": "15.00"}


def stock_the_shop():
    """Fill the shelves, again if they were filled before; return the products by code."""
    made = {}
    for code, price in TEAS.items():
        fields = {"name": code.title(), "price": price, "stock": 0 if code == "gone" else 20}
        made[code], _ = Tea.objects.update_or_create(code=code, defaults=fields)
    fields = {"name": "How to brew", "price": "19.00"}
    made["brewing"], _ = Course.objects.update_or_create(code="brewing", defaults=fields)
    for row in made.values():
        row.refresh_from_db()
    return made


def ref(row):
    return f"{row._meta.label}:{row.pk}"


class Shopper(Client):
    """Talks to Salesman's API as a shop's front end does, and reads the thank-you page."""

    def api(self, method, path, data=None, status=(200, 201, 204)):
        send = getattr(self, method)
        answer = send(f"/api/{path}", data, **({} if method == "get" else JSON))
        assert answer.status_code in status, answer.content
        return answer.json() if answer.content else None

    def buy(self, *wanted, paid_by="card", discount=Decimal(0), card="card_ok"):
        """Put (product or reference, units) into the basket and check out; return the order."""
        for product, units in wanted:
            label, key = (product if isinstance(product, str) else ref(product)).split(":")
            row = {"product_type": label, "product_id": int(key), "quantity": units}
            self.api("post", "basket/", row)
        if discount:
            VoucherCode.objects.update_or_create(code="less", defaults={"amount": discount})
            self.api("put", "basket/extra/", {"extra": {"voucher": "less"}})
        form = {
            "email": "ada@example.com",
            "shipping_address": "1 Road, Berlin",
            "billing_address": "1 Road, Berlin",
            "payment_method": paid_by,
            "extra": {"card": card},
        }
        assert self.api("post", "checkout/", form) == {"url": reverse("thanks")}
        return Order.objects.get(pk=self.session["order"])

    def thanks(self, **query):
        answer = self.get(reverse("thanks"), query)
        assert answer.status_code == 200, answer.content
        return answer

    def press(self, page, name):
        """Send the form of a page that posts to an address of this name, as it stands."""
        text = page.content.decode()
        form = re.search(rf'<form[^>]*action="([^"]*/{name}/)".*?</form>', text, re.DOTALL)
        assert form, f"no form posts to {name}: {text}"
        fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', form[0]))
        return self.post(form[1], fields, follow=True)

    def order(self, order):
        """The order as Salesman's API shows it to who has its token."""
        return self.api("get", f"orders/{order.ref}/", {"token": order.token})


JSON = {"content_type": "application/json"}


def state(page):
    """Return the state of the offer on a page; none where there is no offer."""
    found = re.search(r'data-upsell-state="(\w+)"', page.content.decode())
    return found and found[1]
