"""The mail server is down, slow, silent, or cut off in the middle of a mail.

A real SMTP server stands behind a line that the test breaks. The purchase is not touched, what
else is due is done in the same run, and the confirmation arrives: once, or more than once under
one Message-ID, by which mail servers drop the second.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO

import pytest
from django.core.management import call_command

from tests.flow import clock
from tests.flow.mailing import Post
from tests.flow.processes import server
from tests.flow.sales import accepts, agrees, audit, offered, sold
from upsell.models import OutboxMessage

pytestmark = pytest.mark.django_db(transaction=True)

Trouble = Callable[[Post], AbstractContextManager[None]]


def run(*, minutes: float = 0) -> None:
    """Do what is due; then let so many minutes pass, and do it every half one."""
    call_command("upsell_run", "--once", stdout=StringIO())
    for _ in clock.half_minutes(minutes=minutes):
        call_command("upsell_run", "--once", stdout=StringIO())


@pytest.mark.parametrize(
    ("trouble", "at_once", "in_the_end"),
    [
        pytest.param(Post.down, 0, 1, id="down"),
        pytest.param(Post.cut_in_the_middle, 0, 1, id="cut in the middle"),
        pytest.param(Post.cut_before_it_is_taken, 1, 2, id="cut before it is taken"),
        pytest.param(Post.refusing, 0, 1, id="refuses for now"),
        pytest.param(lambda post: post.late(0.05), 1, 1, id="slow"),
        pytest.param(lambda post: post.late(1.5), 0, 1, id="does not answer in time"),
    ],
)
def test_f40_f52_a_mail_server_that_is(trouble: Trouble, at_once, in_the_end, post, settings):
    settings.UPSELL_FULFILMENT_HOLD = True
    products = offered("CROSS_SELL")
    sale, neighbour = sold(products), sold(products)
    with server() as shop:
        sale.thanks(shop)
        run()
        sale.placed.refresh_from_db()
        assert sale.placed.hold_until is not None
        sale.buyer.press("accept")

        with trouble(post):
            run()
            assert accepts(neighbour, shop).state == "accepted", "nobody else is held up"

    sale.placed.refresh_from_db()
    assert sale.placed.hold_until is None, "what else was due was done in the same run"
    of_the_sale = sale.offer.messages.get(kind="CONFIRMATION")
    assert len(post.mails.names) == at_once
    assert of_the_sale.state == ("SENT" if at_once and in_the_end == at_once else "PENDING")

    run(minutes=3)

    mine = [name for name in post.mails.names if str(sale.offer.uuid) in name]
    theirs = [name for name in post.mails.names if str(neighbour.offer.uuid) in name]
    assert (len(mine), len(set(mine))) == (in_the_end, 1), "at least once, under one name"
    assert len(theirs) == 1
    assert {row.state for row in OutboxMessage.objects.all()} <= {"SENT", "CANCELLED"}
    for one in (sale, neighbour):
        agrees(one, live=True)
    assert audit() == (0, "2 offers looked at, 0 invariants broken\n")


def test_f40_a_mail_server_that_never_comes_back_is_given_up_and_seen(post):
    """Eight tries, each after twice the pause; the purchase stands all the same."""
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        accepts(sale, shop)

    with post.down():
        for hours in range(1, 6):
            run()
            clock.set_to(minutes=60 * hours)
            for _ in range(3):
                run()
                clock.set_to(minutes=60 * hours + 20)
        run()

    message = sale.offer.messages.get(kind="CONFIRMATION")
    assert (message.state, message.attempts) == ("FAILED", 8)
    assert post.mails.taken == []
    agrees(sale, live=True)
