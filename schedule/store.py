"""The one writer of the event table.

`apply` writes a set of changes in one transaction: rows, history, tombstones, closed days, the source's state and the
revision numbers that caches and feeds use. Everything costly (effective values, VEVENT texts, SQL parameters) is prepared
before the transaction begins. A row that somebody else changed since it was read is never overwritten: `Moved` is raised,
nothing is written, and the caller reads and plans again.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import Q

from schedule import timetable, vevent
from schedule.differences import Changes, ClosureValues, Known, SourceRead
from schedule.models import Change, ChangeKind, Closure, Counter, Event, EventStatus, Organization, SourceState
from schedule.values import VALUE_FIELDS, EventValues, Incoming, from_canonical

T = TypeVar("T")
BATCH = 500
"""Ids in one query: SQLite takes at most 32,766 parameters, and 250,000 in newer builds."""
EFFECT_FIELDS = (
    "title", "starts_at", "ends_at", "status", "status_reason", "location", "room", "instructor_name", "class_type_name",
    "level", "capacity", "description",
)  # fmt: skip
RESEQUENCED = ("starts_at", "ends_at", "status", "location", "room")
"""A change of these raises SEQUENCE (RFC 5545, 3.8.7.4; the place too, since people go there)."""


class Moved(Exception):
    """A row changed between reading and writing; nothing was written. Read again and plan again."""


@dataclass(slots=True)
class Row:
    """One row of the event table, all its columns in this order, ready for the one INSERT."""

    id: UUID
    source: str
    connection: str
    external_id: str
    uid: str
    organization_id: int
    fingerprint: str
    provider_values: str
    payload: str | None
    booked: int | None
    waitlist: int | None
    # The fields of EventValues, in their order; effective, once `_show` has been here.
    title: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    kind: str
    status: str
    description: str
    all_day: bool
    series_id: str
    original_start: datetime | None
    place_id: int | None
    location: str
    room: str
    instructor_id: int | None
    instructor_key: str
    instructor_name: str
    instructor_image: str
    class_type_id: int | None
    class_type_name: str
    level: str
    capacity: int | None
    price: str
    is_private: bool
    external_url: str
    # What the store adds.
    sequence: int = 0
    status_reason: str = ""
    revised_at: datetime = datetime.min
    revision: int = 0
    deleted_at: datetime | None = None
    vevent: str = ""
    owner_id: int | None = None
    client_id: int | None = None


COLUMNS = tuple(field.name for field in fields(Row))
REFERENCES = ("place_id", "instructor_id", "class_type_id")
IDENTITY = ("id", "uid", "source", "connection", "external_id")
JSON_COLUMNS = ("provider_values", "payload")
_values_of = attrgetter(*VALUE_FIELDS)


@dataclass(frozen=True, slots=True)
class World:
    """The stored rows of one source as they were at `revision`, by external id."""

    revision: int
    rows: dict[str, Known]


@dataclass(frozen=True, slots=True)
class Applied:
    """What one `apply` wrote. `revision` is None when nothing but live counts or the source's state was written."""

    revision: int | None
    created: int = 0
    changed: int = 0
    removed: int = 0
    live: int = 0


@dataclass(slots=True)
class _Prepared:
    rows: list[Row]
    history: list[tuple[UUID, str, str | None, str | None, str | None]]
    renamed: list[tuple[UUID, str]]
    reconsidered: int = 0


# --- reading ----------------------------------------------------------------------------------------------------------


def revision(name: str = Counter.EVENTS) -> int:
    """Return how far the counter has risen; 0 before its first rise."""
    return Counter.objects.filter(name=name).values_list("value", flat=True).first() or 0


def known(source: str, connection: str, *, since: datetime, ids: Iterable[str] = ()) -> World:
    """Return the source's stored rows that start at or after `since`, tombstones included, and those named by `ids`."""
    at = revision()
    rows = {row.external_id: row for row in _known(Q(source=source, connection=connection, starts_at__gte=since))}
    earlier = Event.objects.filter(source=source, connection=connection, starts_at__lt=since)
    missing = [external_id for external_id in ids if external_id not in rows]
    if missing and earlier.exists():
        for batch in _batches(missing):
            found = _known(Q(source=source, connection=connection, starts_at__lt=since, external_id__in=batch))
            rows.update((row.external_id, row) for row in found)
    return World(at, rows)


def _known(where: Q) -> Iterable[Known]:
    columns = Event.objects.filter(where).values_list(
        "id", "external_id", "fingerprint", "starts_at", "deleted_at", "status", "booked", "waitlist",
        "class_type_name", "location", "instructor_name",
    )  # fmt: skip
    for row in columns.iterator(chunk_size=2000):
        event_id, external_id, fingerprint, starts_at, deleted_at, status, *rest = row
        cancelled = status == EventStatus.CANCELLED
        yield Known(event_id, external_id, fingerprint, starts_at, deleted_at is not None, cancelled, *rest)  # type: ignore[arg-type]  # the columns' order is Known's


# --- writing ----------------------------------------------------------------------------------------------------------


def apply(changes: Changes, *, cause: str, now: datetime) -> Applied:
    """Write the changes, whole or not at all, and return what was written.

    Nothing is written to the event table, the history or the counters when there is nothing to change. Raises Moved.
    """
    prepared = _prepare(changes, now)
    if not prepared.rows and not changes.lives and changes.closures is None:
        if changes.read:
            note_read(changes.source, changes.connection, changes.read)
        return Applied(None)
    with transaction.atomic():
        at: int | None = None
        if prepared.rows:
            at = _raise_counter(Counter.EVENTS)
            _rename(prepared.renamed)
            _write_rows(prepared.rows, at, changes.based_on)
            _write_history(prepared.history, at, cause, now)
        _write_lives(changes)
        closures_changed = _write_closures(changes)
        if changes.read:
            note_read(changes.source, changes.connection, changes.read)
        if closures_changed or ((prepared.rows or changes.lives) and _is_public(changes.source)):
            bump_publication()
    return Applied(
        at,
        len(changes.creates),
        len(changes.updates) + prepared.reconsidered,
        len(changes.removals),
        len(changes.lives),
    )


def settle(plan: Callable[[], Changes], *, cause: str, now: datetime, tries: int = 3) -> Applied:
    """Apply what `plan` returns; when a row moved meanwhile, plan again. Raises Moved after the last try."""
    for _ in range(tries - 1):
        try:
            return apply(plan(), cause=cause, now=now)
        except Moved:
            continue
    return apply(plan(), cause=cause, now=now)


def reconsider(first: date, last: date, *, cause: str, now: datetime) -> Applied:
    """Compute the effective values of the days `first` to `last` (included) again, after a closure changed."""
    return settle(
        lambda: Changes("manual", "manual", based_on=revision(), reconsider=(first, last)), cause=cause, now=now
    )


def note_read(source: str, connection: str, read: SourceRead) -> None:
    """Record that the source was read completely and the answer accepted, or unchanged."""
    SourceState.objects.update_or_create(
        source=source,
        connection=connection,
        defaults={
            "last_complete_at": read.completed_at,
            "covered_from": read.covered_from,
            "covered_until": read.covered_until,
            "interval_minutes": read.interval_minutes,
            "last_run": read.run,
        },
    )


def bump_publication() -> int:
    """Raise the revision that every public page, answer and feed depends on; they are new with the next request."""
    return _raise_counter(Counter.PUBLICATION)


def _is_public(source: str) -> bool:
    return source == "manual" or source in settings.TIMETABLE_SOURCES


# --- preparing --------------------------------------------------------------------------------------------------------


def _prepare(changes: Changes, now: datetime) -> _Prepared:
    organization = Organization.installation()
    closures = _closures_after(changes)
    show = _Shower(closures, organization)
    prepared = _Prepared([], [], [])
    for incoming in changes.creates:
        row = _new_row(incoming, changes, organization.pk)
        show.row(row, row)
        row.revised_at = now
        row.vevent = vevent.render(row)
        prepared.rows.append(row)
        prepared.history.append((row.id, ChangeKind.CREATED, None, incoming.text, None))
    stored = _stored_rows([update.known.id for update in changes.updates] + [gone.id for gone in changes.removals])
    for update in changes.updates:
        if (old := stored.get(update.known.id)) is None:
            raise Moved
        _prepare_update(prepared, show, old, update.incoming, now)
    for gone in changes.removals:
        if (old := stored.get(gone.id)) is None:
            raise Moved
        _prepare_removal(prepared, old, now)
    _prepare_reconsidered(prepared, show, changes, stored, now)
    return prepared


def _new_row(incoming: Incoming, changes: Changes, organization_id: int) -> Row:
    event_id = uuid.uuid4()
    return Row(
        event_id,
        changes.source,
        changes.connection,
        incoming.external_id,
        f"{event_id}@callboard",
        organization_id,
        incoming.fingerprint,
        incoming.text,
        incoming.payload.decode() if incoming.payload is not None else None,
        incoming.live.booked,
        incoming.live.waitlist,
        *_values_of(incoming.values),
    )


def _prepare_update(prepared: _Prepared, show: "_Shower", old: Row, incoming: Incoming, now: datetime) -> None:
    new = _copy(old)
    new.fingerprint, new.provider_values = incoming.fingerprint, incoming.text
    new.payload = incoming.payload.decode() if incoming.payload is not None else None
    new.booked, new.waitlist = incoming.live.booked, incoming.live.waitlist
    show.row(new, incoming.values)
    new.deleted_at = None
    kind = ChangeKind.RESTORED if old.deleted_at else ChangeKind.CHANGED
    _revise(prepared, old, new, now)
    prepared.history.append((new.id, kind, old.provider_values, incoming.text, _effect(old, new)))
    if old.external_id != incoming.external_id:
        new.external_id = incoming.external_id
        prepared.renamed.append((new.id, incoming.external_id))


def _prepare_removal(prepared: _Prepared, old: Row, now: datetime) -> None:
    new = _copy(old)
    new.deleted_at, new.status = now, EventStatus.CANCELLED.value
    _revise(prepared, old, new, now)
    prepared.history.append((new.id, ChangeKind.REMOVED, old.provider_values, None, _effect(old, new)))


def _prepare_reconsidered(
    prepared: _Prepared, show: "_Shower", changes: Changes, stored: dict[UUID, Row], now: datetime
) -> None:
    """Bring rows under (or out of) closed days that this set of changes moves, whichever source they are of."""
    for first, last in _days_to_reconsider(changes, show.closures):
        since, until = timetable.bounds(first, last, show.zone)
        live = Q(starts_at__gte=since, starts_at__lt=until, deleted_at__isnull=True)
        for old in _rows(live):
            if old.id in stored:
                continue
            new = _copy(old)
            show.row(new, from_canonical(orjson.loads(old.provider_values)))
            for name in REFERENCES:  # what they named when it was said may have been deleted since
                setattr(new, name, getattr(old, name))
            if (effect := _effect(old, new)) is not None:
                stored[old.id] = old
                _revise(prepared, old, new, now)
                prepared.history.append((new.id, ChangeKind.CHANGED, old.provider_values, old.provider_values, effect))
                prepared.reconsidered += 1


def _revise(prepared: _Prepared, old: Row, new: Row, now: datetime) -> None:
    if (old.deleted_at is None) != (new.deleted_at is None) or any(
        getattr(old, name) != getattr(new, name) for name in RESEQUENCED
    ):
        new.sequence += 1
    new.revised_at = now
    new.vevent = vevent.render(new)
    prepared.rows.append(new)


def _effect(old: Row, new: Row) -> str | None:
    changed = {
        name: [getattr(old, name), getattr(new, name)]
        for name in EFFECT_FIELDS
        if getattr(old, name) != getattr(new, name)
    }
    return orjson.dumps(changed, option=orjson.OPT_UTC_Z).decode() if changed else None


class _Shower:
    """Turns what a source said into what members are shown: today that is closed days."""

    def __init__(self, closures: Sequence[ClosureValues], organization: Organization) -> None:
        self.closures = closures
        self.zone = organization.zone

    def row(self, row: Row, said: "EventValues | Row") -> None:
        if row is not said:
            for name in VALUE_FIELDS:
                setattr(row, name, getattr(said, name))
        row.status_reason = ""
        if self.closures and (closure := self._closure_on(said.starts_at)):
            row.status, row.status_reason = EventStatus.CANCELLED.value, closure.name

    def _closure_on(self, at: datetime) -> ClosureValues | None:
        day = at.astimezone(self.zone).date()
        return next((closure for closure in self.closures if closure.covers(day)), None)


def _closures_after(changes: Changes) -> list[ClosureValues]:
    kept = Closure.objects.all()
    if changes.closures is not None:
        kept = kept.exclude(source=changes.source, connection=changes.connection)
    after = [ClosureValues(*row) for row in kept.values_list("first_on", "last_on", "name")]
    return after + list(changes.closures or ())


def _days_to_reconsider(changes: Changes, after: Sequence[ClosureValues]) -> list[tuple[date, date]]:
    days = [changes.reconsider] if changes.reconsider else []
    if changes.closures is not None:
        before = {
            ClosureValues(*row)
            for row in Closure.objects.filter(source=changes.source, connection=changes.connection).values_list(
                "first_on", "last_on", "name"
            )
        }
        days += [(closure.first_on, closure.last_on) for closure in before ^ set(changes.closures)]
    return days


# --- SQL --------------------------------------------------------------------------------------------------------------


def _copy(row: Row) -> Row:
    return Row(*_columns_of(row))


_columns_of = attrgetter(*COLUMNS)


def _stored_rows(ids: Sequence[UUID]) -> dict[UUID, Row]:
    return {row.id: row for batch in _batches(ids) for row in _rows(Q(id__in=batch))}


def _rows(where: Q) -> list[Row]:
    found = [Row(*values) for values in Event.objects.filter(where).values_list(*COLUMNS)]
    for row in found:
        # Stored JSON comes back parsed; canonical text goes back in, so that equal values stay equal bytes.
        row.provider_values = orjson.dumps(row.provider_values, option=orjson.OPT_SORT_KEYS).decode()
        row.payload = orjson.dumps(row.payload).decode() if row.payload is not None else None
    return found


def _write_rows(rows: Sequence[Row], at: int, based_on: int) -> None:
    for row in rows:
        row.revision = at
    placeholders = ", ".join(_placeholder(name) for name in COLUMNS)
    updated = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in IDENTITY)
    sql = (
        f"INSERT INTO schedule_event ({', '.join(COLUMNS)}) VALUES ({placeholders}) "  # noqa: S608 - only our own column names
        f"ON CONFLICT (source, connection, external_id) DO UPDATE SET {updated} "
        f"WHERE schedule_event.revision <= {int(based_on)}"
    )
    if _execute_many(sql, list(_parameters(rows))) != len(rows):
        raise Moved


def _execute_many(sql: str, parameters: Sequence[Sequence[Any]]) -> int:
    """Run one statement for every row and return how many rows it touched.

    On PostgreSQL by a prepared statement, bound on the server: planned once instead of for every row, which makes it more
    than three times as fast for a statement of this width (Django's own cursor never prepares).
    """
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            cursor.executemany(sql, parameters)
            return int(cursor.rowcount)
    import psycopg  # noqa: PLC0415 - the embedded mode runs without PostgreSQL's client library

    database.ensure_connection()
    raw: psycopg.Connection[Any] = database.connection
    threshold, raw.prepare_threshold = raw.prepare_threshold, 0
    try:
        with database.wrap_database_errors, psycopg.Cursor(raw) as prepared:
            prepared.executemany(sql, parameters)
            return prepared.rowcount
    finally:
        raw.prepare_threshold = threshold


def _parameters(rows: Sequence[Row]) -> Iterable[Sequence[Any]]:
    """Yield each row's columns in the form that the database's driver takes."""
    if database.vendor == "postgresql":
        return map(_columns_of, rows)
    adapt = database.ops.adapt_datetimefield_value
    instants = [
        i
        for i, name in enumerate(COLUMNS)
        if name in ("starts_at", "ends_at", "original_start", "revised_at", "deleted_at")
    ]

    def adapted(row: Row) -> list[Any]:
        values = list(_columns_of(row))
        values[0] = row.id.hex
        for i in instants:
            values[i] = adapt(values[i])
        return values

    return map(adapted, rows)


def _placeholder(name: str) -> str:
    return "%s::jsonb" if name in JSON_COLUMNS and database.vendor == "postgresql" else "%s"


def _write_history(
    history: Sequence[tuple[UUID, str, str | None, str | None, str | None]], at: int, cause: str, now: datetime
) -> None:
    json = "%s::jsonb" if database.vendor == "postgresql" else "%s"
    plain = database.vendor != "postgresql"
    moment: Any = database.ops.adapt_datetimefield_value(now) if plain else now
    sql = (
        f"INSERT INTO {Change._meta.db_table} (event_id, kind, cause, at, revision, before, after, effect) "  # noqa: S608
        f"VALUES (%s, %s, %s, %s, %s, {json}, {json}, {json})"
    )
    _execute_many(
        sql,
        [
            (event_id.hex if plain else event_id, str(kind), cause, moment, at, before, after, effect)
            for event_id, kind, before, after, effect in history
        ],
    )


def _write_lives(changes: Changes) -> None:
    if not changes.lives:
        return
    plain = database.vendor != "postgresql"
    _execute_many(
        "UPDATE schedule_event SET booked = %s, waitlist = %s WHERE id = %s",
        [(live.booked, live.waitlist, event_id.hex if plain else event_id) for event_id, live in changes.lives],
    )


def _rename(renamed: Sequence[tuple[UUID, str]]) -> None:
    for event_id, external_id in renamed:
        Event.objects.filter(pk=event_id).update(external_id=external_id)


def _write_closures(changes: Changes) -> bool:
    if changes.closures is None:
        return False
    mine = Closure.objects.filter(source=changes.source, connection=changes.connection)
    before = {
        ClosureValues(first, last, name): pk
        for pk, first, last, name in mine.values_list("pk", "first_on", "last_on", "name")
    }
    wanted = set(changes.closures)
    gone = [pk for closure, pk in before.items() if closure not in wanted]
    if gone:
        mine.filter(pk__in=gone).delete()
    organization = Organization.installation()
    added = [closure for closure in changes.closures if closure not in before]
    for closure in dict.fromkeys(added):
        Closure.objects.create(
            organization=organization,
            name=closure.name,
            first_on=closure.first_on,
            last_on=closure.last_on,
            source=changes.source,
            connection=changes.connection,
        )
    return bool(gone or added)


def _raise_counter(name: str) -> int:
    """Add one and return the new value. The row stays locked until the transaction ends: writers take their turns."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO schedule_counter (name, value) VALUES (%s, 1) "
            "ON CONFLICT (name) DO UPDATE SET value = schedule_counter.value + 1 RETURNING value",
            [name],
        )
        value: int = cursor.fetchone()[0]
    return value


def _batches(items: Sequence[T]) -> Iterable[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
