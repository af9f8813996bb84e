"""The public JSON: its fields, its times, its age, and what it does when things are down."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schedule import api, cache
from schedule.models import Organization, TimetableSettings
from schedule.store import bump_publication
from tests.schedule.making import NOW, gym, no_database, no_redis, read, session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_ten")]
ADDRESS = "/api/v1/timetable"


def answer(client: Client, **asked: str) -> dict[str, Any]:
    response = client.get(ADDRESS, asked)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    document: dict[str, Any] = response.json()
    return document


@pytest.mark.req("TT-05")
@pytest.mark.parametrize("source", ["fitbox", "cms"])
def test_a_class_has_the_same_fields_whatever_the_source(client: Client, source: str) -> None:
    organization = gym(data_source=source)
    read()
    event = session(
        organization,
        source=source,
        instructor_key="c-7",
        instructor_name="Alex Reed",
        instructor_image="https://pictures.example/alex.jpg",
        description="Bring a towel",
        capacity=20,
        booked=17,
        location="Pier 4",
        room="Studio 2",
        level="Beginners",
        external_url="https://book.example/1",
    )
    document = answer(client)
    assert document["source"] == source
    assert document["schedule"] == [
        {
            "id": str(event.pk),
            "uid": "0@callboard",
            "day": "wednesday",
            "date": "2026-11-18",
            "time": "18:00",
            "startsAt": "2026-11-18T07:00:00Z",
            "endsAt": "2026-11-18T07:45:00Z",
            "classType": "HIIT",
            "coach": {"id": "c-7", "name": "Alex Reed", "image": "https://pictures.example/alex.jpg"},
            "capacity": 20,
            "currentBookings": 17,
            "spotsLeft": 3,
            "notes": "Bring a towel",
            "isActive": True,
            "status": "confirmed",
            "location": "Pier 4",
            "room": "Studio 2",
            "level": "Beginners",
            "externalUrl": "https://book.example/1",
        }
    ]


@pytest.mark.req("TT-05")
def test_the_week_its_source_and_its_age_stand_beside_the_classes(client: Client) -> None:
    gym(data_source="fitbox")
    read(at=NOW - timedelta(seconds=150))
    assert answer(client) == {
        "ageSeconds": 150,
        "stale": False,
        "lastUpdated": "2026-11-17T22:57:30Z",
        "source": "fitbox",
        "week": "2026-W47",
        "timezone": "Australia/Melbourne",
        "schedule": [],
    }


def test_a_class_that_says_little_has_nulls_and_empty_texts(client: Client) -> None:
    session(gym())
    [found] = answer(client)["schedule"]
    assert (found["coach"], found["capacity"], found["currentBookings"], found["spotsLeft"]) == (None, None, None, None)
    assert (found["notes"], found["externalUrl"]) == ("", "")


def test_a_special_event_has_its_own_name(client: Client) -> None:
    session(gym(), source="manual", title="Open day", class_type_name="Yoga")
    assert [found["classType"] for found in answer(client)["schedule"]] == ["Open day"]


@pytest.mark.req("TT-08")
def test_a_cancelled_class_is_not_active_and_the_setting_drops_it(client: Client) -> None:
    session(gym(), status="cancelled")
    assert [(found["isActive"], found["status"]) for found in answer(client)["schedule"]] == [(False, "cancelled")]
    TimetableSettings.objects.update(show_cancelled=False)
    assert answer(client)["schedule"] == []


def test_another_week_is_answered_when_asked_for(client: Client) -> None:
    organization = gym()
    session(organization, 7, title="Next week's", class_type_name="")
    document = answer(client, week="2026-W48")
    assert document["week"] == "2026-W48"
    assert [found["classType"] for found in document["schedule"]] == ["Next week's"]


@pytest.mark.parametrize("week", ["2026-W99", "soon", "2500-W01", "2026-W47\0"])
def test_a_week_that_is_none_is_refused_with_field_and_reason(client: Client, week: str) -> None:
    gym()
    response = client.get(ADDRESS, {"week": week})
    assert response.status_code == 400
    refusal = response.json()
    assert (refusal["status"], refusal["error"], refusal["field"]) == ("error", "invalid_week", "week")
    assert refusal["message"].endswith(".")


@pytest.mark.req("TT-28")
def test_age_is_counted_from_the_fetch_and_not_from_when_the_body_was_kept(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW - timedelta(seconds=30))
    assert answer(client)["ageSeconds"] == 30
    with time_machine.travel(NOW + timedelta(minutes=10), tick=False), CaptureQueriesContext(connection) as queries:
        assert answer(client)["ageSeconds"] == 630
    assert len(queries) == 2


@pytest.mark.req("TT-29")
def test_old_data_are_marked_as_stale(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW - timedelta(minutes=40))
    document = answer(client)
    assert (document["stale"], document["source"], document["ageSeconds"]) == (True, "fitbox", 2400)


@pytest.mark.req("TT-32")
def test_an_unchanged_week_is_304_and_a_changed_one_is_not(client: Client) -> None:
    organization = gym()
    session(organization)
    etag = client.get(ADDRESS)["ETag"]
    assert client.get(ADDRESS, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    bump_publication()
    assert client.get(ADDRESS, headers={"If-None-Match": etag}).status_code == 200


def test_a_new_minute_of_the_data_makes_a_new_etag(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW)
    etag = client.get(ADDRESS)["ETag"]
    read(at=NOW + timedelta(minutes=1))
    assert client.get(ADDRESS)["ETag"] != etag


def test_anyone_may_read_and_nobody_is_looked_up(client: Client) -> None:
    session(gym())
    client.cookies["sessionid"] = "x" * 32
    with CaptureQueriesContext(connection) as queries:
        response = client.get(ADDRESS)
    assert response.status_code == 200
    assert "Cookie" not in response.get("Vary", "")
    assert not [query for query in queries if "django_session" in query["sql"] or "auth_user" in query["sql"]]
    assert response["Cache-Control"].startswith("public, ")
    assert client.head(ADDRESS).content == b""
    assert client.post(ADDRESS).status_code == 405


@pytest.mark.req("TT-27")
def test_without_the_database_the_saved_answer_is_sent_as_stale(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read(at=NOW)
    before = answer(client)
    with time_machine.travel(NOW + timedelta(minutes=10), tick=False), no_database():
        response = client.get(ADDRESS)
    assert response.json() == before | {"stale": True, "ageSeconds": 600}
    assert response["Age"] == "600"


def test_without_database_and_copy_it_says_when_to_try_again(client: Client) -> None:
    with no_database():
        response = client.get(ADDRESS)
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert response.json()["error"] == "unavailable"


@pytest.mark.req("TT-27")
def test_without_the_cache_it_is_answered_from_the_database(client: Client) -> None:
    session(gym())
    with no_redis():
        assert len(answer(client)["schedule"]) == 1


def test_without_a_gym_it_says_so(client: Client) -> None:
    response = client.get(ADDRESS)
    assert (response.status_code, response.json()["error"]) == (503, "no_gym")


def test_the_description_names_the_fields_that_are_sent(client: Client) -> None:
    session(gym(), instructor_name="Alex Reed")
    document = answer(client)
    assert set(document) == set(api.TimetableSerializer().fields)
    assert set(document["schedule"][0]) == set(api.SessionSerializer().fields)
    assert set(document["schedule"][0]["coach"]) == set(api.CoachSerializer().fields)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_hostile_texts_arrive_as_they_are_and_never_as_links(client: Client, text: str) -> None:
    Organization.objects.all().delete()
    cache.forget()
    session(
        gym(), title=text, class_type_name=text, description=text, room=text, external_url=text, instructor_image=text
    )
    raw = client.get(ADDRESS).content
    [found] = json.loads(raw)["schedule"]
    assert (found["classType"], found["notes"], found["room"]) == (text, text, text)
    assert found["externalUrl"] == ""


def test_instants_are_utc_with_z(client: Client) -> None:
    session(gym(), 0, "00:30")
    [found] = answer(client)["schedule"]
    assert datetime.fromisoformat(found["startsAt"]) == datetime.fromisoformat("2026-11-15T13:30:00+00:00")
    assert (found["day"], found["time"], found["startsAt"][-1]) == ("monday", "00:30", "Z")
