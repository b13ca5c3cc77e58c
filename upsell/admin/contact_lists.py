"""Contact lists: how many are on each, who of them agreed, and their export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.access import allowed_channels
from upsell.admin.lists import channel_names
from upsell.admin.pages import PageAdmin
from upsell.models import ListMember
from upsell.presenting.spreadsheets import csv_lines
from upsell.services import contact_lists
from upsell.services.contact_lists import Handed

ROWS = 50


def _addresses(rows: Iterator[Handed]) -> Iterator[str]:
    return csv_lines(["email", "since"], ((row.address, row.joined_at.isoformat()) for row in rows))


def _hashes(rows: Iterator[Handed]) -> Iterator[str]:
    return csv_lines(["email"], ((row.sha256,) for row in rows))


WAYS: dict[str, Callable[[Iterator[Handed]], Iterator[str]]] = {
    "addresses": _addresses,
    "hashes": _hashes,
}
"""What an export holds: addresses, or SHA-256 of each and nothing else."""


class ListsForm(forms.Form):
    q = forms.CharField(label=gettext_lazy("name"), required=False, max_length=190)


class MembersForm(forms.Form):
    """Which members are looked at, or exported."""

    list = forms.CharField(widget=forms.HiddenInput, max_length=190)
    channel = forms.ChoiceField(label=gettext_lazy("Sales channel"), required=False)
    journey = forms.ChoiceField(label=gettext_lazy("Journey"), required=False)

    def __init__(self, data: Any, rows: QuerySet[ListMember], names: Any) -> None:
        told = {name: str(data.get(name, "")) for name in self.base_fields}
        super().__init__(told)
        found = rows.order_by().values_list("channel", flat=True).distinct()
        channels = [(one, names.get(one, one)) for one in sorted(set(found)) if one]
        fields: dict[str, Any] = self.fields
        fields["channel"].choices = [("", _("all channels")), *channels]
        journeys = [(str(pk), name) for pk, name in contact_lists.journeys_of(rows)]
        fields["journey"].choices = [("", _("all journeys")), *journeys]

    def of(self, rows: QuerySet[ListMember]) -> QuerySet[ListMember]:
        """Return those rows that are asked for; none where what is asked for is not there."""
        if not self.is_valid():
            return rows.none()
        asked = {name: value for name, value in self.cleaned_data.items() if name != "list"}
        return rows.filter(**{name: value for name, value in asked.items() if value})


@admin.register(ListMember)
class ContactListAdmin(PageAdmin):
    page_title = gettext_lazy("Contact lists")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whether they may have addresses of buyers, or their hashes."""
        user: Any = request.user
        return self.has_view_permission(request) and bool(user.has_perm("upsell.export_listmember"))

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(self.export)
        return [path("export/", export, name="upsell_listmember_export"), *super().get_urls()]

    def answer(self, request: HttpRequest) -> HttpResponse:
        return self.members(request) if "list" in request.GET else self.lists(request)

    def lists(self, request: HttpRequest) -> HttpResponse:
        """Show the lists there are, by name. Two statements, however many."""
        asked = request.GET.get("q", "").strip().replace("\x00", "")[:190]
        found = contact_lists.counted(channels=allowed_channels(request), holding=asked)
        page = Paginator(found, ROWS).get_page(request.GET.get("page"))
        return self._page(
            request,
            "lists.html",
            title=self.page_title,
            form=ListsForm({"q": asked}),
            page=page,
            asked=asked,
            query=f"{urlencode({'q': asked})}&" if asked else "",
        )

    def members(self, request: HttpRequest) -> HttpResponse:
        """Show who of a list agreed, newest first; the shop is not asked."""
        rows, form = self._asked(request, request.GET)
        chosen = form.of(rows)
        agreed = contact_lists.agreed(chosen).select_related("journey")
        page = Paginator(agreed.order_by("-joined_at", "-pk"), ROWS).get_page(
            request.GET.get("page")
        )
        names = channel_names()
        shown: list[Any] = list(page)
        for row in shown:
            row.named_channel = names.get(row.channel, row.channel)
        kept = {name: value for name, value in form.data.items() if value}
        return self._page(
            request,
            "members.html",
            title=form.data["list"],
            form=form,
            page=page,
            rows=shown,
            members=chosen.count(),
            noted=page.paginator.count,
            kept=kept,
            query=f"{urlencode(kept)}&",
            may_export=self.has_export_permission(request),
        )

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Hand a list over, as a file that grows while the shop is asked; who did is noted."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        way = WAYS.get(request.POST.get("as", ""))
        rows, form = self._asked(request, request.POST)
        if way is None or not form.is_valid():
            raise Http404
        slug, kind = form.cleaned_data["list"], request.POST["as"]
        LogEntry.objects.create(
            user_id=request.user.pk or 0,
            content_type=ContentType.objects.get_for_model(ListMember),
            object_repr=slug,
            action_flag=CHANGE,
            change_message=_("Exported: %s.") % kind,
        )
        found = contact_lists.handed_over(form.of(rows), clock=clock.now)
        name = f"{slugify(slug) or 'list'}-{kind}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(
            way(found), content_type="text/csv; charset=utf-8", headers=headers
        )

    def _asked(self, request: HttpRequest, data: Any) -> tuple[QuerySet[ListMember], MembersForm]:
        """Return the members of the list asked for that are theirs to see, and what is filtered."""
        slug = str(data.get("list", ""))
        rows = contact_lists.members(slug, channels=allowed_channels(request))
        if "\x00" in slug or not rows.exists():
            raise Http404
        return rows, MembersForm(data, rows, channel_names())

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, f"admin/upsell/listmember/{template}", shared | context)
