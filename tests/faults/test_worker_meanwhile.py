"""A provider in trouble as real Celery workers meet it: others are not held up (A4, A8), an outage ends (A9)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.sandbox import SANDBOX_FITBOX_KEY, Fault, Sandbox
from tests.installation import Installation

SECOND = """
from django.utils import timezone
from integrations.models import Connection
from sync.models import SyncJob
made = Connection.objects.create(
    provider="fitbox", name="The other hall", base_url="{url}", credentials={{"api_key": "{key}"}}
)
SyncJob.objects.create(connection=made, due_at=timezone.now())
print(made.pk)
"""


def newest_run(installation: Installation, connection: int) -> dict[str, Any]:
    """Return the newest run of a connection once it has ended; empty before."""
    rows = installation.query(
        "SELECT state, result, error_code, error FROM sync_run WHERE connection_id = %s ORDER BY id DESC LIMIT 1",
        connection,
    )
    run = dict(zip(("state", "result", "error_code", "error"), rows[0], strict=True)) if rows else {}
    return run if run.get("state") in ("completed", "failed") else {}


def seconds_until_due(installation: Installation, connection: int) -> float:
    [[due_at]] = installation.query("SELECT due_at FROM sync_syncjob WHERE connection_id = %s", connection)
    if isinstance(due_at, str):
        due_at = datetime.fromisoformat(due_at).replace(tzinfo=UTC)
    return float((due_at - datetime.now(UTC)).total_seconds())


def connect_another(installation: Installation, sandbox: Sandbox) -> int:
    code = SECOND.format(url=sandbox.url_of("fitbox"), key=SANDBOX_FITBOX_KEY)
    made = installation.manage("shell", "-v", "0", "-c", code)
    assert made.returncode == 0, made.stderr
    return int(made.stdout)


@pytest.mark.req("X-08")
def test_a_worker_told_to_wait_an_hour_does_other_connections_meanwhile(installation: Installation) -> None:
    """A4: one worker with one place; the first connection gets a 429, the second is read at once."""
    first = installation.connection
    installation.sandbox.fitbox.faults.add(Fault("status", status=429, retry_after=3600, retry_after_form="seconds"))
    with Sandbox.serve(seed=2) as other:
        second = connect_another(installation, other)
        installation.start_worker()
        installation.send("run_sync", first)
        installation.send("run_sync", second)
        limited = installation.wait_for(lambda: newest_run(installation, first), "the run that is told to wait")
        good = installation.wait_for(lambda: newest_run(installation, second), "the other's run", seconds=10)
    assert (limited["state"], limited["error_code"]) == ("failed", "rate_limited")
    assert "asked for a pause" in limited["error"]
    assert (good["state"], good["result"]) == ("completed", "success")
    assert 860 < seconds_until_due(installation, first) <= 900
    assert installation.sandbox.fitbox.traffic.counters.requests == 1
    assert SANDBOX_FITBOX_KEY not in installation.log("worker")


def test_a_provider_that_dribbles_does_not_make_other_connections_late(installation: Installation) -> None:
    """A8: while one worker is held up, for no longer than the total time limit, another reads the second connection."""
    first = installation.connection
    installation.query("UPDATE integrations_connection SET timeout_seconds = 5, retries = 0")
    installation.sandbox.fitbox.faults.add(Fault("slow_body", bytes_per_second=20))
    with Sandbox.serve(seed=2) as other:
        second = connect_another(installation, other)
        installation.start_worker("one")
        installation.start_worker("two")
        installation.send("run_sync", first)
        installation.wait_for(lambda: installation.sandbox.fitbox.traffic.records, "the slow call")
        installation.send("run_sync", second)
        good = installation.wait_for(lambda: newest_run(installation, second), "the other's run")
        assert (good["state"], good["result"]) == ("completed", "success")
        assert not newest_run(installation, first), "the slow one still goes on"
        slow = installation.wait_for(lambda: newest_run(installation, first), "the slow run to end", seconds=8)
    assert (slow["state"], slow["error_code"]) == ("failed", "provider_unavailable")
    assert "did not answer in time" in slow["error"]


@pytest.mark.req("TT-27", "TT-30")
def test_a_refused_connection_leaves_the_page_in_order_and_ends_by_itself(installation: Installation) -> None:
    """A9 with worker and web server: served all the time, told clearly, and mended by the next tick that finds it due."""
    installation.start_worker()
    installation.start_web()
    assert installation.sync()["result"] == "success"
    before, seen = installation.rows(), installation.timetable()["schedule"]
    port = int(installation.sandbox.url.rpartition(":")[2])
    installation.sandbox.stop()
    failed = installation.sync()
    assert (failed["state"], failed["error_code"]) == ("failed", "provider_unavailable")
    assert "Callboard tries again by itself" in failed["error"]
    assert 0 < seconds_until_due(installation, installation.connection) <= 60
    assert (installation.rows(), installation.timetable()["schedule"]) == (before, seen)
    installation.assert_page_is_served()
    with Sandbox.serve(port=port, seed=1) as back:
        back.fitbox.switch(bookings_frozen=True)
        installation.make_due()
        installation.send("tick")
        mended = installation.wait_for(lambda: installation.ended(after=failed["id"]), "the next run")
    assert (mended["result"], mended["error"]) == ("success", "")
    assert installation.rows() == before
    installation.assert_page_is_served()
    for log in ("worker", "web"):
        assert SANDBOX_FITBOX_KEY not in installation.log(log)
