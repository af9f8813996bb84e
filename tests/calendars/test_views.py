"""The public feed: the same weeks as the page, for calendar apps."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from icalendar import Calendar

from schedule import cache
from schedule.models import Organization, TimetableSettings
from schedule.store import bump_publication
from tests.schedule.making import MONDAY, NOW, gym, no_database, no_redis, read, session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_ten")]
FEED = "/calendar/timetable.ics"
HOSTILE = [
    "x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:forged",
    "BEGIN:VCALENDAR",
    "a;b,c\\d\ne",
    "😀" * 50,
    "\u2028\u0085",
]


def feed(client: Client) -> Calendar:
    response = client.get(FEED)
    assert response.status_code == 200
    return Calendar.from_ical(response.content)


def titles(calendar: Calendar) -> list[str]:
    return [str(event["SUMMARY"]) for event in calendar.walk("VEVENT")]


def test_the_feed_holds_the_weeks_from_this_monday_to_the_horizon(client: Client) -> None:
    organization = gym()
    for day, title in ((-1, "Before"), (0, "First"), (55, "Last"), (56, "After")):
        session(organization, day, title=title)
    assert titles(feed(client)) == ["First", "Last"]


def test_each_week_has_its_own_source(client: Client) -> None:
    organization = gym(data_source="fitbox")
    read(covered_until=MONDAY + timedelta(days=6))
    for source in ("fitbox", "cms"):
        session(organization, 1, source=source, title=f"this week's {source}")
        session(organization, 8, source=source, title=f"next week's {source}")
    session(organization, 9, source="manual", title="special")
    assert titles(feed(client)) == ["this week's fitbox", "next week's cms", "special"]


def test_stored_texts_are_sent_as_they_are(client: Client) -> None:
    event = session(gym())
    assert event.vevent.encode() in client.get(FEED).content


@pytest.mark.req("TT-08")
def test_a_cancelled_class_is_sent_as_cancelled_and_the_setting_drops_it(client: Client) -> None:
    session(gym(), status="cancelled")
    assert [event["STATUS"] for event in feed(client).walk("VEVENT")] == ["CANCELLED"]
    TimetableSettings.objects.update(show_cancelled=False)
    assert titles(feed(client)) == []


@pytest.mark.parametrize("values", [{"is_private": True}, {"kind": "appointment"}, {"deleted_at": NOW}])
def test_what_is_not_public_is_not_sent(client: Client, values: dict[str, object]) -> None:
    session(gym(), **values)
    assert titles(feed(client)) == []


def test_headers_say_what_it_is_and_how_it_may_be_kept(client: Client) -> None:
    session(gym())
    response = client.get(FEED)
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    assert response["Content-Disposition"] == 'inline; filename="timetable.ics"'
    assert "Vary" not in response.headers
    for word in ("public", "s-maxage=", "stale-if-error="):
        assert word in response["Cache-Control"]


def test_an_unchanged_feed_is_304_in_every_form_of_the_question(client: Client) -> None:
    session(gym())
    etag = client.get(FEED)["ETag"]
    for sent in (etag, f'"other", {etag}', "*"):
        response = client.get(FEED, headers={"If-None-Match": sent})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    with time_machine.travel(NOW + timedelta(minutes=1), tick=False):
        told = client.get(FEED)["Last-Modified"]
        assert client.get(FEED, headers={"If-Modified-Since": told}).status_code == 304


@pytest.mark.req("TT-32")
def test_a_change_and_a_switch_show_with_the_next_poll(client: Client) -> None:
    organization = gym()
    session(organization, source="cms", title="Our own")
    session(organization, source="fitbox", title="Their own")
    read()
    etag = client.get(FEED)["ETag"]
    TimetableSettings.objects.update(data_source="fitbox")
    bump_publication()
    response = client.get(FEED, headers={"If-None-Match": etag})
    assert response.status_code == 200
    assert titles(Calendar.from_ical(response.content)) == ["Their own"]


def test_an_import_without_changes_keeps_the_feed(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW - timedelta(minutes=10))
    etag = client.get(FEED)["ETag"]
    read(at=NOW)
    assert client.get(FEED, headers={"If-None-Match": etag}).status_code == 304


def test_head_is_get_without_the_body_and_nothing_else_is_answered(client: Client) -> None:
    session(gym())
    got, head = client.get(FEED), client.head(FEED)
    assert (head.content, head["Content-Length"]) == (b"", str(len(got.content)))
    assert head["ETag"] == got["ETag"]
    assert client.post(FEED).status_code == 405


def test_the_number_of_queries_does_not_grow_with_the_classes(client: Client) -> None:
    organization = gym()
    session(organization)
    with CaptureQueriesContext(connection) as one:
        client.get(FEED)
    for number in range(49):
        session(organization, number)
    with CaptureQueriesContext(connection) as fifty:
        client.get(FEED)
    with CaptureQueriesContext(connection) as kept:
        client.get(FEED)
    assert (len(one), len(fifty), len(kept)) == (4, 4, 2)


@pytest.mark.req("TT-27")
def test_without_the_database_the_saved_feed_is_sent(client: Client) -> None:
    session(gym())
    before = client.get(FEED).content
    with no_database():
        response = client.get(FEED)
    assert (response.status_code, response.content) == (200, before)
    assert response["Callboard-Saved-Copy"] == "2026-11-17T23:00:00+00:00"


def test_without_database_and_copy_it_says_when_to_try_again(client: Client) -> None:
    with no_database():
        response = client.get(FEED)
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert response["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.req("TT-27")
def test_without_the_cache_it_is_built_from_the_database(client: Client) -> None:
    session(gym())
    with no_redis():
        assert titles(feed(client)) == ["HIIT"]


def test_without_a_gym_it_says_so(client: Client) -> None:
    response = client.get(FEED)
    assert (response.status_code, response.content) == (503, b"This Callboard has no gym yet.\n")


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
        st.sampled_from(HOSTILE),
    )
)
def test_hostile_texts_leave_the_feed_whole(client: Client, text: str) -> None:
    Organization.objects.all().delete()
    cache.forget()
    event = session(gym(), title=text, description=text, room=text, instructor_name=text)
    body = client.get(FEED).content
    [found] = Calendar.from_ical(body).walk("VEVENT")
    assert found["UID"] == event.uid
    lines = body.split(b"\r\n")
    assert lines.count(b"BEGIN:VEVENT") == lines.count(b"END:VEVENT") == 1
    assert all(len(line) <= 75 for line in lines)
