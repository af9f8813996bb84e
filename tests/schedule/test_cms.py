"""Weekly slots and special events as dated rows: what is written, and what is left as it was."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from schedule import cms, store
from schedule.models import (
    Change,
    ClassType,
    Closure,
    Event,
    EventStatus,
    Organization,
    Person,
    Place,
    SpecialEvent,
    WeeklySlot,
)
from schedule.timetable import horizon
from tests.schedule.making import MONDAY, NOW, ZONE, gym

pytestmark = pytest.mark.django_db
FIRST, LAST = horizon(MONDAY)


def slot(organization: Organization, weekday: int = 4, clock: str = "18:00", **values: Any) -> WeeklySlot:
    """Make a slot; without more words on Thursdays, which is tomorrow."""
    kind, _ = ClassType.objects.get_or_create(organization=organization, name=values.pop("kind", "HIIT"))
    return WeeklySlot.objects.create(
        organization=organization, weekday=weekday, start_time=time.fromisoformat(clock), class_type=kind, **values
    )


def special(organization: Organization, day: date, **values: Any) -> SpecialEvent:
    row = {"title": "Open day", "date": day, "start_time": time(10)} | values
    return SpecialEvent.objects.create(organization=organization, **row)


def refresh(organization: Organization, now: datetime = NOW) -> tuple[int, int, int]:
    applied = cms.refresh(organization, now=now, cause="test")
    return applied.created, applied.changed, applied.removed


def days(**where: Any) -> list[str]:
    rows = Event.objects.live().filter(**where)
    return [event.starts_at.astimezone(ZONE).strftime("%m-%d %H:%M") for event in rows]


# --- expansion --------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-18")
def test_a_slot_becomes_a_class_of_each_of_the_eight_weeks() -> None:
    organization = gym()
    coach = Person.objects.create(organization=organization, name="Sam Reed", photo_url="https://p.example/1.jpg")
    place = Place.objects.create(organization=organization, name="Riverside")
    made = slot(organization, coach=coach, place=place, room="Studio", level="All", capacity=12, notes="Bring a towel.")
    assert refresh(organization) == (8, 0, 0)
    event = Event.objects.order_by("starts_at")[0]
    assert (event.source, event.connection, event.external_id) == ("cms", "cms", f"{made.pk}/2026-11-19")
    assert (event.title, event.class_type, event.class_type_name) == ("HIIT", made.class_type, "HIIT")
    assert (event.instructor, event.instructor_name, event.instructor_image) == (coach, "Sam Reed", coach.photo_url)
    assert (event.place, event.location, event.room) == (place, "Riverside", "Studio")
    assert (event.level, event.capacity, event.booked, event.description) == ("All", 12, None, "Bring a towel.")
    assert (event.starts_at, event.ends_at - event.starts_at) == (
        datetime(2026, 11, 19, 7, tzinfo=UTC),
        timedelta(hours=1),
    )
    assert "SUMMARY:HIIT" in event.vevent
    assert days()[-1] == "01-07 18:00"


@pytest.mark.req("TT-07", "TT-18")
@pytest.mark.parametrize(
    ("change", "instants"),
    [
        (date(2026, 10, 4), ["2026-09-26T20:00Z", "2026-10-03T19:00Z", "2026-10-10T19:00Z"]),
        (date(2026, 4, 5), ["2026-03-28T19:00Z", "2026-04-04T20:00Z", "2026-04-11T20:00Z"]),
    ],
)
def test_a_slot_stays_at_six_in_the_morning_over_both_clock_changes(change: date, instants: list[str]) -> None:
    organization = gym()
    slot(organization, weekday=7, clock="06:00")
    week = timedelta(weeks=1)
    found = [row.values.starts_at for row in cms.expand(organization, change - week, change + week)]
    assert found == [datetime.fromisoformat(instant) for instant in instants]
    assert {start.astimezone(ZONE).time() for start in found} == {time(6)}


@pytest.mark.req("TT-07")
def test_a_slot_in_the_skipped_hour_is_held_an_hour_later_on_that_day_alone() -> None:
    organization = gym()
    slot(organization, weekday=7, clock="02:30")
    rows = cms.expand(organization, date(2026, 9, 27), date(2026, 10, 11))
    assert [row.values.starts_at.astimezone(ZONE).time() for row in rows] == [time(2, 30), time(3, 30), time(2, 30)]


@pytest.mark.req("TT-18")
@pytest.mark.parametrize(
    ("values", "dates"),
    [
        ({"valid_from": date(2026, 12, 24)}, ["2026-12-24", "2026-12-31", "2027-01-07"]),
        ({"valid_until": date(2026, 11, 26)}, ["2026-11-19", "2026-11-26"]),
        ({"valid_from": date(2026, 11, 20), "valid_until": date(2026, 11, 26)}, ["2026-11-26"]),
        ({"valid_until": date(2026, 11, 1)}, []),
        ({"valid_from": date(2027, 2, 1)}, []),
        ({"is_active": False}, []),
    ],
)
def test_a_slot_is_held_while_it_is_valid_and_active(values: dict[str, Any], dates: list[str]) -> None:
    organization = gym()
    slot(organization, **values)
    assert [row.external_id.split("/")[1] for row in cms.expand(organization, FIRST, LAST)] == dates


def test_slots_of_another_organization_are_not_this_gyms() -> None:
    organization = gym()
    slot(Organization.objects.create(name="School", timezone=ZONE.key))
    assert cms.expand(organization, FIRST, LAST) == []


@pytest.mark.parametrize("count", [1, 3])
def test_expanding_takes_one_query_however_many_slots(count: int, django_assert_num_queries: Any) -> None:
    organization = gym()
    coach = Person.objects.create(organization=organization, name="Sam Reed")
    place = Place.objects.create(organization=organization, name="Riverside")
    for _ in range(count):
        slot(organization, coach=coach, place=place)
    with django_assert_num_queries(1):
        assert len(cms.expand(organization, FIRST, LAST)) == 8 * count


# --- refreshing -------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-34")
def test_refreshing_twice_writes_nothing_the_second_time() -> None:
    organization = gym()
    slot(organization)
    special(organization, date(2026, 11, 28))
    assert refresh(organization) == (9, 0, 0)
    before = (Change.objects.count(), store.revision(), store.revision("publication"))
    assert refresh(organization) == (0, 0, 0)
    assert (Change.objects.count(), store.revision(), store.revision("publication")) == before


@pytest.mark.req("TT-18")
def test_the_next_monday_adds_a_week_and_keeps_the_one_that_passed() -> None:
    organization = gym()
    slot(organization)
    refresh(organization)
    assert not cms.reaches(LAST + timedelta(weeks=1))
    assert refresh(organization, NOW + timedelta(weeks=1)) == (1, 0, 0)
    assert cms.reaches(LAST + timedelta(weeks=1))
    assert len(days()) == 9


@pytest.mark.req("TT-18")
def test_a_changed_slot_changes_its_coming_classes_and_keeps_their_uids() -> None:
    organization = gym()
    made = slot(organization)
    refresh(organization)
    uids = set(Event.objects.values_list("uid", flat=True))
    made.start_time = time(19)
    made.save()
    assert refresh(organization) == (0, 8, 0)
    assert {day.split()[1] for day in days()} == {"19:00"}
    assert set(Event.objects.values_list("uid", flat=True)) == uids
    assert set(Event.objects.values_list("sequence", flat=True)) == {1}


@pytest.mark.req("TT-18")
def test_a_slot_that_is_switched_off_leaves_tombstones_and_comes_back_as_itself() -> None:
    organization = gym()
    made = slot(organization)
    refresh(organization)
    WeeklySlot.objects.filter(pk=made.pk).update(is_active=False)
    assert refresh(organization) == (0, 0, 8)
    assert days() == []
    WeeklySlot.objects.filter(pk=made.pk).update(is_active=True)
    assert refresh(organization) == (0, 8, 0)
    assert (len(days()), Event.objects.count()) == (8, 8)


@pytest.mark.req("TT-18")
@pytest.mark.parametrize("how", ["changed", "deleted"])
def test_what_was_held_this_week_stays_as_it_was_held(how: str) -> None:
    organization = gym()
    made = slot(organization, weekday=1)
    refresh(organization, NOW - timedelta(days=2))  # on Monday morning, before the class
    if how == "changed":
        made.start_time = time(19)
        made.save()
    else:
        made.delete()
    refresh(organization)
    assert days()[0] == "11-16 18:00"
    assert {day.split()[1] for day in days()[1:]} <= {"19:00"}


@pytest.mark.parametrize(("clock", "moved"), [("18:00", "09:00"), ("09:00", "18:00")])
def test_a_class_of_today_can_still_be_moved(clock: str, moved: str) -> None:
    """It is ten o'clock: one of the two times is over, the other is not."""
    organization = gym()
    made = slot(organization, weekday=3, clock=clock)
    refresh(organization)
    made.start_time = time.fromisoformat(moved)
    made.save()
    refresh(organization)
    assert days()[0] == f"11-18 {moved}"


def test_the_days_of_this_week_that_have_passed_are_filled_when_a_gym_begins() -> None:
    organization = gym()
    slot(organization, weekday=1)
    refresh(organization)
    assert days()[0] == "11-16 18:00"


@pytest.mark.req("TT-15")
def test_classes_on_a_closed_day_are_cancelled_with_its_name() -> None:
    organization = gym()
    slot(organization)
    Closure.objects.create(
        organization=organization, name="Floor repairs", first_on=date(2026, 11, 26), last_on=date(2026, 11, 26)
    )
    refresh(organization)
    closed = Event.objects.get(external_id__endswith="/2026-11-26")
    assert (closed.status, closed.status_reason) == (EventStatus.CANCELLED, "Floor repairs")
    assert "DESCRIPTION:Cancelled: Floor repairs" in closed.vevent
    assert Event.objects.filter(status=EventStatus.CONFIRMED).count() == 7


# --- special events ---------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-15")
def test_a_special_event_is_a_row_of_the_gyms_own() -> None:
    organization = gym()
    made = special(organization, date(2026, 11, 28), duration_minutes=90, notes="Bring a friend.", capacity=40)
    refresh(organization)
    event = Event.objects.get()
    assert (event.source, event.connection, event.external_id) == ("manual", "manual", f"special-{made.pk}")
    assert (event.title, event.description, event.capacity) == ("Open day", "Bring a friend.", 40)
    assert days() == ["11-28 10:00"]
    assert event.ends_at - event.starts_at == timedelta(minutes=90)


@pytest.mark.req("TT-15")
def test_a_special_event_follows_its_edits() -> None:
    organization = gym()
    made = special(organization, date(2026, 11, 28))
    refresh(organization)
    SpecialEvent.objects.filter(pk=made.pk).update(date=date(2026, 11, 29), title="Open Sunday")
    assert refresh(organization) == (0, 1, 0)
    assert days(title="Open Sunday") == ["11-29 10:00"]
    SpecialEvent.objects.filter(pk=made.pk).update(is_active=False)
    assert refresh(organization) == (0, 0, 1)
    assert days() == []


@pytest.mark.req("TT-15")
def test_a_special_event_of_last_week_can_be_put_off_and_keeps_its_uid() -> None:
    organization = gym()
    made = special(organization, date(2026, 11, 14))
    refresh(organization, NOW - timedelta(weeks=1))
    uid = Event.objects.get().uid
    SpecialEvent.objects.filter(pk=made.pk).update(date=date(2026, 11, 28))
    assert refresh(organization) == (0, 1, 0)
    assert (days(), Event.objects.get().uid) == (["11-28 10:00"], uid)


def test_a_special_event_appears_when_the_eight_weeks_come_to_it() -> None:
    organization = gym()
    special(organization, LAST + timedelta(days=3))
    assert refresh(organization) == (0, 0, 0)
    assert cms.reaches(LAST)
    later = LAST + timedelta(weeks=1)
    assert not cms.reaches(later)
    assert refresh(organization, NOW + timedelta(weeks=1)) == (1, 0, 0)
    assert cms.reaches(later)


@pytest.mark.parametrize("how", ["nothing", "slots", "past special event that was taken back"])
def test_what_has_nothing_to_add_reaches_the_horizon(how: str) -> None:
    """Else the clock's every tick would ask for another expansion."""
    organization = gym()
    if how == "slots":
        slot(organization, valid_until=date(2026, 11, 26))
    if how.startswith("past"):
        made = special(organization, date(2026, 11, 20))
        refresh(organization)
        SpecialEvent.objects.update(is_active=False)
        refresh(organization)
        SpecialEvent.objects.filter(pk=made.pk).update(is_active=True)
    refresh(organization, NOW + timedelta(days=3))
    assert cms.reaches(LAST)
