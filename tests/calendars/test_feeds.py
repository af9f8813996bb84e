"""A calendar made of stored texts, read back by another program's parser."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from calendars.feeds import calendar
from schedule.vevent import render
from tests.schedule.test_vevent import Row, texts

TEXTS = [render(Row(uid=f"{number}@callboard", title=f"Class {number}")) for number in range(3)]


def test_the_head_of_the_calendar() -> None:
    assert calendar([], name="Tidewater Gym", refresh_minutes=15) == (
        b"BEGIN:VCALENDAR\r\n"
        b"VERSION:2.0\r\n"
        b"PRODID:-//Callboard//Callboard//EN\r\n"
        b"CALSCALE:GREGORIAN\r\n"
        b"NAME:Tidewater Gym\r\n"
        b"X-WR-CALNAME:Tidewater Gym\r\n"
        b"REFRESH-INTERVAL;VALUE=DURATION:PT15M\r\n"
        b"X-PUBLISHED-TTL:PT15M\r\n"
        b"END:VCALENDAR\r\n"
    )


def test_the_stored_texts_stand_in_it_as_they_are() -> None:
    body = calendar(iter(TEXTS), name="Gym", refresh_minutes=60)
    assert "".join(TEXTS).encode() in body
    read = Calendar.from_ical(body)
    assert [event["SUMMARY"] for event in read.events] == ["Class 0", "Class 1", "Class 2"]
    assert [event["DTSTART"].dt for event in read.events] == [datetime(2026, 11, 18, 7, tzinfo=UTC)] * 3
    assert read["REFRESH-INTERVAL"].dt == timedelta(hours=1)


def test_it_is_no_invitation_and_needs_no_zones() -> None:
    read = Calendar.from_ical(calendar(TEXTS, name="Gym", refresh_minutes=15))
    assert "METHOD" not in read
    assert read.walk("VTIMEZONE") == []


def test_the_same_rows_give_the_same_bytes() -> None:
    assert calendar(TEXTS, name="Gym", refresh_minutes=15) == calendar(list(TEXTS), name="Gym", refresh_minutes=15)


@given(texts, st.lists(texts, max_size=4))
def test_whatever_people_write_the_calendar_has_those_events_and_no_long_line(name: str, titles: list[str]) -> None:
    rows = [render(Row(uid=f"{n}@callboard", title=title)) for n, title in enumerate(titles)]
    body = calendar(rows, name=name, refresh_minutes=15)
    assert [str(event["UID"]) for event in Calendar.from_ical(body).events] == [
        f"{n}@callboard" for n in range(len(rows))
    ]
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))
