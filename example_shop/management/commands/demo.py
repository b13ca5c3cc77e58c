"""Start the example shop: migrate, fill it when empty, do due work, serve."""

from __future__ import annotations

import socket
import threading

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from example_shop.models import Product


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-serve", action="store_true")

    def handle(self, *, port, no_serve, **_):
        call_command("migrate", verbosity=0)
        if not Product.objects.exists():
            call_command("seed_shop", "--offers")
        if no_serve:
            return
        while _taken(port):
            port += 1
        here = settings.UPSELL_BASE_URL = f"http://127.0.0.1:{port}"
        threading.Thread(target=call_command, args=["upsell_run"], daemon=True).start()
        self.stdout.write(
            f"Shop       {here}/\n"
            f"Admin      {here}/admin/\n"
            f"Mails      {here}/mailbox/\n"
            "Staff      admin / admin, greta / greta (GreenHome only), viewer / viewer (may look)\n"
            "Customers  mara / mara, jonas / jonas\n"
            "These log-ins are for this demonstration only."
        )
        self.stdout.flush()
        call_command("runserver", f"127.0.0.1:{port}", use_reloader=False)


def _taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
