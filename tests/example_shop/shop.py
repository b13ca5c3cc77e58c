"""A seeded shop and a buyer, for the tests of its pages."""

from __future__ import annotations

from example_shop.models import Order, Product

BUYER = {
    "email": "buyer@example.org",
    "name": "A Buyer",
    "street": "Street 1, Berlin",
    "country": "DE",
    "payment_method": "card",
    "card": "card_ok",
    "do": "buy",
}


def put(client, product: Product, quantity: int = 1) -> None:
    """Set how many of a product are in the basket."""
    client.post("/basket/change/", {"product": product.pk, "quantity": quantity})


def bought(client, **options: str) -> Order:
    """Order what is in the basket, and approve it where a provider asks."""
    response = client.post("/checkout/", BUYER | options)

    assert response.status_code == 302, response.context["form"].errors
    if response.headers["Location"].startswith("/payfriend/"):
        asked = client.post(response.headers["Location"], {"answer": "approve"})
        client.get(asked.headers["Location"])
    return Order.objects.get(pk=client.session["order_ref"])
