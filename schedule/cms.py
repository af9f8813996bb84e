"""The manual timetable: weekly slots and special events -> dated rows of the event table, for a rolling eight weeks.

CMS is a source like any other, so its rows go through the same comparison and the same writer. They need no state of
their own: staff keep them here, and they are never out of date.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from schedule import store
from schedule.differences import Changes, Known, compare
from schedule.models import Event, Organization, Person, Place, SpecialEvent, WeeklySlot
from schedule.store import Applied
from schedule.timetable import HORIZON_WEEKS, Span, Week, horizon, local_today, occurrences, span
from schedule.values import EventValues, Incoming, Live

CMS = "cms"
MANUAL = "manual"


def refresh(organization: Organization, *, now: datetime, cause: str) -> Applied:
    """Bring the dated rows in line with slots and special events, and return what was written; nothing if they were.

    What has begun stays as it was: neither a slot that was changed nor one that was deleted rewrites last Monday.
    """
    first, last = horizon(local_today(now, organization.zone))
    weekly = _settle(CMS, expand(organization, first, last), organization, first, now=now, cause=cause)
    once = _settle(MANUAL, special(organization, first, last), organization, first, now=now, cause=cause)
    return replace(
        weekly,
        revision=weekly.revision if once.revision is None else once.revision,
        created=weekly.created + once.created,
        changed=weekly.changed + once.changed,
        removed=weekly.removed + once.removed,
    )


def reaches(last: date) -> bool:
    """Whether the dated rows stand up to `last`, the last day of the horizon; False when `refresh` has something to add."""
    organization = Organization.installation()
    first = last - timedelta(weeks=HORIZON_WEEKS, days=-1)
    # The slots' last week tells of the weeks before it. Special events are few, and may stand in any week.
    expected = {
        CMS: {incoming.external_id for incoming in expand(organization, Week.of(last).first, last)},
        MANUAL: {incoming.external_id for incoming in special(organization, first, last)},
    }
    # Tombstones count: what was taken away was dealt with.
    return all(
        Event.objects.filter(source=source, connection=source, external_id__in=ids).count() == len(ids)
        for source, ids in expected.items()
    )


def expand(organization: Organization, first: date, last: date) -> list[Incoming]:
    """Return the active weekly slots as dated classes from `first` to `last`, both included."""
    slots = WeeklySlot.objects.filter(organization=organization, is_active=True)
    return [
        _class_of(slot, day, organization)
        for slot in slots.select_related("class_type", "coach", "place")
        for day in occurrences(slot.weekday, max(first, slot.valid_from or first), min(last, slot.valid_until or last))
    ]


def special(organization: Organization, first: date, last: date) -> list[Incoming]:
    """Return the active special events from `first` to `last`, both included."""
    events = SpecialEvent.objects.filter(organization=organization, is_active=True, date__range=(first, last))
    return [_special_of(event, organization) for event in events.select_related("class_type", "coach", "place")]


def _class_of(slot: WeeklySlot, day: date, organization: Organization) -> Incoming:
    when = _span(day, slot, organization)
    values = EventValues(
        title=slot.class_type.name,
        starts_at=when.starts_at,
        ends_at=when.ends_at,
        timezone=organization.timezone,
        description=slot.notes,
        series_id=str(slot.pk),
        class_type_id=slot.class_type_id,
        class_type_name=slot.class_type.name,
        level=slot.level,
        room=slot.room,
        capacity=slot.capacity,
    )
    return Incoming.of(f"{slot.pk}/{day}", _with_people(values, slot.coach, slot.place), Live())


def _special_of(event: SpecialEvent, organization: Organization) -> Incoming:
    when = _span(event.date, event, organization)
    values = EventValues(
        title=event.title,
        starts_at=when.starts_at,
        ends_at=when.ends_at,
        timezone=organization.timezone,
        description=event.notes,
        class_type_id=event.class_type_id,
        class_type_name=event.class_type.name if event.class_type else "",
        room=event.room,
        capacity=event.capacity,
    )
    return Incoming.of(f"special-{event.pk}", _with_people(values, event.coach, event.place), Live())


def _span(day: date, entry: WeeklySlot | SpecialEvent, organization: Organization) -> Span:
    minutes = entry.duration_minutes
    return span(day, entry.start_time, end=None, minutes=minutes, zone=organization.zone, default_minutes=minutes)


def _with_people(values: EventValues, coach: Person | None, place: Place | None) -> EventValues:
    return replace(
        values,
        instructor_id=coach.pk if coach else None,
        instructor_name=coach.name if coach else "",
        instructor_image=coach.photo_url if coach else "",
        place_id=place.pk if place else None,
        location=place.name if place else "",
    )


def _settle(
    source: str, incoming: Sequence[Incoming], organization: Organization, first: date, *, now: datetime, cause: str
) -> Applied:
    since, _ = Week.of(first).bounds(organization.zone)
    wanted = {item.external_id: item for item in incoming}

    def plan() -> Changes:
        # By id as well: a special event of an earlier week may have been put off.
        world = store.known(source, source, since=since, ids=wanted)
        over = {key for key, row in world.rows.items() if _is_over(row, wanted.get(key), now)}
        return compare(
            {key: row for key, row in world.rows.items() if key not in over},
            [item for key, item in wanted.items() if key not in over],
            source=source,
            connection=source,
            based_on=world.revision,
            removable=lambda row: True,  # what is over was left out
        )

    return store.settle(plan, cause=cause, now=now)


def _is_over(row: Known, incoming: Incoming | None, now: datetime) -> bool:
    """Whether a row has begun and would not be moved to where it has not."""
    return row.starts_at < now and (incoming is None or incoming.values.starts_at < now)
