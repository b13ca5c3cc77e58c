"""The shop's own pages, each in a transaction that is the request's."""

from __future__ import annotations

from django.db import connection
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt

from tests.other_host.boutique.models import Item, Order, Visit
from upsell import hooks


@csrf_exempt
def buy(request, pk):
    assert connection.in_atomic_block
    item = get_object_or_404(Item, pk=pk)
    person = request.user if request.user.is_authenticated else None
    order = Order.objects.create(
        person=person,
        email="buyer@boutique.example",
        total=item.price,
        card=request.POST.get("card", "card_ok"),
    )
    order.lines.create(item=item, total=item.price)
    hooks.order_placed(order_ref=str(order.pk))
    request.session["order"] = str(order.pk)
    return redirect("thanks")


def thanks(request):
    """Write before the offer is rendered, and after: both are kept, or neither."""
    assert connection.in_atomic_block
    order = get_object_or_404(Order, pk=request.session.get("order"))
    Visit.objects.create(order=order, when="before")
    response = render(request, "boutique/thanks.html", {"order": order})
    Visit.objects.create(order=order, when="after")
    return response


def kept(request):
    """A page out of a cache: the offer is fetched by a script."""
    return render(request, "boutique/kept.html")


@csrf_exempt
def cancel(request):
    order = get_object_or_404(Order, pk=request.session.get("order"))
    order.cancelled = True
    order.save(update_fields=["cancelled"])
    hooks.order_cancelled(order_ref=str(order.pk))
    if request.POST.get("fail"):
        raise RuntimeError("the shop's own mistake, after it told us")
    return HttpResponse("cancelled")
