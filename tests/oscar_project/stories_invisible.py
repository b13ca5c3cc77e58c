"""The same buying and staff scripts with and without us: run twice, compared by the test.

Writes what every page, signal, mail and table said to the file that ``UPSELL_OSCAR_SCRIPT``
names. Numbers, dates and tokens are masked; the number of statements of each page is kept.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core import mail
from django.db import connection
from django.dispatch import receiver
from django.test.utils import CaptureQueriesContext
from oscar.apps.checkout.signals import post_checkout
from oscar.apps.order.signals import order_placed, order_status_changed

from tests.oscar_project import stocking
from tests.oscar_project.walking import Shopper, framed

MASKS = (
    (rb'name="csrfmiddlewaretoken" value="[^"]*"', b"TOKEN"),
    (
        rb"\b\d{4}-\d\d-\d\d[T ][\d:.+]*|\b\d{1,2} \w+ \d{4}[^<]*|\b\d{1,2}:\d\d( [ap]\.m\.)?",
        b"DATE",
    ),
    (rb"/anon-order/\d+/[^/\"]*|order/\d+|\b1\d{5}\b|orders/\d+", b"NUMBER"),
    (rb":[A-Za-z0-9_-]{27,}", b":SIGNED"),
    (rb"(\w+\.|, )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w*\.? \d{1,2}[^<]*", b"DATE"),
)


def masked(content):
    for pattern, mark in MASKS:
        content = re.sub(pattern, mark, content)
    return content.decode()


class Watched(Shopper):
    """Keeps with each page how many statements it took."""

    def __init__(self, seen, **options):
        super().__init__(**options)
        self.seen = seen

    def request(self, **request):
        with CaptureQueriesContext(connection) as asked:
            answer = super().request(**request)
        own = [row["sql"] for row in asked.captured_queries]
        self.seen.append([
            masked(request["PATH_INFO"].encode()), answer.status_code,
            masked(answer.content), sum(not framed(sql) for sql in own),
        ])  # fmt: skip
        return answer


def test_the_script(goods):
    if settings.WITH_US:
        from upsell import snapshots  # noqa: PLC0415 - not there in a shop without us

        snapshots.index(snapshots.current_version())  # once a process, not once a page
    seen, heard = [], []

    @receiver([order_placed, post_checkout, order_status_changed], weak=False)
    def hears(signal, sender, order, **told):
        heard.append([type(sender).__name__, order.lines.count(), sorted(map(str, told))])

    guest = Watched(seen)
    guest.buy(goods["TEA"], goods["CUP"])
    guest.look("checkout:thank-you")
    buyer = stocking.a_buyer()
    member = Watched(seen)
    member.force_login(buyer)
    member.buy(goods["BOOK"], shipped=False)
    number = stocking.Order.objects.order_by("-pk").first().number
    member.look("customer:order", number)
    member.look("customer:order-list")
    member.send("customer:order", {"action": "reorder"}, number)
    boss = Watched(seen)
    boss.force_login(stocking.a_buyer("boss@example.com", is_staff=True, is_superuser=True))
    boss.look("dashboard:index")
    boss.look("dashboard:order-list")
    boss.look("dashboard:order-detail", number)
    boss.look("checkout:thank-you", order_number=number)
    boss.send(
        "dashboard:order-detail",
        {"order_action": "change_order_status", "new_status": "Being processed"},
        number,
    )
    mails = [[letter.subject, letter.to, masked(letter.body.encode())] for letter in mail.outbox]
    labels = {"order", "payment", "basket", "partner", "voucher", "communication"}
    tables = {
        model._meta.label: model.objects.count()
        for model in apps.get_models()
        if model._meta.app_label in labels and model._meta.managed
    }
    told = {"pages": seen, "signals": heard, "mails": mails, "rows": tables}
    Path(os.environ["UPSELL_OSCAR_SCRIPT"]).write_text(json.dumps(told, indent=1, default=str))
    assert len(seen) > 20
    assert tables["order.Order"] == 2
