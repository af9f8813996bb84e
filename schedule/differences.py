"""What is stored and what a source says now -> what has to be written. Pure: no database, no clock."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from schedule.values import Incoming, Live


class Known(NamedTuple):
    """The part of a stored row that decisions are made from. `cancelled` is as shown: by the source, or by a closed day."""

    id: UUID
    external_id: str
    fingerprint: str
    starts_at: datetime
    deleted: bool
    cancelled: bool
    booked: int | None
    waitlist: int | None
    class_type_name: str
    location: str
    instructor_name: str


class Update(NamedTuple):
    """A stored row whose source now says something else; also a tombstone that came back."""

    known: Known
    incoming: Incoming


class LiveUpdate(NamedTuple):
    id: UUID
    live: Live


@dataclass(frozen=True, slots=True)
class ClosureValues:
    """Closed days, first to last, both included, and the name that members read."""

    first_on: date
    last_on: date
    name: str

    def covers(self, day: date) -> bool:
        return self.first_on <= day <= self.last_on


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A complete reading of a source that was accepted: when it ended and which days (included) it covered."""

    completed_at: datetime
    covered_from: date
    covered_until: date
    interval_minutes: int
    run: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that one `store.apply` writes in its transaction."""

    source: str
    connection: str
    based_on: int
    """The store's revision at which the known rows were read; rows changed since then refuse to be overwritten."""
    creates: Sequence[Incoming] = ()
    updates: Sequence[Update] = ()
    lives: Sequence[LiveUpdate] = ()
    removals: Sequence[Known] = ()
    unchanged: int = 0
    closures: Sequence[ClosureValues] | None = None
    """The closed days that this source keeps, whole; None leaves them alone."""
    reconsider: tuple[date, date] | None = None
    """Days (included) whose rows get their effective values computed again."""
    read: SourceRead | None = None


def compare(
    known: Mapping[str, Known],
    incoming: Iterable[Incoming],
    *,
    source: str,
    connection: str,
    based_on: int,
    removable: Callable[[Known], bool],
) -> Changes:
    """Return what turns `known` (by external id) into `incoming`.

    A known row that did not come is removed if `removable` says so; tombstones that did not come stay as they are.
    """
    creates: list[Incoming] = []
    updates: list[Update] = []
    lives: list[LiveUpdate] = []
    unchanged = 0
    came: set[str] = set()
    for item in incoming:
        came.add(item.external_id)
        row = known.get(item.external_id)
        if row is None:
            creates.append(item)
        elif row.fingerprint != item.fingerprint or row.deleted:
            updates.append(Update(row, item))
        elif row.booked != item.live.booked or row.waitlist != item.live.waitlist:
            lives.append(LiveUpdate(row.id, item.live))
        else:
            unchanged += 1
    removals = [row for key, row in known.items() if key not in came and not row.deleted and removable(row)]
    return Changes(source, connection, based_on, creates, updates, lives, removals, unchanged)
