"""A provider in trouble as a real Celery worker meets it: the worker stays free for others (A4, A8, A9)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.sandbox import Fault, Sandbox
from tests.faults.conftest import vevents
from tests.installation import Installation, rows_of

SECOND = """
from django.utils import timezone
from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY
from sync.models import SyncJob
made = Connection.objects.create(
    provider="fitbox", name="The other hall", base_url="{url}", credentials={{"api_key": SANDBOX_FITBOX_KEY}},
    settings={{"demo": True}},
)
SyncJob.objects.create(connection=made, due_at=timezone.now())
"""


def runs(installation: Installation) -> dict[int, dict[str, Any]]:
    """Return the newest run of each connection."""
    columns = ["connection_id", "state", "result", "error_code", "error", "calls"]
    rows = installation.query(f"SELECT {', '.join(columns)} FROM sync_run ORDER BY id")  # noqa: S608 - fixed text
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def seconds_until_due(installation: Installation, connection_id: int) -> float:
    ((due_at,),) = installation.query("SELECT due_at FROM sync_syncjob WHERE connection_id = %s", connection_id)
    if isinstance(due_at, str):
        due_at = datetime.fromisoformat(due_at).replace(tzinfo=UTC)
    return float((due_at - datetime.now(UTC)).total_seconds())


def tick(installation: Installation) -> None:
    """Do what beat does every 15 seconds."""
    done = installation.manage("shell", "-v", "0", "-c", "from sync import tasks; tasks.tick()")
    assert done.returncode == 0, done.stderr


def is_over(installation: Installation, connection_id: int) -> bool:
    run = runs(installation).get(connection_id)
    return run is not None and run["state"] in ("completed", "failed")


@pytest.mark.req("X-08")
def test_a_worker_told_to_wait_an_hour_does_other_connections_meanwhile(installation: Installation) -> None:
    """A4: one worker with one place; the first connection gets a 429, the second is read at once."""
    installation.sandbox.fitbox.faults.add(
        Fault("status", status=429, retry_after=3600, retry_after_form="seconds", match="/api/v1/schedule")
    )
    with Sandbox.serve(seed=2) as other:
        made = installation.manage("shell", "-v", "0", "-c", SECOND.format(url=other.url_of("fitbox")))
        assert made.returncode == 0, made.stderr
        first, second = sorted(row[0] for row in installation.query("SELECT id FROM integrations_connection"))
        installation.start_worker()
        tick(installation)
        installation.wait_for(lambda: is_over(installation, first) and is_over(installation, second), "both runs")
    limited, good = runs(installation)[first], runs(installation)[second]
    assert (limited["state"], limited["error_code"]) == ("failed", "rate_limited")
    assert "asked for a pause" in limited["error"]
    assert (good["state"], good["result"]) == ("completed", "success")
    assert 860 < seconds_until_due(installation, first) <= 900
    assert installation.sandbox.fitbox.traffic.counters.requests == 1
    assert "sandbox-fitbox-key" not in installation.log("worker")


@pytest.mark.req("TT-27", "TT-30")
def test_a_refused_connection_leaves_the_page_in_order_and_ends_by_itself(installation: Installation) -> None:
    """A9 with worker and web server: served all the time, told clearly, and mended by the worker alone."""
    installation.start_worker()
    tick(installation)
    installation.wait_for(lambda: installation.last_run().get("state") == "completed", "the first run")
    before = rows_of(installation.events())
    port = int(installation.sandbox.url.rpartition(":")[2])
    installation.sandbox.stop()
    installation.query("UPDATE integrations_connection SET retries = 0")
    installation.make_due()
    tick(installation)
    installation.wait_for(lambda: installation.last_run().get("state") == "failed", "the failing run")
    failed = installation.last_run()
    assert failed["error_code"] == "provider_unavailable"
    assert "Callboard tries again by itself" in failed["error"]
    ((connection,),) = installation.query("SELECT id FROM integrations_connection")
    assert 0 < seconds_until_due(installation, connection) <= timedelta(minutes=1).total_seconds()
    assert rows_of(installation.events()) == before
    look = (
        "from django.test import Client; c = Client(SERVER_NAME='127.0.0.1');"
        "print(all(c.get(p).status_code == 200 for p in ('/timetable/', '/api/v1/timetable')));"
        "print(c.get('/calendar/timetable.ics').text)"
    )
    said, _, feed = installation.manage("shell", "-v", "0", "-c", look).stdout.partition("\n")
    assert said == "True"
    assert vevents(feed.replace("\n\n", "\n").encode())
    with Sandbox.serve(port=port, seed=1):
        installation.make_due()
        tick(installation)
        installation.wait_for(lambda: installation.last_run().get("state") == "completed", "the run after the outage")
    assert installation.last_run()["result"] == "success"
    assert rows_of(installation.events()) == before
    assert "sandbox-fitbox-key" not in installation.log("worker")
