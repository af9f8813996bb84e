"""The supervisor with real processes: a small program is supervised in a process of its own and treated badly."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import supervisor
from config.supervisor import CannotStart, Patience

ROOT = Path(__file__).resolve().parents[2]

# A child that starts a child of its own and writes both process ids; `stubborn` ones do not heed SIGTERM.
CHILD = """
import os, signal, subprocess, sys, time
name, folder, manner = sys.argv[1:4]
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
with open(os.path.join(folder, name + ".pids"), "a") as file:
    file.write(f"{os.getpid()} {grandchild.pid}\\n")
print("started", name, flush=True)
if manner == "failing":
    sys.exit(3)
time.sleep(600)
"""
PROGRAM = """
import os, sys
from pathlib import Path
from config.supervisor import Child, Patience, Supervisor, only_one_in
folder, manner = Path(sys.argv[1]), sys.argv[2]
program = (sys.executable, "-S", str(folder / "child.py"))
children = [Child(name, (*program, name, str(folder), manner)) for name in ("one", "two")]
patience = Patience(first_restart=0.2, longest_restart=0.8, to_stop=1.0)
with only_one_in(folder) as lock:
    print(f"supervisor {os.getpid()}", flush=True)
    say = lambda line: print(line, flush=True)
    program = Supervisor(children, os.environ, folder / "logs", say, patience, (lock,))
    sys.exit(program.run(lambda: print("ready", flush=True)))
"""


class Supervised:
    def __init__(self, folder: Path, manner: str) -> None:
        self.folder = folder
        (folder / "child.py").write_text(CHILD)
        (folder / "program.py").write_text(PROGRAM)
        self.output = folder / "output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(folder / "program.py"), str(folder), manner],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def said(self) -> str:
        return self.output.read_text()

    def starts_of(self, name: str) -> list[list[int]]:
        path = self.folder / f"{name}.pids"
        return [[int(pid) for pid in line.split()] for line in path.read_text().splitlines()] if path.exists() else []

    def all_pids(self) -> list[int]:
        return [pid for name in ("one", "two") for start in self.starts_of(name) for pid in start]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(manner: str = "obedient") -> Supervised:
        supervised = Supervised(tmp_path, manner)
        started.append(supervised)
        eventually(lambda: "ready" in supervised.said() and supervised.starts_of("one") and supervised.starts_of("two"))
        return supervised

    yield start
    for supervised in started:
        supervised.process.kill()
        supervised.process.wait()


def eventually(statement: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not statement():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not reaped by its new parent does not."""
    state = Path(f"/proc/{pid}/stat")
    if state.exists():
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return not Path("/proc/self").exists() and supervisor.is_running(str(pid))


def nothing_is_left(supervised: Supervised) -> bool:
    return not any(is_running(pid) for pid in supervised.all_pids())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_signal_ends_children_and_their_children(supervise, number):
    supervised = supervise()
    supervised.process.send_signal(number)
    assert supervised.process.wait(10) == 0
    assert len(supervised.all_pids()) == 4
    assert nothing_is_left(supervised)
    assert supervised.said().endswith("Stopping.\nStopped.\n")


def test_children_that_do_not_heed_are_killed(supervise):
    supervised = supervise("stubborn")
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.process.wait(10) == 0
    assert nothing_is_left(supervised)


@pytest.mark.parametrize("manner", ["obedient", "stubborn"])
def test_a_killed_supervisor_leaves_nothing_behind(supervise, manner):
    supervised = supervise(manner)
    supervised.process.kill()
    eventually(lambda: nothing_is_left(supervised))


@pytest.mark.req("X-23")
def test_a_child_that_dies_is_started_again_and_its_own_children_are_ended(supervise):
    supervised = supervise()
    [[leader, grandchild]] = supervised.starts_of("one")
    os.kill(leader, signal.SIGKILL)
    eventually(lambda: len(supervised.starts_of("one")) == 2)
    assert not is_running(grandchild)
    assert "one was ended by SIGKILL; starting it again in 0.2 s." in supervised.said()
    assert len(supervised.starts_of("two")) == 1


def test_a_child_that_keeps_dying_is_started_more_and_more_slowly(supervise):
    supervised = supervise("failing")
    eventually(lambda: supervised.said().count("one ended with status 3; starting it again in 0.8 s.") == 2)
    pauses = [
        line.split("again in ")[1].split(" s.")[0] for line in supervised.said().splitlines() if "one ended" in line
    ]
    assert pauses == ["0.2", "0.4", "0.8", "0.8"]
    assert "    started one" in supervised.said()  # the end of its log, so that one sees why


def test_back_off_doubles_up_to_thirty_seconds():
    pauses = [Patience().before_restart(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 1000)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_guardian_that_was_ended_is_replaced(supervise):
    supervised = supervise()
    children = Path(f"/proc/{supervised.process.pid}/task/{supervised.process.pid}/children")
    if not children.exists():
        pytest.skip("finding the guardian needs Linux's /proc")
    started = {start[0] for name in ("one", "two") for start in supervised.starts_of(name)}
    [ended] = {int(pid) for pid in children.read_text().split()} - started
    os.kill(ended, signal.SIGKILL)
    eventually(lambda: len({int(pid) for pid in children.read_text().split()} - started - {ended}) == 1)
    supervised.process.kill()
    eventually(lambda: nothing_is_left(supervised))


def test_a_second_start_in_the_same_folder_is_refused_in_a_sentence(supervise):
    supervised = supervise()
    with (
        pytest.raises(
            CannotStart, match=f"already runs with the data folder .* \\(process {supervised.process.pid}\\)"
        ),
        supervisor.only_one_in(supervised.folder),
    ):
        pass
    assert supervised.process.poll() is None


def test_a_start_after_a_kill_waits_until_the_old_children_are_gone(supervise):
    supervised = supervise("stubborn")
    supervised.process.kill()
    supervised.process.wait()
    with supervisor.only_one_in(supervised.folder):
        assert nothing_is_left(supervised)


def test_a_child_that_never_answers_stops_the_start_with_its_log(tmp_path):
    silent = supervisor.Child(
        "web", (sys.executable, "-S", "-c", "import time; print('no such module', flush=True); time.sleep(60)"), 1
    )
    program = supervisor.Supervisor([silent], os.environ, tmp_path, print, Patience(to_answer=0.5, to_stop=1))
    with pytest.raises(CannotStart, match=r"web did not answer on port 1 within .* ends:\n    no such module"):
        program.run(lambda: None)
    assert program._running["web"].process.poll() is not None


def test_a_port_in_use_is_not_free_and_the_next_one_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not supervisor.is_free(port)
        assert supervisor.next_free_port(port) > port


def test_a_long_log_keeps_one_older_part(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LONGEST_LOG_BYTES", 10)
    log = tmp_path / "web.log"
    log.write_text("eleven chars")
    supervisor.shorten(log)
    assert (log.read_text(), (tmp_path / "web.log.1").read_text()) == ("", "eleven chars")
