"""Lists that say what the shop calls things: one question to it for all rows of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from upsell import clock, conf
from upsell.exceptions import UpsellError
from upsell.models import Campaign
from upsell.presenting.campaigns import state_of
from upsell.presenting.timeline import staff_of


def channel_names() -> Mapping[str, str]:
    """Return what the shop calls its sales channels; nothing where it cannot say."""
    return names_of("channel")


def names_of(kind: str) -> Mapping[str, str]:
    """Return what the shop calls the first 200 of a kind; nothing where it cannot say."""
    try:
        return {row.ref: row.label for row in conf.shop().choices(kind, "", 200)}
    except (UpsellError, LookupError, ValueError):
        return {}


def staff_names(actors: list[str]) -> Mapping[str, str]:
    """Return actor to the name that member of staff signs in with: one statement."""
    keys = {key: actor for actor in actors if (key := staff_of(actor))}
    if not keys:
        return {}
    users = get_user_model()._default_manager.filter(pk__in=keys).order_by("pk")
    return {keys[str(user.pk)]: user.get_username() for user in users}


class NamedList(ChangeList):
    """Rows with a sales channel, an actor or both, told by name."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        channels = channel_names()
        staff = staff_names([getattr(row, "actor", "") for row in rows])
        for row in rows:
            channel = getattr(row, "channel", "")
            row._upsell_channel = channels.get(channel, channel)
            row._upsell_staff = staff.get(getattr(row, "actor", ""), "")
        self.result_list = rows


class TitledList(ChangeList):
    """Campaigns with the titles of what they offer and where they run."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        refs = sorted({row.product_ref for row in rows if row.product_ref})
        try:
            products = conf.shop().products(refs) if refs else {}
        except (UpsellError, LookupError, ValueError):
            products = {}
        names = {
            "product": {ref: product.title for ref, product in products.items()},
            "channel": channel_names(),
        }

        def label(kind: str, ref: str) -> str:
            return names.get(kind, {}).get(ref, ref)

        for row in rows:
            row._upsell_label = label
        self.result_list = rows

    @property
    def in_the_order_of_winning(self) -> bool:
        """Whether nobody has sorted the list by a column."""
        return ORDER_VAR not in self.params


class StandingFilter(admin.SimpleListFilter):
    """Off, staff only, live, scheduled or ended, as the badge says it."""

    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", gettext_lazy("live")),
            ("scheduled", gettext_lazy("scheduled")),
            ("ended", gettext_lazy("ended")),
            ("staff", gettext_lazy("staff only")),
            ("off", gettext_lazy("off")),
            ("nowhere", gettext_lazy("runs nowhere")),
            ("archived", gettext_lazy("archived")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted, now = self.value(), clock.now()
        if not wanted:
            return queryset
        rows: QuerySet[Campaign] = queryset.only(
            "status", "channels", "valid_from", "valid_until", "archived"
        )
        return queryset.filter(
            pk__in=[row.pk for row in rows if state_of(row, now=now)[0] == wanted]
        )
