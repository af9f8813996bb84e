"""`make bench`: measures, prints a table of ratios with their bounds, and writes bench/results/*.json."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from bench.control import control

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@127.0.0.1:5432/postgres"
REPETITIONS = 3
PACKAGES = ("django", "celery", "psycopg", "requests", "orjson")


@dataclass(frozen=True)
class Row:
    what: str
    value: float
    unit: str
    bound: str
    reached: bool


def main() -> int:
    with sandbox_process() as address:
        small, large = (measure(events, address) for events in (1_000, 10_000))
    rows = judge(small, large)
    show(rows, large)
    save(rows, small, large)
    return 0 if all(row.reached for row in rows) else 1


def measure(events: int, sandbox: str) -> list[dict[str, Any]]:
    """Return the repetitions for that many events. One more goes first and is thrown away: the sandbox, whose own work
    is not what is measured, makes its pages when they are first asked for, and keeps them."""
    control(sandbox, "switches", {"rate_limit": None})
    control(sandbox, "mode", {"mode": "bulk", "count": events})
    return [repetition(events, sandbox) for _ in range(1 + REPETITIONS)][1:]


def judge(small: list[dict[str, Any]], large: list[dict[str, Any]]) -> list[Row]:
    """Return each bound's figure: the median over the repetitions of the ratio within one repetition."""

    def median(ratio: str, over: str) -> float:
        return statistics.median(run[ratio] / run[over] for run in large)

    first = median("copy_seconds", "first_seconds")
    memory = max(run["memory_mib"] for run in large)
    unchanged = median("unchanged_304_seconds", "first_seconds")
    full = median("unchanged_full_seconds", "first_seconds")
    growth = statistics.median(run["first_seconds"] for run in large) / statistics.median(
        run["first_seconds"] for run in small
    )
    writes = max(
        sum(run["writes_full"][name] for name in ("schedule_event", "schedule_change", "schedule_counter"))
        for run in large
    )
    bounded = max(
        sum(count for name, count in run["writes_full"].items() if not name.startswith("schedule_e")) for run in large
    )
    return [
        Row(
            "first import of 10,000 events / COPY + merge of the same rows (events/s)",
            first,
            "",
            ">= 0.12",
            first >= 0.12,
        ),
        Row("memory of that run above the idle worker", memory, "MiB", "<= 150", memory <= 150),
        Row("sync of 10,000 unchanged, every page 304 / first import", unchanged, "", "<= 0.05", unchanged <= 0.05),
        Row("sync of 10,000 unchanged, full answers / first import", full, "", "<= 0.60", full <= 0.60),
        Row("  its writes to event, change and revision tables", writes, "rows", "= 0", writes == 0),
        Row("  its writes to run, job, audit and state tables", bounded, "rows", "<= 20", bounded <= 20),
        Row("first import: time for 10,000 / time for 1,000", growth, "", "<= 11", growth <= 11),
    ]


def show(rows: list[Row], large: list[dict[str, Any]]) -> None:
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(
            f"{row.what:<{width}}  {row.value:8.3f} {row.unit:<5} {row.bound:>8}  {'ok' if row.reached else 'MISSED'}"
        )
    middle = sorted(large, key=lambda run: run["first_seconds"])[len(large) // 2]
    total = middle["first_seconds"]
    print(
        f"\nfirst import, {middle['events'] / total:,.0f} events/s; COPY + merge {middle['events'] / middle['copy_seconds']:,.0f}"
    )
    for name, milliseconds in middle["timings_first_ms"].items():
        print(f"  {name:<12} {milliseconds:8.0f} ms  {milliseconds / 10 / total:5.1f} %")


def save(rows: list[Row], small: list[dict[str, Any]], large: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    said = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "rows": [vars(row) for row in rows],
        "repetitions": {"1000": small, "10000": large},
    }
    path = RESULTS / f"sync-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(said, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(ROOT)}")


def repetition(events: int, sandbox: str) -> dict[str, Any]:
    """Run one repetition in a database and a process of its own."""
    with database() as address:
        environment = os.environ | {
            "DATABASE_URL": address,
            "CALLBOARD_DATA_DIR": str(ROOT / "data" / "bench"),
            "ALLOW_PRIVATE_ADDRESSES": "1",
            "LOG_LEVEL": "ERROR",
        }
        environment.pop("REDIS_URL", None)
        done = subprocess.run(
            [sys.executable, "-m", "bench.sync_run", str(events), sandbox],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def database() -> Iterator[str]:
    name = f"callboard_bench_{uuid4().hex[:8]}"
    on_server(f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
    finally:
        on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def on_server(statement: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]  # the name is made here


@contextmanager
def sandbox_process() -> Iterator[str]:
    """Start the sandbox as a process of its own, as in production of load: it must not share the worker's interpreter."""
    process = subprocess.Popen(
        [sys.executable, "-m", "integrations.sandbox", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/.,")
    finally:
        process.terminate()
        process.wait(timeout=10)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
