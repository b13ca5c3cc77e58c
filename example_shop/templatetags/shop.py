"""How the shop writes money, and draws."""

from __future__ import annotations

from babel.numbers import format_currency
from django import template
from lucide.templatetags.lucide import lucide

register = template.Library()


@register.filter
def money(amount, currency):
    return format_currency(amount, currency, locale="en")


@register.simple_tag
def icon(name, size=20, **attributes):
    """Draw an icon that says nothing to those who hear the page."""
    return lucide(name, size=size, aria_hidden="true", **attributes)
