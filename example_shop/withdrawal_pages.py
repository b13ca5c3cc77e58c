"""Withdrawing in two steps, as Article 11a of the Consumer Rights Directive wants it.

The order's page links here; the buyer may withdraw, a guest without logging in. First
the statement, then "Confirm withdrawal"; only that changes anything, and once.
"""

from __future__ import annotations

from django import forms
from django.http import Http404
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from example_shop.adapter import ExampleShop
from example_shop.views import own_order, shown
from upsell import hooks
from upsell.exceptions import OfferNotAcceptable


class StatementForm(forms.Form):
    name = forms.CharField(
        label="Your name",
        max_length=120,
        error_messages={"required": "Please give the name that the contract was made under."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    reason = forms.CharField(
        label="Reason, if you want to give one",
        max_length=500,
        required=False,
        help_text="You need none. It only helps us to do better.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


def withdraw(request, pk):
    """Show the statement; then what was stated, to be confirmed; then take it."""
    order = own_order(request, pk)
    if not ExampleShop().may_act(request, str(pk)):  # staff may look, and declare nothing
        raise Http404
    withdrawal = hooks.withdrawal_of(order_ref=str(pk))
    if withdrawal is None:
        return shown(request, "withdraw_closed", order.channel, order=order, status=410)
    if withdrawal.made_at is not None:  # a second time: the same receipt
        return redirect("shop:withdrawal", pk)
    form = StatementForm(request.POST or None, initial={"name": order.name})
    context = {"order": order, "withdrawal": withdrawal, "form": form}
    if not form.is_valid() or request.POST.get("do") == "change":
        return shown(request, "withdraw", order.channel, **context)
    statement = render_to_string("shop/statement.txt", context | form.cleaned_data).strip()
    if request.POST.get("do") != "confirm":
        return shown(request, "withdraw_confirm", order.channel, statement=statement, **context)
    try:
        hooks.withdraw(order_ref=str(pk), statement=statement)
    except OfferNotAcceptable:
        return shown(request, "withdraw_closed", order.channel, order=order, status=410)
    return redirect("shop:withdrawal", pk)


@require_safe
def receipt(request, pk):
    """What was declared, when it came, and what follows. To be kept: it is mailed, too."""
    order = own_order(request, pk)
    withdrawal = hooks.withdrawal_of(order_ref=str(pk))
    if withdrawal is None or withdrawal.made_at is None:
        raise Http404
    return shown(request, "withdrawal", order.channel, order=order, withdrawal=withdrawal)
