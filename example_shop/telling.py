"""What a visitor of the shop does, told to upsell once they said that we may remember it."""

from __future__ import annotations

from dataclasses import replace

from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from example_shop import models
from example_shop.search import numbers
from upsell import hooks
from upsell.ports import Agreed


def agreed(request):
    return bool(request.session.get("remember"))


class Reached:
    """The part of the adapter that says who may be remembered and written to, and where."""

    may_track = staticmethod(agreed)

    def contact(self, who, medium):
        found = super().contact(who, medium)
        order = models.Order.objects.filter(pk__in=numbers([who.order_ref])).first()
        if found is None or order is None:
            return found
        return replace(found, first_name=order.name.partition(" ")[0])

    def consent(self, who, medium, purpose):
        """As the buyer ticked with the order; what they took back since, upsell keeps.

        They were asked about mails: handing their address on is another use.
        """
        order = models.Order.objects.filter(pk__in=numbers([who.order_ref])).first()
        if order is None or medium != "email" or purpose != "marketing":
            return Agreed.UNKNOWN
        return Agreed.GRANTED if order.wants_mail else Agreed.UNKNOWN


def tell(request, name, **parameters):
    if agreed(request):
        hooks.track(name, request=request, **parameters)


def tell_of_basket(request, product, before, basket):
    """Say what was put in or taken out, and what the basket is worth since."""
    after = request.session["basket"].get(str(product.pk), 0)
    if after != before:
        tell(
            request,
            "cart.added" if after > before else "cart.removed",
            product=product,
            quantity=abs(after - before),
            value=basket.total,
            currency=basket.currency,
        )


@require_POST
def remember(request):
    """Take a yes, or take it back: then what was remembered goes too."""
    back = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}):
        back = reverse("shop:start")
    response = redirect(back)
    if request.POST.get("remember") == "yes":
        request.session["remember"] = True
    else:
        request.session.pop("remember", None)
        hooks.forget_visitor(request, response)
    return response
