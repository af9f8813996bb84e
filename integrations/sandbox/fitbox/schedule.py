"""What the sandbox's Fitbox holds: a data mode, and the edits made over it since the start.

Every edit gets a time of its own, later than all before it, so that ETag, Last-Modified, `updated_at`, `generated_at`
and `removed[]` tell the same story even when the clock stands still.
"""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.sandbox.clock import Clock
from integrations.sandbox.fitbox.changes import (
    added_class,
    booked,
    day_in_id,
    day_of,
    is_stamp,
    minutes_of,
    moved,
    range_of_id,
    stamped,
)
from integrations.sandbox.fitbox.modes import MODES, STILL_MODES, View, holidays_of, with_copies
from integrations.sandbox.fitbox.week import (
    COACHES,
    DAYS,
    DEFAULT_ZONE,
    Payload,
    instant_text,
    monday_of,
    weekly_slots,
)

WEEKS_AHEAD = 8
BULK_COUNT = 1_000
BEGINNING = datetime(2025, 1, 6, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """The classes of a range, what was removed since the start, and the closed days in it."""

    items: list[Any]
    removed: list[Payload]
    holidays: list[Payload]
    newest: datetime  # of all `updated_at` and removals


@dataclass(frozen=True, slots=True)
class _Override:
    fields: Payload
    at: datetime
    origin: date | None  # the day the class was on before it was moved


@dataclass(frozen=True, slots=True)
class _Everywhere:
    """An edit of all classes."""

    bend: Callable[[Any], Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class _Vanished:
    share: float
    at: datetime

    def takes(self, item: Any, position: int) -> bool:
        """Whether this share of the series contains the item; the shares are exact over the gym's 45 slots."""
        number = re.search(r"(\d\d)$", str(item.get("series_id", ""))) if isinstance(item, dict) else None
        rank = int(number[1]) - 1 if number else position
        return int((rank + 1) * self.share) > int(rank * self.share)


class Schedule:
    """The classes, closed days and edits of one Fitbox. All methods may be called from any thread."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock, self._seed = clock, seed
        self._lock = threading.RLock()
        self.version = 0
        self.restore_start()

    def restore_start(self) -> None:
        """The ordinary week, unedited, in the default zone."""
        with self._lock:
            self.mode, self.count, self.zone = "ordinary", BULK_COUNT, ZoneInfo(DEFAULT_ZONE)
            self._raw: list[Any] | None = None
            self._raw_holidays: list[Payload] | None = None
            self._frozen_at: datetime | None = None
            self._still_since: datetime | None = None
            self._mode_since: datetime | None = None
            self._changed_at = BEGINNING
            self._last_range: tuple[date, date] | None = None
            self._forget_edits()
            self.version += 1

    def _forget_edits(self) -> None:
        self._overrides: dict[str, _Override] = {}
        self._removed: dict[str, datetime] = {}
        self._added: list[Payload] = []
        self._bends: list[_Everywhere] = []
        self._vanished: _Vanished | None = None

    # What it holds

    def today(self) -> date:
        return self._clock.now().astimezone(self.zone).date()

    def whole_range(self) -> tuple[date, date]:
        """Monday of this week and the last day of the eight weeks from it."""
        monday = monday_of(self.today())
        return monday, monday + timedelta(weeks=WEEKS_AHEAD, days=-1)

    def seen_at(self) -> datetime:
        """The instant up to which bookings have arrived: the hour, unless bookings are frozen."""
        return self._frozen_at or self._clock.now().replace(minute=0, second=0, microsecond=0)

    def generated_at(self) -> datetime:
        """When the data last changed, whatever the range."""
        moving = self.mode not in STILL_MODES and self._raw is None
        return (
            max(self.seen_at(), self._changed_at) if moving else max(self._still_since or BEGINNING, self._changed_at)
        )

    def listing(self, first: date, last: date, *, moved_away: bool = False) -> Listing:
        """The classes from first to last day (both included, gym-local), weekly slots always.

        With `moved_away` a class that an edit took out of the range is listed at its new date, which an answer with
        differences must tell.
        """
        with self._lock:
            self._last_range = (first, last)
            items, removed = self._edited(first, last, moved_away)
            holidays = holidays_of(self.mode, self.today()) if self._raw_holidays is None else self._raw_holidays
            inside = [day for day in holidays if first.isoformat() <= str(day.get("date")) <= last.isoformat()]
            gone = [{"id": key, "removed_at": instant_text(at)} for key, at in sorted(removed.items())]
            stamps = [
                str(item["updated_at"]) for item in items if isinstance(item, dict) and is_stamp(item.get("updated_at"))
            ]
            # With the last edit, because a class that an edit took out of the range left no time behind in it.
            newest = datetime.fromisoformat(max([*stamps, instant_text(self._changed_at)]))
            return Listing(items, gone, inside, newest)

    def find(self, key: str) -> Payload:
        """The class with this id, as listed. Raises LookupError."""
        ranges = [self._last_range, range_of_id(key), self.whole_range()]
        with self._lock:
            for first, last in filter(None, ranges):
                for item in self.listing(first, last, moved_away=True).items:
                    if isinstance(item, dict) and item.get("id") == key:
                        return item
        raise LookupError(f"There is no class {key!r}.")

    def baseline(self) -> Payload:
        """The gym's own weekly timetable for the same week, as its website would hold it."""
        return {"timezone": str(self.zone), "slots": weekly_slots(self._seed)}

    # What it should hold

    def set_mode(self, mode: str, count: int | None = None) -> None:
        """Change what Fitbox holds and forget earlier edits; what is no longer there counts as removed now."""
        if mode not in MODES:
            raise LookupError(f"There is no mode {mode!r}; there are {', '.join(sorted(MODES))}.")
        with self._lock:
            before = self._ids()
            self.mode, self.count = mode, self.count if count is None else count
            self._raw = None
            self._begin(before)

    def set_classes(self, items: list[Any]) -> None:
        """Serve exactly these items whatever the range; they need not be valid, nor objects."""
        with self._lock:
            before = self._ids()
            self._raw = list(items)
            self._begin(before)

    def set_holidays(self, holidays: list[Payload] | None) -> None:
        """Serve these closed days; None goes back to those of the mode."""
        with self._lock:
            self._raw_holidays = holidays
            self._mode_since = self._touch()

    def set_zone(self, name: str) -> None:
        with self._lock:
            self.zone = ZoneInfo(name)
            self._touch()

    def freeze_bookings(self, frozen: bool) -> None:
        """Hold bookings, covers and cancellations as they stand now, or let time go on."""
        with self._lock:
            self._frozen_at = self.seen_at() if frozen else None
            self.version += 1

    # Edits of one class

    def set_fields(self, key: str, **fields: Any) -> None:
        """Set any fields of a class. Raises LookupError when it is not listed."""
        with self._lock:
            item = self.find(key)
            former = self._overrides.get(key)
            origin = former.origin if former else day_of(item.get("date"))
            merged = {**(former.fields if former else {}), **fields}
            self._overrides[key] = _Override(merged, self._touch(), origin)

    def cancel(self, key: str) -> None:
        self.set_fields(key, status="cancelled")

    def restore(self, key: str) -> None:
        """Make a cancelled class active again, or bring back a removed one."""
        with self._lock:
            if key in self._removed:
                at = self._touch()
                del self._removed[key]
                self._overrides[key] = _Override({"status": "active"}, at, day_in_id(key))
            else:
                self.set_fields(key, status="active")

    def move(self, key: str, *, start_time: str, on: date | None = None) -> None:
        """Give a class another start, and with `on` another day, keeping its length."""
        item = self.find(key)
        fields = moved(item, minutes_of(start_time) - minutes_of(item["start_time"]))
        if on:
            fields |= {"date": on.isoformat(), "day_of_week": DAYS[on.weekday()]}
        self.set_fields(key, **fields)

    def swap_coach(self, key: str, coach: int | None = None) -> None:
        """Give a class the coach of this number, or the next one."""
        item = self.find(key)
        if coach is None:
            known = str((item.get("instructor") or {}).get("id", "ins_0"))
            coach = int(known.removeprefix("ins_")) % len(COACHES) + 1
        chosen = next((candidate for candidate in COACHES if candidate.number == coach), None)
        if chosen is None:
            raise LookupError(f"There is no coach {coach}.")
        self.set_fields(key, instructor=chosen.payload())

    def cut_capacity(self, key: str, capacity: int) -> None:
        self.set_fields(key, max_capacity=capacity)

    def set_bookings(self, key: str, bookings: int) -> None:
        self.set_fields(key, current_bookings=bookings)

    def remove(self, key: str) -> None:
        """Take a class away; differences name it in removed[]."""
        with self._lock:
            self.find(key)
            self._removed[key] = self._touch()

    def add(self, on: date, start_time: str, **fields: Any) -> str:
        """Add a class and return its id; what is not said is taken from an ordinary CrossFit class."""
        with self._lock:
            at = self._touch()
            key = fields.pop("id", f"cls_added{len(self._added) + 1}_{on:%Y%m%d}")
            self._added.append({**added_class(key, on, start_time), "updated_at": instant_text(at), **fields})
            return str(key)

    # Edits of all classes

    def shift(self, minutes: int) -> None:
        """Move every class by so many minutes, as a time-zone fault would."""
        self._everywhere(lambda item: {**item, **moved(item, minutes)})

    def grow_bookings(self, by: int = 1) -> None:
        """Let so many more people book every class, up to its places; the rest wait."""
        self._everywhere(lambda item: booked(item, by))

    def set_all(self, **fields: Any) -> None:
        """Set fields of every class."""
        self._everywhere(lambda item: {**item, **fields})

    def vanish(self, share: float = 0.5) -> None:
        """Take this share of all classes away; 1 takes everything."""
        if not 0 <= share <= 1:
            raise ValueError("share is between 0 and 1.")
        with self._lock:
            self._vanished = _Vanished(share, self._touch())

    def undo_edits(self) -> None:
        """Go back to the mode's own data; every class counts as changed."""
        with self._lock:
            self._begin(self._ids())

    # Helpers

    def _begin(self, before: set[str]) -> None:
        """Start anew after a change of everything: what is there counts as changed, what is gone as removed."""
        self._forget_edits()
        at = self._touch()
        self._mode_since = self._still_since = at
        self._removed = dict.fromkeys(before - self._ids(), at)
        self._last_range = None

    def _touch(self) -> datetime:
        """Note a change; its time is later than every time told before."""
        now = self._clock.now().replace(microsecond=0)
        newest = max(self.generated_at(), self.seen_at())
        self._changed_at = now if now > newest else newest + timedelta(seconds=1)
        self.version += 1
        return self._changed_at

    def _ids(self) -> set[str]:
        """The ids of all classes that a client may have seen: this week and eight ahead, and the range last asked."""
        ranges = [self.whole_range(), self._last_range]
        return {
            str(item["id"])
            for first, last in filter(None, ranges)
            for item in self._edited(first, last, moved_away=True)[0]
            if isinstance(item, dict) and item.get("id")
        }

    def _everywhere(self, bend: Callable[[Any], Any]) -> None:
        with self._lock:
            self._bends.append(_Everywhere(bend, self._touch()))

    def _base(self, first: date, last: date) -> list[Any]:
        if self._raw is not None:
            return list(self._raw)
        view = View(self._seed, self.zone, first, last, self.seen_at(), self.count)
        return MODES[self.mode](view)

    def _edited(self, first: date, last: date, moved_away: bool) -> tuple[list[Any], dict[str, datetime]]:
        """The items of a range under all edits, and what is removed with the time of it."""
        removed = dict(self._removed)
        base = self._without_vanished(self._base(first, last), removed)
        items = [self._bent(item) for item in (*base, *self._moved_here(first, last), *self._added_in(first, last))]
        kept = [item for item in items if not (isinstance(item, dict) and item.get("id") in self._removed)]
        if not moved_away:
            kept = [item for item in kept if not self._is_moved_away(item, first, last)]
        return (with_copies(self.mode, kept) if self._raw is None else kept), removed

    def _without_vanished(self, items: list[Any], removed: dict[str, datetime]) -> Iterable[Any]:
        vanished = self._vanished
        if vanished is None:
            return items
        kept: list[Any] = []
        for position, item in enumerate(items):
            if not vanished.takes(item, position):
                kept.append(item)
            elif isinstance(item, dict) and item.get("id"):
                removed[item["id"]] = vanished.at
        return kept

    def _bent(self, item: Any) -> Any:
        """An item with the edits of all classes and its own; `updated_at` is the time of the newest."""
        if not isinstance(item, dict):
            return item
        times = [self._mode_since] if self._mode_since and self._raw is None else []
        for everywhere in self._bends:
            item = everywhere.bend(item)
            times.append(everywhere.at)
        override = self._overrides.get(str(item.get("id")))
        if override:
            item = {**item, **override.fields}
            times.append(override.at)
        return stamped(item, times)

    def _moved_here(self, first: date, last: date) -> list[Any]:
        """Classes of other days that an edit moved into the range."""
        found: list[Any] = []
        for key, override in self._overrides.items():
            to = day_of(override.fields.get("date"))
            came = override.origin and to and first <= to <= last and not first <= override.origin <= last
            if came and override.origin and self._raw is None:
                found += [item for item in self._base(override.origin, override.origin) if item.get("id") == key]
        return found

    def _added_in(self, first: date, last: date) -> list[Payload]:
        return [item for item in self._added if first.isoformat() <= str(item["date"]) <= last.isoformat()]

    def _is_moved_away(self, item: Any, first: date, last: date) -> bool:
        override = self._overrides.get(str(item.get("id"))) if isinstance(item, dict) else None
        to = day_of(override.fields.get("date")) if override else None
        return to is not None and not first <= to <= last
