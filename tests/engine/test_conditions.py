"""The language of conditions: what matches, what is refused, and what is simply not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.engine.conditions import (
    MOST_CONDITIONS,
    All,
    Asked,
    Condition,
    ConditionError,
    FactSpec,
    FactType,
    Money,
    Not,
    Op,
    dump,
    evaluate,
    facts_needed,
    parse,
)
from upsell.engine.conditions import Any as AnyOf

SPECS = {
    spec.name: spec
    for spec in (
        FactSpec(name="guest", type=FactType.BOOL),
        FactSpec(name="orders", type=FactType.INT, unit="orders"),
        FactSpec(name="ratio", type=FactType.DECIMAL),
        FactSpec(name="net", type=FactType.MONEY),
        FactSpec(name="country", type=FactType.TEXT),
        FactSpec(name="tags", type=FactType.REFS),
        FactSpec(name="placed", type=FactType.DATETIME),
        FactSpec(name="idle", type=FactType.DURATION),
        FactSpec(name="event.count", type=FactType.INT, args=("name", "within")),
    )
}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EURO = {"net": Money(amount=Decimal("50.00"), currency="EUR")}


def answer(data, **facts):
    tree = parse(data, SPECS)
    return evaluate(tree, {Asked(fact=name): value for name, value in facts.items()})


@pytest.mark.parametrize(
    ("fact", "value", "op", "wanted", "matches"),
    [
        pytest.param("guest", True, "is", True, True, id="is"),
        pytest.param("guest", False, "is", True, False, id="is not"),
        pytest.param("orders", 3, "is_not", 3, False, id="is_not"),
        pytest.param("orders", 3, "lt", 3, False, id="lt at the edge"),
        pytest.param("orders", 3, "le", 3, True, id="le at the edge"),
        pytest.param("orders", 3, "gt", 3, False, id="gt at the edge"),
        pytest.param("orders", 3, "ge", 3, True, id="ge at the edge"),
        pytest.param("orders", 3, "between", [3, 5], True, id="between, the least"),
        pytest.param("orders", 5, "between", [3, 5], True, id="between, the most"),
        pytest.param("orders", 6, "between", [3, 5], False, id="between, one more"),
        pytest.param("orders", 6, "in", [1, 6], True, id="in"),
        pytest.param("orders", 6, "not_in", [1, 6], False, id="not_in"),
        pytest.param("ratio", Decimal("0.8"), "ge", "0.80", True, id="a decimal as text"),
        pytest.param("net", EURO["net"], "ge", {"EUR": "50"}, True, id="money at the edge"),
        pytest.param("net", EURO["net"], "lt", {"EUR": "50.00"}, False, id="a cent too much"),
        pytest.param("net", EURO["net"], "between", {"EUR": ["1", "50"]}, True, id="money between"),
        pytest.param("country", "DE", "in", ["DE", "AT"], True, id="text in"),
        pytest.param("tags", frozenset({"a", "b"}), "has_any", ["b", "c"], True, id="has_any"),
        pytest.param("tags", frozenset({"a", "b"}), "has_all", ["b", "c"], False, id="has_all"),
        pytest.param("placed", NOON, "lt", "2026-03-02T13:00:00+01:00", False, id="same instant"),
        pytest.param("idle", timedelta(hours=3), "ge", "PT2H60M", True, id="duration"),
        pytest.param("orders", 3, "exists", None, True, id="exists"),
    ],
)
def test_a_condition(fact, value, op, wanted, matches):
    data = {"fact": fact, "op": op} | ({} if op == "exists" else {"value": wanted})

    told = answer(data, **{fact: value})

    assert told.matches is matches
    assert told.because == ("" if matches else f"condition:{fact}")


@pytest.mark.parametrize(
    ("data", "facts", "because"),
    [
        pytest.param({"fact": "orders", "op": "ge", "value": 1}, {}, "fact_missing:orders",
                     id="missing"),
        pytest.param({"fact": "orders", "op": "is_not", "value": 1}, {}, "fact_missing:orders",
                     id="missing is not something else"),
        pytest.param({"not": {"fact": "guest", "op": "is", "value": True}}, {},
                     "fact_missing:guest", id="not of unknown is unknown"),
        pytest.param({"fact": "net", "op": "ge", "value": {"JPY": "1"}}, EURO,
                     "fact_missing:net", id="no amount in this currency"),
        pytest.param({"fact": "orders", "op": "exists"}, {}, "fact_missing:orders",
                     id="exists of nothing"),
        pytest.param({"not": {"fact": "guest", "op": "is", "value": True}}, {"guest": True},
                     "condition:guest", id="not of true"),
        pytest.param({"all": [{"fact": "guest", "op": "is", "value": True},
                              {"fact": "orders", "op": "ge", "value": 2}]}, {"orders": 1},
                     "condition:orders", id="what is false says more than what is missing"),
        pytest.param({"any": [{"fact": "orders", "op": "ge", "value": 2},
                              {"fact": "guest", "op": "is", "value": True}]}, {"orders": 1},
                     "fact_missing:guest", id="it might have been"),
    ],
)  # fmt: skip
def test_why_it_does_not_match(data, facts, because):
    told = answer(data, **facts)

    assert not told.matches
    assert told.because == because


def test_nothing_asked_is_true_of_all_and_false_of_any():
    assert answer({"all": []}).matches
    assert not answer({"any": []}).matches


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        pytest.param([], "", "wanted a group or a condition", id="a list"),
        pytest.param({"all": {}}, "", "“all” wants a list", id="all of no list"),
        pytest.param({"all": [{"any": [{"fact": "shoe"}]}]}, "all.0.any.0",
                     "there is no fact called “shoe”", id="an unknown fact, and where"),
        pytest.param({"fact": "guest", "op": "ge", "value": True}, "", "is compared by is, is_not",
                     id="an operator that makes no sense"),
        pytest.param({"fact": "orders", "op": "ge", "value": 1.5}, "", "a whole number",
                     id="a float"),
        pytest.param({"fact": "orders", "op": "ge", "value": True}, "", "a whole number",
                     id="true is no number"),
        pytest.param({"fact": "ratio", "op": "ge", "value": 0.8}, "", "a number as text",
                     id="a float is no decimal"),
        pytest.param({"fact": "ratio", "op": "ge", "value": "NaN"}, "", "a number as text",
                     id="not a number"),
        pytest.param({"fact": "net", "op": "ge", "value": "50"}, "", "amounts by currency",
                     id="an amount without its currency"),
        pytest.param({"fact": "orders", "op": "between", "value": [5, 3]}, "",
                     "the least is above the most", id="backwards"),
        pytest.param({"fact": "orders", "op": "between", "value": [5]}, "",
                     "the least and the most", id="half of it"),
        pytest.param({"fact": "country", "op": "in", "value": []}, "", "one or more",
                     id="in nothing"),
        pytest.param({"fact": "placed", "op": "lt", "value": "2026-03-02T10:00:00"}, "",
                     "a time with its zone", id="a time without a zone"),
        pytest.param({"fact": "idle", "op": "ge", "value": "3 hours"}, "", "P7D or PT3H30M",
                     id="a duration in words"),
        pytest.param({"fact": "idle", "op": "ge", "value": "PT"}, "", "P7D or PT3H30M",
                     id="a duration of nothing"),
        pytest.param({"fact": "orders", "args": {"name": "x"}, "op": "ge", "value": 1}, "",
                     "can be asked by nothing", id="asked more closely than it can"),
        pytest.param({"fact": "orders", "op": "ge", "value": 1, "when": "now"}, "",
                     "wanted all, any, not or fact", id="something else besides"),
        pytest.param({"all": [], "any": []}, "", "wanted all, any, not or fact", id="two groups"),
        pytest.param({"not": {"not": {"not": {"not": {"not": {"not": {"all": []}}}}}}},
                     "not.not.not.not.not.not", "no more", id="too deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_what_was_wanted(data, path, words):
    with pytest.raises(ConditionError) as refused:
        parse(data, SPECS)

    assert refused.value.path == path
    assert words in refused.value.message


def test_there_may_be_fifty_conditions():
    one = {"fact": "orders", "op": "ge", "value": 1}

    parse({"all": [one] * MOST_CONDITIONS}, SPECS)
    with pytest.raises(ConditionError, match="50 conditions, and are 51"):
        parse({"all": [one] * (MOST_CONDITIONS + 1)}, SPECS)


def test_what_has_to_be_gathered_is_known_before():
    looks = {"fact": "event.count", "args": {"within": "P7D", "name": "product.viewed"},
             "op": "ge", "value": 3}  # fmt: skip
    tree = parse({"any": [looks, {"not": looks}, {"fact": "guest", "op": "exists"}]}, SPECS)

    asked = Asked(fact="event.count", args=(("name", "product.viewed"), ("within", "P7D")))
    assert facts_needed(tree) == {asked, Asked(fact="guest")}
    assert evaluate(tree, {asked: 3}).matches


# ------------------------------------------------------------------ properties

leaves = st.one_of(
    st.builds(
        lambda op, value: {"fact": "orders", "op": op, "value": value},
        st.sampled_from(["is", "lt", "ge", "is_not"]),
        st.integers(0, 3),
    ),
    st.just({"fact": "guest", "op": "is", "value": True}),
    st.just({"fact": "guest", "op": "exists"}),
    st.just({"fact": "net", "op": "between", "value": {"EUR": ["1.00", "50.00"]}}),
    st.just({"fact": "idle", "op": "ge", "value": "P1DT2H"}),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda rows: {"all": rows}, st.lists(inner, max_size=3)),
        st.builds(lambda rows: {"any": rows}, st.lists(inner, max_size=3)),
        st.builds(lambda row: {"not": row}, inner),
    ),
    max_leaves=8,
).filter(lambda data: _depth(data) <= 5)
facts = st.fixed_dictionaries(
    {},
    optional={
        Asked(fact="orders"): st.integers(0, 3),
        Asked(fact="guest"): st.booleans(),
        Asked(fact="net"): st.builds(
            Money, amount=st.decimals(0, 99, places=2), currency=st.sampled_from(["EUR", "JPY"])
        ),
        Asked(fact="idle"): st.timedeltas(timedelta(0), timedelta(days=2)),
    },
)


def _depth(data) -> int:
    if "not" in data:
        return 1 + _depth(data["not"])
    rows = data.get("all", data.get("any", ()))
    return 1 + max((_depth(row) for row in rows), default=0)


@given(data=trees)
def test_a_tree_comes_back_as_it_went(data):
    tree = parse(data, SPECS)

    assert parse(dump(tree), SPECS) == tree


@given(data=trees, known=facts)
def test_it_says_why_exactly_where_it_does_not_match(data, known):
    told = evaluate(parse(data, SPECS), known)

    assert told.value in {True, False, None}
    if told.matches:
        assert told.because == ""


@given(data=trees, known=facts)
def test_three_values_follow_kleene(data, known):
    tree = parse(data, SPECS)

    assert evaluate(tree, known).value is kleene(tree, known)
    assert evaluate(Not(of=tree), known).value is kleene(Not(of=tree), known)


@given(rows=st.lists(trees, max_size=3), known=facts)
def test_not_all_is_any_not(rows, known):
    of = tuple(parse(row, SPECS) for row in rows)
    turned = AnyOf(of=tuple(Not(of=row) for row in of))

    assert evaluate(Not(of=All(of=of)), known).value is evaluate(turned, known).value


def kleene(tree, known) -> bool | None:
    """The three-valued logic as a minimum and a maximum, by another road."""
    number = {False: 0, None: 1, True: 2}
    back = {value: key for key, value in number.items()}
    match tree:
        case All(of=of):
            return back[min((number[kleene(one, known)] for one in of), default=2)]
        case AnyOf(of=of):
            return back[max((number[kleene(one, known)] for one in of), default=0)]
        case Not(of=one):
            return back[2 - number[kleene(one, known)]]
        case Condition(asked=asked, op=op, value=wanted):
            fact = known.get(asked)
            if op is Op.EXISTS:
                return fact is not None
            if isinstance(fact, Money):
                wanted, fact = wanted.get(fact.currency), fact.amount
            if fact is None or wanted is None:
                return None
            return {
                Op.IS: fact == wanted,
                Op.IS_NOT: fact != wanted,
                Op.LT: op is Op.LT and fact < wanted,
                Op.GE: op is Op.GE and fact >= wanted,
                Op.BETWEEN: op is Op.BETWEEN and wanted[0] <= fact <= wanted[1],
            }[op]
