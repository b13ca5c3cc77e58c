"""Payfriend: a payment provider that asks the buyer each time, as if it were somebody else's."""
