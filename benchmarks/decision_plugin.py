"""One whole decision of ours, as a contender of the harness that measured its peers.

run: python a_offer_decision.py --db postgres --dsn "host=… dbname=…" --mix sparse \
         --n 10 1000 100000 --plugin benchmarks/decision_plugin.py \
         --only floor_orm floor_django_cursor project bitset_1q --memory

Timed: ``queries.known_of`` (the decision's one statement, on our own tables) and
``decide``. The occasions are made beforehand, since reading an order is the host's port; the
harness's stock read stands in place of the ports that are asked about products.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def build(ctx: SimpleNamespace) -> Callable[[Any], int | None]:
    """Return ``decide(order) -> campaign id`` over the harness's campaigns."""
    ours = _ours()
    index = ours.compile_index((_spec(ours, row) for row in ctx.campaigns), version=1)
    occasions = lru_cache(maxsize=None)(lambda order: _occasion(ours, order))
    now = EPOCH + timedelta(seconds=_now(ctx))
    collection = ours.Collection(how=ours.CollectionWay.ADD_TO_BALANCE)

    def decide(order: Any) -> int | None:
        known = ours.known_of([f"u:{order.id}"] if index.remembers else ())
        if known.version != index.version:
            raise RuntimeError("the index is stale")

        def ask(wanted: Any) -> Any:
            stock = _stock([ref for ref, _ in wanted])
            return ours.Answers(
                products={ref: ours.product(ref) for ref in stock},
                availability={
                    ref: ours.Availability(
                        ref=ref,
                        quantity=units,
                        ships=f",{order.country}," not in blocked,
                        unit=ours.price,
                    )
                    for ref, (units, blocked) in stock.items()
                },
                collection=collection,
            )

        history = ours.History(seen=known.seen) if known.seen else ours.nothing
        chosen = ours.decide(occasions(order), index, now=now, ask=ask, history=history).chosen
        return chosen.campaign.id if chosen else None

    for order in ctx.orders:
        occasions(order)
    return decide


def _stock(refs: list[str]) -> dict[str, tuple[int, str]]:
    """The harness's stock read, in the place of the host's port."""
    marks = ",".join(["%s"] * len(refs))
    with connection.cursor() as cursor:
        cursor.execute(
            f"select product, qty, blocked from stock where product in ({marks})",
            [int(ref) for ref in refs],
        )
        return {str(ref): (units, blocked) for ref, units, blocked in cursor.fetchall()}


@lru_cache(maxsize=1)
def _ours() -> SimpleNamespace:
    """Install the app in the harness's project, with its tables, and return what is used."""
    settings.SECRET_KEY = "only-for-benchmarks"
    apps.set_installed_apps(["django.contrib.auth", "django.contrib.contenttypes", "upsell"])
    # The app has to be installed before its models can be imported.
    from django.core.management import call_command  # noqa: PLC0415

    from upsell import queries  # noqa: PLC0415
    from upsell.engine import campaigns, decide, index, types  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    return SimpleNamespace(
        **{name: getattr(campaigns, name) for name in dir(campaigns)}
        | {name: getattr(types, name) for name in dir(types)},
        known_of=queries.known_of,
        compile_index=index.compile_index,
        decide=decide,
        price=types.Price(currency="EUR", net=Decimal("10.00"), gross=Decimal("12.00")),
        nothing=campaigns.History(),
        product=lru_cache(maxsize=100_000)(lambda ref: types.Product(ref=ref)),
    )


def _now(ctx: SimpleNamespace) -> int:
    import workload  # noqa: PLC0415 - the harness's, on the path when it runs

    return int(workload.NOW)


def _spec(ours: SimpleNamespace, row: Any) -> Any:
    kind = ours.TriggerKind
    triggers = [
        *(ours.Trigger(kind=kind.PRODUCT, ref=str(ref)) for ref in sorted(row.trig_products)),
        *(ours.Trigger(kind=kind.CATEGORY, ref=str(ref)) for ref in sorted(row.trig_categories)),
    ]
    bounds = {}
    if row.min_value is not None or row.max_value is not None:
        bounds = {"EUR": ours.Bounds(least=_euro(row.min_value), most=_euro(row.max_value))}
    return ours.CampaignSpec(
        id=row.id,
        status=ours.Status.LIVE if row.active else ours.Status.OFF,
        priority=row.priority,
        edited_at=EPOCH + timedelta(seconds=row.updated),
        valid_from=_instant(row.valid_from),
        valid_until=_instant(row.valid_until),
        channels=frozenset(map(str, row.channels)),
        triggers=tuple(triggers) or (ours.Trigger(kind=kind.ALWAYS),),
        exclusions=tuple(
            ours.Exclusion(kind=kind.PRODUCT, ref=str(ref)) for ref in sorted(row.excluded)
        ),
        bounds=bounds,
        groups=frozenset(map(str, row.groups)),
        countries=row.countries,
        payment_methods=row.payments,
        product_ref=str(row.offered),
    )


def _occasion(ours: SimpleNamespace, order: Any) -> Any:
    import workload  # noqa: PLC0415

    unit = ours.price
    lines = tuple(
        ours.Line(
            ref=str(number),
            product=ours.Product(
                ref=str(ref),
                category_refs=frozenset(map(str, workload.categories_of(ref))),
            ),
            quantity=1,
            unit=unit,
            total=unit,
            total_before_discounts=unit,
        )
        for number, ref in enumerate(order.products)
    )
    goods = ours.Price(currency="EUR", net=_euro(order.value), gross=_euro(order.value))
    now = EPOCH + timedelta(seconds=workload.NOW)
    return ours.Occasion(
        moment="post_purchase",
        ref=str(order.id),
        currency="EUR",
        lines=lines,
        goods=goods,
        shipping=ours.Price.zero("EUR"),
        total=goods,
        customer=ours.Customer(ref=str(order.id), group_refs=frozenset({str(order.group)})),
        channel=str(order.channel),
        checkout_completed_at=now,
        shipping_country=order.country,
        has_shipping_address=True,
        payment_method=order.payment,
    )


def _euro(cents: int | None) -> Decimal | None:
    return None if cents is None else Decimal(cents).scaleb(-2)


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else EPOCH + timedelta(seconds=seconds)


CONTENDERS = {"project": (build, False)}
