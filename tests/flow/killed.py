"""A process that answers one offer and is killed at a step of it. Run by the kill tests.

Steps are counted: before and after each commit, before and after each call of the provider.
"""

from __future__ import annotations

import os
import signal
import sys

import django

django.setup()

from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: E402

from example_shop.adapter import CardGateway  # noqa: E402
from upsell.models import Offer  # noqa: E402
from upsell.models.tokens import offer_token  # noqa: E402
from upsell.services import accepting, undoing  # noqa: E402

what, deadly = sys.argv[1], int(sys.argv[2])
steps = 0


def step() -> None:
    """Count, and die at the chosen one: no clean-up, no rollback, as on a power cut."""
    global steps
    steps += 1
    if steps == deadly:
        os.kill(os.getpid(), signal.SIGKILL)


def around(method):
    def counted(self, *args, **kwargs):
        step()
        answer = method(self, *args, **kwargs)
        step()
        return answer

    return counted


offer = Offer.objects.get()
BaseDatabaseWrapper.commit = around(BaseDatabaseWrapper.commit)
CardGateway.charge = around(CardGateway.charge)
CardGateway.refund = around(CardGateway.refund)
if what == "accept":
    accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)
else:
    undoing.undo(token=offer_token(offer), trusted=True)
