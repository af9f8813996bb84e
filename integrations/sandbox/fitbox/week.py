"""The invented gym behind the sandbox's Fitbox: its weekly series, and each week's classes computed from the seed.

Nothing is stored: a class's identifier, coach, notes and bookings follow from (seed, series, date), so any week asked
for, now or months later, has the same classes under the same identifiers. Bookings arrive at whole hours before a
class, so two polls within an hour see the same data.
"""

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

# A class as Fitbox sends it. Data modes bend single fields on purpose, hence no stricter type.
Payload = dict[str, Any]

DEFAULT_ZONE = "Australia/Melbourne"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LOCATION_ID, LOCATION_NAME = "loc_1", "Riverside"
# Older than any range a client asks for, so that a class is never newer than its first appearance.
PUBLISHED_DAYS_BEFORE = 70
# Cancellations and covers of a week are known this long before its Monday.
DECIDED_DAYS_BEFORE = 10
BOOKING_LEAD_HOURS = 21 * 24


@dataclass(frozen=True, slots=True)
class ClassKind:
    name: str
    minutes: int
    capacity: int
    room: str


@dataclass(frozen=True, slots=True)
class Coach:
    number: int
    name: str

    def payload(self) -> Payload:
        photo = f"https://photos.fitbox.example/coaches/{self.number}.jpg"
        return {"id": f"ins_{self.number}", "name": self.name, "photo_url": photo}


@dataclass(frozen=True, slots=True)
class Series:
    """One weekly slot: the same class at the same local time every week."""

    number: int
    id: str
    weekday: int  # 0 is Monday
    starts: time
    kind: ClassKind
    coach: Coach
    note: str | None
    demand: float  # people who want in, as a share of the places

    @property
    def ends(self) -> time:
        return (datetime.combine(date.min, self.starts) + timedelta(minutes=self.kind.minutes)).time()

    def overlaps(self, other: "Series") -> bool:
        return self.weekday == other.weekday and self.starts < other.ends and other.starts < self.ends


CROSSFIT = ClassKind("CrossFit", 60, 16, "Main floor")
FOUNDATIONS = ClassKind("Foundations", 60, 10, "Main floor")
OPEN_GYM = ClassKind("Open Gym", 90, 20, "Rig")
PT = ClassKind("PT", 45, 2, "Coaching bay")
MOBILITY = ClassKind("Mobility", 45, 18, "Studio")
KINDS = (CROSSFIT, FOUNDATIONS, OPEN_GYM, PT, MOBILITY)
COACHES = tuple(
    Coach(number, name)
    for number, name in enumerate(
        ("Ari Fontaine", "Bex Holloway", "Cam Ito", "Dee Marchetti", "Eli Nakamura-Ross", "Fern Okafor"), start=1
    )
)
NOTES = (
    "Bring a skipping rope.",
    "Partner workout: come in pairs or find one here.",
    "Barbell skills first, then a short workout.",
    "Bring a towel and a drink.",
    "Beginners welcome.",
)
_WEEKDAY_STARTS = ("06:00", "07:00", "09:30", "12:00", "16:30", "17:30", "18:30")
_PATTERN: tuple[tuple[tuple[str, ClassKind], ...], ...] = (
    *(
        tuple(zip(_WEEKDAY_STARTS, (CROSSFIT, CROSSFIT, third, OPEN_GYM, fifth, CROSSFIT, last), strict=True))
        for third, fifth, last in (
            (CROSSFIT, FOUNDATIONS, CROSSFIT),
            (MOBILITY, PT, CROSSFIT),
            (CROSSFIT, FOUNDATIONS, CROSSFIT),
            (MOBILITY, PT, CROSSFIT),
            (CROSSFIT, FOUNDATIONS, MOBILITY),
        )
    ),
    (
        ("07:00", CROSSFIT),
        ("08:00", CROSSFIT),
        ("09:00", FOUNDATIONS),
        ("10:00", OPEN_GYM),
        ("10:15", PT),
        ("11:00", MOBILITY),
    ),
    (("08:00", CROSSFIT), ("09:00", MOBILITY), ("10:00", OPEN_GYM), ("16:00", FOUNDATIONS)),
)


@lru_cache(maxsize=16)
def weekly_series(seed: int) -> tuple[Series, ...]:
    """The gym's 45 weekly slots; no coach has two at a time."""
    chance = random.Random(f"series/{seed}")
    made: list[Series] = []
    for weekday, slots in enumerate(_PATTERN):
        for starts, kind in slots:
            number = len(made) + 1
            slot = Series(
                number=number,
                id=f"ser_{seed}{number:02d}",
                weekday=weekday,
                starts=time.fromisoformat(starts),
                kind=kind,
                coach=COACHES[0],
                note=NOTES[number // 9] if number % 9 == 4 else None,
                demand=chance.uniform(0.4, 1.2),
            )
            free = _free_coaches(slot, made)
            load = Counter(other.coach for other in made)
            coach = min(free, key=lambda coach: (load[coach], chance.random()))
            made.append(_with_coach(slot, coach))
    return tuple(made)


def class_id(seed: int, series: Series, day: date) -> str:
    return f"cls_{seed}{series.number:02d}_{day:%Y%m%d}"


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def instant_text(instant: datetime) -> str:
    """An instant as Fitbox writes it; texts of this form sort like the instants."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dated_classes(seed: int, zone: ZoneInfo, first: date, last: date, at: datetime) -> list[Payload]:
    """The classes from first to last day, both included and gym-local, as they stand at an instant."""
    series = weekly_series(seed)
    classes: list[Payload] = []
    day = first
    while day <= last:
        classes.extend(_dated(seed, zone, s, day, at) for s in series if s.weekday == day.weekday())
        day += timedelta(days=1)
    return classes


def weekly_slots(seed: int) -> list[Payload]:
    """The same week as slots that repeat, without dates, as the gym's own website would list them."""
    return [
        {
            **_fields(series, series.coach),
            "id": f"slot_{seed}{series.number:02d}",
            "current_bookings": min(round(series.demand * series.kind.capacity), series.kind.capacity),
            "updated_at": "2025-01-06T00:00:00Z",
        }
        for series in weekly_series(seed)
    ]


def _dated(seed: int, zone: ZoneInfo, series: Series, day: date, at: datetime) -> Payload:
    monday = monday_of(day)
    midnight = datetime.combine(monday, time(), UTC)
    changes = [midnight - timedelta(days=PUBLISHED_DAYS_BEFORE)]
    coach, status, note = series.coach, "active", series.note
    decided = midnight - timedelta(days=DECIDED_DAYS_BEFORE)
    plan = _week_plan(seed, monday)
    if decided <= at and series.number in plan.cancelled:
        status = "cancelled"
        changes.append(decided)
    if decided <= at and series.number in plan.covers:
        coach = plan.covers[series.number]
        note = f"{coach.name} covers for {series.coach.name}."
        changes.append(decided)
    bookings = _bookings(seed, zone, series, day)
    wanted = bisect_right(bookings, at)
    if wanted:
        changes.append(bookings[wanted - 1])
    return {
        **_fields(series, coach),
        "id": class_id(seed, series, day),
        "date": day.isoformat(),
        "current_bookings": min(wanted, series.kind.capacity),
        "waitlist_count": max(wanted - series.kind.capacity, 0),
        "special_notes": note,
        "status": status,
        "updated_at": instant_text(max(changes)),
    }


def _fields(series: Series, coach: Coach) -> Payload:
    return {
        "id": None,
        "series_id": series.id,
        "day_of_week": DAYS[series.weekday],
        "start_time": f"{series.starts:%H:%M}",
        "end_time": f"{series.ends:%H:%M}",
        "duration_minutes": series.kind.minutes,
        "class_type": series.kind.name,
        "instructor": coach.payload(),
        "max_capacity": series.kind.capacity,
        "current_bookings": 0,
        "waitlist_count": 0,
        "special_notes": series.note,
        "status": "active",
        "location": {"id": LOCATION_ID, "name": LOCATION_NAME, "room": series.kind.room},
        "updated_at": None,
    }


@dataclass(frozen=True, slots=True)
class _WeekPlan:
    """What is special about one week, by number of the series."""

    cancelled: frozenset[int]
    covers: dict[int, Coach]


@lru_cache(maxsize=512)
def _week_plan(seed: int, monday: date) -> _WeekPlan:
    year, week, _ = monday.isocalendar()
    chance = random.Random(f"week/{seed}/{year}-{week}")
    series = weekly_series(seed)
    chosen = chance.sample(series, 4)
    cancelled = frozenset(s.number for s in chosen[: chance.choice((1, 2))])
    covers: dict[int, Coach] = {}
    taken: list[Series] = list(series)
    for slot in chosen[2:]:
        cover = chance.choice(_free_coaches(slot, taken))
        covers[slot.number] = cover
        taken.append(_with_coach(slot, cover))
    return _WeekPlan(cancelled, covers)


@lru_cache(maxsize=16384)
def _bookings(seed: int, zone: ZoneInfo, series: Series, day: date) -> tuple[datetime, ...]:
    """When each person booked this class, oldest first, in whole hours; more come in the last days."""
    chance = random.Random(f"bookings/{seed}/{series.number}/{day}")
    wanted = round((series.demand + chance.uniform(-0.08, 0.08)) * series.kind.capacity)
    starts = datetime.combine(day, series.starts, zone).astimezone(UTC).replace(minute=0)
    leads = sorted((1 + int(BOOKING_LEAD_HOURS * chance.random() ** 2.5) for _ in range(wanted)), reverse=True)
    return tuple(starts - timedelta(hours=lead) for lead in leads)


def _free_coaches(slot: Series, others: list[Series]) -> list[Coach]:
    busy = {other.coach for other in others if other.overlaps(slot)}
    return [coach for coach in COACHES if coach not in busy]


def _with_coach(slot: Series, coach: Coach) -> Series:
    return Series(slot.number, slot.id, slot.weekday, slot.starts, slot.kind, coach, slot.note, slot.demand)
