"""An installation whose worker can be stopped and killed at a moment of a sync, and what must hold after that."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from schedule import timetable
from tests.faults import moments
from tests.faults.conftest import ZONE, Row, coming, row_of
from tests.faults.moments import Moment
from tests.installation import Installation, install

CLASSES = 510
"""Two pages of the provider."""


@dataclass
class Killing:
    house: Installation
    folder: Path
    worker: subprocess.Popen[bytes] | None = None
    next_class: int = 0
    asked: int = 0

    # --- what happens

    def start_worker(self, name: str = "worker", children: int = 3) -> subprocess.Popen[bytes]:
        """Start a worker whose other children work on while Celery notices, after a second, that one was killed."""
        environment = {moments.FOLDER: str(self.folder)}
        self.worker = self.house.start_worker(name, module="tests.faults.moments", children=children, **environment)
        return self.worker

    def forget_everything(self) -> None:
        """Go back to before the first sync, without the costs of a new installation."""
        for table in ("schedule_change", "schedule_sourcestate"):
            self.house.query(f"DELETE FROM {table}")  # noqa: S608 - the names above
        self.house.query("DELETE FROM schedule_event WHERE source = 'fitbox'")
        self.house.query(
            "UPDATE sync_syncjob SET cursor = '', validators = '{}', full_read_at = NULL, failures = 0, "
            "requested_run_id = NULL, lease_token = NULL, lease_until = NULL"
        )
        self.house.query("DELETE FROM sync_run")
        self.house.query("UPDATE schedule_counter SET value = value + 1 WHERE name = 'publication'")

    def edit_provider(self) -> str:
        """Move a class, cancel one, take one away and add one, all of next week; return the id of the moved one."""
        schedule = self.house.sandbox.fitbox.schedule
        day = self.next_week.days[self.next_class % 7]
        items = [item for item in self.provider_items() if (item["date"], item["status"]) == (str(day), "active")]
        moved, cancelled, removed = (item["id"] for item in items[-3:])
        schedule.move(moved, start_time=f"{4 + self.next_class // 60 % 20:02}:{self.next_class % 60:02}")
        schedule.cancel(cancelled)
        schedule.remove(removed)
        schedule.add(day, f"22:{self.next_class % 60:02}")
        self.next_class += 1
        return str(moved)

    def stop_at(self, moment: Moment) -> int:
        """Start a sync and return the process id of the worker's child, which stands still at the moment."""
        self.wait_at(moment)
        self.house.make_due()
        self.house.send("run_sync", self.house.connection)
        return self.stopped(moment)

    def wait_at(self, moment: Moment) -> None:
        """Let the next sync stop at the moment."""
        self.asked += 1
        (self.folder / "moment").write_text(f"{moment.name}\n{self.asked}")

    def stopped(self, moment: Moment) -> int:
        """Return the process id of the worker's child that stands still at the moment."""
        reached = self.folder / "reached"
        self.house.wait_for(reached.exists, f"the worker to come to: {moment.name}")
        return int(reached.read_text())

    def go_on(self) -> None:
        """Let the worker's child pass the moment, if it lives."""
        (self.folder / "reached").unlink()

    def kill_child(self, number: int) -> None:
        os.kill(number, signal.SIGKILL)
        self.house.wait_for(lambda: is_dead(number), "the killed child to be dead")
        self.go_on()
        self.house.assert_page_is_served()

    def kill_worker(self) -> None:
        """Kill the worker with its child, as the machine's memory killer or a power cut of a container would."""
        assert self.worker is not None
        self.house.kill(self.worker)
        self.go_on()
        self.house.assert_page_is_served()

    def clear(self) -> None:
        """Leave no worker standing still and no lease behind, however a test ended."""
        for name in ("moment", "reached"):
            (self.folder / name).unlink(missing_ok=True)
        self.house.expire_lease()

    # --- what must hold

    @property
    def today(self) -> date:
        return datetime.now(ZONE).date()

    @property
    def next_week(self) -> timetable.Week:
        """A week of which nothing is over yet."""
        return timetable.Week.of(self.today).next

    def provider_items(self) -> list[dict[str, Any]]:
        return self.house.sandbox.fitbox.schedule.listing(*timetable.horizon(self.today)).items

    def provided(self) -> list[Row]:
        """Return what the provider has for the asked weeks, read past its API and past the adapter."""
        return sorted(row_of(item) for item in self.provider_items())

    def shown(self) -> dict[str, Any]:
        """Return what members see of the week after this one, without its age; never empty."""
        said = self.house.timetable(self.next_week.code)
        assert said["schedule"]
        return {name: said[name] for name in ("source", "schedule")}

    def assert_equal(self) -> None:
        """Assert that nothing was lost and nothing doubled."""
        now = datetime.now(UTC)
        rows, provided = self.house.rows(), self.provided()
        assert coming(rows, now) == coming(provided, now)
        assert len({row[0] for row in rows}) == len(rows)

    def assert_killed_run_is_closed(self, run_id: int, moment: Moment) -> None:
        """Assert that the run which was killed is not shown as running for ever, and says what happened."""
        [ended] = self.house.query("SELECT state, result, error_code, error FROM sync_run WHERE id = %s", run_id)
        if moment.is_closed:
            assert ended == ("completed", "success", "", "")
            return
        assert ended[:3] == ("failed", "failed", "worker_stopped")
        assert ended[3].startswith("The worker stopped before the end.")
        assert self.house.query("SELECT id FROM sync_run WHERE state IN ('running', 'pending')") == []

    def runs(self) -> int:
        [[count]] = self.house.query("SELECT COUNT(*) FROM sync_run")
        return int(count)

    def history(self) -> dict[str, int]:
        """Return how many changes of each kind the history holds of Fitbox's rows."""
        return dict(
            self.house.query(
                "SELECT schedule_change.kind, COUNT(*) FROM schedule_change JOIN schedule_event ON schedule_event.id = event_id "
                "WHERE source = 'fitbox' GROUP BY schedule_change.kind"
            )
        )


@contextmanager
def callboard(demo_database: str, folder: Path) -> Iterator[Killing]:
    """Make a Callboard with a web server, without a worker; the provider has two pages of classes."""
    with install(demo_database, folder) as house:
        house.sandbox.fitbox.schedule.set_mode("bulk", CLASSES)
        house.start_web()
        watched = folder / "moments"
        watched.mkdir()
        yield Killing(house, watched)


def is_dead(process: int) -> bool:
    """Whether a process of this system has ended, be it that nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
