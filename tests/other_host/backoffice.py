"""The admin site of this project has another name and another class than Django's."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig


class Office(AdminSite):
    """Named so that whoever writes ``admin:`` by heart is found out."""

    def __init__(self, name: str = "office") -> None:
        super().__init__(name)


class BackOffice(AdminConfig):
    default_site = "tests.other_host.backoffice.Office"
