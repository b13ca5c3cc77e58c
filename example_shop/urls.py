"""The shop's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_shop import checkout, views, withdrawal_pages
from example_shop.payfriend.views import approve
from example_shop.telling import remember

shop = [
    path("", views.start, name="start"),
    path("shop/<slug:code>/", views.channel, name="channel"),
    path("product/<int:pk>/", views.product, name="product"),
    path("picture/<int:pk>.svg", views.picture, name="picture"),
    path("basket/", views.basket, name="basket"),
    path("basket/change/", views.change_basket, name="change_basket"),
    path("checkout/", checkout.checkout, name="checkout"),
    path("checkout/card/", checkout.card, name="card"),
    path("checkout/paid/", checkout.paid, name="paid"),
    path("payfriend/<str:reference>/", approve, name="payfriend"),
    path("order/<int:pk>/", views.order, name="order"),
    path("order/<int:pk>/thanks/", views.thanks, name="thanks"),
    path("order/<int:pk>/withdraw/", withdrawal_pages.withdraw, name="withdraw"),
    path("order/<int:pk>/withdrawal/", withdrawal_pages.receipt, name="withdrawal"),
    path("orders/", views.my_orders, name="orders"),
    path("challenge/<str:reference>/", views.challenge, name="challenge"),
    path("mailbox/", views.mailbox, name="mailbox"),
    path("mailbox/<str:name>/", views.letter, name="letter"),
    path("remember/", remember, name="remember"),
    path("terms/", views.terms, name="terms"),
    path("returns/", views.returns, name="returns"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.leave, name="logout"),
]

urlpatterns = [
    path("", include((shop, "shop"))),
    path("upsell/", include("upsell.urls")),
    path("admin/", admin.site.urls),
]
