"""How the shop writes money."""

from __future__ import annotations

from babel.numbers import format_currency
from django import template

register = template.Library()


@register.filter
def money(amount, currency):
    return format_currency(amount, currency, locale="en_GB")
