"""The pages of the shop."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe
from lucide.templatetags.lucide import lucide

from example_shop import buyers, orders
from example_shop.adapter import ExampleShop
from example_shop.basket import basket_of, put
from example_shop.models import Channel, Order, Product
from example_shop.payments import CardGateway
from example_shop.search import numbers
from example_shop.telling import agreed, tell_of_basket
from upsell import hooks
from upsell.testing.gateway import CARDS

MOST = 20
TINTS = {
    "green": ("#e3efe6", "#cfe3d5", "#1d5b3c"),
    "blue": ("#e4eaf5", "#d0dbef", "#1f3f7a"),
    "coral": ("#fbe8e2", "#f6d5cb", "#a83f25"),
    "plum": ("#f0e6f0", "#e2d0e3", "#6b2f6e"),
}


def shown(request, template, channel=None, *, status=None, **context):
    channels = Channel.objects.order_by("pk")
    common = {"channels": channels, "channel": channel, "basket": basket_of(request.session)}
    return render(request, f"shop/{template}.html", common | context, status=status)


@require_safe
def start(request):
    stripe = "stripe" in settings.UPSELL_GATEWAYS
    return shown(request, "start", cards=CARDS, stripe=stripe)


@require_safe
def channel(request, code):
    found = get_object_or_404(Channel, code=code)
    products = found.products.filter(parent=None, sellable=True).select_related("category")
    products = list(products.order_by("pk"))
    shelves = list(dict.fromkeys(item.category for item in products if item.category))
    shelf = next((row for row in shelves if row.slug == request.GET.get("shelf")), None)
    if shelf is not None:
        products = [item for item in products if item.category == shelf]
    return shown(request, "channel", found, products=products, shelves=shelves, shelf=shelf)


@require_safe
def product(request, pk):
    rows = Product.objects.select_related("channel", "category__parent", "brand", "parent")
    found = get_object_or_404(rows, pk=pk)
    head = found.parent or found
    variants = [head, *head.variants.order_by("price", "pk")] if head.variants.exists() else []
    beside = found.channel.products.filter(category=found.category, parent=None, sellable=True)
    beside = beside.exclude(pk__in=[found.pk, head.pk]).select_related("category").order_by("pk")
    starts = orders.service_of(found, timezone.now())
    return shown(
        request,
        "product",
        found.channel,
        product=found,
        variants=variants,
        beside=beside[:3],
        starts=starts,
    )


@require_safe
def picture(request, pk):
    """Draw a product: a line icon on a tinted tile with a soft shape behind it."""
    found = get_object_or_404(Product.objects.select_related("channel"), pk=pk)
    tile, shape, ink = TINTS.get(found.channel.accent, TINTS["green"])
    icon = lucide(found.icon, size=128, x="136", y="86", stroke_width="1.25", stroke=ink)
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300" width="400" height="300">'
        f'<rect width="400" height="300" fill="{tile}"/>'
        f'<ellipse cx="{185 + pk * 7 % 30}" cy="{140 + pk * 5 % 20}" rx="128" ry="112" '
        f'transform="rotate({pk * 37 % 60 - 30} 200 150)" fill="{shape}"/>'
        f'<ellipse cx="200" cy="236" rx="76" ry="7" fill="{ink}" opacity=".1"/>{icon}</svg>'
    )
    response = HttpResponse(drawn, content_type="image/svg+xml")
    response["Cache-Control"] = "public, max-age=3600"
    return response


@require_safe
def basket(request):
    return shown(request, "basket", basket_of(request.session).channel)


@require_POST
def change_basket(request):
    found = get_object_or_404(Product, pk=_number(request, "product"), sellable=True)
    wanted = _number(request, "quantity")
    before = request.session.get("basket", {}).get(str(found.pk), 0)
    if "add" in request.POST:
        wanted += before
    wanted = min(wanted, MOST)
    put(request.session, found, wanted if found.stock is None else min(wanted, found.stock))
    if agreed(request):
        tell_of_basket(request, found, before, basket_of(request.session))
    return redirect("shop:basket")


def _number(request, name):
    value = request.POST.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0


def own_order(request, pk):
    found = get_object_or_404(Order.objects.select_related("channel"), pk=pk)
    if not ExampleShop().may_act(request, str(pk)) and not request.user.is_staff:
        raise Http404
    return found


@require_safe
def thanks(request, pk):
    found = own_order(request, pk)
    return shown(request, "thanks", found.channel, order=found, **_details(found))


@require_safe
def order(request, pk):
    found = own_order(request, pk)
    withdrawal = hooks.withdrawal_of(order_ref=str(pk))
    mine = ExampleShop().may_act(request, str(pk))  # staff may look
    context = {"order": found, "withdrawal": withdrawal, "mine": mine, **_details(found)}
    return shown(request, "order", found.channel, **context)


def lines_of(found):
    rows = found.lines.select_related("product").prefetch_related("gift_cards")
    return list(rows.order_by("position", "pk"))


def _details(found):
    """What there is to tell of an order: lines, discounts, payments, and what an offer changed."""
    lines = lines_of(found)
    changes = found.changes.filter(state__in=["applied", "reverted"]).select_related("product")
    return {
        "lines": lines,
        "bulk": sum(line.discount_gross for line in lines),
        "discount": sum(line.coupon_gross for line in lines),
        "payments": found.payments.select_related("gift_card").order_by("at", "pk"),
        "changes": [_change(row) for row in changes.order_by("pk")],
    }


def _change(row):
    before, after = (totals["gross"] for totals in row.totals())
    return {
        "title": row.product.title,
        "quantity": row.quantity,
        "undone": row.state == "reverted",
        "left": [dump["fields"]["title"] for dump in row.answer["removed"]],
        "before": before,
        "after": after,
        "difference": after - before,
    }


@require_safe
def my_orders(request):
    mine = Q(pk__in=numbers(request.session.get("order_refs", ())))
    if request.user.is_authenticated:
        mine |= Q(user=request.user)
    rows = Order.objects.filter(mine).select_related("channel").order_by("-placed_at", "-pk")
    return shown(request, "orders", orders=rows[:50])


def challenge(request, reference):
    """Stand in for the bank that asks its customer."""
    back = CardGateway().back_from(reference)
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}):
        back = reverse("shop:orders")
    if request.method == "POST":
        CardGateway().answer_challenge(reference, paid=request.POST.get("answer") == "yes")
        return redirect(back)
    return shown(request, "challenge")


@require_safe
def mailbox(request):
    """Show what the shop sent, newest first; a demonstration has no secrets."""
    return shown(request, "mailbox", mails=[_mail(file) for file in _mails()[:30]])


@require_safe
def letter(request, name):
    """Show a mail as a mail program would: nothing in it may run, only our frame may hold it."""
    file = next((row for row in _mails() if row.stem == name), None)
    body = file and _message(file).get_body(preferencelist=("html",))
    if not body:
        raise Http404
    response = HttpResponse(body.get_content())
    response["Content-Security-Policy"] = (
        "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src {request.build_absolute_uri('/')}; frame-ancestors 'self'"
    )
    return response


def _mails():
    folder = Path(getattr(settings, "MAIL_FOLDER", None) or "no-mails")
    files = list(folder.glob("*.log")) if folder.is_dir() else []
    return sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)


def _message(file):
    # The file's backend ends each mail with a line that is no part of it.
    return message_from_bytes(
        file.read_bytes().rsplit(b"\n" + b"-" * 79, 1)[0], policy=policy.default
    )


def _mail(file):
    message = _message(file)
    text = message.get_body(preferencelist=("plain", "html"))
    return {
        "name": file.stem,
        "subject": message["subject"],
        "to": message["to"],
        "text": text.get_content() if text else "",
        "html": message.get_body(preferencelist=("html",)) is not None,
    }


@require_safe
def favicon(request):
    """For pages that name no icon of their own, such as the offer's."""
    return redirect(static("shop/icon.svg"), permanent=True)


@require_safe
def terms(request):
    return shown(request, "text", title="Terms", text=TERMS)


@require_safe
def returns(request):
    return shown(request, "text", title="Returns", text=RETURNS)


@require_POST
def leave(request):
    logout(request)
    return redirect("shop:start")


class Login(LoginView):
    template_name = "shop/login.html"
    next_page = "shop:orders"

    def form_valid(self, form):
        answer = super().form_valid(form)
        buyers.tell_who_was_a_guest(self.request.user)
        return answer

    def get_context_data(self, **context):
        channels = Channel.objects.order_by("pk")
        basket = basket_of(self.request.session)
        return super().get_context_data(channels=channels, basket=basket, **context)


TERMS = (
    "This is a demonstration. Nothing is sold, no money moves and nothing is delivered. "
    "In a real shop, this page would hold the terms that a buyer agrees to."
)
RETURNS = (
    "You may return what you bought within 14 days of receiving it. An item that you added "
    "after your order is undone with one click for 30 minutes, and returned like any other later."
)
