"""Records of an answer -> dated events: value rules, identity, weekly expansion, instants, the gym's own names. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from integrations.records import EventRecord, Fetched, Instant, ItemFinding, RecordStatus, WallTime
from schedule import timetable
from schedule.models import ClassType
from schedule.names import Named, Names
from schedule.values import EventValues, Incoming, Live
from sync import checks, plan


@dataclass(slots=True)
class Import:
    """A complete answer as dated events, with what was odd about it."""

    incoming: list[Incoming] = field(default_factory=list)
    findings: list[ItemFinding] = field(default_factory=list)
    invalid: int = 0
    hidden: set[str] = field(default_factory=set)
    """Ids of records that the provider has deleted or not published."""


def read_import(fetched: Fetched, names: Names, zone: ZoneInfo, asked: tuple[date, date]) -> Import:
    """Turn an answer's records into dated events: value rules, identity, weekly expansion, instants. Pure.

    `zone` is the gym's, for times whose answer and record name none; `asked` are the gym's days, both included.
    """
    result = Import(findings=list(fetched.findings))
    result.invalid = sum(finding.hard for finding in fetched.findings)
    chosen: dict[str, EventRecord] = {}
    weekly: list[tuple[str, EventRecord]] = []
    keys: dict[str, int] = {}
    dated: list[tuple[str, EventRecord]] = []
    for place, record in enumerate(fetched.records, start=1):
        name = record.external_id or f"#{place}"
        odd = list(checks.record_findings(record, name, asked))
        if odd:
            result.findings += odd
            if any(finding.hard for finding in odd):
                result.invalid += 1
                continue
        if record.status is RecordStatus.HIDDEN:
            result.hidden.add(record.external_id)
            continue
        key = record.external_id or _key(record, keys)
        (weekly if checks.day_of(record) is None else dated).append((key, record))
    occurrences = _expand(weekly, asked, result)
    for key, record in dated:
        day = checks.day_of(record)
        if day is None or not checks.is_near(day, asked):
            continue
        external_id = _replaced(occurrences, record, day) or key
        chosen[external_id] = _newest(chosen.get(external_id), record, external_id, result)
    for external_id, occurrence in occurrences.ids.items():
        chosen.setdefault(external_id, occurrence)
    values = _Reader(names, _zone(fetched.zone, zone), result)
    result.incoming = [values.incoming(external_id, record) for external_id, record in chosen.items()]
    return result


@dataclass(slots=True)
class _Occurrences:
    """Weekly records, dated: by external id, and by what a dated record that replaces one would say."""

    ids: dict[str, EventRecord] = field(default_factory=dict)
    by_series: dict[tuple[str, date], str] = field(default_factory=dict)
    by_slot: dict[tuple[object, ...], str] = field(default_factory=dict)


def _expand(weekly: Iterable[tuple[str, EventRecord]], asked: tuple[date, date], result: Import) -> _Occurrences:
    found = _Occurrences()
    for key, record in weekly:
        when = record.when
        if not isinstance(when, WallTime) or when.weekday is None:
            continue
        for day in timetable.occurrences(when.weekday, *asked):
            external_id = f"{key}/{day}"
            dated = WallTime(when.start, day, when.weekday, when.end, when.minutes, when.zone)
            occurrence = replace(record, when=dated)
            found.ids[external_id] = _newest(found.ids.get(external_id), occurrence, external_id, result)
            if record.series_id:
                found.by_series[record.series_id, day] = external_id
            found.by_slot[_slot(record, when.start, day)] = external_id
    return found


def _replaced(occurrences: _Occurrences, record: EventRecord, day: date) -> str:
    """Return the id of the weekly occurrence that this dated record stands for, if any, so that its row is kept."""
    if not occurrences.ids:
        return ""
    if record.series_id and (found := occurrences.by_series.get((record.series_id, day))):
        return found
    start = record.when.start if isinstance(record.when, WallTime) else None
    return occurrences.by_slot.get(_slot(record, start, day), "")


def _slot(record: EventRecord, start: object, day: date) -> tuple[object, ...]:
    return day, start, ClassType.key(record.class_type), record.place.name if record.place else ""


def _newest(old: EventRecord | None, new: EventRecord, external_id: str, result: Import) -> EventRecord:
    if old is None:
        return new
    result.findings.append(ItemFinding("duplicate", "The same class came twice; the newest is kept.", external_id))
    earliest = datetime.min.replace(tzinfo=UTC)
    return new if (new.updated_at or earliest) >= (old.updated_at or earliest) else old


def _key(record: EventRecord, used: dict[str, int]) -> str:
    """Make an id for a record without one: from day, start, class type and place, numbered when several are equal."""
    when = record.when
    if isinstance(when, WallTime):
        moment = f"{when.on or when.weekday}|{when.start}"
    else:
        moment = when.starts_at.astimezone(UTC).isoformat()
    said = f"{moment}|{ClassType.key(record.class_type)}|{record.place.name.casefold() if record.place else ''}"
    digest = blake2b(said.encode(), digest_size=12).hexdigest()
    used[digest] = used.get(digest, 0) + 1
    return f"{plan.KEY_MARK}{digest}" + (f".{used[digest]}" if used[digest] > 1 else "")


_NOBODY = Named(None, "")


class _Reader:
    """Turns one dated record into an event, remembering what names meant."""

    def __init__(self, names: Names, zone: ZoneInfo, result: Import) -> None:
        self.zone = zone
        self.result = result
        self.unknown: set[str] = set()
        # A week names the same few types, coaches and places over and over.
        self.class_type = lru_cache(maxsize=1024)(names.class_type)
        self.coach = lru_cache(maxsize=1024)(names.coach)
        self.place = lru_cache(maxsize=1024)(names.place)

    def incoming(self, external_id: str, record: EventRecord) -> Incoming:
        kind = self.class_type(record.class_type)
        if kind.id is None:
            self._report_type(kind.name)
        starts_at, ends_at, zone = self._times(external_id, record, kind.default_minutes)
        person, coach = record.instructor, self.coach(record.instructor.name) if record.instructor else _NOBODY
        place, here = record.place, self.place(record.place.name) if record.place else _NOBODY
        values = EventValues(
            title=self._title(record, kind.name),
            starts_at=starts_at,
            ends_at=ends_at,
            timezone=zone,
            status="cancelled" if record.status is RecordStatus.CANCELLED else "confirmed",
            description=record.notes,
            series_id=record.series_id,
            place_id=here.id,
            location=here.name,
            room=place.room if place else "",
            instructor_id=coach.id,
            instructor_key=person.external_id if person else "",
            instructor_name=coach.name,
            instructor_image=person.photo_url if person else "",
            class_type_id=kind.id,
            class_type_name=kind.name,
            level=record.level,
            capacity=record.capacity,
            external_url=record.external_url,
        )
        payload = orjson.dumps(record.payload, default=str) if record.payload else None
        return Incoming.of(external_id, values, Live(record.booked, record.waitlist), payload)

    def _title(self, record: EventRecord, type_name: str) -> str:
        """Return the title; where the provider only repeats the class type, the gym's own spelling of it."""
        return type_name if not record.title or record.title == record.class_type else record.title

    def _report_type(self, name: str) -> None:
        if name and name not in self.unknown:
            self.unknown.add(name)
            message = f"Class type {name!r} is not in the gym's list; shown as it came."
            self.result.findings.append(ItemFinding("unknown_class_type", message, name))

    def _times(self, external_id: str, record: EventRecord, default_minutes: int) -> tuple[datetime, datetime, str]:
        when = record.when
        if isinstance(when, Instant):
            ends_at = when.ends_at or when.starts_at + timedelta(minutes=when.minutes or default_minutes)
            return when.starts_at.astimezone(UTC), ends_at.astimezone(UTC), when.zone or self.zone.key
        zone = _zone(when.zone, self.zone)
        assert when.on is not None  # noqa: S101 - weekly records were expanded
        if when.end is None and when.minutes is None:
            self.result.findings.append(
                ItemFinding("assumed_length", f"No end given; {default_minutes} minutes assumed.", external_id)
            )
        span = timetable.span(
            when.on, when.start, end=when.end, minutes=when.minutes, zone=zone, default_minutes=default_minutes
        )
        for note in span.notes:
            self.result.findings.append(
                ItemFinding("clock_change", f"The clocks change: this local time is {note}.", external_id)
            )
        return span.starts_at, span.ends_at, zone.key


def _zone(name: str, default: ZoneInfo) -> ZoneInfo:
    if not name or name == default.key:
        return default
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return default
