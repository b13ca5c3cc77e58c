"""A page of the admin that stands where other models have their list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path


class PageAdmin(admin.ModelAdmin):
    """One page that only reads, for who may view the model; no row is ever edited."""

    page_title: Any = ""
    page_template = ""

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.changelist_view)
        return [path("", page, name=f"upsell_{self.opts.model_name}_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.answer(request)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the page; a subclass may answer some requests with a file."""
        return self.page(request)

    def page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        """Return the page with what its template shows."""
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": self.page_title,
        }
        return TemplateResponse(request, self.page_template, shared | context)
