"""Does all due work, once or in a loop: for shops without Celery."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from upsell.services import backtest, journey_holding
from upsell.services.running import run_due


class Command(BaseCommand):
    help = "Expire, reconcile and send what is due; in a loop unless --once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop after one round")
        parser.add_argument("--interval", type=float, default=5.0, help="seconds between rounds")

        parser.add_argument(
            "--send-held",
            action="store_true",
            help="let messages go that are held after a leap of the clock, and stop",
        )

    def handle(
        self, *args: Any, once: bool, interval: float, send_held: bool = False, **options: Any
    ) -> None:
        if send_held:
            self.stdout.write(f"{journey_holding.release()} messages may go")
            return
        stop = threading.Event()
        if not once and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
        beside: threading.Thread | None = None
        while True:
            if not once and not (beside and beside.is_alive()):
                beside = backtest.work_beside()
            done = {name: count for name, count in run_due().items() if count}
            if done or once:
                told = ", ".join(f"{name} {count}" for name, count in done.items())
                self.stdout.write(told or "nothing was due")
            if once or stop.wait(interval):
                return
