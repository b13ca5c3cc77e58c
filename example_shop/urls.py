"""The shop's addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_shop import views

shop = [
    path("", views.start, name="start"),
    path("shop/<slug:code>/", views.channel, name="channel"),
    path("product/<int:pk>/", views.product, name="product"),
    path("picture/<int:pk>.svg", views.picture, name="picture"),
    path("basket/", views.basket, name="basket"),
    path("basket/change/", views.change_basket, name="change_basket"),
    path("checkout/", views.checkout, name="checkout"),
    path("order/<int:pk>/", views.order, name="order"),
    path("order/<int:pk>/thanks/", views.thanks, name="thanks"),
    path("orders/", views.my_orders, name="orders"),
    path("challenge/<str:reference>/", views.challenge, name="challenge"),
    path("mailbox/", views.mailbox, name="mailbox"),
    path("mailbox/<str:name>/", views.letter, name="letter"),
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
