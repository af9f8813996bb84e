"""A gym, its Fitbox over a real socket, and the four things that must hold whatever a provider does.

`house` is the fixture: a first good sync has been made, and the clock can be moved. Every fault test ends in
`house.survives(...)` or says the same four things itself: nothing lost or doubled, still served, a clear error without
secrets, and mended by itself.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.test import Client

from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY, Sandbox
from schedule import demo, store, timetable
from schedule.models import Closure, Event, TimetableSettings
from sync import ingest, leases
from sync.models import Run, RunResult, RunState, SyncJob
from tests.installation import demo_database, installation

__all__ = ["demo_database", "installation"]

ZONE = ZoneInfo("Australia/Melbourne")
WEDNESDAY = datetime(2026, 11, 18, 10, 0, 30, tzinfo=ZONE)
INTERVAL = timedelta(minutes=15)
Row = tuple[str, datetime, str]


@dataclass
class House:
    """A Callboard of one process: `ingest.run` here, the sandbox in threads, members through Django's test client."""

    sandbox: Sandbox
    connection: Connection
    clock: time_machine.Traveller
    logs: pytest.LogCaptureFixture
    members: Client = field(default_factory=Client)

    # --- what happens

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def job(self) -> SyncJob:
        return SyncJob.objects.get(connection=self.connection)

    def move_to(self, instant: datetime) -> None:
        self.clock.move_to(instant)

    @property
    def manager(self) -> AbstractBaseUser:
        return get_user_model().objects.get(username="manager")

    def use(self, **changed: Any) -> None:
        """Change settings of the connection, as its page does."""
        Connection.objects.filter(pk=self.connection.pk).update(**changed)

    def scheduled_run(self) -> Run:
        """Let the time come at which the connection is due, and do what a worker does then."""
        due_at = self.job.due_at
        if due_at > self.now:
            self.move_to(due_at)
        assert leases.due(self.now, ["fitbox"]) == [self.connection.pk]
        run = ingest.run(self.connection.pk)
        assert run is not None
        return run

    # --- what must hold

    def stored(self) -> list[Row]:
        rows = Event.objects.live().filter(source="fitbox").order_by("external_id")
        return list(rows.values_list("external_id", "starts_at", "status"))

    def provided(self) -> list[Row]:
        """Return what the provider has for the asked weeks, read past its API and past the adapter."""
        first, last = timetable.horizon(self.now.astimezone(ZONE).date())
        items = self.sandbox.fitbox.schedule.listing(first, last).items
        return sorted(row_of(item) for item in items if item["status"] not in ("deleted", "draft"))

    def shown(self) -> dict[str, str]:
        """Return what members see of this week and the next, id and start; asserts that all three forms are served."""
        page = self.members.get("/timetable/")
        assert page.status_code == 200
        assert re.search(r"(updated|Saved copy from|Last known timetable, from) (\w+ )?\d\d:\d\d", page.text)
        calendar = self.members.get("/calendar/timetable.ics")
        assert calendar.status_code == 200
        assert "BEGIN:VEVENT" in calendar.text
        seen: dict[str, str] = {}
        week = timetable.Week.of(self.now.astimezone(ZONE).date())
        for code in (week.code, week.next.code):
            answer = self.members.get("/api/v1/timetable", {"week": code})
            assert answer.status_code == 200
            said = answer.json()
            assert said["source"] == "fitbox"
            assert isinstance(said["ageSeconds"], int)
            assert said["lastUpdated"]
            seen |= {session["id"]: session["startsAt"] for session in said["schedule"]}
        assert seen
        return seen

    def staff_see(self, address: str) -> str:
        """Return the words of a staff page."""
        staff = Client()
        staff.force_login(self.manager)
        answer = staff.get(address)
        assert answer.status_code == 200
        assert SANDBOX_FITBOX_KEY not in answer.text
        return html.unescape(answer.text)

    def assert_failed(self, run: Run, code: str, words: str = "") -> None:
        """Assert that the run says clearly what happened, without a secret, to whoever reads row or log."""
        assert (run.state, run.result, run.error_code) == (RunState.FAILED, RunResult.FAILED, code)
        assert run.error.startswith(("Fitbox", "The import was refused", "The address of Fitbox"))
        assert run.error.endswith(".")
        assert words in run.error
        assert run.completed_at is not None
        assert run.started_at is not None
        assert self.job.failures > 0
        self.assert_no_secret(run)

    def assert_no_secret(self, run: Run) -> None:
        row = "\n".join(str(getattr(run, field.attname)) for field in Run._meta.concrete_fields)
        assert SANDBOX_FITBOX_KEY not in row
        assert SANDBOX_FITBOX_KEY not in self.logs.text
        assert self.sandbox.fitbox.traffic.counters.violations == {}

    def assert_mends(self, within: timedelta = INTERVAL) -> Run:
        """End the fault; assert that the next scheduled run comes in time, succeeds, and leaves what the provider has."""
        wait = self.job.due_at - self.now
        assert timedelta(0) < wait <= within
        self.sandbox.fitbox.faults.clear()
        run = self.scheduled_run()
        assert (run.state, run.result, run.error) == (RunState.COMPLETED, RunResult.SUCCESS, "")
        self.assert_equal()
        assert self.job.failures == 0
        assert "Live from the booking system" in self.members.get("/timetable/").text
        return run

    def assert_equal(self) -> None:
        """Assert that nothing was lost and nothing doubled; classes that began may stand here as history."""
        stored, provided, now = self.stored(), self.provided(), self.now
        assert coming(stored, now) == coming(provided, now)
        assert set(provided) <= set(stored)
        assert len({row[0] for row in stored}) == len(stored)

    def survives(self, code: str, words: str = "", within: timedelta = INTERVAL) -> Run:
        """Do the run that meets the fault, which was set before, assert all common expectations, and return that run."""
        before, stored, revision = self.shown(), self.stored(), store.revision()
        run = self.scheduled_run()
        self.assert_failed(run, code, words)
        assert (self.stored(), store.revision()) == (stored, revision)
        assert self.shown() == before
        self.assert_mends(within)
        return run


@pytest.fixture
def house(db: None, caplog: pytest.LogCaptureFixture, settings: Any) -> Iterator[House]:
    """It is Wednesday, 10 o'clock; the gym shows Fitbox, one good sync has been made and its data stand still."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # nobody logs in with a password here
    with time_machine.travel(WEDNESDAY, tick=True) as clock, Sandbox.serve(seed=1) as sandbox:
        sandbox.fitbox.switch(bookings_frozen=True)
        gym = demo.make(datetime.now(UTC))
        # The gym's own closed day would make its classes differ from the provider's.
        Closure.objects.all().delete()
        TimetableSettings.objects.filter(organization=gym).update(data_source="fitbox")
        connection = connect(sandbox)
        made = House(sandbox, connection, clock, caplog)
        leases.job_of(connection, made.now)
        with caplog.at_level("DEBUG"):
            run = made.scheduled_run()
            assert run.result == RunResult.SUCCESS, run.error
            made.assert_equal()
            sandbox.fitbox.traffic.clear()
            yield made


def connect(sandbox: Sandbox, **values: Any) -> Connection:
    """Make a connection to the sandbox; one more try than the first, so that no test waits for long backoff."""
    said = {"provider": "fitbox", "name": "Front desk", "base_url": sandbox.url_of("fitbox"), "retries": 1} | values
    return Connection.objects.create(credentials={"api_key": SANDBOX_FITBOX_KEY}, **said)


def row_of(item: dict[str, Any]) -> Row:
    """Return what a dated class of the provider means, by the plain words of the contract."""
    starts_at = datetime.fromisoformat(f"{item['date']}T{item['start_time']}").replace(tzinfo=ZONE)
    cancelled = item["status"] in ("cancelled", "canceled")
    return item["id"], starts_at.astimezone(UTC), "cancelled" if cancelled else "confirmed"


def vevents(body: bytes) -> list[icalendar.Event]:
    """Return the events of a calendar, each with all that RFC 5545 requires. Fails on what a reader cannot parse."""
    calendar = icalendar.Calendar.from_ical(body)
    found = [part for part in calendar.walk("VEVENT") if isinstance(part, icalendar.Event)]
    for event in found:
        assert not event.errors
        assert {"UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "SEQUENCE"} <= set(event)
    return found


def coming(items: list[Row], now: datetime) -> list[Row]:
    return [row for row in items if row[1] >= now]
