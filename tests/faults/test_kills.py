"""SIGKILL of the worker at every moment of a sync: rows C1 and C8 of the catalogue of faults.

One installation serves the kills of the worker's child, which costs no start: the worker makes a new one.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults import moments
from tests.faults.killing import CLASSES, Killing, callboard
from tests.faults.moments import Moment


@pytest.fixture(scope="module")
def shared(demo_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killing]:
    """A Callboard with a web server and a worker that can be stopped; the provider has two pages of classes."""
    with callboard(demo_database, tmp_path_factory.mktemp("killing")) as made:
        made.start_worker()
        yield made


@pytest.fixture
def killing(shared: Killing) -> Iterator[Killing]:
    yield shared
    shared.clear()


def name_of(moment: Moment) -> str:
    return moment.name


@pytest.mark.req("TT-16", "X-09", "X-11", "X-28")
@pytest.mark.parametrize("moment", moments.FIRST_SYNC, ids=name_of)
def test_the_first_sync_killed(killing: Killing, moment: Moment) -> None:
    """C1: the manual timetable is in view until the import is committed whole; the next run makes it as the provider's."""
    killing.forget_everything()
    former = killing.shown()
    assert former["source"] == "cms"

    killing.kill_child(killing.stop_at(moment))
    killed = killing.house.last_run()["id"]
    assert killing.house.rows() == (killing.provided() if moment.is_written else [])
    seen = killing.shown()
    assert seen["source"] == ("fitbox" if moment.is_written else "cms")
    assert moment.is_written or seen == former

    killing.house.expire_lease()
    run = killing.house.sync()
    assert (run["state"], run["result"]) == ("completed", "success")
    assert killing.house.rows() == killing.provided()
    assert killing.history() == {"created": CLASSES}
    assert killing.shown()["source"] == "fitbox"
    killing.assert_killed_run_is_closed(killed, moment)


@pytest.mark.req("TT-16", "X-09", "X-28")
@pytest.mark.parametrize("moment", moments.CHANGES, ids=name_of)
def test_a_sync_with_changes_killed(killing: Killing, moment: Moment) -> None:
    """C1: one created, two changed and one removed, none of them twice, and the former week in view until the commit."""
    killing.house.sync()
    moved = killing.edit_provider()
    former, rows, history = killing.shown(), killing.house.rows(), Counter(killing.history())
    [[sequence]] = killing.house.query("SELECT sequence FROM schedule_event WHERE external_id = %s", moved)

    killing.kill_child(killing.stop_at(moment))
    killed = killing.house.last_run()["id"]
    killing.assert_equal() if moment.is_written else None
    assert (killing.house.rows() == rows) is not moment.is_written
    assert (killing.shown() == former) is not moment.is_written

    killing.house.expire_lease()
    assert killing.house.sync()["result"] == "success"
    killing.assert_equal()
    assert Counter(killing.history()) - history == {"created": 1, "changed": 2, "removed": 1}
    assert killing.house.query("SELECT sequence FROM schedule_event WHERE external_id = %s", moved) == [(sequence + 1,)]
    killing.assert_killed_run_is_closed(killed, moment)


@pytest.mark.req("X-09")
@pytest.mark.parametrize("moment", moments.NO_CHANGE, ids=name_of)
def test_a_sync_without_changes_killed(killing: Killing, moment: Moment) -> None:
    """C2: nothing is written, before or after."""
    killing.house.sync()
    former, rows, history = killing.shown(), killing.house.rows(), killing.history()
    revisions = killing.house.query("SELECT name, value FROM schedule_counter ORDER BY name")

    killing.kill_child(killing.stop_at(moment))
    killed = killing.house.last_run()["id"]
    assert killing.shown() == former

    killing.house.expire_lease()
    assert killing.house.sync()["result"] == "success"
    killing.assert_killed_run_is_closed(killed, moment)
    assert (killing.house.rows(), killing.history(), killing.shown()) == (rows, history, former)
    assert killing.house.query("SELECT name, value FROM schedule_counter ORDER BY name") == revisions


@pytest.mark.req("TT-35", "X-09", "X-11")
@pytest.mark.parametrize("moment", (moments.NEXT_PAGE[0], moments.APPLYING[1], moments.APPLIED), ids=name_of)
def test_the_whole_worker_killed(killing: Killing, moment: Moment) -> None:
    """C8: nobody takes the work while the lease lasts, and the next worker does as soon as it has run out."""
    killing.forget_everything()
    killing.stop_at(moment)
    killing.kill_worker()
    killed = killing.house.last_run()["id"]
    killing.start_worker()

    skipped = killing.house.log("worker").count("skipped")
    killing.house.send("run_sync", killing.house.connection)
    killing.house.wait_for(
        lambda: killing.house.log("worker").count("skipped") > skipped, "the new worker to find the lease taken"
    )
    assert (killing.house.last_run()["id"], killing.house.last_run()["state"]) == (killed, "running")
    assert killing.shown()["source"] == ("fitbox" if moment.is_written else "cms")

    killing.house.expire_lease()
    assert killing.house.sync()["result"] == "success"
    assert killing.house.rows() == killing.provided()
    assert killing.history() == {"created": CLASSES}
    killing.assert_killed_run_is_closed(killed, moment)


def test_a_worker_told_to_stop_ends_its_sync_first(killing: Killing) -> None:
    """C10: a deployment's SIGTERM loses nothing, and nobody has to wait for a lease."""
    killing.house.sync()
    killing.edit_provider()
    before = killing.house.last_run()["id"]
    killing.stop_at(moments.READING[0])
    worker = killing.worker
    assert worker is not None
    worker.terminate()
    killing.go_on()
    assert worker.wait(timeout=30) == 0
    assert killing.house.ended(after=before)["result"] == "success"
    killing.assert_equal()
    killing.start_worker()
