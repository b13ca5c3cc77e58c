"""What staff find by typing: products, categories, groups, orders …"""

from __future__ import annotations

from django.db.models import Case, F, Q, When

from example_shop import models
from example_shop.forms import COUNTRIES, PAYMENT_METHODS

# Model, the column that is the reference, the columns that are searched.
TABLES = {
    "product": (models.Product, "pk", ("title", "sku")),
    "category": (models.Category, "slug", ("name", "slug")),
    "brand": (models.Brand, "slug", ("name", "slug")),
    "tag": (models.Tag, "slug", ("name", "slug")),
    "group": (models.CustomerGroup, "code", ("name", "code")),
    "channel": (models.Channel, "code", ("name", "code")),
    "order": (models.Order, "pk", ("number", "email")),
}
CODES = {"country": COUNTRIES, "payment_method": PAYMENT_METHODS}


def find(kind, query, limit):
    """Return (reference, label) pairs, exactly that reference first, then the exact name."""
    query = query.strip()
    if kind in CODES:
        found = [row for row in CODES[kind] if query.lower() in f"{row[0]} {row[1]}".lower()]
        return sorted(found, key=lambda row: row[0].lower() != query.lower())[:limit]
    if kind not in TABLES:
        return []
    model, key, columns = TABLES[kind]
    exact = Q(**{f"{key}__in": numbers([query]) if key == "pk" else [query]})
    named = Q(**{f"{columns[0]}__iexact": query})
    like = Q()
    for column in columns:
        like |= Q(**{f"{column}__icontains": query})
    rank = Case(When(exact, then=0), When(named, then=1), default=2) if query else F("pk").desc()
    rows = model.objects.filter(exact | like).order_by(rank, columns[0], "pk")
    return [(str(getattr(row, key)), str(row)) for row in rows[:limit]]


def numbers(refs):
    """Return those references that can be ours: a stranger's is unknown, never a crash."""
    texts = [str(ref) for ref in refs]
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
