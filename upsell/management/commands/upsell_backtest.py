"""Decides the orders of the last days again, with the campaigns of today."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from upsell.models import BacktestRun, Campaign
from upsell.presenting import backtests
from upsell.services import backtest


class Command(BaseCommand):
    help = "Decide the orders of the last days again: which campaigns would have been shown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="1 to 365, 30 by default")
        parser.add_argument(
            "--with", dest="draft", default="", metavar="SLUG", help="as if it were live"
        )
        parser.add_argument(
            "--channel", action="append", default=[], help="only orders of this sales channel"
        )
        parser.add_argument("--csv", action="store_true", help="print the result as CSV")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument(
            "--waiting", action="store_true", help="only work on the one that staff asked for"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["waiting"]:
            found = backtest.work()
            self.stdout.write("worked on the one that waited" if found else "none waits")
            return
        run = self._started(options)
        silent = options["csv"] or options["json"]
        try:
            backtest.work(run_id=run.pk, told=None if silent else self._tell)
        except KeyboardInterrupt as error:
            raise CommandError("Cancelled.") from error
        run.refresh_from_db()
        if run.state != BacktestRun.State.DONE:
            told = f"{run.get_state_display()} {run.failure}".strip()
            raise CommandError(f"The backtest ended without a result: {told}.")
        if options["json"]:
            self.stdout.write(json.dumps(run.results, indent=1))
        elif options["csv"]:
            self.stdout.write(backtests.csv_of(run), ending="")
        else:
            self._print(run)

    def _started(self, options: dict[str, Any]) -> BacktestRun:
        campaign_id = None
        if options["draft"]:
            rows = Campaign.objects.filter(slug=options["draft"], archived=False)
            campaign_id = rows.values_list("pk", flat=True).first()
            if campaign_id is None:
                raise CommandError(f"There is no campaign {options['draft']!r}.")
        try:
            return backtest.start(
                days=options["days"], campaign_id=campaign_id, channels=options["channel"]
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error

    def _tell(self, run: BacktestRun) -> None:
        if run.total is not None:
            self.stderr.write(f"{run.looked_at} of {run.total} orders")

    def _print(self, run: BacktestRun) -> None:
        self.stdout.write(backtests.summary(run))
        for row in backtests.shown_rows(run):
            mark = "*" if row.is_draft else " "
            amounts = "; ".join(
                f"{one.net}, margin {one.margin or 'not known'}" for one in row.money
            )
            self.stdout.write(f"{mark} {row.count:>6}  {row.name}  {amounts}".rstrip())
        for row in backtests.taken_rows(run):
            self.stdout.write(f"  {row.count:>6}  taken from {row.name}")
        for name, counts in (("nothing", "nothing"), ("draft refused", "refused")):
            for words, count in backtests.reason_rows(run.results[counts]):
                self.stdout.write(f"  {count:>6}  {name}: {words}")
