"""A whole Callboard of its own for one test: real processes, its own database, queue and data folder, and a sandbox.

Fault and browser tests kill, restart and double these processes. `installation` is the fixture; the database is a copy of
one that was migrated and filled with the demo once for each test process.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import redis as redis_client
import sqlite3

from integrations.sandbox.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 40
"""How long something that will happen may take on a busy machine; waiting ends as soon as it did."""


@dataclass
class Installation:
    """Callboard as an operator has it: commands to run, processes to start and to kill, a page to ask for."""

    folder: Path
    database_url: str
    redis_url: str
    sandbox: Sandbox
    environment: dict[str, str]
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # --- processes

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one management command to its end; its status is the caller's to judge."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own, so that a kill takes its children too; its output goes to a log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_worker(self, name: str = "worker", **environment: str) -> subprocess.Popen[bytes]:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        worker = ("worker", "--concurrency", "1", "--queues", "default", "--hostname", f"{name}@callboard", *quiet)
        return self.start(name, "-m", "celery", "-A", "config", *worker, **environment)

    def start_beat(self, name: str = "beat") -> subprocess.Popen[bytes]:
        schedule, pid = str(self.folder / f"{name}.schedule"), str(self.folder / f"{name}.pid")
        return self.start(name, "-m", "celery", "-A", "config", "beat", "--schedule", schedule, "--pidfile", pid)

    def start_web(self) -> subprocess.Popen[bytes]:
        web = ("config.wsgi", "--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "4")
        process = self.start("web", "-m", "gunicorn", *web)
        self.wait_for(lambda: _answers(self.port), "the web server to answer")
        return process

    def kill(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """Send the signal to the process and everything it started, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(timeout=30)

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    # --- what an operator sees

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def events(self, source: str = "fitbox") -> list[dict[str, Any]]:
        """Return the rows of a source as `manage.py events` prints them."""
        done = self.manage("events", "--source", source, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database past Django, for what no command prints. `%s` stands for a parameter."""
        if self.database_url:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                cursor = connection.execute(sql, parameters)  # type: ignore[arg-type]  # tests write their own SQL
                return cursor.fetchall() if cursor.description else []
        path = self.folder / "data" / "callboard.sqlite3"
        connection_ = sqlite3.connect(path, timeout=20, isolation_level=None)
        try:
            return connection_.execute(sql.replace("%s", "?"), parameters).fetchall()  # type: ignore[arg-type]
        finally:
            connection_.close()

    def last_run(self) -> dict[str, Any]:
        """Return the newest run as a mapping of its columns; empty before the first."""
        columns = "id, state, result, error_code, error, created, changed, removed, unchanged, invalid, total, calls"
        rows = self.query(f"SELECT {columns} FROM sync_run ORDER BY id DESC LIMIT 1")  # noqa: S608 - fixed text
        return dict(zip(columns.split(", "), rows[0], strict=True)) if rows else {}

    def make_due(self) -> None:
        """Say that every connection is due now, as the passing of its interval would."""
        self.query("UPDATE sync_syncjob SET due_at = '2020-01-01 00:00:00+00:00', not_before = NULL")

    def wait_for(self, happened: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until `happened` returns something true, and return it; fail with the logs when it does not."""
        deadline = time.monotonic() + seconds
        while not (found := happened()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
                pytest.fail(f"waited {seconds} s for {what}\n{logs}")
            time.sleep(0.05)
        return found


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database with the demo gym, to be copied: a database's name, or the path of a file."""
    folder = tmp_path_factory.mktemp("demo")
    server = os.environ.get("DATABASE_URL", "")
    name = f"{_name_of(server)}_demo_{uuid4().hex[:8]}" if server else ""
    if server:
        _on_server(server, f'CREATE DATABASE "{name}"')
    environment = _environment(
        folder, _with_name(server, name) if server else "", "", "http://127.0.0.1:9/fitbox", 8000
    )
    for command in (("migrate", "--verbosity", "0"), ("demo_gym", "--if-empty")):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    if server:
        yield name
        _on_server(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    else:
        path = folder / "data" / "callboard.sqlite3"
        source = sqlite3.connect(path)
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        source.close()
        yield str(path)


@pytest.fixture
def installation(demo_database: str, tmp_path: Path) -> Iterator[Installation]:
    """A Callboard with the demo gym, its Fitbox connection due now, and a sandbox that runs in this process."""
    server, broker = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
    port = _free_port()
    database_url, key_prefix = "", f"callboard-test-{uuid4().hex}"
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    if server:
        name = f"{_name_of(server)}_{uuid4().hex[:8]}"
        _on_server(server, f'CREATE DATABASE "{name}" TEMPLATE "{demo_database}"')
        database_url = _with_name(server, name)
    else:
        shutil.copy(demo_database, data / "callboard.sqlite3")
    with Sandbox.serve(port=0, seed=1) as sandbox:
        environment = _environment(tmp_path, database_url, broker, f"{sandbox.url}/fitbox", port)
        environment["CALLBOARD_KEY_PREFIX"] = key_prefix
        made = Installation(tmp_path, database_url, broker, sandbox, environment, port)
        try:
            yield made
        finally:
            made.close()
    if server:
        _on_server(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    if broker:
        with redis_client.Redis.from_url(broker) as client:
            for key in client.scan_iter(match=f"{key_prefix}*", count=1000):
                client.delete(key)


def _environment(folder: Path, database_url: str, redis_url: str, fitbox_url: str, port: int) -> dict[str, str]:
    environment = dict(os.environ)
    for name in ("DATABASE_URL", "REDIS_URL", "PYTEST_XDIST_WORKER", "COV_CORE_SOURCE", "COV_CORE_CONFIG"):
        environment.pop(name, None)
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "FITBOX_API_URL": fitbox_url, "PORT": str(port)}
    environment |= {name: value for name, value in given.items() if value}
    # One set of keys for every copy of the demo database: its connection's key was encrypted under them.
    environment["SECRET_KEY"] = "a test installation, never exposed to anybody but loopback"
    environment["CREDENTIAL_KEYS"] = "YSB0ZXN0IGluc3RhbGxhdGlvbidzIGtleSwgMzIgYi4="
    environment["CALLBOARD_DATA_DIR"] = str(folder / "data")
    environment["BASE_URL"] = f"http://127.0.0.1:{port}"
    return environment


def _on_server(address: str, statement: str) -> None:
    with psycopg.connect(_with_name(address, "postgres"), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]  # names are made here


def _with_name(address: str, name: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _name_of(address: str) -> str:
    return urlsplit(address).path.lstrip("/") or "callboard"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def rows_of(week: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return what must be equal before and after: id, start and status of each row."""
    return [(event["external_id"], event["starts_at"], event["status"]) for event in week]
