"""What a held import would do if it were released, class by class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schedule.differences import Update
from schedule.models import Event
from schedule.values import EventValues, from_canonical
from sync.models import HeldImport, HeldState
from sync.plan import Plan
from sync.proposals import Proposal

LIMIT = 200
SHOWN = {
    "title": "title",
    "starts_at": "start",
    "ends_at": "end",
    "status": "status",
    "instructor_name": "coach",
    "location": "location",
    "room": "room",
    "capacity": "capacity",
    "description": "notes",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One class that would go, come or change; `differences` are field, before and after."""

    what: str
    starts_at: datetime
    title: str
    coach: str
    place: str
    differences: Sequence[tuple[str, object, object]] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    goes: int
    """Classes that members could still go to."""
    goes_cancelled: int
    """Classes that were cancelled already."""
    comes: int
    changes: int
    cancels: int
    """Of the changes, those that cancel a class."""
    lines: Sequence[Line]
    """The first 200, those that would go first."""

    @property
    def more(self) -> int:
        return self.goes + self.goes_cancelled + self.comes + self.changes - len(self.lines)


def outcome(held: HeldImport, now: datetime) -> Outcome | None:
    """Return what releasing would do to the rows as they stand now; None once the import was decided."""
    if held.state != HeldState.OPEN:
        return None
    planned = Proposal.unpack(bytes(held.data)).plan(now, None)
    changes = planned.changes
    lines = [line for _, line in zip(range(LIMIT), _lines(planned), strict=False)]
    cancelled = sum(known.cancelled for known in changes.removals)
    return Outcome(
        goes=len(changes.removals) - cancelled,
        goes_cancelled=cancelled,
        comes=len(changes.creates),
        changes=len(changes.updates),
        cancels=sum(_cancels(update) for update in changes.updates),
        lines=lines,
    )


def _cancels(update: Update) -> bool:
    return update.incoming.values.status == "cancelled" and not update.known.cancelled


def _lines(planned: Plan) -> Iterable[Line]:
    changes = planned.changes
    removals = sorted(changes.removals, key=lambda known: known.starts_at)[:LIMIT]
    updates = sorted(changes.updates, key=lambda update: update.known.starts_at)[:LIMIT]
    stored = _stored([known.id for known in removals] + [update.known.id for update in updates])
    for known in removals:
        if known.id in stored:
            yield _line("goes", stored[known.id], is_cancelled=known.cancelled)
    for update in updates:
        before = stored.get(update.known.id)
        if before is not None:
            yield _line("changes", update.incoming.values, list(_differences(before, update.incoming.values)))
    for incoming in sorted(changes.creates, key=lambda incoming: incoming.values.starts_at)[:LIMIT]:
        yield _line("comes", incoming.values)


def _stored(ids: Sequence[UUID]) -> Mapping[UUID, EventValues]:
    rows = Event.objects.filter(pk__in=ids).values_list("pk", "provider_values")
    return {pk: from_canonical(values) for pk, values in rows}


def _line(
    what: str,
    values: EventValues,
    differences: Sequence[tuple[str, object, object]] = (),
    *,
    is_cancelled: bool = False,
) -> Line:
    place = ", ".join(filter(None, (values.location, values.room)))
    title = f"{values.title} (already cancelled)" if is_cancelled else values.title
    return Line(what, values.starts_at, title, values.instructor_name, place, differences)


def _differences(before: EventValues, after: EventValues) -> Iterable[tuple[str, object, object]]:
    for name, words in SHOWN.items():
        if getattr(before, name) != getattr(after, name):
            yield words, getattr(before, name), getattr(after, name)
