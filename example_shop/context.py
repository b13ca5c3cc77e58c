"""What the frame of the shop needs on pages that are not the shop's own: the offer's."""

from __future__ import annotations

from django.utils.functional import SimpleLazyObject

from example_shop.basket import basket_of
from example_shop.models import Channel
from example_shop.search import numbers


def frame(request):
    """Read nothing unless the frame is drawn; a view's own values win."""

    def channel():
        last = numbers([request.session.get("order_ref", "")])
        return Channel.objects.filter(order__in=last).first()

    return {
        "channels": SimpleLazyObject(lambda: list(Channel.objects.order_by("pk"))),
        "channel": SimpleLazyObject(channel),
        "basket": SimpleLazyObject(lambda: basket_of(request.session)),
    }
