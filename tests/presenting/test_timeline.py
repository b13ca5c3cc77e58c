"""What happened to an offer can be read: no state or code of ours is shown as it is stored."""

from __future__ import annotations

import pytest

from upsell.engine import states
from upsell.ports import ChargeState, CollectionWay
from upsell.presenting import timeline


@pytest.mark.parametrize(
    ("in_words", "codes"),
    [
        (timeline.state_in_words, states.OfferState),
        (timeline.attempt_in_words, states.AttemptState),
        (timeline.charge_in_words, ChargeState),
        (timeline.collection_in_words, CollectionWay),
    ],
)
def test_every_state_has_words(in_words, codes):
    assert {
        code: in_words(code.value) for code in codes if in_words(code.value) == code.value
    } == {}
    assert in_words("SOMETHING_NEW") == "SOMETHING_NEW"


def test_reasons_are_sentences_and_a_providers_code_stays():
    assert timeline.reason_in_words("withdrawn") == "Staff withdrew it."
    assert timeline.reason_in_words("order_released").startswith("The order is picked")
    assert timeline.reason_in_words("insufficient_funds") == "insufficient_funds"
    assert timeline.reason_in_words("") == "–"


def test_who_did_it_is_named():
    assert timeline.actor_in_words("staff:7", "greta") == "greta (staff)"
    assert timeline.actor_in_words("staff:7") == "7 (staff)"
    assert (timeline.actor_in_words("buyer"), timeline.actor_in_words("")) == ("the buyer", "–")
