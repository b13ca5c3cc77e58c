"""Conditions are edited as rows without a script; what rows cannot say is kept as it is written."""

from __future__ import annotations

import json

import pytest
from django import forms
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admin.test_segments import leaf, posted
from upsell.admin.conditions import ConditionsField, rows_of
from upsell.engine.conditions import OPERATORS, FactType, Op, dump, parse
from upsell.engine.facts import OURS


class TreeForm(forms.Form):
    tree = ConditionsField(OURS)


def written(*rows: dict) -> TreeForm:
    return TreeForm(posted(*rows, name="tree"))


@pytest.mark.parametrize(
    ("row", "one"),
    [
        pytest.param({"fact": "order.cancelled", "value": "no"},
                     leaf("order.cancelled", "is", False), id="bool"),
        pytest.param({"fact": "order.lines", "op": "between", "value": "1 .. 3"},
                     leaf("order.lines", "between", [1, 3]), id="between"),
        pytest.param({"fact": "order.net", "op": "ge", "value": "EUR 50.00; usd 60"},
                     leaf("order.net", "ge", {"EUR": "50.00", "USD": "60"}), id="money"),
        pytest.param({"fact": "order.country", "op": "in", "value": 'DE, "a, b"'},
                     leaf("order.country", "in", ["DE", "a, b"]), id="texts"),
        pytest.param({"fact": "order.tags", "op": "has_any", "value": "a,b"},
                     leaf("order.tags", "has_any", ["a", "b"]), id="references"),
        pytest.param({"fact": "purchases.last_ago", "op": "gt", "value": "P90D",
                      "args": "product=12; channel=web"},
                     leaf("purchases.last_ago", "gt", "P90D", product="12", channel="web"),
                     id="asked more closely"),
        pytest.param({"fact": "purchases.last_ago", "op": "gt", "value": "2 weeks"},
                     leaf("purchases.last_ago", "gt", "P14D"), id="a time in words"),
        pytest.param({"fact": "order.service_at", "op": "exists"},
                     leaf("order.service_at", "exists"), id="is known"),
    ],
)  # fmt: skip
def test_a_row_is_a_condition(row, one):
    form = written(row)

    assert form.is_valid(), form.errors
    assert form.cleaned_data["tree"] == one


def test_rows_joined_by_or_belong_together_and_all_groups_must_hold():
    yes, no = {"fact": "order.released", "value": "yes"}, {"fact": "order.released", "value": "no"}
    form = written(yes, no | {"join": "or"}, no | {"join": "and"}, {"fact": ""})

    assert form.is_valid()
    one, other = leaf("order.released", "is", True), leaf("order.released", "is", False)
    assert form.cleaned_data["tree"] == {"all": [{"any": [one, other]}, other]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param({"fact": "order.lines", "op": "has_any", "value": "3"}, "Row 2",
                     id="comparison"),
        pytest.param({"fact": "order.lines", "op": "ge", "value": "three"}, "a whole number",
                     id="value"),
        pytest.param({"fact": "order.net", "op": "ge", "value": "50"}, "amounts by currency",
                     id="no currency"),
        pytest.param({"fact": "event.count", "op": "ge", "value": "1"}, "has to say its name",
                     id="argument"),
        pytest.param({"fact": "event.count", "op": "ge", "value": "1", "args": "name"},
                     "name=value", id="no value of an argument"),
        pytest.param({"fact": "order.lines", "op": "ge", "value": "1", "args": "size=2"},
                     "nothing", id="no such argument"),
        pytest.param({"fact": "", "value": "1"}, "choose what is looked at", id="fact"),
        pytest.param({"fact": "gone", "value": "1"}, "choose what is looked at", id="gone"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_what_was_typed_is_still_there(row, said):
    form = written({"fact": "order.released", "value": "yes"}, row)

    assert not form.is_valid()
    assert said in str(form.errors["tree"])
    page = form["tree"].as_widget()
    assert 'value="yes"' in page
    assert f'value="{row["value"]}"' in page


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1,
    max_size=20,
)  # fmt: skip
PLAIN = {
    FactType.BOOL: st.booleans(),
    FactType.INT: st.integers(-(10**9), 10**9),
    FactType.DECIMAL: st.decimals(-999, 999, places=2).map(str),
    FactType.TEXT: TEXTS,
    FactType.REFS: TEXTS,
    FactType.DATETIME: st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    FactType.DURATION: st.integers(0, 9999).map(lambda days: f"P{days}DT0S"),
}


@st.composite
def leaves(draw):
    spec = draw(st.sampled_from(list(OURS.values())))
    op = draw(st.sampled_from(OPERATORS[spec.type]))
    kind = FactType.DECIMAL if spec.type is FactType.MONEY else spec.type
    one = PLAIN[kind]
    if op is Op.BETWEEN:
        one = st.just(draw(one)).map(lambda end: [end, end])
    if op in {Op.IN, Op.NOT_IN, Op.HAS_ANY, Op.HAS_ALL}:
        one = st.lists(one, min_size=1, max_size=3)
    if spec.type is FactType.MONEY:
        one = st.dictionaries(st.sampled_from(["EUR", "JPY"]), one, min_size=1)
    args = dict.fromkeys(spec.needs, "x")
    return leaf(spec.name, op.value, None if op is Op.EXISTS else draw(one), **args)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(leaves(), min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_a_form_shows_it_reads_back(groups):
    wanted = {"all": [{"any": group} for group in groups]}
    tree = dump(parse(wanted, OURS))

    form = written(*rows_of(tree, OURS).rows)

    assert form.is_valid(), form.errors
    shown = dump(parse(form.cleaned_data["tree"], OURS))
    groups = shown.get("all", [shown])
    assert [one if "any" in one else {"any": [one]} for one in groups] == tree["all"]


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param({"not": leaf("order.released", "is", True)}, id="not"),
        pytest.param({"all": [{"any": [{"all": []}]}]}, id="deeper"),
        pytest.param({"not": {"all": []}}, id="not of a group"),
    ],
)
def test_another_shape_is_shown_and_kept_as_it_is_written(tree):
    page = TreeForm(initial={"tree": tree})["tree"].as_widget()
    assert "tree-written" in page

    form = TreeForm({"tree-written": json.dumps(tree)})

    assert form.is_valid()
    assert form.cleaned_data["tree"] == tree
