"""Words with gaps: what is filled, what falls back, and what is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.engine.placeholders import Gap, PlaceholderError, Unresolved, parse

NAMES = {"product", "saving", "starter.product_name", "item1_price"}


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        pytest.param("Plain words", {}, "Plain words", id="no gap"),
        pytest.param("", {}, "", id="nothing"),
        pytest.param("{product}", {"product": "Insurance"}, "Insurance", id="only a gap"),
        pytest.param("Save {saving} on {product}.", {"saving": "4 €", "product": "tea"},
                     "Save 4 € on tea.", id="two"),
        pytest.param("Your {product|order} waits", {}, "Your order waits", id="a fallback"),
        pytest.param("Your {product|order}", {"product": ""}, "Your order", id="empty is none"),
        pytest.param("a{product|}b", {}, "ab", id="a fallback of nothing"),
        pytest.param("{ starter.product_name }", {"starter.product_name": "BER"}, "BER",
                     id="dots, and room around"),
        pytest.param("{product}", {"product": "{saving} {{x}} {% load %}"},
                     "{saving} {{x}} {% load %}", id="a value is never read again"),
    ],
)  # fmt: skip
def test_what_it_says(text, values, filled):
    assert parse(text, NAMES).filled(values) == filled


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param("Hi {{ product }}", 4, "stands alone", id="a template's variable"),
        pytest.param("{% load x %}", 1, "is no placeholder", id="a template's tag"),
        pytest.param("Hello {prodcut}", 7, "did you mean {product}?", id="a slip of the pen"),
        pytest.param("Hello {colour}", 7, "there is no placeholder {colour}", id="unknown"),
        pytest.param("5 } 3", 3, "“}” stands alone", id="a brace alone"),
        pytest.param("open {product", 6, "“{” stands alone", id="never closed"),
        pytest.param("{}", 1, "is no placeholder", id="nothing in it"),
        pytest.param("{product.__class__}", 1, "is no placeholder", id="reaching inside"),
        pytest.param("{product!r}", 1, "is no placeholder", id="a conversion"),
    ],
)
def test_what_is_refused_and_where(text, place, words):
    with pytest.raises(PlaceholderError) as refused:
        parse(text, NAMES)

    assert refused.value.place == place
    assert words in refused.value.message


def test_a_gap_without_value_and_fallback_is_said():
    read = parse("{product} for {saving|less}", NAMES)

    with pytest.raises(Unresolved, match=r"in place of \{product\}"):
        read.filled({"saving": "4"})
    assert read.names == {"product", "saving"}
    assert read.unresolved({"saving"}) == {"product"}
    assert read.unresolved({"product"}) == frozenset()


gaps = st.builds(Gap, name=st.sampled_from(sorted(NAMES)), fallback=st.none() | st.just("x"))


@given(st.lists(st.text(st.characters(exclude_characters="{}"), min_size=1) | gaps, max_size=8))
def test_everything_else_stays_as_it_was_typed(parts):
    typed = "".join(
        part if isinstance(part, str) else f"{{{part.name}{'|x' if part.fallback else ''}}}"
        for part in parts
    )

    said = parse(typed, NAMES).filled(dict.fromkeys(NAMES, "y"))

    assert said == "".join(part if isinstance(part, str) else "y" for part in parts)


@given(st.text())
def test_any_text_is_read_or_refused_and_nothing_else(text):
    place = 1
    try:
        parse(text, NAMES)
    except PlaceholderError as refused:
        place = refused.place
    assert 1 <= place <= max(len(text), 1)
