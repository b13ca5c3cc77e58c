"""What stands in for a buyer where staff look at a message that nobody was sent yet."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from decimal import Decimal

from babel.dates import format_date
from django.utils.translation import gettext as _

from upsell.engine.variables import ROWS, SENT_WITH, forms_of, locale_of, shown
from upsell.presenting.mails import absolute
from upsell.presenting.messages import CONDITION, MET

_DAY = date(2026, 3, 2)
_EUR = "EUR"


def examples(names: Collection[str], language: str) -> dict[str, str]:
    """Return a plausible text for each of these names; conditions are met."""
    known = _known(language)
    return {name: known.get(name) or _other(name, known) for name in names if name not in SENT_WITH}


def example_links() -> dict[str, str]:
    """Return what is made when a message is sent, leading nowhere."""
    nowhere = absolute("/") or "https://shop.example/"
    found = {name: nowhere for name in SENT_WITH if not name.startswith("subject.")}
    return found | {"subject.first_name": "Emily", "subject.timezone": "UTC"}


def _known(language: str) -> dict[str, str]:
    locale = locale_of(language)
    day = str(format_date(_DAY, format="long", locale=locale))
    product, other = _("Example product"), _("Another product")

    def money(name: str, amount: str) -> dict[str, str]:
        return forms_of(name, Decimal(amount), _EUR, locale)

    def price(amount: str) -> str:
        return shown(Decimal(amount), _EUR, locale)

    rows = [
        {"name": f"2 × {product}", "options": "", "url": "", "image": "", "total": price("39.80")},
        {"name": other, "options": "", "url": "", "image": "", "total": price("24.00")},
    ]
    return {
        ROWS: json.dumps(rows),
        "order.number": "1042",
        "order.date": day,
        "order.service_date": day,
        "order.currency": _EUR,
        **money("order.total", "63.80"),
        "purchased.items": _("%(first)s and %(last)s") % {"first": f"2 × {product}", "last": other},
        "purchased.currency": _EUR,
        "purchased.total_count": "3",
        "purchased.kinds": "2",
        **money("purchased.total_amount", "63.80"),
        "last.purchase_date": day,
        "last.currency": _EUR,
        **money("last.purchase_amount", "24.00"),
        "last.product_name": other,
        "offer.name": product,
        "offer.headline": product,
        "offer.body": "",
        "offer.kind": "cross_sell",
        "offer.replaces": "",
        "offer.expires_at": day,
        **money("offer.price", "19.90"),
        **money("offer.due", "19.90"),
        **money("offer.original_price", "24.90"),
        **money("offer.saving", "5.00"),
        "starter.product_name": product,
        "starter.ratio": "0.8",
        "starter.metric": _("seats"),
        "starter.plan": "Pro",
        "suggestion.1.name": other,
        "suggestion.1.price": price("24.00"),
        "suggestion.1.reason": _("Often bought together"),
        "suggestion.2.name": product,
        "suggestion.2.price": price("19.90"),
        "shop.name": _("Your shop"),
        "shop.url": absolute("/"),
    }


def _other(name: str, known: dict[str, str]) -> str:
    """Return an example for one of the many names of items, parameters and addresses."""
    if name.startswith(CONDITION):
        return MET
    last = name.rpartition(".")[2]
    if last in {"image", "product_image"}:
        return ""
    if last in {"url", "product_url"}:
        # Suggestions beyond the second have no name, and so no row.
        return absolute("/") or "https://shop.example/"
    if name.startswith("suggestion.") or name in known:
        return ""
    if name.startswith("purchased."):
        like = "offer.price" + last.removeprefix("price").removeprefix("original_price")
        like = like.replace("line_total", "")
        return known.get(like) or known["starter.product_name"]
    return last.replace("_", " ")
