"""The queue is only a hint: messages lost or doubled, its folder deleted, the worker dead with what it had taken."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from integrations.sandbox import Fault
from tests.faults import moments
from tests.faults.killing import Killing, callboard
from tests.installation import Installation, instant

TICK_SECONDS = 15
TAKEN_OVER_WITHIN = timedelta(minutes=2)
BUSY_SECONDS = 20
"""What a busy machine may add to a tick: starting the task, and the sync."""


@pytest.fixture
def killing(demo_database: str, tmp_path: Path) -> Iterator[Killing]:
    with callboard(demo_database, tmp_path) as made:
        yield made


def lose_messages(house: Installation) -> None:
    """Take every message out of the queue, unread."""
    if house.redis_url:
        with redis_client.Redis.from_url(house.redis_url) as client:
            client.delete(f"{house.environment['CALLBOARD_KEY_PREFIX']}:celery:default")
    else:
        for message in (house.folder / "data" / "queue").glob("*.msg"):
            message.unlink()


@pytest.mark.req("X-09", "X-11", "TT-35")
def test_what_a_dead_worker_had_taken_is_taken_over_by_the_next_tick(killing: Killing) -> None:
    """C8 without help: the worker is killed in its import, all messages are lost, and its lease runs out a little later."""
    house = killing.house
    killing.start_worker()
    former = killing.shown()
    killing.stop_at(moments.APPLYING[1])
    killing.kill_worker()
    lose_messages(house)
    killed = house.last_run()["id"]
    [[lease_until]] = house.query("SELECT lease_until FROM sync_syncjob")
    assert instant(lease_until) - datetime.now(UTC) <= TAKEN_OVER_WITHIN - timedelta(seconds=TICK_SECONDS)
    house.expire_lease()
    assert killing.shown() == former

    house.start_beat()
    killing.start_worker("worker-2")
    run = house.wait_for(
        lambda: house.ended(after=killed), "the next tick to take over", seconds=TICK_SECONDS + BUSY_SECONDS
    )
    assert run["result"] == "success"
    assert house.rows() == killing.provided()
    killing.assert_killed_run_is_closed(killed, moments.APPLYING[1])


@pytest.mark.postgresql_only
@pytest.mark.req("X-09")
def test_a_message_that_redis_delivers_again_has_no_second_effect(killing: Killing) -> None:
    """E9: the time passes after which Redis gives a message that nobody acknowledged to another worker."""
    house = killing.house
    killing.start_worker("worker-1", children=1)
    killing.stop_at(moments.READING[0])
    keys = f"{house.environment['CALLBOARD_KEY_PREFIX']}:celery:"
    with redis_client.Redis.from_url(house.redis_url) as client:
        [taken] = client.hvals(f"{keys}unacked")
        client.lpush(f"{keys}default", message_of(taken))
    killing.start_worker("worker-2", children=1)
    house.wait_for(lambda: "skipped" in house.log("worker-2"), "the second copy to leave")
    assert house.query("SELECT state FROM sync_run") == [("running",)]
    killing.go_on()
    assert house.wait_for(house.ended, "the sync to end")["result"] == "success"
    assert killing.runs() == 1
    assert house.rows() == killing.provided()
    assert house.sandbox.fitbox.traffic.counters.requests == 2


def message_of(taken: bytes) -> str:
    """Return the message out of what kombu keeps of one that is not acknowledged: message, exchange, routing key."""
    from kombu.utils.json import dumps, loads

    message: Any = loads(taken)[0]
    return str(dumps(message))


@pytest.mark.req("X-09", "TT-22")
def test_a_click_while_the_queue_takes_no_messages_is_done_when_it_does(killing: Killing) -> None:
    """The request stands in the database; the page and the answer do not depend on the queue."""
    house = killing.house
    staff = house.log_in()
    with queue_broken(house):
        answer = staff.post(f"{house.url}/api/v1/admin/trigger-sync", timeout=60)
        assert answer.status_code == 202, answer.text
        house.assert_page_is_served()
    assert "the broker does not take messages" in house.log("web")
    assert house.query("SELECT id, state FROM sync_run") == [(answer.json()["runId"], "pending")]
    killing.start_worker()
    house.send("tick")
    assert house.wait_for(house.ended, "the tick to find the request")["id"] == answer.json()["runId"]
    assert house.rows() == killing.provided()


@contextmanager
def queue_broken(house: Installation) -> Iterator[None]:
    """Let the web server meet a queue that fails: its folder gone, or a key of another type in Redis' place of it."""
    queue = house.folder / "data" / "queue"
    if house.redis_url:
        key = f"{house.environment['CALLBOARD_KEY_PREFIX']}:celery:default"
        with redis_client.Redis.from_url(house.redis_url) as client:
            client.set(key, "no list")
            yield
            client.delete(key)
    else:
        shutil.rmtree(queue)
        yield
        (queue / "control").mkdir(parents=True)


# --- the embedded mode's queue folder ---------------------------------------------------------------------------------


@pytest.fixture
def everything(installation: Installation) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py run` as an operator starts it, and stops it by Ctrl-C; the provider is the test's own sandbox."""
    process = installation.start("run", "manage.py", "run", SANDBOX_PORT="")
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)


@pytest.mark.embedded_only
@pytest.mark.req("X-09")
def test_syncs_go_on_when_the_queue_folder_is_deleted_mid_run(
    installation: Installation, everything: subprocess.Popen[bytes]
) -> None:
    """The sync at work ends, a click meanwhile is no error, and the next due syncs come by themselves."""
    house = installation
    house.sandbox.fitbox.faults.add(Fault("slow_start", calls=1, delay_seconds=4))
    house.wait_for(lambda: house.last_run().get("state") == "running", "the first sync", seconds=60)
    shutil.rmtree(house.folder / "data" / "queue")
    first = house.last_run()["id"]
    house.assert_page_is_served()

    staff = house.log_in()
    answer = staff.post(f"{house.url}/api/v1/admin/trigger-sync", timeout=60)
    assert (answer.status_code, answer.json()["runId"]) == (202, first)
    house.wait_for(lambda: house.ended(after=first - 1), "the first sync to end")
    assert house.last_run()["result"] == "success"

    house.make_due()
    house.wait_for(lambda: house.ended(after=first), "the next sync to come by itself", seconds=90)
    assert house.last_run()["result"] == "success"
    assert house.rows() == Killing(house, house.folder).provided()
    assert everything.poll() is None
