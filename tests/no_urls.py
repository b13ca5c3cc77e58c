"""A host that forgot our addresses."""

from __future__ import annotations

urlpatterns: list[object] = []
