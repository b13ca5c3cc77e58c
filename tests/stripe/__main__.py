"""Serves Stripe on the loopback, for the demonstration: ``python -m tests.stripe``."""

from __future__ import annotations

import argparse
import sys
import threading

from tests.stripe.proxy import API_KEY, Proxy
from tests.stripe.server import LocalStripe, missing


def main() -> None:
    """Serve until interrupted; what is printed first are settings for the shop's environment."""
    parser = argparse.ArgumentParser(prog="python -m tests.stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="0 = any that is free.")
    port = parser.parse_args().port
    if missing():
        sys.exit(f"Not installed: {missing()}. It comes with the extra stripe-tests.")
    localstripe = LocalStripe()
    localstripe.start()
    proxy = Proxy(localstripe.url)
    try:
        proxy.start(port=port)
        print(f"STRIPE_SECRET_KEY={API_KEY}\nSTRIPE_API_BASE={proxy.url}", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        localstripe.stop()


main()
