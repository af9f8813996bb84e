"""The staff's API: who may, what a change does, how every refusal looks."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.models import Connection
from schedule import store
from schedule.models import Counter, SourceState, TimetableSettings
from sync import leases
from sync.models import Run, RunState, RunTrigger, SyncJob
from tests.staff import PEOPLE, Clients, clients, fitbox, gym

pytestmark = pytest.mark.django_db
SETTINGS = "/api/v1/admin/timetable-settings"
TRIGGER = "/api/v1/admin/trigger-sync"


@pytest.fixture
def people() -> Clients:
    gym()
    return clients()


@pytest.fixture
def connection(people: Clients) -> Connection:
    return fitbox()


def post(client: Client, address: str, body: object) -> Any:
    return client.post(address, json.dumps(body), content_type="application/json")


# --- who may ----------------------------------------------------------------------------------------------------------

MATRIX = {
    ("GET", SETTINGS): {"onlooker": 200, "manager": 200, "owner": 200},
    ("POST", SETTINGS): {"manager": 200, "owner": 200},
    ("POST", TRIGGER): {"manager": 202, "owner": 202},
    ("GET", "/api/v1/admin/runs/{run}"): {"onlooker": 200, "manager": 200, "owner": 200},
}


@pytest.mark.req("X-04", "TT-20")
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize(("method", "address"), MATRIX)
def test_only_staff_with_the_right_come_in(
    people: Clients, connection: Connection, person: str, method: str, address: str
) -> None:
    run = leases.request(connection, RunTrigger.SCHEDULE, now=timezone.now())
    body = {"data": json.dumps({"dataSource": "cms"}), "content_type": "application/json"} if method == "POST" else {}
    answer = people.of(person).generic(method, address.format(run=run.pk), **body)
    assert answer.status_code == MATRIX[method, address].get(person, 403)


@pytest.mark.req("X-04")
def test_a_post_without_csrf_token_is_refused(people: Clients) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = people.owner.cookies
    answer = post(strict, SETTINGS, {"dataSource": "fitbox"})
    assert (answer.status_code, TimetableSettings.current().data_source) == (403, "cms")


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-20")
def test_settings_begin_with_cms_and_no_sync(people: Clients) -> None:
    said = people.manager.get(SETTINGS).json()
    assert (said["dataSource"], said["lastSync"], said["intervalMinutes"]) == ("cms", None, None)


@pytest.mark.req("TT-20", "TT-24")
def test_settings_of_a_new_connection_are_the_defaults(people: Clients, connection: Connection) -> None:
    now = timezone.now().replace(microsecond=0)
    SourceState.objects.create(
        source="fitbox", connection=connection.key, last_complete_at=now, covered_from=now, covered_until=now
    )
    assert people.manager.get(SETTINGS).json() == {
        "dataSource": "cms",
        "lastSync": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "enabled": True,
        "intervalMinutes": 15,
        "timeoutSeconds": 10,
        "retries": 3,
        "staleLimitMinutes": 60,
        "showCancelled": True,
        "fallbackOrder": ["cms"],
    }


@pytest.mark.req("TT-20", "TT-21")
def test_choosing_fitbox_saves_and_starts_a_sync(people: Clients, connection: Connection) -> None:
    before = store.revision(Counter.PUBLICATION)
    said = post(people.manager, SETTINGS, {"dataSource": "fitbox"}).json()
    run = Run.objects.get(pk=said["runId"])
    assert said["dataSource"] == TimetableSettings.current().data_source == "fitbox"
    assert (run.trigger, run.state, run.requested_by.get_username()) == ("switch", "pending", "manager")  # type: ignore[union-attr]
    assert store.revision(Counter.PUBLICATION) == before + 1
    assert leases.due(timezone.now(), ["fitbox"]) == [connection.pk]


def test_choosing_fitbox_without_a_connection_says_what_members_see(people: Clients) -> None:
    said = post(people.manager, SETTINGS, {"dataSource": "fitbox"}).json()
    assert said["runId"] is None
    assert "no connection yet" in said["message"]


@pytest.mark.req("TT-24")
def test_a_shorter_interval_counts_from_now(people: Clients, connection: Connection) -> None:
    now = timezone.now()
    SyncJob.objects.create(connection=connection, due_at=now + timedelta(minutes=59))
    answer = post(people.manager, SETTINGS, {"intervalMinutes": 5})
    connection.refresh_from_db()
    assert (answer.status_code, connection.interval_minutes) == (200, 5)
    assert SyncJob.objects.get().due_at <= timezone.now() + timedelta(minutes=5)


@pytest.mark.req("TT-25")
def test_cms_stays_the_last_stand_in(people: Clients) -> None:
    said = post(people.manager, SETTINGS, {"fallbackOrder": ["cms", "fitbox"]}).json()
    assert said["fallbackOrder"] == TimetableSettings.current().fallback_order == ["fitbox", "cms"]


def test_an_answer_may_come_back_as_a_change(people: Clients, connection: Connection) -> None:
    said = people.manager.get(SETTINGS).json()
    answer = post(people.manager, SETTINGS, {**said, "showCancelled": False})
    assert (answer.status_code, TimetableSettings.current().show_cancelled) == (200, False)


BAD_BODIES: list[tuple[object, str]] = [
    ({"dataSource": "acuity"}, "dataSource"),
    ({"dataSource": None}, "dataSource"),
    ({"dataSource": ["cms"]}, "dataSource"),
    ({"dataSource": ""}, "dataSource"),
    ({}, "dataSource"),
    ({"datasource": "cms"}, "datasource"),
    ({"intervalMinutes": 4}, "intervalMinutes"),
    ({"intervalMinutes": 61}, "intervalMinutes"),
    ({"intervalMinutes": True}, "intervalMinutes"),
    ({"intervalMinutes": "ten"}, "intervalMinutes"),
    ({"intervalMinutes": 10**400}, "intervalMinutes"),
    ({"staleLimitMinutes": 29}, "staleLimitMinutes"),
    ({"intervalMinutes": 50}, "staleLimitMinutes"),
    ({"retries": -1}, "retries"),
    ({"timeoutSeconds": 31}, "timeoutSeconds"),
    ({"showCancelled": "perhaps"}, "showCancelled"),
    ({"fallbackOrder": "fitbox"}, "fallbackOrder"),
    ({"fallbackOrder": ["gibney"]}, "fallbackOrder"),
    ({"fallbackOrder": [{}]}, "fallbackOrder"),
]


@pytest.mark.req("TT-20", "X-18")
@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
def test_a_bad_value_is_refused_with_its_field(
    people: Clients, connection: Connection, body: object, field: str
) -> None:
    before = people.manager.get(SETTINGS).json()
    answer = post(people.manager, SETTINGS, body)
    said = answer.json()
    assert (answer.status_code, said["status"], said["error"], said["field"]) == (400, "error", "invalid", field)
    assert said["message"].startswith(f"{field}: ")
    assert people.manager.get(SETTINGS).json() == before


def test_a_setting_of_the_connection_needs_one(people: Clients) -> None:
    said = post(people.manager, SETTINGS, {"dataSource": "fitbox", "intervalMinutes": 10}).json()
    assert (said["field"], TimetableSettings.current().data_source) == ("intervalMinutes", "cms")


@pytest.mark.req("X-18")
@pytest.mark.parametrize("body", ["{", "", "\xff", "NaN", "[" * 30_000, '{"dataSource": "cms"'])
def test_a_body_that_is_no_json_is_refused(people: Clients, body: str) -> None:
    answer = people.manager.post(SETTINGS, body.encode("latin-1"), content_type="application/json")
    assert (answer.status_code, answer.json()["status"]) == (400, "error")


@pytest.mark.parametrize("body", ["[]", "null", "7", '"cms"'])
def test_a_body_that_is_no_object_is_refused(people: Clients, body: str) -> None:
    answer = people.manager.post(SETTINGS, body, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


def test_a_huge_body_is_not_read(people: Clients) -> None:
    answer = post(people.manager, SETTINGS, {"dataSource": "x" * 70_000})
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["dataSource", "enabled", "intervalMinutes", "retries", "staleLimitMinutes", "fallbackOrder"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON | st.dictionaries(NAMES, JSON, max_size=3))
def test_no_body_brings_the_api_down(people: Clients, body: object) -> None:
    assert post(people.manager, SETTINGS, body).status_code in (200, 400)


def test_a_name_of_half_a_surrogate_pair_is_refused(people: Clients) -> None:
    answer = people.manager.post(SETTINGS, r'{"\ud800": 1}', content_type="application/json")
    assert answer.status_code == 400


# --- the feature flag -------------------------------------------------------------------------------------------------


@pytest.fixture
def switched_off(settings: Any) -> Iterator[None]:
    settings.TIMETABLE_SOURCES = {"cms": "Manual CMS"}
    yield


@pytest.mark.req("TT-23")
@pytest.mark.usefixtures("switched_off")
def test_a_switched_off_source_cannot_be_chosen_nor_synced(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    assert people.manager.get(SETTINGS).json()["dataSource"] == "cms"
    assert post(people.manager, SETTINGS, {"dataSource": "fitbox"}).json()["field"] == "dataSource"
    assert post(people.manager, TRIGGER, {}).status_code == 409
    assert not Run.objects.exists()


# --- syncing ----------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-22", "X-11")
def test_a_second_start_joins_the_first(people: Clients, connection: Connection) -> None:
    first, second = (post(people.manager, TRIGGER, {}) for _ in range(2))
    run = Run.objects.get()
    assert first.json() == {"runId": run.pk, "status": "pending", "joined": False}
    assert second.json() == {"runId": run.pk, "status": "pending", "joined": True}
    assert (run.trigger, second.status_code) == ("manual", 202)


@pytest.mark.req("TT-22", "X-11")
def test_a_start_joins_the_run_at_work(people: Clients, connection: Connection) -> None:
    leases.job_of(connection, timezone.now())
    claimed = leases.claim(connection.pk, now=timezone.now())
    assert claimed is not None
    assert post(people.manager, TRIGGER, {}).json() == {"runId": claimed.run_id, "status": "running", "joined": True}


@pytest.mark.req("TT-22")
def test_a_pause_of_the_provider_says_when_it_ends(people: Clients, connection: Connection) -> None:
    until = timezone.now().replace(microsecond=0) + timedelta(seconds=90)
    SyncJob.objects.create(connection=connection, due_at=until, not_before=until)
    answer = post(people.manager, TRIGGER, {})
    said = answer.json()
    assert (answer.status_code, said["error"]) == (429, "too_soon")
    assert said["nextPossibleAt"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert 85 <= int(answer["Retry-After"]) <= 91
    assert not Run.objects.exists()


def test_without_a_connection_the_start_says_so(people: Clients) -> None:
    answer = post(people.manager, TRIGGER, {})
    assert (answer.status_code, answer.json()["error"]) == (409, "cannot_sync")
    assert "no connection to Fitbox" in answer.json()["message"]


def test_a_disabled_connection_is_not_started(people: Clients, connection: Connection) -> None:
    Connection.objects.update(is_enabled=False)
    answer = post(people.manager, TRIGGER, {})
    assert (answer.status_code, Run.objects.count()) == (409, 0)
    assert "turned off" in answer.json()["message"]


@pytest.mark.req("TT-36", "X-12")
def test_a_run_tells_state_and_outcome(people: Clients, connection: Connection) -> None:
    at = timezone.now().replace(microsecond=0)
    run = Run.objects.create(
        connection=connection,
        source="fitbox",
        state=RunState.FAILED,
        result="failed",
        created_at=at,
        started_at=at,
        completed_at=at + timedelta(seconds=2),
        total=7,
        error_code="provider_unavailable",
        error="Fitbox is not answering.",
    )
    said = people.onlooker.get(f"/api/v1/admin/runs/{run.pk}").json()
    told = {
        name: said[name] for name in ("status", "result", "source", "scheduleCount", "error", "errorCode", "duration")
    }
    assert told == {
        "status": "failed",
        "result": "failed",
        "source": "fitbox",
        "scheduleCount": 7,
        "error": "Fitbox is not answering.",
        "errorCode": "provider_unavailable",
        "duration": 2.0,
    }
    assert said["timestamp"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("number", [0, 999, 10**30])
def test_an_unknown_run_is_not_found(people: Clients, number: int) -> None:
    answer = people.owner.get(f"/api/v1/admin/runs/{number}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.req("X-18")
def test_a_defect_shows_no_internals(people: Clients, connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    with patch("sync.sources.choose", side_effect=RuntimeError("the inner secret")):
        answer = post(people.manager, SETTINGS, {"dataSource": "fitbox"})
    said = answer.json()
    assert (answer.status_code, set(said)) == (500, {"status", "error", "message", "requestId"})
    assert "inner secret" not in answer.content.decode()
    assert said["requestId"] == answer["X-Request-ID"]
    assert said["requestId"] in caplog.text


@pytest.mark.req("TT-19")
def test_a_database_that_cannot_save_keeps_the_former_choice(people: Clients, connection: Connection) -> None:
    with patch("schedule.store.bump_publication", side_effect=OperationalError("database is locked")):
        answer = post(people.manager, SETTINGS, {"dataSource": "fitbox"})
    assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (503, "unavailable", "5")
    assert TimetableSettings.current().data_source == "cms"


@pytest.mark.parametrize(("method", "address"), [("DELETE", SETTINGS), ("GET", TRIGGER), ("PUT", SETTINGS)])
def test_other_methods_are_refused_in_the_same_form(people: Clients, method: str, address: str) -> None:
    answer = people.owner.generic(method, address)
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
