"""What may go wrong around a server: at the provider, at the database, at the shop.

Each fault is arranged in the server's own process, and nowhere in our own code.
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend
from django.core.signals import request_finished
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from example_shop.models import Product
from example_shop.payments import CardGateway
from upsell import conf
from upsell.contrib.stripe import webhooks
from upsell.media.webhook import Webhooks
from upsell.models import Offer
from upsell.models.tokens import hashed
from upsell.ports import ChargeRequest, Refused
from upsell.services import accepting, journey_running, journey_sending, running

if TYPE_CHECKING:
    from tests.flow.killed import Life

REPORTS_SECRET = "whsec_of_the_tests"


def unreachable(life: Life) -> None:
    """Nobody answers at the provider's address (F24)."""
    charging(before=raising(ConnectionRefusedError))


def silent(life: Life) -> None:
    """The provider charges, and its answer never comes (F25)."""
    charging(after=raising(TimeoutError))


def hangs_before(life: Life) -> None:
    """The provider keeps us waiting until the test says go on, and charges then (F27)."""
    charging(before=life.wait)


def hangs_after(life: Life) -> None:
    """The provider charges, and keeps us waiting for its answer until the test says go on."""
    charging(after=life.wait)


def hangs_for_good(life: Life) -> None:
    """The provider keeps everybody waiting who asks it (F27); the first one is told of."""
    first = iter([True])

    def hang() -> None:
        if next(first, False):
            life.tell("waits")
        threading.Event().wait()

    charging(before=hang)


def database_down(life: Life) -> None:
    """The database answers nothing from the charge until the request is over (F32)."""
    down = threading.Event()
    charging(after=down.set)
    refusing(lambda sql: down.is_set())
    request_finished.connect(lambda **_kwargs: down.clear(), weak=False)


def deadlock(life: Life) -> None:
    """The database gives up on the change of the order, the first time (F33)."""
    once = iter([True])
    refusing(lambda sql: "INSERT" in sql and "upsell_acceptance" in sql and next(once, False))


def locked(life: Life) -> None:
    """The database gives up on every attempt that begins (F16)."""
    refusing(lambda sql: "INSERT" in sql and "upsell_attempt" in sql)


def shop_refuses(life: Life) -> None:
    """The shop does not change the order any more (F34)."""
    type(conf.shop()).apply = refuse_to_apply


def company(life: Life) -> None:
    """Who is about to take stock, or to begin an attempt, waits a moment for a second one.

    Under the locks nobody comes. Without them two write what only one may.
    """
    two = threading.Barrier(2)

    def meet(sql: str) -> bool:
        words = sql.replace('"', "").replace("`", "")
        if words.startswith(("UPDATE example_shop_product", "INSERT INTO upsell_attempt")):
            with suppress(threading.BrokenBarrierError):
                two.wait(0.1)
            if two.broken:
                two.reset()
        return False

    refusing(meet)


def careless(life: Life) -> None:
    """The control: accepting looks first, waits until everybody has looked, and then charges."""

    def accept(*, token: str, **_what_counts: object) -> Offer:
        offer = Offer.objects.get(token_hash=hashed(token))
        product = Product.objects.get(pk=offer.product_ref)
        life.crowd.wait()
        if offer.state == "SHOWN" and product.stock:
            Product.objects.filter(pk=product.pk).update(stock=product.stock - 1)
            CardGateway().charge(
                ChargeRequest(
                    key=f"careless-{uuid.uuid4()}",
                    order_ref=offer.order_ref or "",
                    order_number="",
                    amount=offer.unit_gross,
                    currency=offer.currency,
                    minor_units=0,
                    credential="card_ok",
                )
            )
        return offer

    accepting.accept = accept


def hears_reports(life: Life) -> None:
    """No fault: the provider's reports come as Stripe's do, signed with ``REPORTS_SECRET``."""
    settings.UPSELL_STRIPE_WEBHOOK_SECRETS = [REPORTS_SECRET]
    CardGateway.parse_webhook = lambda self, request: webhooks.parsed(request)


def refuse_to_apply(self: Any, change: Any, quote: Any, hold: str = "") -> NoReturn:
    """Stand in for ``Shop.apply``."""
    raise Refused("order_released", "packed a second ago")


def dies_before_posting(life: Life) -> None:
    """SIGKILL of a sender that has claimed a webhook, and posted nothing."""
    posting(before=dies)


def dies_after_posting(life: Life) -> None:
    """SIGKILL of a sender that heard that its webhook was taken, and noted nothing of it."""
    posting(after=dies)


def only_journeys(life: Life) -> None:
    """Count the steps of a round from where runs move; to hand a mail over is a step as well."""
    life.around(EmailBackend, "send_messages", "mail")
    beat, advance = running.beat, journey_running.advance_due

    def begins() -> None:
        life.counts(from_here=False)
        beat()

    def moves() -> int:
        life.counts(from_here=True)
        return advance()

    running.beat, journey_running.advance_due = begins, moves


def nothing_is_committed_before_the_mail(life: Life) -> None:
    """The control: SENDING is not committed, so that who dies leaves the message as it was."""
    only_journeys(life)
    journey_sending._last_look = lambda message, now: True


# ------------------------------------------------------------------ how


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def posting(
    *, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None
) -> None:
    """Do something before a webhook is posted, or after it was taken."""
    original = Webhooks.post

    def post(self: Webhooks, url: str, **options: Any) -> None:
        before()
        original(self, url, **options)
        after()

    Webhooks.post = post


def raising(error: type[Exception]) -> Callable[[], NoReturn]:
    def fails() -> NoReturn:
        raise error

    return fails


def charging(
    *, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None
) -> None:
    """Do something before, or after the provider charges."""
    original = CardGateway.charge

    def charge(self: CardGateway, request: Any) -> Any:
        before()
        answer = original(self, request)
        after()
        return answer

    CardGateway.charge = charge


def refusing(refuses: Callable[[str], bool]) -> None:
    """Let the database fail at the statements that this says yes to."""

    def fail(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if refuses(sql):
            raise OperationalError("the database gave up")
        return execute(sql, *args)

    def watch(connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
        if fail not in connection.execute_wrappers:
            connection.execute_wrappers.append(fail)

    connection_created.connect(watch, weak=False)
