"""Data-quality rules: what one record may say, and when a whole import is believed. Pure.

A `hard` finding leaves the record out, a soft one is shown and reported. Source: the provider page of Fitbox, section 4.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from integrations.records import EventRecord, ItemFinding, WallTime
from sync.errors import TooManyInvalid

VALID_SHARE_PERCENT = 80
"""Exactly this share still passes."""
CAPACITY_TO_CHECK = 50
MINUTES_RANGE = (10, 480)
DAYS_BEFORE, DAYS_AFTER = 1, 90
"""How far outside the asked days a record is still kept (and reported)."""


def record_findings(record: EventRecord, place: str, asked: tuple[date, date]) -> Iterable[ItemFinding]:
    """Yield what is odd about the values of one record. `place` names it in reports, `asked` are days, both included."""
    if record.capacity is not None and record.capacity <= 0:
        yield ItemFinding(
            "capacity", f"Capacity is {record.capacity}; it must be above 0.", place, "capacity", hard=True
        )
    elif record.capacity is not None and record.capacity > CAPACITY_TO_CHECK:
        yield ItemFinding(
            "capacity_high", f"Capacity is {record.capacity}, above {CAPACITY_TO_CHECK}.", place, "capacity"
        )
    if record.booked is not None and record.booked < 0:
        yield ItemFinding(
            "bookings", f"Bookings are {record.booked}; they cannot be negative.", place, "booked", hard=True
        )
    elif record.booked is not None and record.capacity is not None and record.booked > record.capacity > 0:
        yield ItemFinding(
            "overbooked", f"{record.booked} bookings for {record.capacity} places; shown as full.", place, "booked"
        )
    minutes = _minutes(record)
    if minutes is not None and not MINUTES_RANGE[0] <= minutes <= MINUTES_RANGE[1]:
        yield ItemFinding("duration", f"It lasts {minutes} minutes.", place, "minutes")
    if (day := day_of(record)) is not None and not asked[0] <= day <= asked[1]:
        yield ItemFinding("range", f"{day} lies outside the days asked for.", place, "date")


def is_near(day: date, asked: tuple[date, date]) -> bool:
    """Whether a record of that day is kept: a provider that ignores the asked range must not fill the table for ever."""
    return asked[0] - timedelta(days=DAYS_BEFORE) <= day <= asked[1] + timedelta(days=DAYS_AFTER)


def require_enough_valid(*, total: int, invalid: int) -> None:
    """Raise TooManyInvalid when fewer than 80 % of the items are valid."""
    if (total - invalid) * 100 < VALID_SHARE_PERCENT * total:
        raise TooManyInvalid(
            f"only {total - invalid} of {total} classes could be read; at least {VALID_SHARE_PERCENT} % are required"
        )


def day_of(record: EventRecord) -> date | None:
    """Return the local day of a dated record; None for a weekly one."""
    return record.when.on if isinstance(record.when, WallTime) else record.when.starts_at.date()


def _minutes(record: EventRecord) -> int | None:
    when = record.when
    if not isinstance(when, WallTime):
        return when.minutes if when.ends_at is None else round((when.ends_at - when.starts_at).total_seconds() / 60)
    if when.end is None:
        return when.minutes
    start, end = when.start.hour * 60 + when.start.minute, when.end.hour * 60 + when.end.minute
    return end - start if end > start else end - start + 24 * 60
