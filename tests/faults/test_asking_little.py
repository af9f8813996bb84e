"""What a sync costs the provider and the database, what it leaves on record, and who may be asked at all."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings as live_settings
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from integrations import adapters
from integrations.models import Connection, CredentialUse
from integrations.sandbox import SANDBOX_FITBOX_KEY, Fault, standard_outage
from schedule import store
from schedule.models import Change, Counter
from sync import ingest, leases, tasks
from sync.models import Run, RunResult, RunState, SyncJob
from tests.faults.conftest import WEDNESDAY, House
from tests.installation import ROOT, Installation
from tests.schedule.making import no_redis

KEPT_TABLES = ("schedule_event", "schedule_change", "schedule_counter", "schedule_closure")


@contextmanager
def no_writes_to(*tables: str) -> Iterator[None]:
    """Fail if a statement inside writes one of these tables."""
    with CaptureQueriesContext(database) as captured:
        yield
    statements = [query["sql"].lstrip().replace('"', "") for query in captured]
    writing = [sql for sql in statements if sql.upper().startswith(("INSERT", "UPDATE", "DELETE"))]
    assert writing, "the run row is written; if nothing is seen here, nothing is watched"
    assert [sql for sql in writing if any(f" {table} " in f"{sql} " for table in tables)] == []


# --- TT-32, TT-34: asking little --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.req("TT-32", "TT-34")
def test_an_unchanged_answer_writes_no_row_and_raises_no_revision(house: House) -> None:
    house.scheduled_run()
    house.sandbox.fitbox.traffic.clear()
    publication, changes, page = store.revision(Counter.PUBLICATION), Change.objects.count(), house.shown()
    with no_writes_to(*KEPT_TABLES):
        run = house.scheduled_run()
    assert (run.result, run.unchanged_answer, run.created, run.changed) == (RunResult.SUCCESS, True, 0, 0)
    assert (store.revision(Counter.PUBLICATION), Change.objects.count()) == (publication, changes)
    assert house.shown() == page
    (record,) = house.sandbox.fitbox.traffic.records
    assert record.status == 304
    assert record.header("If-None-Match")
    assert record.header("If-Modified-Since")


@pytest.mark.django_db
@pytest.mark.req("TT-34")
def test_the_same_data_without_validators_write_no_row_either(house: House) -> None:
    house.sandbox.fitbox.switch(no_validators=True)
    house.use(settings={"differences": False})
    with no_writes_to(*KEPT_TABLES):
        run = house.scheduled_run()
    assert (run.result, run.unchanged_answer, run.total, run.unchanged) == (RunResult.SUCCESS, False, 360, 360)


@pytest.mark.django_db
@pytest.mark.req("TT-01", "TT-34")
def test_all_runs_share_one_connection_and_ask_for_the_shown_days_and_what_changed(house: House) -> None:
    house.scheduled_run()
    house.sandbox.fitbox.schedule.set_all(special_notes="Bring a towel.")
    house.scheduled_run()
    house.scheduled_run()
    counters = house.sandbox.fitbox.traffic.counters
    assert counters.connections_opened == 1
    assert counters.connections_reused == counters.requests - 1 or counters.connections_reused == counters.requests
    assert counters.by_method == {"GET": counters.requests}
    for record in house.sandbox.fitbox.traffic.records:
        assert (record.query["from"], record.query["to"]) == ("2026-11-16", "2027-01-10")
        assert record.query["updated_since"].endswith("Z")
        assert record.header("Authorization") == f"Bearer {SANDBOX_FITBOX_KEY}"
        assert record.header("Content-Type") == "application/json"
        assert record.header("User-Agent") == live_settings.FITBOX_USER_AGENT


@pytest.mark.django_db
@pytest.mark.req("TT-21", "TT-32")
def test_a_change_is_on_the_page_with_the_next_request(house: House) -> None:
    house.shown()
    publication, page = store.revision(Counter.PUBLICATION), house.members.get("/timetable/")
    house.sandbox.fitbox.schedule.set_all(class_type="Harbour Swim")
    run = house.scheduled_run()
    assert run.changed > 0
    assert store.revision(Counter.PUBLICATION) == publication + 1
    after = house.members.get("/timetable/")
    assert after["ETag"] != page["ETag"]
    assert "Harbour Swim" in after.text
    assert "Harbour Swim" not in page.text


@pytest.mark.django_db
@pytest.mark.req("TT-32")
def test_a_sync_is_done_and_shown_although_the_shared_cache_is_gone(house: House) -> None:
    """The version is raised in the import's own transaction, so the only thing that can fail beside it is the cache."""
    house.shown()
    house.sandbox.fitbox.schedule.set_all(class_type="Harbour Swim")
    with no_redis():
        run = house.scheduled_run()
        assert (run.result, run.error) == (RunResult.SUCCESS, "")
        assert "Harbour Swim" in house.members.get("/timetable/").text
    assert any(record.levelname == "WARNING" and "cache" in record.getMessage() for record in house.logs.records)


# --- TT-36, X-02, X-03: what is on record -----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.req("TT-36", "X-12")
def test_each_run_says_when_what_how_many_and_how_long(house: House) -> None:
    house.use(retries=0)
    house.sandbox.fitbox.faults.add(Fault("status", status=500, calls=1))
    failed, good = house.scheduled_run(), house.scheduled_run()
    first = Run.objects.last()
    assert first is not None
    assert (first.source, first.state, first.result) == ("fitbox", RunState.COMPLETED, RunResult.SUCCESS)
    assert (first.total, first.created, first.error) == (360, 360, "")
    assert (failed.state, failed.result, failed.source) == (RunState.FAILED, RunResult.FAILED, "fitbox")
    assert "status 500" in failed.error
    assert (good.state, good.result) == (RunState.COMPLETED, RunResult.SUCCESS)
    for run in (first, failed, good):
        assert run.started_at is not None
        assert run.completed_at is not None
        assert run.created_at <= run.started_at <= run.completed_at
        assert run.duration_seconds is not None
        assert 0 < run.duration_seconds < 10
        assert run.timings["fetch"] > 0


@pytest.mark.django_db
@pytest.mark.req("X-02", "X-03", "TT-02")
@pytest.mark.parametrize("kind", ["reset", "html", "broken_gzip", "redirect", "status", "hang"])
def test_a_failing_sync_tells_nobody_the_key(house: House, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the run wrote is searched: rows of every table that is ours, log records, and what was printed."""
    house.use(timeout_seconds=1, retries=0)
    location = f"{house.sandbox.url}/elsewhere?api_key={SANDBOX_FITBOX_KEY}"
    house.sandbox.fitbox.faults.add(Fault(kind, location=location, delay_seconds=5))
    output = io.StringIO()
    console = next(handler for handler in logging.getLogger().handlers if handler.name == "console")
    monkeypatch.setattr(console, "stream", output)
    run = house.scheduled_run()
    assert run.state == RunState.FAILED
    printed = output.getvalue()
    assert "call provider=fitbox" in printed
    assert SANDBOX_FITBOX_KEY not in printed
    assert SANDBOX_FITBOX_KEY not in house.logs.text
    tables = [
        name
        for name in database.introspection.table_names()
        if name.startswith(("sync_", "integrations_", "schedule_"))
    ]
    with database.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own tables
            assert SANDBOX_FITBOX_KEY not in repr(cursor.fetchall()), table
    uses = CredentialUse.objects.filter(connection=house.connection, action="read", actor=f"run:{run.pk}")
    assert uses.count() == 1


# --- TT-30: coming and going ------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.req("TT-30", "TT-27", "TT-24")
def test_an_outage_and_a_flapping_provider_change_the_shown_source_once_there_and_once_back(house: House) -> None:
    """Up 10 minutes, down 40, flapping 10, up. Minute by minute: what is due is run, and a member looks."""
    house.use(retries=0, interval_minutes=5)
    store_limit(house, minutes=20)
    house.clock.move_to(WEDNESDAY + timedelta(minutes=1))
    SyncJob.objects.update(due_at=house.now)
    began = house.now
    house.sandbox.fitbox.faults.run_outage(standard_outage())
    seen: list[tuple[int, str, bool]] = []
    for minute in range(90):
        house.move_to(began + timedelta(minutes=minute))
        for connection_id in leases.due(house.now, ["fitbox"]):
            ingest.run(connection_id)
        answer = house.members.get("/api/v1/timetable").json()
        assert answer["schedule"], "never an empty page"
        seen.append((minute, answer["source"], answer["stale"]))
    sources = [source for _, source, _ in seen]
    turns = [
        (minute, source)
        for (minute, source, _), before in zip(seen, [None, *sources], strict=False)
        if source != before
    ]
    assert [source for _, source in turns] == ["fitbox", "cms", "fitbox"]
    away, back = turns[1][0], turns[2][0]
    assert 25 <= away <= 31, "the last good data are shown until the limit, counted from the last good answer"
    assert 50 <= back <= 62, "back with the first accepted sync"
    assert not any(stale for minute, _, stale in seen if minute < 10 or minute > 66)
    assert house.sandbox.fitbox.traffic.counters.requests < 60
    house.assert_equal()


def store_limit(house: House, *, minutes: int) -> None:
    from schedule.models import TimetableSettings

    TimetableSettings.objects.update(stale_limit_minutes=minutes)
    store.bump_publication()


# --- TT-23: switched off ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.req("TT-23")
def test_switched_off_nothing_is_asked_and_nothing_queued(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[int] = []
    monkeypatch.setattr(tasks, "enqueue", queued.append)
    house.move_to(house.job.due_at)
    with monkeypatch.context() as flag:
        flag.setattr(adapters, "PROVIDERS", adapters.table(fitbox_enabled=False))
        tasks.tick()
        assert queued == []
        run = ingest.run(house.connection.pk)
        assert run is not None
        house.assert_failed(run, "not_configured", "this installation does not have it")
    assert house.sandbox.fitbox.traffic.counters.requests == 0
    house.move_to(house.job.due_at)
    tasks.tick()
    assert queued == [house.connection.pk]


# --- with processes ---------------------------------------------------------------------------------------------------

ASKING = """
from integrations import adapters, errors
from integrations.models import Connection
connection = Connection.objects.get()
granted = refused = 0
for n in range(40):
    try:
        with adapters.open_source(connection, actor="test", purpose="test") as source:
            source.client.get("/api/v1/schedule", {"page": "1", "page_size": "1", "n": str(n)})
        granted += 1
    except errors.RateLimited as error:
        assert error.status is None and 0 < error.retry_after <= 60, error.retry_after
        refused += 1
print("granted", granted, "refused", refused)
"""


@pytest.mark.req("TT-03", "X-06")
def test_two_processes_together_make_at_most_sixty_calls_a_minute(installation: Installation) -> None:
    """The provider's own limit is lifted, so that what is counted is ours."""
    installation.sandbox.fitbox.switch(rate_limit=None)
    usual = Connection._meta.get_field("calls_per_minute").default
    assert usual == 60
    installation.query("UPDATE integrations_connection SET calls_per_minute = %s", usual)
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", ASKING]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=installation.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    granted, refused = sum(int(words[1]) for words in said), sum(int(words[3]) for words in said)
    assert (granted, refused) == (60, 20)
    records = installation.sandbox.fitbox.traffic.records
    assert len(records) == 60
    assert records[-1].at - records[0].at < timedelta(seconds=60)


@pytest.mark.req("TT-23")
def test_an_installation_without_fitbox_makes_no_call_and_shows_the_manual_week(installation: Installation) -> None:
    off = {"FITBOX_ENABLED": "false"}
    installation.make_due()
    assert installation.manage("shell", "-v", "0", "-c", "from sync import tasks; tasks.tick()", **off).returncode == 0
    assert installation.manage("sync", "fitbox", **off).returncode != 0
    look = "from django.test import Client; print(Client(SERVER_NAME='127.0.0.1').get('/api/v1/timetable').text)"
    shown = installation.manage("shell", "-v", "0", "-c", look, **off)
    answer = json.loads(shown.stdout.splitlines()[-1])
    assert (answer["source"], bool(answer["schedule"])) == ("cms", True)
    assert installation.sandbox.fitbox.traffic.counters.requests == 0
