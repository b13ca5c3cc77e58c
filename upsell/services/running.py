"""All due work in one call, for the loop command, for Celery and for tests."""

from __future__ import annotations

from upsell.services import expiring, messaging, reconciling


def run_due() -> dict[str, int]:
    """Expire, reconcile and send what is due; return how many of each. Safe in parallel."""
    done = {"expired": expiring.expire_due()}
    done |= {f"reconciled_{name}": count for name, count in reconciling.reconcile().items()}
    done["messages"] = messaging.send_due()
    return done
