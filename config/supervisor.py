"""Keep a few processes running: start, restart with back-off, stop all of them with everything they started.

Every child leads a process group of its own, so that Ctrl-C reaches only the supervisor, which then stops the children
in good order, and so that a child's own children can be found and ended with it. `config.guardian` does the same should
the supervisor be killed. What children print goes to `<name>.log`; the terminal gets one line for each event.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config import guardian

HOST = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.1
LONGEST_LOG_BYTES = 10_000_000


class CannotStart(Exception):
    """The processes cannot be started; the text is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Child:
    name: str
    argv: tuple[str, ...]
    port: int | None = None
    """The loopback port that answers once this child is up. Children without one are started after those with one."""


@dataclass(frozen=True)
class Patience:
    """Seconds: how long to wait for what."""

    first_restart: float = 1.0
    longest_restart: float = 30.0
    healthy_after: float = 60.0
    to_answer: float = 60.0
    to_stop: float = 10.0

    def before_restart(self, failures: int) -> float:
        """Return the pause before the next start, after so many failures in a row (at least one)."""
        return min(self.first_restart * 2.0 ** min(failures - 1, 30), self.longest_restart)


@dataclass
class Running:
    """One child's present state. Without a process it waits for `start_again_at` (monotonic seconds)."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    start_again_at: float = 0.0


@dataclass
class Supervisor:
    children: Sequence[Child]
    environment: Mapping[str, str]
    logs: Path
    say: Callable[[str], None]
    patience: Patience = field(default_factory=Patience)
    pass_to_guardian: tuple[int, ...] = ()
    """Open files that must stay open until every child is gone, such as the lock on the data folder."""
    before_start: Callable[[], object] = lambda: None
    """Called before each start and restart, for what a child needs and may have lost, such as a folder."""
    _running: dict[str, Running] = field(default_factory=dict, init=False)
    _stopping: bool = field(default=False, init=False)
    _guardian: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self, when_ready: Callable[[], None]) -> int:
        """Keep all children running until a signal says stop; return the exit status."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._signals(), self._guarded():
            try:
                self._start_all()
                if not self._stopping:
                    when_ready()
                while not self._stopping:
                    self._tend()
                    time.sleep(POLL_SECONDS)
                self.say("Stopping.")
            finally:
                self._stop_all()
        self.say("Stopped.")
        return 0

    # --- starting ---

    def _start_all(self) -> None:
        for child in self.children:
            if child.port is not None:
                self._start(Running(child))
        self._wait_for_ports()
        for child in self.children:
            if child.port is None and not self._stopping:
                self._start(Running(child))

    def _start(self, running: Running) -> None:
        child = running.child
        self._running[child.name] = running
        self.before_start()
        with self._log(child).open("ab") as log:
            running.process = subprocess.Popen(
                child.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
            )
        running.started_at = time.monotonic()
        self._tell_guardian(f"+{running.process.pid}")

    def _wait_for_ports(self) -> None:
        deadline = time.monotonic() + self.patience.to_answer
        waiting = [child for child in self.children if child.port is not None]
        while waiting and not self._stopping:
            waiting = [child for child in waiting if not answers(child.port)]
            if waiting and time.monotonic() > deadline:
                raise CannotStart(self._did_not_answer(waiting[0]))
            self._tend()
            time.sleep(POLL_SECONDS / 2)

    def _did_not_answer(self, child: Child) -> str:
        return (
            f"{child.name} did not answer on port {child.port} within {self.patience.to_answer:.0f} s. "
            f"Its log, {self._log(child)}, ends:\n{self._last_lines(child)}"
        )

    # --- tending ---

    def _tend(self) -> None:
        """Note who died, start again whose pause is over, keep logs short."""
        now = time.monotonic()
        for running in list(self._running.values()):
            if running.process is None:
                if now >= running.start_again_at:
                    self._start(running)
            elif running.process.poll() is not None:
                self._note_death(running, now)
            shorten(self._log(running.child))
        if self._guardian is None or self._guardian.poll() is not None:
            self._start_guardian()

    def _note_death(self, running: Running, now: float) -> None:
        process, child = running.process, running.child
        assert process is not None  # noqa: S101 (the caller looked)
        # What the child started would go on beside its successor, holding its port or its tasks.
        guardian.signal_group(process.pid, signal.SIGKILL)
        self._tell_guardian(f"-{process.pid}")
        running.process = None
        if now - running.started_at >= self.patience.healthy_after:
            running.failures = 0
        running.failures += 1
        pause = self.patience.before_restart(running.failures)
        running.start_again_at = now + pause
        self.say(
            f"{child.name} {how_it_ended(process.returncode)}; starting it again in {pause:g} s. "
            f"Its log, {self._log(child)}, ends:\n{self._last_lines(child)}"
        )

    def _log(self, child: Child) -> Path:
        return self.logs / f"{child.name}.log"

    def _last_lines(self, child: Child) -> str:
        with self._log(child).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            lines = log.read().decode(errors="replace").splitlines()[-5:]
        return "\n".join(f"    {line}" for line in lines) or "    (empty)"

    # --- stopping ---

    def _stop_all(self) -> None:
        processes = [running.process for running in self._running.values() if running.process is not None]
        for process in processes:
            # The leader alone: gunicorn and Celery end their own workers when these have finished.
            guardian.signal_process(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.patience.to_stop
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in processes:
            guardian.signal_group(process.pid, signal.SIGKILL)
            process.wait()
            self._tell_guardian(f"-{process.pid}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    # --- the guardian ---

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        self._start_guardian()
        try:
            yield
        finally:
            if self._guardian is not None:
                self._guardian.communicate()  # closes the pipe and waits; a pipe already broken is no error here

    def _start_guardian(self) -> subprocess.Popen[str]:
        """Start the guardian, or another one if somebody ended it, and name the groups that it must end."""
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(self.patience.to_stop)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            pass_fds=self.pass_to_guardian,
        )
        for running in self._running.values():
            if running.process is not None:
                self._tell_guardian(f"+{running.process.pid}")
        return self._guardian

    def _tell_guardian(self, line: str) -> None:
        if self._guardian is None or self._guardian.stdin is None:
            return
        with suppress(BrokenPipeError):  # it was ended; the next look at the children starts another one
            self._guardian.stdin.write(f"{line}\n")
            self._guardian.stdin.flush()


def how_it_ended(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"


def shorten(log: Path) -> None:
    """Keep one older part of a log that has grown too long. Children append, so emptying it in place is safe."""
    if log.exists() and log.stat().st_size > LONGEST_LOG_BYTES:
        log.with_suffix(".log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)


# --- ports ----------------------------------------------------------------------------------------------------------


def answers(port: int | None) -> bool:
    try:
        with socket.create_connection((HOST, port or 0), timeout=1):
            return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Whether a server can be opened on this loopback port. Raises PermissionError where that needs root."""
    if answers(port):
        return False  # macOS lets a second server open a port of which the first listens on all addresses
    with socket.socket() as probe:
        # As servers do: connections of a server that has just stopped do not hold its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise
        except OSError:
            return False
    return True


def next_free_port(port: int) -> int:
    """Return this port or the first free one after it. Raises CannotStart if there is none."""
    for candidate in range(port, 65536):
        if is_free(candidate):
            return candidate
    raise CannotStart(f"No port from {port} upwards is free on {HOST}.")


# --- one at a time --------------------------------------------------------------------------------------------------


@contextmanager
def only_one_in(folder: Path, wait_seconds: float = 15.0) -> Iterator[int]:
    """Hold the folder's lock and give its file descriptor. Raises CannotStart while another supervisor has it.

    The guardian holds the lock too: if the last supervisor was killed, its children may need a moment to end, and only
    then is the folder, with their ports, free.
    """
    file = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _locked(file):
            holder = os.pread(file, 20, 0).decode().strip()
            if is_running(holder) or time.monotonic() > deadline:
                raise CannotStart(
                    f"Callboard already runs with the data folder {folder} (process {holder}). Stop it with Ctrl-C in "
                    "its terminal, or start another one beside it: CALLBOARD_DATA_DIR=./data2 PORT=8001 make run."
                )
            time.sleep(POLL_SECONDS)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield file
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_running(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
