"""The shop's addresses, ours among them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("offers/", include("upsell.urls")),
    path("admin/", admin.site.urls),
]
