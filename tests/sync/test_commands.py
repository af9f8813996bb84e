"""The command line: one sync in the foreground, the rows of a source, the demo and the beginning of a real gym."""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.utils import timezone

from integrations import credentials, keys
from integrations.models import Connection, CredentialUse
from integrations.sandbox import SANDBOX_FITBOX_KEY, Sandbox
from schedule import demo, store
from schedule.differences import Changes
from schedule.models import Event, Organization, TimetableSettings
from schedule.values import EventValues, Incoming, Live
from sync import ingest, leases
from sync.models import Run, RunTrigger, SyncJob
from tests.staff import fitbox, gym

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.serve(seed=1) as started:
        yield started


@pytest.fixture
def connection(sandbox: Sandbox) -> Connection:
    gym("fitbox")
    return fitbox(sandbox.url_of("fitbox"))


def run_command(name: str, *arguments: str) -> tuple[int, str, str]:
    """Return the exit status, the output and what was said beside it."""
    out, err = StringIO(), StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue(), err.getvalue()
    except CommandError as refused:
        return 1, out.getvalue(), str(refused)
    return 0, out.getvalue(), err.getvalue()


# --- sync -------------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-36", "X-11")
def test_sync_fills_the_table_and_says_what_it_did(connection: Connection) -> None:
    status, out, bar = run_command("sync", "fitbox")
    run = Run.objects.get()
    rows = Event.objects.live().filter(source="fitbox").count()
    assert (status, run.trigger, run.state, run.result) == (0, "command", "completed", "success")
    assert rows == run.created > 0
    assert f"Synced: {rows} new." in out
    assert "Reading from Fitbox: call 1" in bar


def test_the_bar_reaches_its_end_on_one_line(connection: Connection) -> None:
    _, _, bar = run_command("sync", "fitbox")
    assert bar.count("\n") == 1
    assert re.search(r"Done \|#+\| 3/3 \[00:\d\d\]\s*$", bar)


def test_log_lines_stand_above_the_bar(connection: Connection) -> None:
    log = StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    connection.base_url, connection.retries = "http://127.0.0.1:9/nobody", 0
    connection.save()
    try:
        out, terminal = StringIO(), log
        with pytest.raises(SystemExit):
            call_command("sync", "fitbox", stdout=out, stderr=terminal)
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.stream is log
    # What stands before a log line on the terminal was cleared: blanks and a return to the line's beginning.
    before = re.findall(r"([^\r\n]*)\r?call provider=", log.getvalue())
    assert [text.strip() for text in before] == [""]


def test_a_failed_sync_says_why_and_ends_with_one(connection: Connection, sandbox: Sandbox) -> None:
    connection.base_url = "http://127.0.0.1:9/nobody"
    connection.retries = 0
    connection.save()
    status, out, _ = run_command("sync", "fitbox")
    assert status == 1
    assert "failed" in out
    assert "Fitbox is not answering properly" in out


def test_a_refused_key_is_told_without_the_key(connection: Connection) -> None:
    keys.enter(connection, "an-unknown-secret-key")
    connection.save()
    status, out, bar = run_command("sync", "fitbox")
    assert status == 1
    assert "Fitbox refused the key." in out
    assert "an-unknown-secret-key" not in out + bar


def test_a_pause_of_the_provider_is_told(connection: Connection) -> None:
    until = timezone.now() + timedelta(minutes=2)
    SyncJob.objects.create(connection=connection, due_at=until, not_before=until)
    status, _, said = run_command("sync", "fitbox")
    assert (status, Run.objects.count()) == (1, 0)
    assert said.startswith("Fitbox asked for a pause. The next sync is possible at ")


@pytest.mark.parametrize(
    ("provider", "reason"),
    [("acuity", "There is no provider 'acuity' here"), ("fitbox", "There is no connection to Fitbox")],
)
def test_without_a_connection_sync_says_so(provider: str, reason: str) -> None:
    gym()
    status, _, said = run_command("sync", provider)
    assert status == 1
    assert reason in said


@pytest.mark.req("X-11")
@pytest.mark.django_db(transaction=True)
def test_sync_waits_for_the_worker_that_has_it_and_tells_its_run(connection: Connection) -> None:
    asked = leases.request(connection, RunTrigger.MANUAL, now=timezone.now())
    claim = leases.claim(connection.pk, now=timezone.now())
    assert claim is not None

    def end_it() -> None:
        time.sleep(0.3)
        now = timezone.now()
        leases.release(claim, now=now, due_at=now + timedelta(minutes=15))
        Run.objects.filter(pk=claim.run_id).update(state="completed", result="success", completed_at=now, created=3)
        database.close()

    worker = threading.Thread(target=end_it)
    worker.start()
    status, out, bar = run_command("sync", "fitbox")
    worker.join()
    assert (status, Run.objects.count()) == (0, 1)
    assert f"Run {asked.pk}: success" in out
    assert "Another worker does it" in bar


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def rows() -> list[Event]:
    gym()
    at = datetime(2026, 11, 19, 7, tzinfo=UTC)

    def one(key: str, hours: int, **values: Any) -> Incoming:
        starts_at = at + timedelta(hours=hours)
        said = EventValues(f"Class {key}", starts_at, starts_at + timedelta(minutes=45), "UTC", **values)
        return Incoming.of(key, said, Live(booked=2))

    incoming = [one("b", 0, capacity=10), one("a", 0), one("c", 1, status="cancelled"), one("gone", 2)]
    store.apply(Changes("fitbox", "1", 0, creates=incoming), cause="test", now=at)
    known = store.known("fitbox", "1", since=at)
    store.apply(Changes("fitbox", "1", known.revision, removals=[known.rows["gone"]]), cause="test", now=at)
    return list(Event.objects.order_by("starts_at", "external_id"))


def test_events_prints_one_array_in_the_agreed_form(rows: list[Event]) -> None:
    status, out, _ = run_command("events", "--source", "fitbox", "--json")
    found = json.loads(out)
    assert status == 0
    assert [row["external_id"] for row in found] == ["a", "b", "c"]
    assert found[1] == {
        "external_id": "b",
        "uid": rows[1].uid,
        "title": "Class b",
        "starts_at": "2026-11-19T07:00:00Z",
        "ends_at": "2026-11-19T07:45:00Z",
        "status": "confirmed",
        "capacity": 10,
        "booked": 2,
        "revision": 1,
    }
    assert found[2]["status"] == "cancelled"


def test_events_of_an_empty_source_is_an_empty_array() -> None:
    assert run_command("events", "--source", "cms", "--json") == (0, "[]\n", "")


@pytest.mark.usefixtures("rows")
def test_events_ends_quietly_when_its_reader_has_enough() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        call_command("events", "--source", "fitbox", stdout=out)


@pytest.mark.usefixtures("rows")
def test_events_prints_a_table_for_people() -> None:
    _, out, _ = run_command("events", "--source", "fitbox")
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "starts (UTC) status booked capacity title",
        "2026-11-19 07:00 confirmed 2 – Class a",
        "2026-11-19 07:00 confirmed 2 10 Class b",
        "2026-11-19 08:00 cancelled 2 – Class c",
    ]


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_has_a_connection_that_is_due_and_chosen() -> None:
    run_command("demo_gym", "--if-empty")
    connection = Connection.objects.get()
    assert credentials.unseal(connection.credentials) == {"api_key": SANDBOX_FITBOX_KEY}
    assert (connection.provider, connection.base_url) == ("fitbox", "")
    assert leases.due(timezone.now(), ["fitbox"]) == [connection.pk]
    assert TimetableSettings.current().data_source == "fitbox"


def test_a_second_demo_is_not_made() -> None:
    run_command("demo_gym")
    status, out, _ = run_command("demo_gym", "--if-empty")
    assert (status, out) == (0, "")
    run_command("demo_gym")
    assert (Organization.objects.count(), Connection.objects.count()) == (1, 1)


@pytest.mark.req("TT-23")
def test_the_demo_without_fitbox_shows_the_manual_timetable(settings: Any) -> None:
    settings.TIMETABLE_SOURCES = {"cms": "Manual CMS"}
    run_command("demo_gym")
    assert (Connection.objects.count(), TimetableSettings.current().data_source) == (0, "cms")


# --- a real gym -------------------------------------------------------------------------------------------------------

ARGUMENTS = ("--name=Northside", "--zone=Europe/London", "--email=desk@northside.example", "--username=robin")


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    chosen = "correct horse battery"
    monkeypatch.setenv("CALLBOARD_STAFF_PASSWORD", chosen)
    return chosen


def test_start_gym_takes_the_demo_away_and_begins_the_gym(password: str, sandbox: Sandbox, settings: Any) -> None:
    settings.PROVIDER_URLS = {"FITBOX": sandbox.url_of("fitbox")}
    run_command("demo_gym")
    assert ingest.run(Connection.objects.get().pk)
    status, out, said = run_command("start_gym", *ARGUMENTS)
    assert (status, said) == (0, "")
    assert "Northside is this installation's gym." in out
    gym = Organization.installation()
    user = User.objects.get()
    assert (gym.name, gym.timezone, gym.email, gym.is_demo) == (
        "Northside",
        "Europe/London",
        "desk@northside.example",
        False,
    )
    assert (user.username, user.is_superuser, user.check_password(password)) == ("robin", True, True)
    for model in (Event, Connection, Run, SyncJob):
        assert not model._default_manager.exists()
    assert CredentialUse.objects.filter(action="delete", connection_name="Fitbox (sandbox)").exists()
    assert TimetableSettings.current().data_source == "cms"
    assert password not in out


def test_start_gym_on_an_empty_database_needs_no_demo(password: str) -> None:
    assert run_command("start_gym", *ARGUMENTS)[0] == 0


def test_start_gym_refuses_to_replace_a_real_gym(password: str) -> None:
    gym()
    status, _, said = run_command("start_gym", *ARGUMENTS)
    assert status == 1
    assert said.startswith("This Callboard serves Harbour Gym already.")
    assert Organization.objects.get().name == "Harbour Gym"


@pytest.mark.parametrize(
    ("argument", "field"),
    [("--zone=Melbourne", "timezone: "), ("--email=desk", "email: "), ("--username=a b", "username: ")],
)
def test_start_gym_with_a_bad_value_changes_nothing(password: str, argument: str, field: str) -> None:
    demo.make(timezone.now())
    status, _, said = run_command("start_gym", *ARGUMENTS, argument)
    assert status == 1
    assert field in said
    assert demo.exists()


def test_start_gym_refuses_a_weak_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_STAFF_PASSWORD", "12345")
    status, _, said = run_command("start_gym", *ARGUMENTS)
    assert status == 1
    assert "password: " in said
    assert not Organization.objects.exists()


def test_start_gym_takes_no_password_as_argument(password: str) -> None:
    with pytest.raises(TypeError, match="password"):
        call_command("start_gym", name="N", zone="UTC", email="a@b.example", username="robin", password="x")
