"""Every reason can be read."""

from __future__ import annotations

from upsell.engine.campaigns import Reason
from upsell.presenting.reasons import WORDS, in_words


def test_every_reason_has_words():
    assert set(WORDS) == set(Reason)
    assert "cart.total" in in_words("condition:cart.total")
    assert "cart.total" in in_words("fact_missing:cart.total")
    assert in_words("unheard_of") == "unheard_of"
