"""The pages' addresses, namespace ``upsell``."""

from __future__ import annotations

from django.urls import path

from upsell import views

app_name = "upsell"

urlpatterns = [
    path("offers/<str:token>/", views.offer, name="offer"),
    path("offers/<str:token>/accept/", views.accept, name="accept"),
    path("offers/<str:token>/decline/", views.decline, name="decline"),
    path("offers/<str:token>/undo/", views.undo, name="undo"),
    path("offers/<str:token>/status/", views.status, name="status"),
    path("offers/<str:token>/return/", views.challenge_return, name="return"),
    path("offers/<str:token>/seen/", views.seen, name="seen"),
    path("fragment/", views.fragment, name="fragment"),
    path("webhooks/<slug:gateway>/", views.webhook, name="webhook"),
]
