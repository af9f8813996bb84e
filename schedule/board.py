"""What a week shows: the one answer that the page, the JSON and the feed put into their own form.

`look` decides which source a week is shown from; it costs two short queries, and a third when the publication revision
is new. `build` reads the rows of that decision: a constant number of queries, however many classes there are.
The revision is read before the rows, so a body may be newer than its key for one request, never older.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.db.models import Case, Count, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from schedule import cache, publishing
from schedule.models import (
    ClassType,
    Closure,
    Counter,
    Event,
    EventKind,
    EventStatus,
    Organization,
    SourceState,
    TimetableSettings,
    WeeklySlot,
)
from schedule.publishing import Decision, SourceFacts
from schedule.timetable import Week, local_today

FEW_FROM_PERCENT = 80
YEARS = range(2000, 2101)
"""Weeks outside of these are refused: nobody means them, and dates near the calendar's end overflow."""
KEPT = timedelta(weeks=26)
"""Weeks further from this one are built for each who asks: whoever asks for all must not fill the caches with them."""
SESSION_COLUMNS = (
    "id", "uid", "source", "title", "description", "starts_at", "ends_at", "all_day", "status", "status_reason", "location",
    "room", "instructor_id", "instructor_key", "instructor_name", "instructor_image", "class_type_id", "class_type_name", "level",
    "capacity", "booked", "external_url",
)  # fmt: skip


class InvalidWeek(Exception):
    """The week asked for is none, or lies outside the years that Callboard shows; the text says so to a person."""


class Space(StrEnum):
    FULL = "Full"
    FEW = "Few spots left"
    AVAILABLE = "Spots available"


@dataclass(frozen=True, slots=True)
class Coach:
    id: str
    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Session:
    """One class as members see it; `starts_at` and `ends_at` are in the gym's zone."""

    id: str
    uid: str
    title: str
    class_type: str
    class_type_id: int | None
    coach: Coach | None
    starts_at: datetime
    ends_at: datetime
    minutes: int
    all_day: bool
    status: str
    reason: str
    location: str
    room: str
    level: str
    notes: str
    capacity: int | None
    booked: int | None
    spots_left: int | None
    external_url: str
    is_special: bool
    """A one-off event of the gym's own, shown over whichever source."""

    @property
    def is_cancelled(self) -> bool:
        return self.status == EventStatus.CANCELLED

    @property
    def space(self) -> Space | None:
        """The word for how much room there is; None when the class has no limit or nobody counts."""
        if self.capacity is None or self.booked is None:
            return None
        if self.spots_left == 0:
            return Space.FULL
        return Space.FEW if self.booked * 100 >= self.capacity * FEW_FROM_PERCENT else Space.AVAILABLE


@dataclass(frozen=True, slots=True)
class Day:
    on: date
    sessions: tuple[Session, ...]
    closed: str
    """The closure's name on a day on which the gym is closed."""
    next_on: date | None
    """For a day without classes: the next one of the week that has some."""

    @property
    def offered(self) -> int:
        return sum(not session.is_cancelled for session in self.sessions)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds before any row is read, for whichever week: the gym, its choice, and when each source was read."""

    organization: Organization
    choice: TimetableSettings
    revision: int
    edited_at: datetime | None
    states: Mapping[str, SourceState]
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return self.organization.zone

    @property
    def today(self) -> date:
        return local_today(self.now, self.zone)

    @property
    def this_week(self) -> Week:
        return Week.of(self.today)

    def keeps(self, week: Week) -> bool:
        return abs(week.monday - self.this_week.monday) <= KEPT


@dataclass(frozen=True, slots=True)
class Outlook:
    """One week and the source that was decided for it."""

    standing: Standing
    week: Week
    decision: Decision

    @property
    def data_at(self) -> datetime | None:
        """When the shown data were read from their source; for a timetable kept here, when it was last edited."""
        return self.decision.data_at or (self.standing.edited_at if self.decision.source == "cms" else None)

    @property
    def status(self) -> str:
        standing = self.standing
        return publishing.status_line(
            self.decision,
            names=settings.TIMETABLE_SOURCES,
            zone=standing.zone,
            now=standing.now,
            edited_at=standing.edited_at,
        )

    @property
    def key(self) -> tuple[object, ...]:
        """Everything that the words of this week depend on, the view's own form aside."""
        minute = self.data_at and self.data_at.replace(second=0, microsecond=0).isoformat()
        decision, standing = self.decision, self.standing
        said = (decision.chosen, decision.source, decision.word, decision.stale)
        shown = (standing.revision, self.week.code, standing.choice.show_cancelled)
        return (standing.organization.pk, *shown, *said, minute)


@dataclass(frozen=True, slots=True)
class Board:
    outlook: Outlook
    days: tuple[Day, ...]

    @property
    def sessions(self) -> list[Session]:
        return [session for day in self.days for session in day.sessions]


# --- deciding ---------------------------------------------------------------------------------------------------------


def parse_week(text: str) -> Week | None:
    """Return the week asked for, None for no wish. Raises InvalidWeek."""
    if not text:
        return None
    try:
        week = Week.parse(text)
    except (ValueError, OverflowError) as error:
        raise InvalidWeek("A week is written like 2026-W47: the year, a W, and the number of the week.") from error
    if week.monday.year not in YEARS:
        raise InvalidWeek(f"The timetable goes from {YEARS[0]} to {YEARS[-1]}.")
    return week


def standing(now: datetime) -> Standing:
    """Read what every decision needs, in two queries. Raises Organization.DoesNotExist before there is a gym."""
    publication = Counter.objects.filter(name=Counter.PUBLICATION).values("value")
    edited = WeeklySlot.objects.filter(organization=OuterRef("pk")).order_by().values("organization")
    organization = (
        Organization.objects.filter(is_installation=True)
        .select_related("timetable_settings")
        .annotate(
            publication=Coalesce(Subquery(publication), 0),
            edited_at=Subquery(edited.annotate(at=Max("last_updated")).values("at")),
        )
        .get()
    )
    states: dict[str, SourceState] = {}
    # A replaced connection leaves its state behind; the newest one says how things are now.
    for state in SourceState.objects.order_by("last_complete_at"):
        states[state.source] = state
    choice = TimetableSettings.of(organization)
    return Standing(organization, choice, organization.publication, organization.edited_at, states, now)


def look(wish: Week | None, now: datetime) -> Outlook:
    """Decide what a week shows; without a wish it is the week that the gym is in. Raises Organization.DoesNotExist."""
    at = standing(now)
    return outlooks(at, [wish or at.this_week])[0]


def outlooks(standing: Standing, weeks: Sequence[Week]) -> list[Outlook]:
    """Decide several weeks at once, each for itself."""
    rows = _rows_by_week(standing, weeks)
    return [Outlook(standing, week, _decide(standing, week, rows[week.code])) for week in weeks]


def _decide(standing: Standing, week: Week, rows: Mapping[str, int]) -> Decision:
    choice = standing.choice
    known = settings.TIMETABLE_SOURCES
    return publishing.decide(
        chosen=choice.chosen,
        fallback_order=[source for source in choice.fallback_order if source in known],
        facts={source: _facts(source, standing.states.get(source), rows.get(source, 0)) for source in known},
        stale_limit=timedelta(minutes=choice.stale_limit_minutes),
        week=week,
        now=standing.now,
    )


def _facts(source: str, state: SourceState | None, rows: int) -> SourceFacts:
    if state is None:
        return SourceFacts(source, None, timedelta(0), None, None, rows)
    return SourceFacts(source, state.last_complete_at, state.fresh_for, state.covered_from, state.covered_until, rows)


def _rows_by_week(standing: Standing, weeks: Sequence[Week]) -> dict[str, dict[str, int]]:
    """Return how many rows each source has in each week; they change only with the revision, so they are kept by it."""
    if not standing.keeps(weeks[0]):
        return _count(standing, weeks)
    key = f"{standing.organization.pk}:{weeks[0].code}:{len(weeks)}"
    version = str(standing.revision)
    kept = cache.get(cache.Name.CURRENT, key, standing.now)
    if kept is not None and kept.version == version:
        rows: dict[str, dict[str, int]] = orjson.loads(kept.body)
        return rows
    rows = _count(standing, weeks)
    body = orjson.dumps(rows)
    cache.put(cache.Name.CURRENT, key, cache.Entry(version, standing.now, standing.now, None, standing.zone.key, body))
    return rows


def _count(standing: Standing, weeks: Sequence[Week]) -> dict[str, dict[str, int]]:
    bounds = [week.bounds(standing.zone) for week in weeks]
    which = Case(
        *(When(starts_at__gte=since, starts_at__lt=until, then=Value(i)) for i, (since, until) in enumerate(bounds)),
        output_field=IntegerField(),
    )
    found = (
        _public(standing)
        .filter(source__in=settings.TIMETABLE_SOURCES, starts_at__gte=bounds[0][0], starts_at__lt=bounds[-1][1])
        .order_by()
        .values_list("source", which)
        .annotate(Count("pk"))
    )
    rows: dict[str, dict[str, int]] = {week.code: {} for week in weeks}
    for source, i, number in found:
        rows[weeks[i].code][source] = number
    return rows


# --- reading ----------------------------------------------------------------------------------------------------------


def build(outlook: Outlook) -> Board:
    """Read the week's classes and closed days, in two queries."""
    standing, week = outlook.standing, outlook.week
    zone = standing.zone
    sessions = [session_of(event, zone) for event in rows([outlook]).only(*SESSION_COLUMNS)]
    by_day = {day: tuple(group) for day, group in groupby(sessions, key=lambda session: session.starts_at.date())}
    closures = list(
        Closure.objects.filter(organization=standing.organization, first_on__lte=week.last, last_on__gte=week.first)
    )
    days = [Day(day, by_day.get(day, ()), _closed_on(day, closures), _next_on(day, by_day)) for day in week.days]
    return Board(outlook, tuple(days))


def rows(outlooks: Sequence[Outlook]) -> QuerySet[Event]:
    """Return what these weeks, one after the other, show: rows of each one's source and special events, by time."""
    standing = outlooks[0].standing
    shown = Q()
    for source, weeks in groupby(outlooks, key=lambda outlook: outlook.decision.source):
        bounds = [outlook.week.bounds(standing.zone) for outlook in weeks]
        # One-off events are the gym's own and stand over whichever source is shown.
        shown |= Q(source__in=(source, "manual"), starts_at__gte=bounds[0][0], starts_at__lt=bounds[-1][1])
    events = _public(standing).filter(shown)
    if not standing.choice.show_cancelled:
        events = events.exclude(status=EventStatus.CANCELLED)
    return events.order_by("starts_at", "title", "external_id")


def colours(organization: Organization) -> list[tuple[int, str]]:
    return list(ClassType.objects.filter(organization=organization).order_by("pk").values_list("pk", "colour"))


def session_of(event: Event, zone: ZoneInfo) -> Session:
    coach = None
    if event.instructor_name:
        key = event.instructor_key or str(event.instructor_id or "")
        coach = Coach(key, event.instructor_name, web_link(event.instructor_image))
    return Session(
        id=str(event.id),
        uid=event.uid,
        title=event.title,
        class_type=event.class_type_name or event.title,
        class_type_id=event.class_type_id,
        coach=coach,
        starts_at=event.starts_at.astimezone(zone),
        ends_at=event.ends_at.astimezone(zone),
        # Elapsed time: over a clock change the two wall-clock times differ by another amount.
        minutes=int((event.ends_at - event.starts_at).total_seconds() // 60),
        all_day=event.all_day,
        status=event.status,
        reason=event.status_reason,
        location=event.location,
        room=event.room,
        level=event.level,
        notes=event.description,
        capacity=event.capacity,
        booked=event.booked,
        spots_left=event.spots_left,
        external_url=web_link(event.external_url),
        is_special=event.source == "manual",
    )


def web_link(address: str) -> str:
    """Return the address if a browser may be sent there, else nothing: providers' texts can hold `javascript:`."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme in ("http", "https") and parts.netloc else ""


def _public(standing: Standing) -> QuerySet[Event]:
    """Rows that may be public at all: class sessions of the gym itself, neither private nor gone."""
    return Event.objects.live().filter(
        organization=standing.organization, kind=EventKind.CLASS_SESSION, is_private=False
    )


def _next_on(day: date, by_day: Mapping[date, object]) -> date | None:
    return None if day in by_day else min((other for other in by_day if other > day), default=None)


def _closed_on(day: date, closures: Sequence[Closure]) -> str:
    return next((closure.name for closure in closures if closure.first_on <= day <= closure.last_on), "")
