"""No list and no page costs more queries when there is more to show (one row, then forty)."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.models import Connection, CredentialUse
from schedule import cache, cms
from schedule.models import ClassType, Closure, Organization, Person, Place, SpecialEvent, WeeklySlot
from schedule.timetable import local_today
from sync.models import HeldImport, HeldState, Run
from tests import staff

pytestmark = [pytest.mark.django_db, pytest.mark.req("X-21")]

LISTS = [
    "integrations/connection",
    "integrations/credentialuse",
    "schedule/classtype",
    "schedule/closure",
    "schedule/event",
    "schedule/person",
    "schedule/place",
    "schedule/specialevent",
    "schedule/weeklyslot",
    "sync/heldimport",
    "sync/run",
]
PAGES = ["/admin/", "/admin/timetable-source/", *(f"/admin/{name}/" for name in LISTS)]
PUBLIC = ["/timetable/", "/api/v1/timetable", "/calendar/timetable.ics"]


@pytest.fixture
def gym() -> Organization:
    return staff.gym(data_source="cms")


@pytest.mark.parametrize("path", PAGES)
def test_a_staff_page_costs_the_same_with_more_rows(gym: Organization, path: str) -> None:
    owner = staff.clients().owner
    assert queries(lambda: fill(gym, 1), owner, path) == queries(lambda: fill(gym, 40), owner, path)


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_page_costs_the_same_with_more_rows(gym: Organization, path: str) -> None:
    assert queries(lambda: fill(gym, 1), Client(), path) == queries(lambda: fill(gym, 40), Client(), path)


def queries(prepare: Callable[[], None], client: Client, path: str) -> int:
    """Return how many statements the page costs when nothing of it is cached, its first and warming view apart."""
    prepare()
    client.get(path)
    cache.forget()
    with CaptureQueriesContext(database) as caught:
        answer = client.get(path)
    assert answer.status_code == 200, path
    return len(caught)


def fill(gym: Organization, count: int) -> None:
    """Add that many of everything that lists show, each tied to others of its own."""
    now = timezone.now()
    today = local_today(now, gym.zone)
    for number in range(count):
        name = f"{count}-{number}"
        kind = ClassType.objects.create(organization=gym, name=f"Type {name}")
        coach = Person.objects.create(organization=gym, name=f"Coach {name}", is_coach=True)
        place = Place.objects.create(organization=gym, name=f"Place {name}")
        shared = {"organization": gym, "class_type": kind, "coach": coach, "place": place}
        WeeklySlot.objects.create(**shared, weekday=number % 7 + 1, start_time=time(6 + number % 12))
        SpecialEvent.objects.create(**shared, title=f"Special {name}", date=today, start_time=time(23))
        far = date(2040, 1, 1) + timedelta(days=number)
        Closure.objects.create(organization=gym, name=f"Closed {name}", first_on=far, last_on=far)
        _synced(name, now)
    cms.refresh(gym, now=now, cause="test")


def _synced(name: str, now: datetime) -> None:
    connection = Connection.objects.create(provider="fitbox", name=f"Connection {name}")
    run = Run.objects.create(connection=connection, source="fitbox", created_at=now, completed_at=now)
    CredentialUse.objects.create(connection=connection, connection_name=name, action="read", actor="run:1", at=now)
    HeldImport.objects.create(
        connection=connection,
        run=run,
        state=HeldState.DISCARDED,
        reason="r",
        data=b"",
        first_seen_at=now,
        last_seen_at=now,
    )
