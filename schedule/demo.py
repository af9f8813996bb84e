"""An invented gym to try Callboard with: people, class types, a manual week, a closed day, a special event and two logins.

`manage.py demo_gym` makes it; `remove` takes all of it away again when a real gym begins.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from schedule import cms, store
from schedule.models import (
    ClassType,
    Closure,
    Organization,
    Person,
    Place,
    SourceState,
    SpecialEvent,
    TimetableSettings,
    WeeklySlot,
)
from schedule.timetable import Week, local_today

NAME = "Tidewater Gym"
ZONE = "Australia/Melbourne"
GROUP = "Demo"
"""Its members are the demo's logins; they go when the demo goes."""


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    password: str
    purpose: str
    may_change: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """A class type, and what its classes have in common. Its colour stands out from light and dark pages alike."""

    name: str
    colour: str
    minutes: int
    capacity: int
    place: str
    room: str
    synonyms: tuple[str, ...]


# Known to everybody who reads this file, so production mode refuses to make them.
LOGINS = (
    Login("manager", "tidewater-manager", "may change everything", may_change=True),
    Login("frontdesk", "tidewater-frontdesk", "may look at everything", may_change=False),
)
PLACES = (("Riverside", "12 Slipway Lane, Geelong"), ("Boathouse", "3 Jetty Road, Geelong"))
COACHES = ("Ari Fontaine", "Bex Holloway", "Cam Ito", "Dee Marchetti", "Eli Nakamura-Ross", "Fern Okafor")
CROSSFIT = Kind("CrossFit", "#c8442c", 60, 16, "Riverside", "Main floor", ("Cross Fit", "WOD", "CF"))
FOUNDATIONS = Kind("Foundations", "#2f7d57", 60, 10, "Riverside", "Main floor", ("On-Ramp", "Beginners"))
OPEN_GYM = Kind("Open Gym", "#b45309", 90, 20, "Riverside", "Rig", ("Open Floor", "Free Training"))
PT = Kind("PT", "#7a5bb5", 45, 2, "Riverside", "Coaching bay", ("Personal Training", "1:1"))
MOBILITY = Kind("Mobility", "#1f7a9c", 45, 18, "Boathouse", "Studio", ("Stretch", "Mobility Flow"))
KINDS = (CROSSFIT, FOUNDATIONS, OPEN_GYM, PT, MOBILITY)

_EVEN_DAY = (
    ("06:00", CROSSFIT), ("09:30", CROSSFIT), ("12:00", OPEN_GYM), ("16:30", FOUNDATIONS), ("17:30", CROSSFIT),
)  # fmt: skip
_ODD_DAY = (("06:00", CROSSFIT), ("09:30", MOBILITY), ("12:00", OPEN_GYM), ("16:30", PT), ("17:30", CROSSFIT))
WEEK: tuple[tuple[tuple[str, Kind], ...], ...] = (
    _EVEN_DAY,
    _ODD_DAY,
    _EVEN_DAY,
    _ODD_DAY,
    (*_EVEN_DAY, ("18:30", MOBILITY)),
    (("07:00", CROSSFIT), ("08:00", CROSSFIT), ("09:00", FOUNDATIONS), ("10:00", OPEN_GYM), ("10:15", PT)),
    (("08:00", CROSSFIT), ("09:00", MOBILITY), ("10:00", OPEN_GYM), ("16:00", FOUNDATIONS)),
)
"""Monday first. No coach has two classes at a time: they take turns, and no three classes overlap."""


def exists() -> bool:
    return Organization.objects.filter(is_demo=True).exists()


@transaction.atomic
def make(now: datetime) -> Organization:
    """Make the demo gym as this installation's gym and return it; one that stands already is returned as it is."""
    if (existing := Organization.objects.filter(is_demo=True).first()) is not None:
        return existing
    gym = Organization.objects.create(
        name=NAME,
        timezone=ZONE,
        email="hello@tidewater-gym.example",
        phone="03 5550 0142",
        is_installation=True,
        is_demo=True,
    )
    TimetableSettings.objects.create(organization=gym)
    _make_week(gym)
    _make_exceptions(gym, local_today(now, gym.zone))
    _make_logins()
    cms.refresh(gym, now=now, cause="demo")
    return gym


def logins() -> list[tuple[str, str, str]]:
    """Return name, password and purpose of the demo's logins that still stand."""
    standing = set(get_user_model().objects.filter(groups__name=GROUP).values_list("username", flat=True))
    return [(login.name, login.password, login.purpose) for login in LOGINS if login.name in standing]


@transaction.atomic
def remove() -> bool:
    """Take the demo away: its gym with every row, history and login. Return whether there was one.

    A real gym is never touched; neither are connections, which belong to others.
    """
    get_user_model().objects.filter(groups__name=GROUP).delete()
    Group.objects.filter(name=GROUP).delete()
    demos = list(Organization.objects.filter(is_demo=True))
    for gym in demos:
        gym.weekly_slots.all().delete()  # class types refuse to go while slots name them
        pk = gym.pk
        gym.delete()
        for model in (WeeklySlot, SpecialEvent, Closure, TimetableSettings):
            model.history.filter(organization_id=pk).delete()
    if demos:
        # What they say was read is gone; kept, a source would pass for freshly read and empty.
        SourceState.objects.all().delete()
        store.bump_publication()
    return bool(demos)


def _make_week(gym: Organization) -> None:
    places = {name: Place.objects.create(organization=gym, name=name, address=address) for name, address in PLACES}
    coaches = [Person.objects.create(organization=gym, name=name, is_coach=True) for name in COACHES]
    types = {
        kind: ClassType.objects.create(
            organization=gym,
            name=kind.name,
            colour=kind.colour,
            default_minutes=kind.minutes,
            synonyms=list(kind.synonyms),
        )
        for kind in KINDS
    }
    turns = 0
    for weekday, day in enumerate(WEEK, start=1):
        for clock, kind in day:
            WeeklySlot.objects.create(
                organization=gym,
                weekday=weekday,
                start_time=time.fromisoformat(clock),
                duration_minutes=kind.minutes,
                class_type=types[kind],
                coach=coaches[turns % len(coaches)],
                place=places[kind.place],
                room=kind.room,
                capacity=kind.capacity,
                notes="New here? Start with this one." if kind is FOUNDATIONS else "",
            )
            turns += 1


def _make_exceptions(gym: Organization, today: date) -> None:
    """Make one closed day and one special event, both in the weeks to come."""
    monday = Week.of(today).monday
    closed_on = monday + timedelta(weeks=2, days=2)
    Closure.objects.create(organization=gym, name="Closed for floor repairs", first_on=closed_on, last_on=closed_on)
    SpecialEvent.objects.create(
        organization=gym,
        title="Bring-a-friend Saturday",
        date=monday + timedelta(weeks=1, days=5),
        start_time=time(12),
        duration_minutes=120,
        coach=gym.people.first(),
        place=gym.places.filter(name="Riverside").first(),
        room="Main floor",
        capacity=40,
        notes="Free for everybody you bring. Sausages afterwards.",
    )


def _make_logins() -> None:
    group = Group.objects.create(name=GROUP)
    looking = Permission.objects.filter(codename__startswith="view_")
    for login in LOGINS:
        user = get_user_model().objects.create_user(
            login.name, password=login.password, is_staff=True, is_superuser=login.may_change
        )
        user.groups.add(group)
        if not login.may_change:
            user.user_permissions.set(looking)
