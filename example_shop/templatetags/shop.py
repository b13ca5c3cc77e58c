"""How the shop writes money, and draws."""

from __future__ import annotations

from datetime import timedelta

from babel.numbers import format_currency
from django import template
from django.utils import timezone
from lucide.templatetags.lucide import lucide

register = template.Library()


@register.filter
def money(amount, currency):
    return format_currency(amount, currency, locale="en")


@register.filter
def last_day(until):
    """The day with whose end a time is over that excludes its own instant."""
    return timezone.localtime(until - timedelta(microseconds=1))


@register.simple_tag
def icon(name, size=20, **attributes):
    """Draw an icon that says nothing to those who hear the page."""
    return lucide(name, size=size, aria_hidden="true", **attributes)
