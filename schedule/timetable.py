"""Wall-clock times to instants, weekly to dated, and the week as people name it. Pure.

This is the one place that decides what the two clock changes mean: a local time that is skipped moves forward by the gap,
one that comes twice is the first of the two. Instants are aware and in UTC.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

HORIZON_WEEKS = 8
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_CODE = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)

Note = Literal["", "skipped", "repeated"]


# --- times ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    """The instant of a local time, and whether the clocks made it special."""

    at: datetime
    note: Note


@dataclass(frozen=True, slots=True)
class Span:
    """A start and an end (excluded) in UTC, with what the clocks did to either of them."""

    starts_at: datetime
    ends_at: datetime
    notes: tuple[Note, ...]


# A week of classes names few times of day, so an import asks for the same ones over and over: 8 weeks of 96 quarters.
@lru_cache(maxsize=16384)
def bounds(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants at which the days `first` to `last`, both included, begin and end (excluded) in `zone`, in UTC."""
    return resolve(first, time.min, zone).at, resolve(last + timedelta(days=1), time.min, zone).at


def resolve(day: date, wall: time, zone: ZoneInfo) -> Resolved:
    """Return the instant at which clocks in `zone` show `wall` on `day`.

    A time that is skipped there moves forward by the gap (02:30 is read as 03:30, and 12:00 of a day that never was as
    12:00 of the next); of a time that comes twice it is the first. Raises ValueError for a `wall` with a zone of its own.
    """
    if wall.tzinfo is not None:
        raise ValueError("A wall-clock time has no zone of its own.")
    local = datetime.combine(day, wall.replace(fold=0), zone)
    before, after = local.utcoffset(), local.replace(fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError(f"{zone} does not say how far it is from UTC.")
    # PEP 495: in a gap fold=0 reckons with the offset from before it, which lands as far behind it as `wall` stood in it.
    note: Note = "" if before == after else "skipped" if before < after else "repeated"
    return Resolved(local.astimezone(UTC), note)


def span(
    day: date, start: time, *, end: time | None, minutes: int | None, zone: ZoneInfo, default_minutes: int
) -> Span:
    """Return when something begins and ends that starts on `day` at the wall-clock time `start`.

    `end` wins over `minutes`, which is elapsed time; without either it lasts `default_minutes`. An `end` that is not
    after `start` is one of the next day.
    """
    first = resolve(day, start, zone)
    if end is None:
        length = timedelta(minutes=default_minutes if minutes is None else minutes)
        return Span(first.at, first.at + length, (first.note,) if first.note else ())
    last = resolve(day if end > start else day + timedelta(days=1), end, zone)
    notes = tuple(dict.fromkeys(note for note in (first.note, last.note) if note))
    if last.at > first.at:
        return Span(first.at, last.at, notes)
    # The start was skipped and the end, which was not, now lies before it: keep the length that was asked for.
    return Span(first.at, first.at + _between(start, end), notes)


def _between(start: time, end: time) -> timedelta:
    length = datetime.combine(date.min, end) - datetime.combine(date.min, start)
    return length if length > timedelta(0) else length + timedelta(days=1)


# --- days -------------------------------------------------------------------------------------------------------------


def occurrences(weekday: int, first: date, last: date) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included, that are the ISO weekday `weekday` (Monday 1)."""
    for ordinal in range(first.toordinal() + (weekday - first.isoweekday()) % 7, last.toordinal() + 1, 7):
        yield date.fromordinal(ordinal)


def local_today(now: datetime, zone: ZoneInfo) -> date:
    """Return the day that it is in `zone`. Raises ValueError for a naive `now`."""
    if now.tzinfo is None:
        raise ValueError("A naive time says nothing about the day elsewhere.")
    return now.astimezone(zone).date()


def horizon(today: date) -> tuple[date, date]:
    """Return the first and last day (included) that Callboard keeps ahead: 8 weeks from Monday of this week."""
    monday = Week.of(today).monday
    return monday, monday + timedelta(weeks=HORIZON_WEEKS, days=-1)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A week from Monday to Sunday, named as in ISO 8601."""

    monday: date

    def __post_init__(self) -> None:
        if self.monday.isoweekday() != 1:
            raise ValueError(f"{self.monday} is no Monday.")

    @classmethod
    def of(cls, day: date) -> "Week":
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def parse(cls, code: str) -> "Week":
        """Return the week that `code` names, such as "2026-W47". Raises ValueError for anything else."""
        match = _CODE.fullmatch(code)
        if match is None:
            raise ValueError(f"{code!r} does not name a week; write it as 2026-W47.")
        return cls(date.fromisocalendar(int(match[1]), int(match[2]), 1))

    @property
    def first(self) -> date:
        return self.monday

    @property
    def last(self) -> date:
        """Sunday, included."""
        return self.monday + timedelta(days=6)

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.monday + timedelta(days=n) for n in range(7))

    @property
    def code(self) -> str:
        year, number, _ = self.monday.isocalendar()
        return f"{year:04d}-W{number:02d}"

    @property
    def previous(self) -> "Week":
        return Week(self.monday - timedelta(weeks=1))

    @property
    def next(self) -> "Week":
        return Week(self.monday + timedelta(weeks=1))

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the instants at which the week begins and ends (excluded) in `zone`, in UTC."""
        return bounds(self.first, self.last, zone)

    @property
    def heading(self) -> str:
        """The week in words: "Mon 23 – Sun 29 November", with month and year said twice only where they differ."""
        first, last = self.first, self.last
        start = f"{DAY_NAMES[0]} {first.day}"
        if first.month != last.month:
            start += f" {MONTH_NAMES[first.month - 1]}"
        if first.year != last.year:
            start += f" {first.year}"
        end = f"{DAY_NAMES[6]} {last.day} {MONTH_NAMES[last.month - 1]}"
        return f"{start} – {end}" + (f" {last.year}" if first.year != last.year else "")
