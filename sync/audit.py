"""Who changed what about the data source, in sentences, from the histories of settings and connection."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from integrations.models import Connection
from schedule.models import TimetableSettings
from sync import sources

LOOKED_AT = 40
"""Records read for the newest sentences; most of them say one thing."""


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: str
    text: str


def recent(connection: Connection | None, limit: int = 10) -> list[Entry]:
    """Return the newest changes of the timetable's settings and of the connection it is read through."""
    settings = TimetableSettings.history.filter(organization__is_installation=True)
    entries = list(_entries(settings, _about_timetable))
    if connection is not None:
        entries += _entries(Connection.history.filter(id=connection.pk), _about_connection)
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _entries(history: Any, sentences: Any) -> Iterable[Entry]:
    records = list(history.select_related("history_user").order_by("-history_date", "-history_id")[:LOOKED_AT])
    for record, before in pairwise(records):
        who = record.history_user.get_username() if record.history_user else "Callboard"
        for text in sentences(before, record):
            yield Entry(record.history_date, who, text)


def _about_timetable(before: Any, after: Any) -> Iterable[str]:
    names = sources.names()
    if before.data_source != after.data_source:
        yield f"Switched to {names.get(after.data_source, after.data_source)}"
    if before.stale_limit_minutes != after.stale_limit_minutes:
        yield f"Stale limit {before.stale_limit_minutes} → {after.stale_limit_minutes} minutes"
    if before.show_cancelled != after.show_cancelled:
        yield f"Cancelled classes {'shown' if after.show_cancelled else 'hidden'}"
    if before.fallback_order != after.fallback_order:
        yield f"Stand-ins: {_in_order(after.fallback_order, names)}"


def _about_connection(before: Any, after: Any) -> Iterable[str]:
    if before.is_enabled != after.is_enabled:
        yield f"Sync turned {'on' if after.is_enabled else 'off'}"
    if before.interval_minutes != after.interval_minutes:
        yield f"Interval {before.interval_minutes} → {after.interval_minutes} minutes"
    if before.timeout_seconds != after.timeout_seconds:
        yield f"Time limit {before.timeout_seconds} → {after.timeout_seconds} seconds"
    if before.retries != after.retries:
        yield f"Retries {before.retries} → {after.retries}"
    if before.base_url != after.base_url:
        yield f"Address of {after.name} changed"
    if before.settings.get("key_ending") != after.settings.get("key_ending"):
        yield f"Key of {after.name} changed"


def _in_order(order: Iterable[str], names: Mapping[str, str]) -> str:
    return ", then ".join(names.get(name, name) for name in order)
