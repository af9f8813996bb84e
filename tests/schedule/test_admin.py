"""The manual timetable in the admin: what is saved shows, what is double is refused, what others keep stays."""

import re
from datetime import date, datetime, time, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.test import Client

from schedule import store
from schedule.models import (
    ClassType,
    Closure,
    Event,
    Organization,
    Person,
    Place,
    SpecialEvent,
    TimetableSettings,
    WeeklySlot,
)
from tests.schedule.making import MONDAY, NOW, ZONE
from tests.staff import PEOPLE, Clients, clients, gym

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_ten() -> Any:
    """Let it be Wednesday, 18 November 2026, 10:00 in Melbourne."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def people() -> Clients:
    gym()
    return clients()


@pytest.fixture
def hiit(people: Clients) -> ClassType:
    return ClassType.objects.create(organization=Organization.installation(), name="HIIT")


def slot_form(class_type: ClassType, **values: Any) -> dict[str, Any]:
    usual = {
        "weekday": 4,
        "start_time": "18:00",
        "duration_minutes": 45,
        "class_type": class_type.pk,
        "is_active": "on",
    }
    return usual | {"coach": "", "place": "", "room": "", "level": "", "capacity": "12", "notes": ""} | values


def add(client: Client, model: str, form: dict[str, Any]) -> Any:
    return client.post(f"/admin/schedule/{model}/add/", form)


def change(client: Client, item: Any, form: dict[str, Any]) -> Any:
    return client.post(f"/admin/schedule/{item._meta.model_name}/{item.pk}/change/", form)


def delete(client: Client, item: Any) -> Any:
    return client.post(f"/admin/schedule/{item._meta.model_name}/{item.pk}/delete/", {"post": "yes"})


def errors(answer: Any) -> str:
    lists = re.findall(r'<ul class="errorlist.*?</ul>', answer.content.decode(), re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", " ".join(lists)))).strip()


# --- weekly slots -----------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-18")
def test_a_saved_slot_shows_with_the_next_page_view(people: Clients, hiit: ClassType) -> None:
    assert add(people.owner, "weeklyslot", slot_form(hiit)).status_code == 302
    rows = Event.objects.live().filter(source="cms")
    assert [row.starts_at for row in rows[:2]] == [
        datetime.combine(MONDAY + timedelta(days=3 + days), time(18), ZONE) for days in (0, 7)
    ]
    assert rows.count() == 8
    assert "HIIT" in Client().get("/timetable/").content.decode()


@pytest.mark.req("TT-18")
def test_a_changed_slot_changes_its_rows_and_says_when(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    slot = WeeklySlot.objects.get()
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        assert change(people.owner, slot, slot_form(hiit, start_time="19:00", capacity="")).status_code == 302
    slot.refresh_from_db()
    row = Event.objects.live().first()
    assert row is not None
    assert (row.starts_at.astimezone(ZONE).time(), row.capacity, row.sequence) == (time(19), None, 1)
    assert slot.last_updated == NOW + timedelta(minutes=5)
    assert row.changes.get(kind="changed").cause == f"user:{people.owner.session['_auth_user_id']}"


@pytest.mark.req("TT-18")
@pytest.mark.parametrize("way", ["delete", "inactive", "many"])
def test_a_slot_that_goes_takes_its_rows_away(people: Clients, hiit: ClassType, way: str) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    slot = WeeklySlot.objects.get()
    if way == "delete":
        delete(people.owner, slot)
    elif way == "inactive":
        change(people.owner, slot, {**slot_form(hiit), "is_active": ""})
    else:
        chosen = {"action": "delete_selected", "_selected_action": [slot.pk], "post": "yes"}
        people.owner.post("/admin/schedule/weeklyslot/", chosen)
    assert not Event.objects.live().exists()


@pytest.mark.req("TT-14")
def test_a_double_slot_is_refused_in_words(people: Clients, hiit: ClassType) -> None:
    place = Place.objects.create(organization=hiit.organization, name="North")
    add(people.owner, "weeklyslot", slot_form(hiit, place=place.pk, room="Studio"))
    answer = add(people.owner, "weeklyslot", slot_form(hiit, place=place.pk, room="studio"))
    assert errors(answer) == (
        "This slot exists already: Thursday 18:00 HIIT at North, Studio. "
        "Change that one, or choose another time, place or room."
    )
    assert WeeklySlot.objects.count() == 1


@pytest.mark.req("TT-14")
@pytest.mark.parametrize(
    "other",
    [
        {"start_time": "18:15"},
        {"weekday": 5},
        {"room": "Studio"},
        {"is_active": ""},
        {"valid_from": "2027-01-01"},
    ],
)
def test_a_slot_that_differs_is_no_double(people: Clients, hiit: ClassType, other: dict[str, Any]) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit, valid_until="2026-12-31"))
    assert add(people.owner, "weeklyslot", slot_form(hiit, **other)).status_code == 302


def test_a_slot_is_no_double_of_itself(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    assert change(people.owner, WeeklySlot.objects.get(), slot_form(hiit, notes="Bring a towel")).status_code == 302


BAD_SLOTS = [
    ({"weekday": 8}, "Select a valid choice"),
    ({"start_time": "25:00"}, "Enter a valid time"),
    ({"duration_minutes": 4}, "greater than or equal to 5"),
    ({"capacity": 0}, "greater than or equal to 1"),
    ({"coach": 99}, "Select a valid choice"),
    ({"valid_from": "2026-12-02", "valid_until": "2026-12-01"}, "The last day lies before the first."),
]


@pytest.mark.parametrize(("values", "reason"), BAD_SLOTS)
def test_a_bad_slot_is_refused_with_the_reason(
    people: Clients, hiit: ClassType, values: dict[str, Any], reason: str
) -> None:
    answer = add(people.owner, "weeklyslot", slot_form(hiit, **values))
    assert answer.status_code == 200
    assert reason in errors(answer)
    assert not WeeklySlot.objects.exists()


# --- what slots are made of -------------------------------------------------------------------------------------------


def test_a_renamed_class_type_renames_its_rows(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    form = {"name": "Circuit", "colour": "#112233", "default_minutes": 45, "synonyms": "WOD,  Cross Fit, WOD"}
    assert change(people.owner, hiit, form).status_code == 302
    hiit.refresh_from_db()
    assert hiit.synonyms == ["WOD", "Cross Fit"]
    assert {row.title for row in Event.objects.live()} == {"Circuit"}


def test_a_new_colour_makes_pages_new(people: Clients, hiit: ClassType) -> None:
    before = store.revision("publication")
    change(people.owner, hiit, {"name": "HIIT", "colour": "#112233", "default_minutes": 60, "synonyms": ""})
    assert store.revision("publication") > before


def test_two_class_types_of_one_name_are_refused(people: Clients, hiit: ClassType) -> None:
    answer = add(
        people.owner, "classtype", {"name": "HIIT", "colour": "#112233", "default_minutes": 60, "synonyms": ""}
    )
    assert (answer.status_code, ClassType.objects.count()) == (200, 1)
    assert "already exists" in errors(answer)


def test_a_coach_whom_classes_name_is_kept(people: Clients, hiit: ClassType) -> None:
    coach = Person.objects.create(organization=hiit.organization, name="Alex", is_coach=True)
    add(people.owner, "weeklyslot", slot_form(hiit, coach=coach.pk))
    answer = delete(people.owner, coach)
    assert "8 classes of the timetable" in answer.content.decode()
    assert Person.objects.filter(pk=coach.pk).exists()


def test_another_zone_of_the_gym_moves_its_classes(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    gym = Organization.installation()
    form = {"name": gym.name, "timezone": "Europe/London", "email": "", "phone": "", "website": ""}
    assert change(people.owner, gym, form).status_code == 302
    row = Event.objects.live().first()
    assert row is not None
    assert f"{row.starts_at:%H:%M}" == "18:00"


# --- closed days, special events --------------------------------------------------------------------------------------


def closure_form(first: date, last: date, name: str = "Repairs") -> dict[str, Any]:
    return {"name": name, "first_on": first.isoformat(), "last_on": last.isoformat()}


def cancelled() -> list[date]:
    return [row.starts_at.astimezone(ZONE).date() for row in Event.objects.live().filter(status="cancelled")]


def test_a_closed_day_cancels_its_classes_and_moves_with_its_dates(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    thursday = MONDAY + timedelta(days=3)
    next_thursday = thursday + timedelta(weeks=1)
    add(people.owner, "closure", closure_form(thursday, thursday))
    assert cancelled() == [thursday]
    closure = Closure.objects.get()
    change(people.owner, closure, closure_form(next_thursday, next_thursday))
    assert cancelled() == [next_thursday]
    delete(people.owner, closure)
    assert cancelled() == []


def test_a_closure_that_ends_before_it_begins_is_refused(people: Clients) -> None:
    answer = add(people.owner, "closure", closure_form(MONDAY, MONDAY - timedelta(days=1)))
    assert errors(answer) == "The last day lies before the first."


def test_a_providers_holiday_is_changed_at_the_provider(people: Clients) -> None:
    holiday = Closure.objects.create(
        organization=Organization.installation(), name="Cup Day", first_on=MONDAY, last_on=MONDAY, source="fitbox"
    )
    assert change(people.owner, holiday, closure_form(MONDAY, MONDAY, "Mine")).status_code == 403
    assert delete(people.owner, holiday).status_code == 403
    assert Closure.objects.get().name == "Cup Day"


def test_a_special_event_shows_over_either_source(people: Clients) -> None:
    form = {
        "title": "Open day",
        "date": "2026-11-21",
        "start_time": "10:00",
        "duration_minutes": 120,
        "is_active": "on",
    }
    assert add(people.owner, "specialevent", form | {"notes": "", "room": ""}).status_code == 302
    TimetableSettings.objects.update(data_source="fitbox")
    assert "Open day" in Client().get("/timetable/").content.decode()
    delete(people.owner, SpecialEvent.objects.get())
    assert not Event.objects.live().exists()


# --- who may, and when it is ------------------------------------------------------------------------------------------

MODELS = ["classtype", "closure", "event", "organization", "person", "place", "specialevent", "weeklyslot"]


@pytest.mark.req("X-04")
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("model", MODELS)
def test_only_staff_with_the_right_look(people: Clients, person: str, model: str) -> None:
    answer = people.of(person).get(f"/admin/schedule/{model}/")
    assert answer.status_code == {"onlooker": 200, "manager": 403, "owner": 200}.get(person, 302)


@pytest.mark.req("X-04")
@pytest.mark.parametrize("person", PEOPLE[:-1])
def test_only_staff_with_the_right_add(people: Clients, hiit: ClassType, person: str) -> None:
    assert add(people.of(person), "weeklyslot", slot_form(hiit)).status_code in (302, 403)
    assert not WeeklySlot.objects.exists()


@pytest.mark.parametrize("action", ["add", "change", "delete"])
def test_nobody_edits_events(people: Clients, action: str) -> None:
    request: Any = type("Request", (), {"user": people.owner})()
    assert getattr(admin.site._registry[Event], f"has_{action}_permission")(request) is False


def test_the_list_of_slots_has_place_and_room_in_one_column(people: Clients, hiit: ClassType) -> None:
    place = Place.objects.create(organization=hiit.organization, name="Riverside")
    add(people.owner, "weeklyslot", slot_form(hiit, place=place.pk, room="Studio"))
    assert "Riverside, Studio" in people.owner.get("/admin/schedule/weeklyslot/").content.decode()


def test_times_are_on_the_gyms_clock(people: Clients, hiit: ClassType) -> None:
    add(people.owner, "weeklyslot", slot_form(hiit))
    said = people.owner.get(f"/admin/schedule/weeklyslot/{WeeklySlot.objects.get().pk}/change/").content.decode()
    assert "18 Nov 2026, 10:00" in said
