"""Run a Python with PostgreSQL, Redis and Chromium at hand: `python -m tests.services [--embedded] -- <arguments>`.

Servers are taken in this order: the one of `DATABASE_URL` or `REDIS_URL`; one that answers on this machine; a throwaway
one, started from installed programs in a temporary folder and stopped at the end; one whose program can be installed
here. On a server that others use too, only databases and keys with this run's own name are made, and removed again.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from glob import glob
from pathlib import Path
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DAY_SECONDS = 86_400


class Missing(Exception):
    """The tests cannot run here; the text is one sentence that says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    embedded = arguments[:1] == ["--embedded"]
    command = list(arguments[arguments.index("--") + 1 :])
    token = f"run_{int(time.time())}_{secrets.token_hex(4)}"
    try:
        with ExitStack() as services:
            environment = prepare(token, embedded, services)
            return run([sys.executable, *command], environment)
    except Missing as reason:
        print(f"callboard: {reason}", file=sys.stderr)
        return 1


def prepare(token: str, embedded: bool, services: ExitStack) -> dict[str, str]:
    """Return the environment for the command; what was started or made for it ends with `services`."""
    environment = {**os.environ, "CALLBOARD_TEST_TOKEN": token}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    if embedded:
        install_missing(["chromium"] if not find_chromium() else [])
        print("Tests run on SQLite and files, without a server.", flush=True)
    else:
        postgresql, redis = running_postgresql(), running_redis()
        install_missing(packages_for(postgresql, redis))
        postgresql = postgresql or services.enter_context(throwaway_postgresql())
        redis = redis or services.enter_context(throwaway_redis())
        environment["DATABASE_URL"] = services.enter_context(own_database(postgresql, f"callboard_{token}"))
        environment["REDIS_URL"] = services.enter_context(own_keys(redis, token))
        print(f"Tests run on {without_password(postgresql)} and {without_password(redis)}.", flush=True)
    environment["CHROMIUM"] = find_chromium()
    return environment


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run the command and return its exit status. A stop signal reaches it, and its end is waited for."""
    process = subprocess.Popen(command, env=environment)
    # Ctrl-C comes to the command from the terminal as well; SIGTERM comes only to this process.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    return process.wait()


# --- what is there? -------------------------------------------------------------------------------------------------


def running_postgresql() -> str:
    """Return the address of a server on which this user may make databases, or ""."""
    given = os.environ.get("DATABASE_URL", "")
    if given:
        if not may_make_databases(given):
            raise Missing(f"DATABASE_URL names {without_password(given)}, where no database can be made for the tests.")
        return given
    users = dict.fromkeys(("postgres", "root", pwd.getpwuid(os.getuid()).pw_name))
    addresses = (f"postgresql://{user}@{HOST}:5432/postgres" for user in users)
    return next((address for address in addresses if may_make_databases(address)), "")


def may_make_databases(address: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(on_database(address, "postgres"), connect_timeout=3) as connection:
            row = connection.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
            return row.fetchone() == (True,)
    except psycopg.OperationalError:
        return False


def running_redis() -> str:
    given = os.environ.get("REDIS_URL", "")
    address = given or f"redis://{HOST}:6379/0"
    if redis_answers(address):
        return address
    if given:
        raise Missing(f"REDIS_URL names {without_password(given)}, which does not answer.")
    return ""


def redis_answers(address: str) -> bool:
    import redis

    try:
        with redis.Redis.from_url(address, socket_connect_timeout=2, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def find_chromium() -> str:
    """Return the path of the browser for the tests, or ""."""
    given = os.environ.get("CHROMIUM", "")
    if given and not shutil.which(given):
        raise Missing(f"CHROMIUM names {given}, which is not a program.")
    return next((path for path in map(shutil.which, (given, *CHROMIUM_NAMES)) if path), "")


def postgresql_program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, or "". Debian keeps those of each version outside PATH."""
    versions = sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    return versions[-1] if versions else shutil.which(name) or ""


# --- installing what is not -----------------------------------------------------------------------------------------


def packages_for(postgresql: str, redis: str) -> list[str]:
    """Return the Debian packages that are needed beside the servers found, which may be ""."""
    needed = {
        "postgresql": not postgresql and not (postgresql_program("initdb") and postgresql_program("pg_ctl")),
        "redis-server": not redis and not shutil.which("redis-server"),
        "chromium": not find_chromium(),
    }
    return [package for package, is_needed in needed.items() if is_needed]


def install_missing(packages: list[str]) -> None:
    """Install Debian packages where that is allowed. Raises Missing with the command elsewhere."""
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(
            f"The tests need programs that are not installed: {', '.join(packages)}. "
            f"Install them by `sudo {' '.join(command)}`, or by your system's own means, and start again."
        )
    print(f"Installing {', '.join(packages)}.", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-qq"], [*command, "-qq"]):
        if subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
            raise Missing(f"`{' '.join(step)}` failed for the reason above; install {', '.join(packages)} by hand.")


# --- servers of our own ---------------------------------------------------------------------------------------------


@contextmanager
def throwaway_postgresql() -> Iterator[str]:
    """Start a PostgreSQL server in a temporary folder; give its address."""
    # initdb refuses root, so as root the server belongs to the user that Debian's package makes.
    user = server_user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="callboard-postgresql-"))
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    # Nothing here outlives the run, so nothing has to reach the disk.
    options = f"-p {port} -h {HOST} -k {folder} -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    pg_ctl = [postgresql_program("pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]

    def call(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, user=user, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"A PostgreSQL server for the tests could not be started: {done.stderr.strip()}")

    try:
        call(postgresql_program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        call(*pg_ctl, "-o", options, "start")
        try:
            yield f"postgresql://postgres@{HOST}:{port}/postgres"
        finally:
            call(*pg_ctl, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_user() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Missing("PostgreSQL refuses to run as root, and there is no user postgres; make one by `useradd postgres`.")


@contextmanager
def throwaway_redis() -> Iterator[str]:
    """Start a Redis server that keeps nothing on disk; give its address."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory(prefix="callboard-redis-") as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        address = f"redis://{HOST}:{port}/0"
        try:
            deadline = time.monotonic() + 10
            while not redis_answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Missing("A Redis server for the tests could not be started by `redis-server`.")
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


# --- data of our own ------------------------------------------------------------------------------------------------


@contextmanager
def own_database(server: str, name: str) -> Iterator[str]:
    """Make a database for this run; give its address. At the end it goes, with those that Django named after it."""
    import psycopg
    from psycopg import sql

    def drop(names: list[str]) -> None:
        for each in names:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))

    with psycopg.connect(on_database(server, "postgres"), autocommit=True, connect_timeout=5) as connection:
        drop([each for each in database_names(connection) if is_left_over(each, time.time())])
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield on_database(server, name)
    finally:
        with psycopg.connect(on_database(server, "postgres"), autocommit=True, connect_timeout=5) as connection:
            drop([each for each in database_names(connection) if name in each])


def database_names(connection: object) -> list[str]:
    rows = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")  # type: ignore[attr-defined]
    return [row[0] for row in rows]


def is_left_over(database: str, now: float) -> bool:
    """Whether a database is of a run of ours that was killed: its name tells, with the time of its making."""
    name = re.fullmatch(r"(?:test_)?callboard_run_(\d+)_[0-9a-f]{8}(?:_gw\d+)?", database)
    return name is not None and now - int(name[1]) > DAY_SECONDS


@contextmanager
def own_keys(address: str, token: str) -> Iterator[str]:
    """Remove this run's keys at the end: every prefix that the tests use holds its token."""
    import redis

    try:
        yield address
    finally:
        with redis.Redis.from_url(address, socket_connect_timeout=5) as client:
            for key in client.scan_iter(match=f"*{token}*", count=1000):
                client.delete(key)


def on_database(address: str, name: str) -> str:
    return urlsplit(address)._replace(path=f"/{name}").geturl()


def without_password(address: str) -> str:
    parts = urlsplit(address)
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}:{parts.port or 'default port'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
