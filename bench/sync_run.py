"""One repetition of the sync benchmark, in a process of its own: `python -m bench.sync_run EVENTS SANDBOX_URL`.

Prints one JSON object. The process stands for a worker: its memory before the first run is the idle worker's.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - Django must be set up first
from django.db import connection as database  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.control import control  # noqa: E402
from integrations.models import Connection  # noqa: E402
from integrations.sandbox import SANDBOX_FITBOX_KEY  # noqa: E402
from schedule.models import Event, Organization  # noqa: E402
from schedule.store import COLUMNS  # noqa: E402
from sync import ingest, leases, tasks  # noqa: E402,F401 - a worker has its tasks loaded
from sync.models import Run, RunTrigger, SyncJob  # noqa: E402

WRITTEN = ("schedule_event", "schedule_change", "schedule_counter")
BOUNDED = ("sync_run", "sync_syncjob", "integrations_credentialuse", "schedule_sourcestate")


def main(events: int, sandbox: str) -> dict[str, Any]:
    connection = prepare(sandbox)
    idle = memory("VmRSS")
    first = timed_run(connection, RunTrigger.MANUAL)
    peak = memory("VmHWM")
    stored = Event.objects.count()
    assert stored == events, f"{stored} rows for {events} events"
    copy_seconds = copy_and_merge()
    timed_run(connection, RunTrigger.SCHEDULE)
    unchanged = timed_run(connection, RunTrigger.SCHEDULE)
    assert Run.objects.latest("pk").unchanged_answer
    control(sandbox, "switches", {"no_validators": True})
    before = counts()
    full = timed_run(connection, RunTrigger.MANUAL)
    after = counts()
    control(sandbox, "switches", {"no_validators": False})
    return {
        "events": events,
        "first_seconds": first,
        "copy_seconds": copy_seconds,
        "unchanged_304_seconds": unchanged,
        "unchanged_full_seconds": full,
        "memory_mib": (peak - idle) / 1024,
        "writes_full": {name: after[name] - before[name] for name in (*WRITTEN, *BOUNDED)},
        "timings_first_ms": Run.objects.earliest("pk").timings,
        "timings_full_ms": Run.objects.latest("pk").timings,
    }


def prepare(sandbox: str) -> Connection:
    call_command("migrate", verbosity=0)
    Organization.objects.create(name="Bench gym", timezone="Australia/Melbourne", is_installation=True)
    return Connection.objects.create(
        provider="fitbox",
        name="Bench",
        base_url=f"{sandbox}/fitbox",
        credentials={"api_key": SANDBOX_FITBOX_KEY},
        calls_per_minute=1_000_000,
        settings={"differences": False},
    )


def timed_run(connection: Connection, trigger: RunTrigger) -> float:
    """Do one run as a worker does it, and return the seconds from claim to commit."""
    now = timezone.now()
    if trigger == RunTrigger.SCHEDULE:
        SyncJob.objects.filter(connection=connection).update(due_at=now)
    else:
        leases.request(connection, trigger, now=now)
    began = time.perf_counter()
    run = ingest.run(connection.pk)
    seconds = time.perf_counter() - began
    assert run is not None and run.state == "completed" and run.result == "success", run and (run.result, run.error)
    return seconds


def copy_and_merge() -> float:
    """Write the same rows by COPY into a temporary table and one merge into an empty table of the same shape."""
    columns = ", ".join(COLUMNS)
    with database.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM schedule_event")  # noqa: S608 - our own column names
        rows = cursor.fetchall()
        cursor.execute("DROP TABLE IF EXISTS bench_event")
        cursor.execute("CREATE TABLE bench_event (LIKE schedule_event INCLUDING ALL)")
        began = time.perf_counter()
        cursor.execute("BEGIN")
        cursor.execute("CREATE TEMPORARY TABLE bench_copy (LIKE schedule_event INCLUDING DEFAULTS) ON COMMIT DROP")
        with cursor.cursor.copy(f"COPY bench_copy ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        updated = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
        cursor.execute(
            f"INSERT INTO bench_event ({columns}) SELECT {columns} FROM bench_copy "  # noqa: S608
            f"ON CONFLICT (source, connection, external_id) DO UPDATE SET {updated}"
        )
        cursor.execute("COMMIT")
        return time.perf_counter() - began


def counts() -> dict[str, int]:
    """Return how many rows of each table were ever written, as PostgreSQL counts them."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables")
        return dict(cursor.fetchall())


def memory(name: str) -> int:
    """Return a figure of this process's memory in KiB, as Linux tells it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2].rstrip("/"))))
