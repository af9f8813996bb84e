"""Known rows + incoming events -> what to write, and whether a person must look first. Pure: no database, no clock.

Here stand the rules of what counts as the same class, as gone, and as suspicious (the never-wipe rule).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from schedule.differences import Changes, Known, compare
from schedule.values import Incoming

KEY_MARK = "key:"
"""Begins an external id that was made from what a record says, because its provider gave none."""
PAIR_WITHIN = timedelta(minutes=90)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the timetable: classes that start in [since, until), aware."""

    since: datetime
    until: datetime

    def holds(self, starts_at: datetime) -> bool:
        return self.since <= starts_at < self.until


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says now, as dated events, and how far its word goes."""

    source: str
    connection: str
    incoming: Sequence[Incoming]
    shown: Part
    """The part that was asked for and that members are shown."""
    covered: Part | None
    """Where absence means removed; None for a difference, in which nothing is missing but what `removed` names."""
    removed: Collection[str] = ()
    """Ids of records that are gone; a weekly record's id stands for all its occurrences."""
    unreadable: Collection[str] = ()
    """Items that came but could not be read, by id or else by place (`#17`): they are not missing."""
    closed: Callable[[datetime], bool] = lambda at: False
    """Whether the source closes the day of that instant."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The never-wipe rule: hold when at least `rows` rows and over `percent` % of those due would go or move alike."""

    rows: int = 3
    percent: int = 25


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an import waits for a person."""

    reason: str
    due: int
    going: int
    moving: int


@dataclass(frozen=True, slots=True)
class Plan:
    changes: Changes
    hold: Hold | None


def plan(
    known: Mapping[str, Known], answer: Answer, *, based_on: int, now: datetime, first: bool, guard: Guard | None
) -> Plan:
    """Return the changes that bring `known` to what the answer says, and the hold if they take away too much.

    `based_on` is the store's revision of `known`. Rows that began before `now` are history and stay. `first`: nothing of
    this source was ever accepted. Without a guard (a person released the import) nothing is held.
    """

    def removable(row: Known) -> bool:
        if row.starts_at < now:
            return False
        if answer.covered is None:
            return _is_named(row, answer.removed)
        return not _is_named(row, answer.unreadable) and answer.covered.holds(row.starts_at)

    paired = _pair(known, answer.incoming, removable)
    changes = compare(
        paired,
        answer.incoming,
        source=answer.source,
        connection=answer.connection,
        based_on=based_on,
        removable=removable,
    )
    nameless = sum(name.startswith("#") for name in answer.unreadable)
    if answer.covered is not None and len(changes.removals) <= nameless:
        # Each missing row may be one of the items that nobody can tell apart.
        changes = replace(changes, removals=())
    return Plan(changes, _judge(known, changes, answer, now, first, guard) if guard else None)


def _is_named(row: Known, names: Collection[str]) -> bool:
    """Whether the names hold the row's id, or that of the weekly record it is an occurrence of."""
    return bool(names) and (row.external_id in names or row.external_id.rpartition("/")[0] in names)


def _pair(
    known: Mapping[str, Known], incoming: Sequence[Incoming], removable: Callable[[Known], bool]
) -> Mapping[str, Known]:
    """Return the known rows by the ids under which they come now.

    A row without a provider's id of its own keeps its identity when only its start or coach changed: a missing and
    a new one of the same type and location pair up if they start within 90 minutes of each other and there is exactly
    one candidate on each side; anything ambiguous is left as gone and new.
    """
    came = {item.external_id for item in incoming}
    missing: dict[tuple[object, ...], list[Known]] = defaultdict(list)
    for row in known.values():
        if row.external_id not in came and not row.deleted and _is_derived(row.external_id) and removable(row):
            missing[row.class_type_name, row.location].append(row)
    if not missing:
        return known
    new: dict[tuple[object, ...], list[Incoming]] = defaultdict(list)
    for item in incoming:
        if item.external_id not in known:
            new[item.values.class_type_name, item.values.location].append(item)
    pairs: dict[str, Known] = {}
    for group, rows in missing.items():
        near = {row.external_id: [item for item in new.get(group, ()) if _is_near(row, item)] for row in rows}
        wanted = Counter(item.external_id for items in near.values() for item in items)
        for row in rows:
            if len(near[row.external_id]) == 1 and wanted[near[row.external_id][0].external_id] == 1:
                pairs[near[row.external_id][0].external_id] = row
    old = {row.external_id for row in pairs.values()}
    return {key: row for key, row in known.items() if key not in old} | pairs


def _is_near(row: Known, item: Incoming) -> bool:
    return abs(item.values.starts_at - row.starts_at) <= PAIR_WITHIN


def _is_derived(external_id: str) -> bool:
    """Whether the id was made here: from what the record says, or from a weekly record and a date."""
    return external_id.startswith(KEY_MARK) or "/" in external_id


def _judge(
    known: Mapping[str, Known], changes: Changes, answer: Answer, now: datetime, first: bool, guard: Guard
) -> Hold | None:
    due = _due(known, answer.covered, now)
    going = _going(due, changes, answer, now)
    shifts = Counter(
        update.incoming.values.starts_at - update.known.starts_at
        for update in changes.updates
        if update.known.id in due and update.incoming.values.starts_at != update.known.starts_at
    )
    moving = max(shifts.values(), default=0)
    came = len(changes.creates) + len(changes.updates) + len(changes.lives) + changes.unchanged
    if answer.covered is not None and came == 0 and (due or first):
        return Hold("The answer is complete but holds no classes at all.", len(due), len(due), 0)
    if due and going == len(due) and not _brings_coming(changes, now):
        return Hold(f"All {going} coming classes would go.", len(due), going, moving)
    if going >= guard.rows and going * 100 > guard.percent * len(due):
        return Hold(f"{going} of {len(due)} coming classes would go.", len(due), going, moving)
    if moving >= guard.rows and moving * 100 > guard.percent * len(due):
        minutes = round(shifts.most_common(1)[0][0].total_seconds() / 60)
        reason = f"{moving} of {len(due)} coming classes would move by {minutes:+} minutes."
        return Hold(reason, len(due), going, moving)
    return None


def _due(known: Mapping[str, Known], covered: Part | None, now: datetime) -> Mapping[UUID, Known]:
    """Return the classes that members can still go to, of the part that the answer speaks for."""
    return {
        row.id: row
        for row in known.values()
        if not row.deleted
        and not row.cancelled
        and row.starts_at >= now
        and (covered is None or covered.holds(row.starts_at))
    }


def _going(due: Mapping[UUID, Known], changes: Changes, answer: Answer, now: datetime) -> int:
    """Count the due classes that members could not go to any more: gone, cancelled, on a closed day, moved out of sight."""
    gone = {row.id for row in changes.removals}
    starts = {row.id: row.starts_at for row in due.values()}
    for update in changes.updates:
        starts_at = starts[update.known.id] = update.incoming.values.starts_at
        in_sight = starts_at >= now and answer.shown.holds(starts_at)
        if update.incoming.values.status == "cancelled" or not in_sight:
            gone.add(update.known.id)
    return sum(event_id in gone or answer.closed(starts[event_id]) for event_id in due)


def _brings_coming(changes: Changes, now: datetime) -> bool:
    """Whether anything is left to attend after these changes, all known coming rows being gone."""
    return any(item.values.starts_at >= now and item.values.status != "cancelled" for item in changes.creates)
