"""A whole Callboard of its own for one test: real processes, its own database, queue and data folder, and a sandbox.

Fault and browser tests kill, restart and double these processes. `installation` is the fixture, `install` makes one that a
whole module shares; the database is a copy of one that was migrated and filled with the demo once for each test process.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import redis as redis_client
import requests
from celery import Celery

from integrations.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 40
"""How long something that will happen may take on a busy machine; waiting ends as soon as it did."""
LONG_AGO = "2020-01-01 00:00:00+00:00"
Row = tuple[str, datetime, str]


@dataclass
class Installation:
    """Callboard as an operator has it: commands to run, processes to start and to kill, a page to ask for."""

    folder: Path
    database_url: str
    redis_url: str
    sandbox: Sandbox
    environment: dict[str, str]
    port: int
    broker: Celery
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _asking: psycopg.Connection[Any] | None = None

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

    def start_worker(
        self, name: str = "worker", module: str = "celery", children: int = 1, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a Celery worker and wait until it takes tasks."""
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")
        whose = ("--queues", "default", "--hostname", f"{name}@callboard", "--concurrency", str(children))
        worker = ("worker", *whose, *quiet)
        starts = self.log(name).count(" ready.")
        process = self.start(name, "-m", module, "-A", "config", *worker, **environment)
        self.wait_for(lambda: self.log(name).count(" ready.") > starts, f"{name} to be ready")
        return process

    def start_beat(self, name: str = "beat", module: str = "celery") -> subprocess.Popen[bytes]:
        schedule, pid = str(self.folder / f"{name}.schedule"), str(self.folder / f"{name}.pid")
        files = ("--schedule", schedule, "--pidfile", pid)
        return self.start(name, "-m", module, "-A", "config", "beat", "--loglevel", "INFO", *files)

    def start_web(self) -> subprocess.Popen[bytes]:
        how = ("--workers", "1", "--worker-class", "gthread", "--threads", "4", "--no-control-socket")
        web = ("config.wsgi", "--bind", f"127.0.0.1:{self.port}", *how)
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
        if self._asking is not None:
            self._asking.close()

    def send(self, task: str, *arguments: object) -> None:
        """Put the message of a task into the queue, as beat or the web server would."""
        self.broker.send_task(f"sync.tasks.{task}", arguments, expires=60)

    def sync(self) -> dict[str, Any]:
        """Let the connection be due, tell a worker, and return the run when it has ended."""
        before = self.last_run().get("id", 0)
        self.make_due()
        self.send("run_sync", self.connection)
        return self.wait_for(lambda: self.ended(after=before), "a sync to end")

    def ended(self, after: int = 0) -> dict[str, Any]:
        """Return the newest run if it is newer than the given one and has ended."""
        run = self.last_run()
        return run if run.get("id", 0) > after and run["state"] in ("completed", "failed") else {}

    # --- what an operator sees

    @property
    def connection(self) -> int:
        [[found]] = self.query("SELECT id FROM integrations_connection")
        return int(found)

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

    def rows(self, source: str = "fitbox") -> list[Row]:
        """Return the live rows of a source: id, start and status of each, by id."""
        found = self.query(
            "SELECT external_id, starts_at, status FROM schedule_event WHERE source = %s AND deleted_at IS NULL", source
        )
        return sorted((external_id, instant(starts_at), status) for external_id, starts_at, status in found)

    def timetable(self, week: str = "") -> dict[str, Any]:
        """Return what members are answered, over HTTP."""
        answer = requests.get(f"{self.url}/api/v1/timetable", params={"week": week} if week else {}, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def assert_page_is_served(self) -> None:
        """Assert that the public page and the feed hold classes, and that the page tells their source and age."""
        page = requests.get(f"{self.url}/timetable/", timeout=30)
        assert page.status_code == 200
        assert 'datetime="' in page.text
        feed = requests.get(f"{self.url}/calendar/timetable.ics", timeout=30)
        assert feed.status_code == 200
        assert "BEGIN:VEVENT" in feed.text

    def log_in(self, user: str = "manager", password: str = "tidewater-manager") -> requests.Session:
        """Return a browser's session of a member of staff; it sends the CSRF token with every request."""
        session = requests.Session()
        address = f"{self.url}/admin/login/"
        session.get(address, timeout=30)
        form = {"username": user, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        answer = session.post(address, data=form, allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text
        session.headers.update({"X-CSRFToken": session.cookies["csrftoken"], "Referer": address})
        return session

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database past Django, for what no command prints. `%s` stands for a parameter."""
        if self.database_url:
            cursor = self._postgresql().execute(sql, parameters or None)  # type: ignore[call-overload]  # tests write their own SQL
            return cursor.fetchall() if cursor.description else []
        with self.sqlite() as database:
            return database.execute(sql.replace("%s", "?"), parameters).fetchall()

    def _postgresql(self) -> psycopg.Connection[Any]:
        """Return the one connection for questions: waiting asks often, and each new one is a process on the server."""
        if self._asking is None or self._asking.closed:
            self._asking = psycopg.connect(self.database_url, autocommit=True)
        return self._asking

    @contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """Open the embedded mode's database as another program would; every statement is its own transaction."""
        path = self.folder / "data" / "callboard.sqlite3"
        database = sqlite3.connect(path, timeout=20, isolation_level=None)
        try:
            yield database
        finally:
            database.close()

    def last_run(self) -> dict[str, Any]:
        """Return the newest run as a mapping of its columns; empty before the first."""
        rows = self.query(
            "SELECT id, state, result, error_code, error, created, changed, removed, unchanged, calls "
            "FROM sync_run ORDER BY id DESC LIMIT 1"
        )
        names = ("id", "state", "result", "error_code", "error", "created", "changed", "removed", "unchanged", "calls")
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def make_due(self) -> None:
        """Say that every connection is due now, as the passing of its interval would."""
        self.query("UPDATE sync_syncjob SET due_at = %s, not_before = NULL", LONG_AGO)

    def expire_lease(self) -> None:
        """Let the time pass that a worker's lease lasts."""
        self.query("UPDATE sync_syncjob SET lease_until = %s WHERE lease_until IS NOT NULL", LONG_AGO)

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
    with install(demo_database, tmp_path) as made:
        yield made


@contextmanager
def install(demo_database: str, folder: Path) -> Iterator[Installation]:
    """Make a Callboard in this folder from the demo's database; everything of it goes at the end."""
    server, redis_url = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
    key_prefix = f"callboard-test-{os.environ.get('CALLBOARD_TEST_TOKEN', 'alone')}-{uuid4().hex}"
    data = folder / "data"
    (data / "queue" / "control").mkdir(parents=True, mode=0o700)
    with _copy(demo_database, server, data) as database_url, Sandbox.serve(port=0, seed=1) as sandbox:
        port = _free_port()
        environment = _environment(folder, database_url, redis_url, sandbox.url_of("fitbox"), port)
        environment["CALLBOARD_KEY_PREFIX"] = key_prefix
        broker = _broker(redis_url, key_prefix, data / "queue")
        made = Installation(folder, database_url, redis_url, sandbox, environment, port, broker)
        # The gym's own closed day would make its classes differ from the provider's, and its many syncs are no test of
        # the rate limit.
        made.query("DELETE FROM schedule_closure")
        made.query("UPDATE integrations_connection SET calls_per_minute = 6000, retries = 1")
        sandbox.fitbox.switch(bookings_frozen=True, rate_limit=None)
        try:
            yield made
        finally:
            made.close()
            broker.close()
    if redis_url:
        with redis_client.Redis.from_url(redis_url) as client:
            for key in client.scan_iter(match=f"{key_prefix}*", count=1000):
                client.delete(key)


@contextmanager
def _copy(demo_database: str, server: str, data: Path) -> Iterator[str]:
    """Copy the demo's database; give its address, which is empty for a file."""
    if not server:
        shutil.copy(demo_database, data / "callboard.sqlite3")
        yield ""
        return
    name = f"{_name_of(server)}_{uuid4().hex[:8]}"
    _on_server(server, f'CREATE DATABASE "{name}" TEMPLATE "{demo_database}"')
    try:
        yield _with_name(server, name)
    finally:
        _on_server(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _broker(redis_url: str, key_prefix: str, queue: Path) -> Celery:
    """Return an application that sends to the installation's queue, past its code and settings."""
    app = Celery("tests", broker=redis_url or "filesystem://", set_as_current=False)
    app.conf.task_default_queue = "default"
    folders = {"data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(queue / "control")}
    app.conf.broker_transport_options = {"global_keyprefix": f"{key_prefix}:celery:"} if redis_url else folders
    if not redis_url:
        app.conf.broker_transport = "config.queue_files:Transport"  # the stock one shows its reader half a message
    return app


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


def instant(stored: datetime | str) -> datetime:
    """Return an instant as the database's driver gives it: SQLite's is UTC without saying so."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC) if isinstance(stored, str) else stored.astimezone(UTC)
