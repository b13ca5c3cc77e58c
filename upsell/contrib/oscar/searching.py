"""The admin's pickers: what staff may name in a campaign, in the shop's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from django.contrib.auth.models import Group
from django.contrib.sites.models import Site
from django.db.models import Case, Q, Value, When
from oscar.core.loading import get_model

from upsell.contrib.oscar import conf
from upsell.contrib.oscar.reading import Category, Order, Product, numbers, title

Country = get_model("address", "Country")
Partner = get_model("partner", "Partner")
ProductClass = get_model("catalogue", "ProductClass")
SourceType = get_model("payment", "SourceType")


class Kind(NamedTuple):
    """Where one kind of thing is found, by which words, and how it is named."""

    rows: Any
    key: str
    words: tuple[str, ...]
    order: str
    label: Callable[[Any], str] = str


def find(kind: str, query: str, limit: int) -> Iterator[tuple[str, str]]:
    """Yield (reference, label); a query that is a reference finds that row first."""
    by_partner = conf.get("UPSELL_OSCAR_CHANNEL") == "partner"
    found = _KINDS.get(f"{kind}:partner" if kind == "channel" and by_partner else kind)
    if found is None:
        return
    query, rows = query.strip(), found.rows.order_by(found.order, "pk")
    if query:
        # A number would be compared with a text: no row has such a key.
        exact = Q(pk__in=numbers([query])) if found.key == "pk" else Q(**{found.key: query})
        words = Q(*((f"{word}__icontains", query) for word in found.words), _connector=Q.OR)
        first = Case(When(exact, then=Value(0)), default=Value(1))
        rows = rows.filter(exact | words).annotate(_first=first)
        rows = rows.order_by("_first", found.order, "pk").distinct()
    for row in rows[:limit]:
        yield str(getattr(row, found.key)), found.label(row)


def _named(row: Any) -> str:
    sku = next((record.partner_sku for record in row.stockrecords.all()), row.upc)
    return f"{title(row)} · {sku}" if sku else title(row)


# A parent has no price; its children are what is sold.
_SOLD = Product.objects.exclude(structure=Product.PARENT).select_related("parent")
_SOLD = _SOLD.prefetch_related("attribute_values__attribute", "attribute_values__value_option")
_SKUS = ("title", "parent__title", "upc", "stockrecords__partner_sku")
_KINDS: Mapping[str, Kind] = {
    "product": Kind(_SOLD.prefetch_related("stockrecords"), "pk", _SKUS, "title", _named),
    "category": Kind(Category.objects, "pk", ("name",), "path", lambda row: str(row.full_name)),
    "tag": Kind(ProductClass.objects, "slug", ("name",), "name"),
    "group": Kind(Group.objects, "pk", ("name",), "name"),
    "channel": Kind(Site.objects, "pk", ("name", "domain"), "domain", lambda row: row.name),
    "channel:partner": Kind(Partner.objects, "code", ("name",), "name"),
    "country": Kind(
        Country.objects.filter(is_shipping_country=True),
        "iso_3166_1_a2",
        ("printable_name",),
        "printable_name",
    ),
    "payment_method": Kind(SourceType.objects, "code", ("name",), "name"),
    "order": Kind(Order.objects, "pk", ("number",), "-date_placed", lambda row: str(row.number)),
}
