"""`manage.py run` from an empty data folder, with all its processes, as a person starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.supervisor import answers, next_free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.embedded_only, pytest.mark.timeout(180)]


class Started:
    def __init__(self, data: Path) -> None:
        self.port = next_free_port(28_000 + os.getpid() % 1000 * 2)
        self.output = data.parent / "output.txt"
        given = {"CALLBOARD_DATA_DIR": str(data), "PORT": str(self.port)}
        self.environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")} | given
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "run"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_until(self, statement: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (result := statement()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return result

    def is_running(self) -> bool:
        return "Callboard is running." in self.said() and "Stop with Ctrl-C." in self.said()

    def timetable(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/timetable", timeout=10) as answer:
            body: dict[str, Any] = json.load(answer)
        return body

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Started]]:
    all_started: list[Started] = []

    def begin() -> Started:
        started = Started(tmp_path / "data")
        all_started.append(started)
        return started

    yield begin
    for started in all_started:
        started.process.kill()  # the guardian ends what it started
        started.process.wait()


@pytest.mark.req("X-23")
def test_a_first_start_shows_this_week_from_the_sandbox_and_a_second_keeps_it(start):
    first = start()
    first.wait_until(first.is_running, 60)
    first.wait_until(lambda: first.timetable()["source"] == "fitbox" and first.timetable()["schedule"], 60)
    shown = {row["uid"] for row in first.timetable()["schedule"]}
    sandbox = int(re.search(r"Sandbox +http://127\.0\.0\.1:(\d+)/", first.said()).group(1))
    assert first.stop() == 0
    assert (answers(first.port), answers(sandbox)) == (False, False)

    second = start()
    second.wait_until(second.is_running, 60)
    assert "Preparing the database." not in second.said()
    assert {row["uid"] for row in second.timetable()["schedule"]} == shown
    assert second.stop() == 0


def test_a_sync_beside_it_finds_its_sandbox(start):
    started = start()
    started.wait_until(started.is_running, 60)
    started.wait_until(lambda: started.timetable()["source"] == "fitbox", 60)
    command = [sys.executable, str(ROOT / "manage.py"), "sync", "fitbox"]
    beside = subprocess.run(command, env=started.environment, capture_output=True, text=True, timeout=60, check=False)
    assert beside.returncode == 0, beside.stdout + beside.stderr
    address = started.output.parent / "data" / "sandbox.url"
    assert f"Sandbox     {address.read_text().strip()}/" in started.said()
    assert started.stop() == 0
    assert not address.exists()


def test_a_taken_port_ends_the_start_and_leaves_nothing_running(start):
    first = start()
    first.wait_until(first.is_running, 60)
    environment = {**first.environment, "CALLBOARD_DATA_DIR": str(first.output.parent / "other")}
    command = [sys.executable, str(ROOT / "manage.py"), "run"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert re.fullmatch(rf"callboard: Port {first.port} is taken by another program; .*\n", second.stderr)
    assert second.stdout == ""
    assert answers(first.port)


@pytest.mark.req("X-23")
def test_the_data_folder_is_for_its_owner_only(start, tmp_path):
    started = start()
    started.wait_until(started.is_running, 60)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
