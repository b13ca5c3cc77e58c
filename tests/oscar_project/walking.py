"""A person who shops: Oscar's own pages, one after the other, as a browser asks for them."""

from __future__ import annotations

import re

from django.test import Client
from django.urls import reverse

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Tee",
    "line1": "1 Road",
    "line4": "Berlin",
    "postcode": "10115",
    "country": "DE",
    "phone_number": "",
    "notes": "",
}


class Shopper(Client):
    """Buys through the shop's pages. ``pages`` keeps every page it was shown."""

    def __init__(self, email="guest@example.com", **options):
        super().__init__(**options)
        self.email, self.pages = email, []

    def look(self, name, *args, follow=True, **query):
        return self._kept(self.get(reverse(name, args=args), query, follow=follow))

    def send(self, name, data, *args):
        return self._kept(self.post(reverse(name, args=args), data, follow=True))

    def _kept(self, answer):
        self.pages.append((answer.request["PATH_INFO"], answer.status_code, answer.content))
        return answer

    def add(self, product, quantity=1):
        return self.send("basket:add", {"quantity": quantity}, product.pk)

    def buy(self, *products, shipped=True):
        """Buy these products, one of each; return the thank-you page."""
        for product in products:
            self.add(product)
        self.look("checkout:index")
        if "_auth_user_id" not in self.session:
            self.send("checkout:index", {"username": self.email, "options": "anonymous"})
        if shipped:
            self.send("checkout:shipping-address", ADDRESS)
            self.look("checkout:shipping-method")
        self.look("checkout:payment-details")
        self.look("checkout:preview")
        return self.send("checkout:preview", {"action": "place_order"})

    def press(self, page, name):
        """Send the form of a page that posts to an address of this name, as it stands."""
        text = page.content.decode()
        form = re.search(rf'<form[^>]*action="([^"]*/{name}/)".*?</form>', text, re.DOTALL)
        assert form, f"no form posts to {name}: {text}"
        fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', form[0]))
        return self._kept(self.post(form[1], fields, follow=True))


def offer_in(page):
    """Return the state of the offer on a page; none where there is no offer."""
    found = re.search(r'data-upsell-state="(\w+)"', page.content.decode())
    return found and found[1]


def framed(statement):
    """Whether a statement only opens or closes a transaction."""
    return statement.startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK"))
