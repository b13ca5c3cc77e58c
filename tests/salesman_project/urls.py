"""Salesman's API, the shop's thank-you page, and ours."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from tests.salesman_project.teashop import views

urlpatterns = [
    path("api/", include("salesman.urls")),
    path("thanks/", views.thanks, name="thanks"),
    path("upsell/", include("upsell.urls")),
    path("admin/", admin.site.urls),
]
