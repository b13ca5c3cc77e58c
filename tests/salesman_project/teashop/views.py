"""The thank-you page. Who has the order's token may see it, as in Salesman's own API."""

from __future__ import annotations

from django.shortcuts import get_object_or_404, render

from tests.salesman_project.teashop.models import Order


def thanks(request):
    if "token" in request.GET:
        order = get_object_or_404(Order, token=request.GET["token"])
    else:
        order = get_object_or_404(Order, pk=request.session.get("order"))
    return render(request, "teashop/thanks.html", {"order": order})
