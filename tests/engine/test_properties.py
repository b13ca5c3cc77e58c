"""``decide``, ``explain`` and an independent, naive picker name the same winner."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.builders import GOODS, NOW, Ports, campaign, line, order, product
from upsell.engine import decide, explain
from upsell.engine.campaigns import Bounds, CampaignSpec, Exclusion, Trigger, TriggerKind
from upsell.engine.index import compile_index
from upsell.engine.types import Occasion

REFS = sorted(GOODS)
NAMES = [(TriggerKind.PRODUCT, ref) for ref in [*REFS, "PH"]] + [
    (TriggerKind.CATEGORY, ref) for ref in ("Machines", "Supplies", "Laundry")
]

triggers = st.one_of(
    st.just((Trigger(kind=TriggerKind.ALWAYS),)),
    st.lists(
        st.builds(
            lambda name, least: Trigger(kind=name[0], ref=name[1], quantity=least),
            st.sampled_from(NAMES),
            st.integers(1, 3),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
)
exclusions = st.lists(
    st.builds(lambda name: Exclusion(kind=name[0], ref=name[1]), st.sampled_from(NAMES)),
    max_size=2,
).map(tuple)
bounds = st.one_of(
    st.just({}),
    st.builds(lambda least: {"EUR": Bounds(least=Decimal(least))}, st.integers(0, 1500)),
)
specs = st.builds(
    lambda offers, names, banned, ends, priority, channels: campaign(
        offers,
        *names,
        exclusions=banned,
        bounds=ends,
        priority=priority,
        channels=frozenset(channels),
    ),
    st.sampled_from(REFS),
    triggers,
    exclusions,
    bounds,
    st.integers(0, 3),
    st.sets(st.sampled_from(["web", "app"])),
)
campaign_lists = st.lists(specs, max_size=25).map(
    lambda rows: [campaign_with_id(row, number) for number, row in enumerate(rows, start=1)]
)
orders = st.lists(
    st.tuples(st.sampled_from(REFS), st.integers(1, 3)),
    min_size=1,
    max_size=5,
    unique_by=lambda r: r[0],
).map(lambda rows: order(*(line(ref, quantity) for ref, quantity in rows)))


def campaign_with_id(spec: CampaignSpec, number: int) -> CampaignSpec:
    return replace(spec, id=number)


def naive(occasion: Occasion, campaigns: list[CampaignSpec]) -> int | None:
    """Pick as a shopkeeper would with a pencil: every campaign, every rule, best first."""
    bought = [(row.product, row.quantity) for row in occasion.lines]

    def names(row, kind, ref):
        if kind is TriggerKind.PRODUCT:
            return ref in (row.ref, row.parent_ref)
        return ref in row.category_refs

    def units(kind, ref):
        return sum(quantity for row, quantity in bought if names(row, kind, ref))

    net = sum(row.total.net for row in occasion.lines)
    for spec in sorted(campaigns, key=lambda c: (c.priority, c.edited_at, c.id), reverse=True):
        offered = product(spec.product_ref)
        stock = GOODS[spec.product_ref]["stock"]
        least = spec.bounds["EUR"].least if spec.bounds else None
        if (
            "web" in spec.channels
            and any(
                t.kind is TriggerKind.ALWAYS or units(t.kind, t.ref) >= t.quantity
                for t in spec.triggers
            )
            and (least is None or net >= least)
            and not any(units(e.kind, e.ref) for e in spec.exclusions)
            and not any(row.family_ref == offered.family_ref for row, _ in bought)
            and (stock is None or stock >= 1)
        ):
            return spec.id
    return None


def winner(occasion: Occasion, campaigns: list[CampaignSpec]) -> int | None:
    index = compile_index(campaigns, version=1)
    chosen = decide(occasion, index, now=NOW, ask=Ports()).chosen
    return chosen.campaign.id if chosen else None


@given(occasion=orders, campaigns=campaign_lists)
@settings(max_examples=300, deadline=None)
def test_i22_three_ways_to_the_same_winner(occasion, campaigns):
    decided = winner(occasion, campaigns)

    assert decided == naive(occasion, campaigns)
    assert decided == explain(occasion, campaigns, now=NOW, ask=Ports()).winner


@given(occasion=orders, campaigns=campaign_lists, data=st.data())
@settings(max_examples=150, deadline=None)
def test_i6_order_of_lines_and_campaigns_does_not_matter(occasion, campaigns, data):
    shuffled = replace(occasion, lines=tuple(data.draw(st.permutations(occasion.lines))))

    assert winner(shuffled, data.draw(st.permutations(campaigns))) == winner(occasion, campaigns)


@given(occasion=orders, campaigns=campaign_lists)
@settings(max_examples=150, deadline=None)
def test_i8_deleting_a_loser_never_changes_the_winner(occasion, campaigns):
    before = winner(occasion, campaigns)

    for spec in campaigns:
        if spec.id != before:
            rest = [row for row in campaigns if row.id != spec.id]
            assert winner(occasion, rest) == before
            break
