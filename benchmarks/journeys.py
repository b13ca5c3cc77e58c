"""What moving runs of journeys costs (T11), beside the plain form of the same, in one run.

run: python benchmarks/journeys.py [--rounds 5] [--waiting 1000000] [--steps 50000]
     UPSELL_TEST_DB=postgres python benchmarks/journeys.py

The plain form is what a shop writes first: one object at a time, each in a transaction of its
own. Rounds are interleaved, and a ratio is the median of the rounds' ratios. Rows that only
wait are made by one INSERT … SELECT; what is timed goes through the services. The two workers
of the last line are processes of their own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from django.db.models import QuerySet  # noqa: E402
from django.test.utils import (  # noqa: E402
    CaptureQueriesContext,
    setup_databases,
    setup_test_environment,
    teardown_databases,
)

from tests.services.journeys import END, T0, H, journey, tell  # noqa: E402
from upsell.models import JourneyRun, StepLog  # noqa: E402
from upsell.services import journey_running  # noqa: E402

DUE = T0 + 3 * H
FAR = T0.replace(year=2100)
WAITS = {
    "first": {"type": "wait", "for": "PT3H", "to": {"next": "second"}},
    "second": {"type": "wait", "for": "PT3H", "to": {"next": "end"}},
    "end": END,
}
BATCH = 1_000
TICKS = 300


def main() -> None:
    """Measure and print the table; ``--worker`` is what a process of the last lines does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--waiting", type=int, default=1_000_000, help="rows that only wait")
    parser.add_argument("--steps", type=int, default=50_000, help="due at once, for two workers")
    parser.add_argument("--worker", choices=["move", "wait"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        measure(options.rounds, options.waiting, options.steps)
    finally:
        teardown_databases(databases, verbosity=0)


def measure(rounds: int, waiting: int, steps: int) -> None:
    print(f"{connection.vendor}; load {os.getloadavg()[0]:.2f}; {rounds} rounds, batch {BATCH:,}")
    journey(WAITS)
    tell(order_ref="A0", key="u:0")
    rows(BATCH - 1, due=DUE, name="due")
    fresh()

    compare("(a) claim", rounds, claimed, claimed_plainly, 5)
    compare("(b) claim and one step with its log", rounds, stepped, stepped_plainly, 2)
    empty = rate(rounds)
    small_copy()
    later()
    memory_of_none = memory()
    started = time.perf_counter()
    rows(100_000, due=FAR, name="few")
    memory_of_some = memory()
    rows(waiting - 100_000, due=FAR, name="many")
    print(f"    {waiting:,} waiting rows were made in {time.perf_counter() - started:.0f} s")

    with CaptureQueriesContext(connection) as asked:
        journey_running.advance_due()
    floor, tick, ratio = side_by_side(rounds, bare, journey_running.advance_due)
    verdict = "ok" if ratio <= 3 else "MISSED"
    print(
        f"(c) idle tick, {waiting:,} waiting: {tick * 1e6:.0f} us, {len(asked)} statements;"
        f" floor {floor * 1e6:.0f} us; x{ratio:.2f} of <= 3 {verdict}"
    )
    empty, full, kept = rates(rounds, empty)
    verdict = "ok" if kept >= 0.9 else "MISSED"
    print(
        f"(d) {empty:,.0f} steps/s without and {full:,.0f} with {waiting:,} future rows:"
        f" x{kept:.2f} of >= 0.9 {verdict}"
    )
    later()
    print(
        f"(e) memory of a worker: {memory_of_none:.1f} MB without, {memory_of_some:.1f} MB with"
        f" 100,000 timers, {memory():.1f} MB with {waiting:,}"
    )
    if connection.vendor == "sqlite":
        print("(f) two workers: on PostgreSQL only, SQLite lets one write at a time")
        return
    rows(steps, due=DUE, name="work")
    took, moved = together(2)
    print(f"(f) {moved:,} steps with two workers: {took:.1f} s, {moved / took:,.0f} steps/s")


# ------------------------------------------------------------------ ours, and the plain form


def claimed() -> None:
    assert len(journey_running.claim(now=DUE, limit=BATCH)) == BATCH


def claimed_plainly() -> None:
    due = JourneyRun.objects.filter(state="WAITING", due_at__lte=DUE).order_by("due_at")
    for pk in list(due.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            run = JourneyRun.objects.select_for_update().get(pk=pk)
            run.state, run.lease_token = "RUNNING", "plain"
            run.lease_until = DUE + journey_running.LEASE
            run.save(update_fields=["state", "lease_token", "lease_until"])


def stepped() -> None:
    assert journey_running.advance_due(now=DUE, limit=BATCH) == BATCH


def stepped_plainly() -> None:
    due = JourneyRun.objects.filter(state="WAITING", due_at__lte=DUE).order_by("due_at")
    for pk in list(due.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            run = JourneyRun.objects.select_for_update().get(pk=pk)
            run.seq += 1
            StepLog.objects.create(
                run=run, seq=run.seq, step=run.step, kind="wait", outcome="next", at=DUE
            )
            run.step, run.since, run.due_at = "second", DUE, DUE + 3 * H
            run.save(update_fields=["step", "since", "due_at", "seq"])


def bare() -> None:
    """The floor: one statement by the index, through the driver alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM upsell_journeyrun WHERE state = %s AND due_at <= %s LIMIT 1",
            ["WAITING", DUE],
        )
        assert cursor.fetchone() is None


# ------------------------------------------------------------------ how it is timed


def timed(one: Callable[[], object], times: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(times):
        one()
    return (time.perf_counter() - started) / times


def compare(
    name: str, rounds: int, ours: Callable[[], None], plain: Callable[[], None], bar: float
) -> None:
    took: list[tuple[float, float]] = []
    for _ in range(rounds):
        fresh()
        first = timed(ours)
        fresh()
        took.append((first, timed(plain)))
    fresh()
    ratio = statistics.median(plain / ours for ours, plain in took)
    mine, other = (statistics.median(column) for column in zip(*took, strict=True))
    print(
        f"{name}: {mine * 1e3:.1f} ms, one object at a time {other * 1e3:.1f} ms:"
        f" x{ratio:.1f} of >= {bar} {'ok' if ratio >= bar else 'MISSED'}"
    )


def side_by_side(
    rounds: int, floor: Callable[[], object], ours: Callable[[], object]
) -> tuple[float, float, float]:
    took = [(timed(floor, TICKS), timed(ours, TICKS)) for _ in range(rounds)]
    ratio = statistics.median(ours / floor for floor, ours in took)
    low, mine = (statistics.median(column) for column in zip(*took, strict=True))
    return low, mine, ratio


def rate(rounds: int) -> float:
    """Steps a second, over batches of a thousand due ones."""
    found = []
    for _ in range(rounds):
        fresh()
        found.append(BATCH / timed(stepped))
    fresh()
    return statistics.median(found)


def rates(rounds: int, before: float) -> tuple[float, float, float]:
    """Steps a second without and with the future rows, and the ratio.

    On PostgreSQL both are measured in turns, the former on a copy of the tables that has the
    thousand alone; on SQLite the former was measured before the rows were made.
    """
    if connection.vendor != "postgresql":
        full = rate(rounds)
        return before, full, full / before
    run("CHECKPOINT")
    took = []
    for turn in range(rounds + 1):
        run("SET search_path = small, public")
        without = rate(1)
        run("SET search_path = public")
        if turn:  # the first warms both up
            took.append((without, rate(1)))
        else:
            rate(1)
    ratio = statistics.median(full / without for without, full in took)
    without, full = (statistics.median(column) for column in zip(*took, strict=True))
    return without, full, ratio


def small_copy() -> None:
    """Keep the tables as they are now, with all their indexes and keys, in a schema of its own."""
    if connection.vendor != "postgresql":
        return
    run("CREATE SCHEMA small")
    for table in ("upsell_journeyrun", "upsell_steplog"):
        run(f"CREATE TABLE small.{table} (LIKE public.{table} INCLUDING ALL)")
        run(f"INSERT INTO small.{table} SELECT * FROM public.{table}")
    for table, column, other in (
        ("upsell_journeyrun", "journey_id", "public.upsell_journey"),
        ("upsell_journeyrun", "version_id", "public.upsell_journeyversion"),
        ("upsell_steplog", "run_id", "small.upsell_journeyrun"),
    ):
        run(
            f"ALTER TABLE small.{table} ADD FOREIGN KEY ({column})"
            f" REFERENCES {other} (id) DEFERRABLE INITIALLY DEFERRED"
        )


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


# ------------------------------------------------------------------ rows


def fresh() -> None:
    """Let the thousand be due at their first step, and nothing written of them."""
    StepLog.objects.all().delete()
    ours().update(
        state="WAITING", step="first", since=T0, due_at=DUE, seq=0, lease_until=None, lease_token=""
    )
    vacuum()


def later() -> None:
    """Let nothing be due."""
    StepLog.objects.all().delete()
    ours().update(state="WAITING", due_at=FAR, seq=0, lease_until=None, lease_token="")


def ours() -> QuerySet[JourneyRun]:
    """The thousand that are made due again and again: the first that were made."""
    return JourneyRun.objects.filter(pk__lt=JourneyRun.objects.order_by("pk")[0].pk + BATCH)


def rows(count: int, *, due: datetime, name: str) -> None:
    """Copy the first run so often, in one statement."""
    first = JourneyRun.objects.order_by("pk").first()
    assert first is not None
    fields = [field for field in JourneyRun._meta.concrete_fields if field.name != "id"]
    values = {"customer_key": f"'{name}' || i", "dedupe_key": f"'{name}' || i", "due_at": "%s"}
    columns = ", ".join(f'"{field.column}"' for field in fields)
    told = ", ".join(values.get(field.name, f'"{field.column}"') for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO upsell_journeyrun ({columns})"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
            f" SELECT {told} FROM n, upsell_journeyrun WHERE id = {first.pk}",
            [connection.ops.adapt_datetimefield_value(due)],
        )
    vacuum()


def vacuum() -> None:
    """Let the database know how many rows there are, as it would after a while."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE upsell_journeyrun, upsell_steplog")
        else:
            cursor.execute("ANALYZE")


# ------------------------------------------------------------------ processes of their own


def child(what: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "UPSELL_TEST_NAME": str(connection.settings_dict["NAME"])}
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", what],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def memory() -> float:
    """Return the megabytes that a worker holds after two hundred idle ticks."""
    with child("wait") as process:
        assert told(process) == "ready"
        let_go(process)
        return int(told(process)) / 1024


def together(count: int) -> tuple[float, int]:
    """Let so many processes move what is due; return the seconds and the steps."""
    processes = [child("move") for _ in range(count)]
    for process in processes:
        assert told(process) == "ready"
    started = time.perf_counter()
    for process in processes:
        let_go(process)
    moved = sum(int(told(process)) for process in processes)
    took = time.perf_counter() - started
    for process in processes:
        process.wait()
    return took, moved


def work(what: str) -> None:
    """Be a worker: get ready, wait for the word, work, and tell what came of it."""
    journey_running.advance_due(now=T0 - H)
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "move":
        done = 0
        while moved := journey_running.advance_due(now=DUE):
            done += moved
        print(done, flush=True)
        return
    for _ in range(200):
        journey_running.advance_due(now=DUE)
    status = Path("/proc/self/status").read_text()
    print(next(row.split()[1] for row in status.splitlines() if row.startswith("VmRSS")))


if __name__ == "__main__":
    main()
