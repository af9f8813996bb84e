"""What leaves an adapter: typed records in our terms, with times as the provider gave them.

`sync.ingest` turns wall times into instants and weekly records into dated rows; an adapter never does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum


class RecordStatus(StrEnum):
    ACTIVE = "active"
    CANCELLED = "cancelled"
    HIDDEN = "hidden"
    """Deleted or a draft at the provider: known, but not to be shown."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    external_id: str
    name: str
    photo_url: str = ""


@dataclass(frozen=True, slots=True)
class PlaceRecord:
    external_id: str
    name: str
    room: str = ""


@dataclass(frozen=True, slots=True)
class WallTime:
    """A local time as the provider gave it: on the day `on`, or every week on `weekday` (ISO, Monday 1), in `zone`.

    An empty zone means the gym's own. `end` before or equal to `start` means the next day; None: see `minutes`.
    """

    start: time
    on: date | None = None
    weekday: int | None = None
    end: time | None = None
    minutes: int | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Instant:
    """Aware start and end (excluded; None: see `minutes`), and the zone in which people read them, if it was given."""

    starts_at: datetime
    ends_at: datetime | None = None
    minutes: int | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One class session, weekly slot, appointment or rental, as its provider described it."""

    external_id: str
    """Empty when the provider gave none; `sync.ingest` then makes a key."""
    when: WallTime | Instant
    title: str
    status: RecordStatus = RecordStatus.ACTIVE
    class_type: str = ""
    series_id: str = ""
    instructor: PersonRecord | None = None
    place: PlaceRecord | None = None
    level: str = ""
    capacity: int | None = None
    booked: int | None = None
    waitlist: int | None = None
    notes: str = ""
    external_url: str = ""
    updated_at: datetime | None = None
    payload: Mapping[str, object] = field(default_factory=dict)
    """What the provider sent, lists of people dropped."""


@dataclass(frozen=True, slots=True)
class ItemFinding:
    """Something odd about one item of an answer. `hard` leaves the item out; otherwise it is shown and reported."""

    rule: str
    message: str
    record: str
    """The item's id, or its place in the answer, e.g. `#17`."""
    field: str = ""
    hard: bool = False


@dataclass(frozen=True, slots=True)
class ClosureRecord:
    first_on: date
    last_on: date
    name: str


@dataclass(frozen=True, slots=True)
class Validator:
    """What a later request may send to ask for the same address "only if changed", and the page that followed it."""

    etag: str = ""
    last_modified: str = ""
    next_page: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """One complete answer of a source, all its pages as one unit."""

    records: Sequence[EventRecord] = ()
    findings: Sequence[ItemFinding] = ()
    """About items; those with `hard` set are not in `records`."""
    total: int = 0
    """Items in the answer, readable or not, duplicates of paging removed."""
    removed: Sequence[str] = ()
    """External ids that the provider says are gone; meaningful in differences only."""
    closures: Sequence[ClosureRecord] | None = None
    """None: the answer says nothing about closed days."""
    covered: tuple[date, date] | None = None
    """First and last day (included, gym's zone) for which absence in `records` means removed; None for a difference."""
    zone: str = ""
    """The answer's own zone, for records that name none."""
    cursor: str = ""
    unchanged: bool = False
    """Every page answered 304: nothing else is filled but `covered`, `cursor` and `validators`."""
    generated_at: datetime | None = None
    validators: Mapping[str, Validator] = field(default_factory=dict)
    calls: int = 0
