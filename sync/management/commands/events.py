"""Print the rows of one source, for scripts, backups and the curious."""

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from schedule.models import Event

KEYS = ("external_id", "uid", "title", "starts_at", "ends_at", "status", "capacity", "booked", "revision")
ROWS_AT_A_TIME = 1000


class Command(BaseCommand):
    help = "Print the events of a source in the order of their start; cancelled ones too, removed ones not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", required=True, choices=settings.EVENT_SOURCES)
        parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON array")

    def handle(self, *args: Any, source: str, as_json: bool, **options: Any) -> None:
        rows = Event.objects.live().filter(source=source).order_by("starts_at", "external_id").values(*KEYS)
        found = map(_row, rows.iterator(chunk_size=ROWS_AT_A_TIME))
        try:
            for line in _json(found) if as_json else _table(found):
                self.stdout.write(line)
            self.stdout.flush()
        except BrokenPipeError:
            # Whoever reads, such as `head`, has enough. What is still buffered goes nowhere, or Python's exit would fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _instant(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of one array, so that a long list needs no memory."""
    before = "["
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False)
        before = ","
    yield "]" if before == "," else "[]"


def _table(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f"{'starts (UTC)':17}{'status':11}{'booked':>7} {'capacity':>8}  title"
    for row in rows:
        booked, capacity = ("–" if row[name] is None else row[name] for name in ("booked", "capacity"))
        starts = row["starts_at"][:16].replace("T", " ")
        yield f"{starts:17}{row['status']:11}{booked:>7} {capacity:>8}  {row['title']}"
