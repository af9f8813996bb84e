"""What a week shows: which rows, from which source, in how many queries."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from schedule import board, cache
from schedule.board import Board, InvalidWeek, Space
from schedule.models import Closure, Event, Organization, Place, TimetableSettings
from schedule.store import bump_publication
from schedule.timetable import Week
from tests.schedule.making import MONDAY, NOW, ZONE, gym, read, session

pytestmark = pytest.mark.django_db


def shown(now: datetime = NOW, week: Week | None = None) -> Board:
    return board.build(board.look(week, now))


def titles(built: Board) -> list[str]:
    return [session.title for session in built.sessions]


# --- which rows -------------------------------------------------------------------------------------------------------


def test_a_week_shows_the_chosen_source_alone() -> None:
    organization = gym(data_source="fitbox", fallback_order=["cms"])
    read()
    session(organization, title="Provider's", source="fitbox")
    session(organization, title="Our own", source="cms")
    assert titles(shown()) == ["Provider's"]


def test_special_events_stand_over_either_source() -> None:
    organization = gym()
    session(organization, title="Open day", source="manual")
    read()
    assert titles(shown()) == ["Open day"]
    TimetableSettings.objects.update(data_source="fitbox")
    assert titles(shown()) == ["Open day"]


@pytest.mark.parametrize("values", [{"is_private": True}, {"kind": "appointment"}, {"deleted_at": NOW}])
def test_what_is_not_public_is_not_shown(values: dict[str, Any]) -> None:
    session(gym(), **values)
    assert titles(shown()) == []


def test_rows_of_another_organization_are_not_shown() -> None:
    gym()
    session(Organization.objects.create(name="School", timezone=ZONE.key))
    assert titles(shown()) == []


@pytest.mark.req("TT-08")
def test_cancelled_classes_stay_unless_the_setting_drops_them() -> None:
    session(gym(), status="cancelled")
    assert [found.is_cancelled for found in shown().sessions] == [True]
    TimetableSettings.objects.update(show_cancelled=False)
    assert titles(shown()) == []


def test_a_week_is_the_gyms_own_from_monday_to_sunday() -> None:
    organization = gym()
    session(organization, -1, "23:59", title="Before")
    session(organization, 0, "00:00", title="First")
    session(organization, 6, "23:59", title="Last")
    session(organization, 7, "00:00", title="After")
    assert titles(shown()) == ["First", "Last"]


@pytest.mark.req("TT-07")
def test_times_are_the_gyms_wall_clock_on_both_sides_of_a_clock_change() -> None:
    organization = gym()
    # Clocks went forward on Sunday, 4 October 2026.
    days = (date(2026, 10, 2) - MONDAY).days
    session(organization, days, "06:00", title="Before")
    session(organization, days + 3, "06:00", title="After")
    found = [
        day_session
        for week in (Week.of(date(2026, 10, 2)), Week.of(date(2026, 10, 5)))
        for day_session in shown(week=week).sessions
    ]
    assert [f"{s.starts_at:%a %H:%M %z}" for s in found] == ["Fri 06:00 +1000", "Mon 06:00 +1100"]


def test_a_length_is_time_that_passes() -> None:
    organization = gym()
    # 02:00 became 03:00 that night: 01:30 to 03:30 is one hour.
    starts = datetime(2026, 10, 4, 1, 30, tzinfo=ZONE)
    session(organization, starts_at=starts, ends_at=datetime(2026, 10, 4, 3, 30, tzinfo=ZONE))
    assert [s.minutes for s in shown(week=Week.of(starts.date())).sessions] == [60]


def test_a_closed_day_says_so_and_names_the_next_day_with_classes() -> None:
    organization = gym()
    Closure.objects.create(organization=organization, name="Cup Day", first_on=MONDAY, last_on=MONDAY)
    session(organization, 2)
    monday, tuesday, wednesday = shown().days[:3]
    assert (monday.closed, monday.next_on) == ("Cup Day", wednesday.on)
    assert (tuesday.closed, tuesday.next_on) == ("", wednesday.on)
    assert wednesday.next_on is None


# --- which source -----------------------------------------------------------------------------------------------------


def test_a_stale_source_gives_way_to_the_manual_timetable() -> None:
    organization = gym(data_source="fitbox", stale_limit_minutes=60)
    session(organization, source="fitbox", title="Provider's")
    session(organization, source="cms", title="Our own")
    read(at=NOW - timedelta(minutes=59))
    assert titles(shown()) == ["Provider's"]
    read(at=NOW - timedelta(minutes=61))
    assert titles(shown()) == ["Our own"]


@pytest.mark.req("TT-23")
def test_a_provider_that_is_switched_off_is_not_shown_whatever_was_chosen() -> None:
    organization = gym(data_source="fitbox")
    read()
    session(organization, source="fitbox", title="Provider's")
    session(organization, source="cms", title="Our own")
    with override_settings(TIMETABLE_SOURCES={"cms": "Manual CMS"}):
        assert titles(shown()) == ["Our own"]


def test_a_week_beyond_what_was_read_shows_the_manual_timetable() -> None:
    organization = gym(data_source="fitbox")
    read(covered_until=MONDAY + timedelta(days=6))
    session(organization, 9, source="fitbox", title="Provider's")
    session(organization, 9, source="cms", title="Our own")
    assert titles(shown(week=Week.of(MONDAY).next)) == ["Our own"]


def test_a_page_view_writes_no_settings() -> None:
    Organization.objects.create(name="New gym", timezone=ZONE.key, is_installation=True)
    assert shown().sessions == []
    assert not TimetableSettings.objects.exists()


# --- cost -------------------------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_grow_with_the_classes() -> None:
    organization = gym()
    place = Place.objects.create(organization=organization, name="Main")
    session(organization, place=place)
    with CaptureQueriesContext(connection) as one:
        shown()
    for number in range(49):
        session(organization, number % 7, place=place)
    with CaptureQueriesContext(connection) as fifty:
        assert len(shown().sessions) == 50
    assert len(fifty) == len(one) == 5


def test_the_publication_revision_is_read_once() -> None:
    session(gym())
    with CaptureQueriesContext(connection) as queries:
        shown()
    assert sum("schedule_counter" in query["sql"] for query in queries) == 1


@pytest.mark.req("TT-28")
def test_row_counts_are_kept_for_their_revision_only() -> None:
    organization = gym()
    session(organization)
    board.look(None, NOW)
    with CaptureQueriesContext(connection) as known:
        board.look(None, NOW)
    assert len(known) == 2
    bump_publication()
    with CaptureQueriesContext(connection) as new:
        board.look(None, NOW)
    assert len(new) == 3


@pytest.mark.req("TT-32")
def test_only_a_new_revision_makes_a_new_key() -> None:
    session(gym())
    key = board.look(None, NOW).key
    assert board.look(None, NOW + timedelta(minutes=3)).key == key
    bump_publication()
    assert board.look(None, NOW).key != key


def test_a_new_data_minute_makes_a_new_key() -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW)
    key = board.look(None, NOW).key
    read(at=NOW + timedelta(minutes=1))
    cache.forget()
    assert board.look(None, NOW + timedelta(minutes=1)).key != key


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-09")
@pytest.mark.parametrize(
    ("capacity", "booked", "word"),
    [
        (20, 0, Space.AVAILABLE),
        (20, 15, Space.AVAILABLE),
        (20, 16, Space.FEW),
        (20, 19, Space.FEW),
        (20, 20, Space.FULL),
        (20, 23, Space.FULL),
        (1, 0, Space.AVAILABLE),
        (1, 1, Space.FULL),
        (None, 5, None),
        (20, None, None),
    ],
)
def test_space_is_a_word(capacity: int | None, booked: int | None, word: Space | None) -> None:
    event = Event(capacity=capacity, booked=booked, starts_at=NOW, ends_at=NOW)
    assert board.session_of(event, ZONE).space == word


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://book.example/1", True),
        ("http://book.example", True),
        ("javascript:alert(1)", False),
        ("JAVASCRIPT:alert(1)", False),
        ("data:text/html,x", False),
        ("//book.example", False),
        ("https:alert(1)", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_web_addresses_become_links(address: str, kept: bool) -> None:
    assert board.web_link(address) == (address if kept else "")


@pytest.mark.parametrize(
    "text", ["2026-W54", "2026-W00", "W47", "2026-47", "1999-W10", "2101-W01", "9999-W52", "0001-W01", "x" * 9]
)
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(InvalidWeek):
        board.parse_week(text)


def test_no_week_asked_for_is_this_week() -> None:
    gym()
    assert board.parse_week("") is None
    assert board.look(None, NOW).week == Week.of(MONDAY)
