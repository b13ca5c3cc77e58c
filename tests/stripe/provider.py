"""Stripe's behaviour on top of localstripe's objects: what a request does once it is let through.

localstripe holds the objects and decides which card pays. Added here, because it lacks them or
does otherwise: a declined charge answers with the intent and the bank's decline code; off-session
payments are declined where the card wants authentication; a saved card belongs to its customer;
a refund is at most what is left, none of a disputed charge; refunds that are pending or fail
later; disputes; ``latest_charge`` as an id unless expanded; events in Stripe's shape.
"""

from __future__ import annotations

from tests.stripe.paying import Paying
from tests.stripe.refunding import Refunding


class Provider(Paying, Refunding):
    """Everything that can be asked of the account."""
