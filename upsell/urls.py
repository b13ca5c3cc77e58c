"""The pages' addresses, namespace ``upsell``."""

from __future__ import annotations

from django.urls import path

from upsell import views, views_messages

app_name = "upsell"

urlpatterns = [
    path("offers/<str:token>/", views.offer, name="offer"),
    path("offers/<str:token>/accept/", views.accept, name="accept"),
    path("offers/<str:token>/decline/", views.decline, name="decline"),
    path("offers/<str:token>/undo/", views.undo, name="undo"),
    path("offers/<str:token>/rate/", views.rate, name="rate"),
    path("offers/<str:token>/status/", views.status, name="status"),
    path("offers/<str:token>/return/", views.challenge_return, name="return"),
    path("offers/<str:token>/seen/", views.seen, name="seen"),
    path("unsubscribe/<str:token>/", views.unsubscribe, name="unsubscribe"),
    path("preferences/<str:token>/", views.preferences_page, name="preferences"),
    path("feedback/<str:token>/", views_messages.feedback_page, name="feedback"),
    path("messages/<str:token>/", views_messages.view_online, name="view_online"),
    path("onsite/", views_messages.onsite, name="onsite"),
    path("onsite/<str:token>/dismiss/", views_messages.dismiss, name="dismiss"),
    path("follow/<str:token>/", views_messages.follow, name="follow"),
    path("fragment/", views.fragment, name="fragment"),
    path("track/", views.track, name="track"),
    path("webhooks/<slug:gateway>/", views.webhook, name="webhook"),
]
