"""Everything below a language, ours below a path of its own, the admin under another name."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

from tests.other_host.boutique import views

urlpatterns = i18n_patterns(
    path("buy/<uuid:pk>/", views.buy, name="buy"),
    path("thanks/", views.thanks, name="thanks"),
    path("kept/", views.kept, name="kept"),
    path("cancel/", views.cancel, name="cancel"),
    path("shop/offers-app/", include("upsell.urls")),
    path("backoffice/", admin.site.urls),
)
