"""``decide``, ``explain`` and an independent, naive picker name the same winner."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.builders import GOODS, NOW, Ports, campaign, line, order, product
from upsell.engine import decide, explain, index
from upsell.engine.campaigns import Bounds, CampaignSpec, Exclusion, Trigger, TriggerKind
from upsell.engine.index import compile_index
from upsell.engine.packing import pack, unpack
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
ends = st.one_of(st.none(), st.decimals(0, 1500, places=2))
bounds = st.one_of(
    st.just({}),
    st.builds(lambda least, most: {"EUR": Bounds(least=least, most=most)}, ends, ends),
    st.just({"JPY": Bounds(least=Decimal(1))}),
)
around = st.one_of(st.none(), st.sampled_from([NOW + timedelta(seconds=s) for s in (-1, 0, 1)]))


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    """A filter that is empty, names one of these, or some."""
    return st.frozensets(st.sampled_from(values), max_size=2)


specs = st.builds(
    lambda offers, names, banned, ends, priority, channels, **filters: campaign(
        offers,
        *names,
        exclusions=banned,
        bounds=ends,
        priority=priority,
        channels=frozenset(channels),
        **filters,
    ),
    st.sampled_from(REFS),
    triggers,
    exclusions,
    bounds,
    st.integers(0, 3),
    st.sets(st.sampled_from(["web", "app"])),
    groups=some("retail", "wholesale"),
    countries=some("DE", "AT"),
    payment_methods=some("invoice", "card"),
    currencies=some("EUR", "JPY"),
    valid_from=around,
    valid_until=around,
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
        within = spec.bounds.get("EUR") if spec.bounds else Bounds()
        if (
            "web" in spec.channels
            and (spec.valid_from is None or spec.valid_from <= NOW)
            and (spec.valid_until is None or spec.valid_until >= NOW)
            and "EUR" in (spec.currencies or {"EUR"})
            and "retail" in (spec.groups or {"retail"})
            and "DE" in (spec.countries or {"DE"})
            and "invoice" in (spec.payment_methods or {"invoice"})
            and any(
                t.kind is TriggerKind.ALWAYS or units(t.kind, t.ref) >= t.quantity
                for t in spec.triggers
            )
            and within is not None
            and (within.least is None or net >= within.least)
            and (within.most is None or net <= within.most)
            and not any(units(e.kind, e.ref) for e in spec.exclusions)
            and not any(row.family_ref == offered.family_ref for row, _ in bought)
            and (stock is None or stock >= 1)
        ):
            return spec.id
    return None


def winner(occasion: Occasion, campaigns: list[CampaignSpec]) -> int | None:
    """Return the winner, found one by one; joining bitmaps must find the same."""
    one_by_one = _chosen(occasion, campaigns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "FEW", 0)
        patch.setattr(index, "UNPACKED", 2)
        assert _chosen(occasion, campaigns) == one_by_one
    return one_by_one


def _chosen(occasion: Occasion, campaigns: list[CampaignSpec]) -> int | None:
    compiled = compile_index(campaigns, version=1)
    chosen = decide(occasion, compiled, now=NOW, ask=Ports()).chosen
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


@given(spec=specs)
@settings(max_examples=200, deadline=None)
def test_a_packed_campaign_comes_back_whole(spec):
    assert unpack(pack(spec)) == spec


edits = st.lists(
    st.dictionaries(st.integers(1, 12), st.one_of(st.none(), specs), max_size=4), max_size=6
)


@given(occasion=orders, campaigns=campaign_lists, changes=edits, most=st.sampled_from([0, 3, 256]))
@settings(max_examples=150, deadline=None)
def test_an_index_that_follows_edits_is_the_one_made_anew(occasion, campaigns, changes, most):
    rows = {spec.id: spec for spec in campaigns}
    followed = compile_index(campaigns, version=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "FRESH", most)
        for version, change in enumerate(changes, start=2):
            changed = {
                key: spec and campaign_with_id(spec, key) for key, spec in sorted(change.items())
            }
            rows = {k: s for k, s in (rows | changed).items() if s is not None}
            followed = followed.edited(
                changed,
                [spec for spec in changed.values() if spec],
                version=version,
                total=len(rows),
                policies={},
            )

    anew = compile_index(rows.values(), version=len(changes) + 1)
    assert list(followed.specs()) == list(anew.specs())
    assert (followed.version, len(followed)) == (anew.version, len(anew))
    by_both = [decide(occasion, one, now=NOW, ask=Ports()) for one in (followed, anew)]
    assert by_both[0].chosen == by_both[1].chosen
    assert by_both[0].passed_over == by_both[1].passed_over
