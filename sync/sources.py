"""The timetable's data source: what each choice would show, and the switch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from integrations.models import Connection
from schedule import store, timetable
from schedule.models import Event, Organization, TimetableSettings
from sync import leases, tasks
from sync.errors import TooSoon
from sync.models import Run, RunTrigger


@dataclass(frozen=True, slots=True)
class Line:
    """One class as a row of the difference between two sources: gym-local day and time, and what is said of it."""

    starts_at: datetime
    title: str
    instructor: str
    room: str
    status: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What members would see change in this week if the source were switched."""

    only_now: Sequence[Line]
    only_then: Sequence[Line]
    changed: Sequence[tuple[Line, Line]]
    same: int


def names() -> Mapping[str, str]:
    """Return the sources that may be chosen, with the words people read."""
    return dict(settings.TIMETABLE_SOURCES)


def connection_of(source: str) -> Connection | None:
    """Return the connection that a timetable source is read through; None for CMS, or before one was made."""
    return Connection.objects.filter(provider=source).order_by("pk").first()


def choose(data_source: str, *, user: AbstractBaseUser | None, now: datetime) -> Run | None:
    """Switch what members see, effective with the next request, and start a sync of the chosen source.

    Returns the run that was started; None when there is nothing to sync. The caller has checked the name.
    """
    with transaction.atomic():
        current = TimetableSettings.current()
        current.data_source = data_source
        current._history_user = user  # type: ignore[attr-defined]  # read by django-simple-history at save
        current.full_clean()
        current.save()
        store.bump_publication()
    connection = connection_of(data_source)
    if connection is None or not connection.is_enabled:
        return None
    try:
        return start(connection, RunTrigger.SWITCH, user=user, now=now)
    except TooSoon:
        return None  # the switch holds all the same; the run follows by itself when the provider lets it


def start(connection: Connection, trigger: RunTrigger, *, user: AbstractBaseUser | None, now: datetime) -> Run:
    """Ask for a run now and wake a worker. Raises TooSoon when the provider asked to wait."""
    run = leases.request(connection, trigger, now=now, user=user)
    transaction.on_commit(lambda: tasks.enqueue(connection.pk))
    return run


def difference(now_source: str, then_source: str, *, now: datetime) -> Difference:
    """Compare what two sources hold for this week, class by class (same start and title are the same class)."""
    organization = Organization.installation()
    since, until = timetable.Week.of(timetable.local_today(now, organization.zone)).bounds(organization.zone)
    before, after = (_lines(source, since, until) for source in (now_source, then_source))
    both = before.keys() & after.keys()
    changed = [(before[key], after[key]) for key in sorted(both) if before[key] != after[key]]
    return Difference(
        only_now=[before[key] for key in sorted(before.keys() - both)],
        only_then=[after[key] for key in sorted(after.keys() - both)],
        changed=changed,
        same=len(both) - len(changed),
    )


def _lines(source: str, since: datetime, until: datetime) -> dict[tuple[datetime, str, int], Line]:
    rows = Event.objects.live().filter(source=source, starts_at__gte=since, starts_at__lt=until)
    lines: dict[tuple[datetime, str, int], Line] = {}
    for event in rows.order_by("starts_at", "title"):
        line = Line(event.starts_at, event.title, event.instructor_name, event.room, event.status)
        place = 0
        while (event.starts_at, event.title, place) in lines:
            place += 1
        lines[event.starts_at, event.title, place] = line
    return lines
