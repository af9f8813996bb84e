"""Two of everything at the same time: rows E1, E2, E3, E5 and D10 of the catalogue of faults, with real processes."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.faults import moments
from tests.faults.killing import CLASSES, Killing, callboard

WORKERS = ("worker-1", "worker-2")
PAGES = 2
CLICKS = 10
Shown = tuple[str, frozenset[tuple[str, str, str]]]


@pytest.fixture(scope="module")
def shared(demo_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killing]:
    """A Callboard with a web server and two workers; the first sync has been made."""
    with callboard(demo_database, tmp_path_factory.mktemp("pair")) as made:
        for name in WORKERS:
            made.start_worker(name, children=1)
        assert made.house.sync()["result"] == "success"
        yield made


@pytest.fixture
def pair(shared: Killing) -> Iterator[Killing]:
    yield shared
    shared.clear()
    settle(shared)


def read_in_full(pair: Killing) -> None:
    """Let the next sync ask for everything again: a known number of requests."""
    pair.house.query("UPDATE sync_syncjob SET full_read_at = NULL")
    pair.house.sandbox.fitbox.traffic.clear()


def skipped(pair: Killing) -> int:
    return sum(pair.house.log(name).count("skipped, it is not due or another worker runs it") for name in WORKERS)


# --- workers and beats ------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-35", "X-09", "X-11")
def test_of_two_workers_on_one_connection_one_works_and_the_other_leaves_at_once(pair: Killing) -> None:
    """E2, and a message delivered four times: one effect."""
    read_in_full(pair)
    runs, left = pair.runs(), skipped(pair)
    pair.stop_at(moments.READING[0])
    for _ in range(3):
        pair.house.send("run_sync", pair.house.connection)
    pair.house.wait_for(lambda: skipped(pair) == left + 3, "the other worker to leave three times")
    assert pair.house.query("SELECT COUNT(*) FROM sync_run WHERE state = 'running'") == [(1,)]
    before = pair.house.last_run()["id"] - 1
    pair.go_on()
    run = pair.house.wait_for(lambda: pair.house.ended(after=before), "the one sync to end")
    assert (run["result"], pair.runs()) == ("success", runs + 1)
    counters = pair.house.sandbox.fitbox.traffic.counters
    assert (counters.requests, counters.max_parallel) == (PAGES, 1)


@pytest.mark.req("X-10", "TT-35")
def test_two_beats_cause_one_run_however_long_it_was_due(pair: Killing) -> None:
    """E1."""
    runs = pair.runs()
    beats = [pair.house.start_beat(f"beat-{n}", module="tests.faults.quick_beat") for n in (1, 2)]
    ticks = [pair.house.log(f"beat-{n}").count("Sending due task tick") for n in (1, 2)]

    def have_ticked(times: int) -> bool:
        return all(
            pair.house.log(f"beat-{n}").count("Sending due task tick") >= before + times
            for n, before in enumerate(ticks, start=1)
        )

    try:
        pair.house.wait_for(lambda: have_ticked(1), "both beats to tick")
        assert pair.runs() == runs
        read_in_full(pair)
        pair.house.make_due()  # for years: every interval since then was missed
        pair.house.wait_for(lambda: pair.runs() > runs, "the due run")
        ticks = [pair.house.log(f"beat-{n}").count("Sending due task tick") for n in (1, 2)]
        pair.house.wait_for(lambda: have_ticked(3), "both beats to tick on")
    finally:
        for beat in beats:
            pair.house.kill(beat)
    assert pair.runs() == runs + 1
    assert pair.house.last_run()["result"] == "success"
    assert pair.house.sandbox.fitbox.traffic.counters.requests == PAGES


# --- clicks -----------------------------------------------------------------------------------------------------------


def click(pair: Killing, staff: requests.Session) -> list[dict[str, Any]]:
    """Ask for a sync ten times at once, and return the answers."""
    start = threading.Barrier(CLICKS)

    def one() -> dict[str, Any]:
        start.wait(timeout=30)
        answer = requests.post(
            f"{pair.house.url}/api/v1/admin/trigger-sync", headers=staff.headers, cookies=staff.cookies, timeout=60
        )
        assert answer.status_code == 202, answer.text
        said: dict[str, Any] = answer.json()
        return said

    with ThreadPoolExecutor(CLICKS) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(CLICKS)]]


@pytest.mark.req("X-11", "TT-22")
def test_ten_clicks_during_the_automatic_sync_join_it(pair: Killing) -> None:
    """E3."""
    staff, runs = pair.house.log_in(), pair.runs()
    pair.stop_at(moments.CLAIMED)
    running = pair.house.last_run()["id"]
    answers = click(pair, staff)
    assert {answer["runId"] for answer in answers} == {running}
    assert {answer["status"] for answer in answers} == {"running"}
    assert all(answer["joined"] for answer in answers)
    assert "Syncing..." in staff.get(f"{pair.house.url}/admin/timetable-source/", timeout=30).text
    pair.go_on()
    pair.house.wait_for(lambda: pair.house.ended(after=running - 1), "the sync to end")
    assert pair.runs() == runs + 1


@pytest.mark.req("X-11", "X-09")
def test_ten_clicks_at_once_are_one_sync(pair: Killing) -> None:
    """E3, with a message for each click: all but one find nothing to do."""
    staff, runs = pair.house.log_in(), pair.runs()
    read_in_full(pair)
    pair.wait_at(moments.CLAIMED)
    answers = click(pair, staff)
    [run] = {answer["runId"] for answer in answers}
    pair.stopped(moments.CLAIMED)
    pair.go_on()
    assert pair.house.wait_for(lambda: pair.house.ended(after=run - 1), "the sync to end")["id"] == run
    assert pair.runs() == runs + 1
    assert pair.house.sandbox.fitbox.traffic.counters.requests == PAGES


# --- the toggle -------------------------------------------------------------------------------------------------------


def shown(pair: Killing, week: str) -> Shown:
    """Return what the public answer says of a week: its source, and its classes with what tells them apart."""
    said = pair.house.timetable(week)
    classes = ((item["id"], item["startsAt"], item["status"]) for item in said["schedule"])
    return said["source"], frozenset(classes)


@pytest.mark.req("TT-16", "TT-20")
def test_toggling_during_syncs_shows_one_source_or_the_other_whole(pair: Killing) -> None:
    """E5: every answer is the manual week or one of the weeks that the provider had, with its source's name on it."""
    staff, week = pair.house.log_in(), pair.next_week.code
    choose(pair, staff, "cms")
    known: set[Shown] = {shown(pair, week)}
    choose(pair, staff, "fitbox")
    settle(pair)
    known.add(shown(pair, week))
    with watching(pair, week) as seen:
        for _ in range(4):
            pair.edit_provider()
            pair.stop_at(moments.APPLYING[1])
            choose(pair, staff, "cms") if pair.house.database_url else None  # SQLite's writer waits for the other
            pair.go_on()
            for source in ("cms", "fitbox") * 3:
                choose(pair, staff, source)
            settle(pair)
            known.add(shown(pair, week))
    assert seen <= known
    assert {source for source, _ in seen} == {"cms", "fitbox"}
    assert len(known) == 6


class watching:
    """Ask for the public answer over and over, and gather all that was seen."""

    def __init__(self, pair: Killing, week: str) -> None:
        self.ask: Callable[[], Shown] = lambda: shown(pair, week)
        self.seen: set[Shown] = set()
        self.ended = threading.Event()
        self.pool = ThreadPoolExecutor(2)

    def __enter__(self) -> set[Shown]:
        self.futures = [self.pool.submit(self._watch) for _ in range(2)]
        return self.seen

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        for future in self.futures:
            future.result(timeout=60)
        self.pool.shutdown()

    def _watch(self) -> None:
        while not self.ended.is_set():
            self.seen.add(self.ask())


def choose(pair: Killing, staff: requests.Session, source: str) -> None:
    address = f"{pair.house.url}/api/v1/admin/timetable-settings"
    answer = staff.post(address, json={"dataSource": source}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert pair.house.timetable(pair.next_week.code)["source"] == source


def settle(pair: Killing) -> None:
    """Wait until no sync is asked for or at work."""
    unfinished = "SELECT id FROM sync_run WHERE state IN ('pending', 'running')"
    pair.house.wait_for(lambda: not pair.house.query(unfinished), "all syncs to end")


# --- two writers of SQLite --------------------------------------------------------------------------------------------


@pytest.mark.embedded_only
@pytest.mark.req("X-28")
def test_writers_of_sqlite_wait_for_each_other(pair: Killing) -> None:
    """D10: while another program holds the write lock, a sync, a login and a change wait; readers do not even wait."""
    staff = pair.house.log_in()
    pair.edit_provider()
    runs = pair.runs()
    before = pair.house.last_run()["id"]
    with ThreadPoolExecutor(3) as pool:
        with pair.house.sqlite() as other:
            pair.house.make_due()
            other.execute("BEGIN IMMEDIATE")
            pair.house.send("run_sync", pair.house.connection)
            login = pool.submit(pair.house.log_in)
            change = pool.submit(choose, pair, staff, "fitbox")
            assert pair.shown()["source"] == "fitbox"
            with pytest.raises(sqlite3.OperationalError, match="locked"), pair.house.sqlite() as third:
                third.execute("PRAGMA busy_timeout = 2500")  # long enough for all three to be waiting
                third.execute("BEGIN IMMEDIATE")
            assert not login.done()
            assert not change.done()
            assert pair.runs() == runs
            other.execute("COMMIT")
        assert login.result(timeout=30).cookies["sessionid"]
        change.result(timeout=30)
    run = pair.house.wait_for(lambda: pair.house.ended(after=before), "the sync to end")
    settle(pair)
    assert run["result"] == "success"
    pair.assert_equal()
    assert_nobody_was_refused(pair)


@pytest.mark.embedded_only
@pytest.mark.req("X-28")
def test_a_first_sync_beside_logins_and_manual_changes(pair: Killing) -> None:
    """D10: all of it is written, with no 500 and no word of a locked database."""
    pair.forget_everything()
    before = pair.runs()
    pair.house.make_due()
    with ThreadPoolExecutor(5) as pool:
        logins = [pool.submit(pair.house.log_in) for _ in range(3)]
        command = pool.submit(pair.house.manage, "sync", "fitbox")
        refresh = pool.submit(pair.house.manage, "shell", "--command", REFRESH)
        pair.house.send("run_sync", pair.house.connection)
        for login in logins:
            assert login.result(timeout=60).cookies["sessionid"]
        for done in (command.result(timeout=90), refresh.result(timeout=90)):
            assert done.returncode == 0, done.stdout + done.stderr
            assert "locked" not in done.stderr
    settle(pair)
    assert pair.runs() > before
    assert pair.house.rows() == pair.provided()
    assert len(pair.house.rows()) == CLASSES
    assert_nobody_was_refused(pair)


REFRESH = """
from django.utils import timezone
from schedule import cms
from schedule.models import Organization, WeeklySlot
for slot in WeeklySlot.objects.all()[:10]:
    slot.capacity = (slot.capacity or 0) + 1
    slot.save()
    assert cms.refresh(Organization.installation(), now=timezone.now(), cause="test").changed
"""


def assert_nobody_was_refused(pair: Killing) -> None:
    for name in ("web", *WORKERS):
        assert "database is locked" not in pair.house.log(name)
        assert "Traceback" not in pair.house.log(name)


# --- the database goes away -------------------------------------------------------------------------------------------


@pytest.mark.postgresql_only
@pytest.mark.req("X-28", "TT-16")
def test_a_connection_lost_in_the_middle_of_the_import_leaves_nothing_half_written(pair: Killing) -> None:
    """D5: the run says that it failed, and the next one, on a new connection, brings everything."""
    pair.house.sync()
    pair.edit_provider()
    rows, history, before = pair.house.rows(), pair.history(), pair.house.last_run()["id"]
    pair.stop_at(moments.APPLYING[2])
    cut = pair.house.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle in transaction'"
    )
    assert cut == [(True,)]
    pair.go_on()
    run = pair.house.wait_for(lambda: pair.house.ended(after=before), "the run to end")
    assert (run["state"], run["error_code"]) == ("failed", "internal_error")
    assert (pair.house.rows(), pair.history()) == (rows, history)
    assert pair.shown()["source"] == "fitbox"
    assert pair.house.sync()["result"] == "success"
    pair.assert_equal()
