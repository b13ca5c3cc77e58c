"""The pages on which a basket becomes an order."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from example_shop import paying
from example_shop.basket import basket_of, place
from example_shop.forms import CheckoutForm, TestCardForm
from example_shop.models import Customer, Order
from example_shop.orders import NotNow, SoldOut
from example_shop.telling import tell
from example_shop.views import lines_of, shown
from upsell.testing.gateway import CARDS


def checkout(request):
    basket = basket_of(request.session)
    if not basket.rows:
        return redirect("shop:basket")
    user = request.user
    form = CheckoutForm(request.POST or None, initial=_known(user), basket=basket)
    if form.is_bound:
        form.full_clean()
        fields = dict(form.cleaned_data)
        coupon, gift_card = fields.pop("coupon", None), fields.pop("gift_card", None)
        basket = basket_of(request.session, coupon, gift_card)
        if request.POST.get("do") == "coupon":
            form.only("coupon", "gift_card")
        elif form.is_valid():
            answer = _bought(request, form, basket, fields)
            if answer is not None:
                return answer
    else:
        tell(request, "checkout.started", value=basket.total, currency=basket.currency)
    return _page(request, form, basket)


def _page(request, form, basket, **context):
    context |= {"form": form, "summary": basket, "cards": CARDS}
    return shown(request, "checkout", basket.channel, **context)


def _known(user):
    """What an account need not type again."""
    if not user.is_authenticated:
        return {}
    known = {"email": user.email, "name": user.get_full_name() or user.get_username()}
    customer = Customer.objects.filter(user=user).first()
    return known | ({"street": customer.street, "country": customer.country} if customer else {})


def _bought(request, form, basket, fields):
    """Place the order, or lead to where it is paid; none, with an error, where neither can be."""
    if fields["payment_method"] != "card":
        fields["card"] = ""
    fields["locale"] = translation.get_language() or "en"
    if basket.to_pay and fields["payment_method"] == "stripe":
        request.session["checkout"] = {**fields, **_codes(basket)}
        return redirect("shop:card")
    if basket.to_pay and paying.way(fields["payment_method"]):
        return redirect(paying.begin(request, basket, fields, back=_back(request)))
    try:
        made = place(basket, request.user, **fields)
    except SoldOut as error:
        form.add_error(None, f"{error} has just sold out. Nothing was ordered.")
    except NotNow as error:
        form.add_error("gift_card", str(error))
    else:
        return _thanked(request, made)
    return None


def _codes(basket):
    return {
        "coupon": basket.coupon.code if basket.coupon else "",
        "gift_card": basket.gift_card.code if basket.gift_card else "",
    }


def _back(request):
    path = reverse("shop:paid")
    base = str(getattr(settings, "UPSELL_BASE_URL", "")).rstrip("/")
    return base + path if base else request.build_absolute_uri(path)


def _thanked(request, made):
    """Write to the buyer, remember the order for this session, and show it."""
    context = {"order": made, "lines": lines_of(made)}
    text = render_to_string("shop/order_mail.txt", context)
    send_mail(f"Order {made.number}", text, None, [made.email])
    tell(
        request,
        "checkout.completed",
        order_ref=str(made.pk),
        event_id=f"checkout-{made.pk}",
        value=made.total_gross,
        currency=made.currency,
    )
    known = request.session.get("order_refs", [])
    request.session["order_refs"] = [*known[-49:], str(made.pk)]
    request.session["order_ref"] = str(made.pk)
    for name in ("basket", "checkout"):
        request.session.pop(name, None)
    return redirect("shop:thanks", made.pk)


def card(request):
    """Let the buyer choose one of Stripe's test cards, and authorise it."""
    begun = dict(request.session.get("checkout") or {})
    if not begun or "stripe" not in settings.UPSELL_GATEWAYS:
        return redirect("shop:checkout")
    codes = {name: begun.pop(name) for name in ("coupon", "gift_card")}
    basket = paying.basket_for(request, codes)
    if not basket.rows:
        return redirect("shop:basket")
    form = TestCardForm(request.POST or None)
    if form.is_valid():
        try:
            address = paying.begin(
                request, basket, begun, back=_back(request), card=form.cleaned_data["card"]
            )
        except paying.NotPaid as refusal:
            form.add_error("card", str(refusal))
        else:
            return _led(request, address)
    return shown(request, "card_payment", basket.channel, form=form, summary=basket)


def _led(request, address):
    """Lead on after a form. A strict policy lets a form go nowhere else: a link may."""
    if url_has_allowed_host_and_scheme(address, {request.get_host()}):
        return redirect(address)
    return shown(request, "bank", address=address)


@require_safe
def paid(request):
    """Back from where an order is paid. The session knows which payment it began."""
    reference = request.GET.get("payment") or request.GET.get("payment_intent") or ""
    try:
        return _thanked(request, paying.finish(request, reference))
    except paying.NotYet as asked:
        return shown(request, "bank", address=asked.address or request.get_full_path())
    except paying.NotPaid as refusal:
        known = request.session.get("order_refs", ())
        done = Order.objects.filter(payment_reference=reference, paid=True, pk__in=known).first()
        if done is not None:  # back a second time
            return redirect("shop:thanks", done.pk)
        return shown(request, "not_paid", reason=str(refusal), status=402)
    except SoldOut as error:
        reason = f"{error} has just sold out. Nothing was ordered or charged."
        return shown(request, "not_paid", reason=reason, status=402)
    except NotNow as error:
        return shown(request, "not_paid", reason=str(error), status=402)
