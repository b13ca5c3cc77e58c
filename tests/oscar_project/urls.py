"""Oscar's addresses, ours, and Django's admin."""

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    *([path("upsell/", include("upsell.urls"))] if settings.WITH_US else []),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
