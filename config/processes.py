"""`manage.py run`: everything of the embedded mode with one command, stopped by Ctrl-C.

Prepares the data folder and the database, then keeps the sandbox, the web server, a Celery worker and beat running. In
production each of these is started by whatever runs the machine (docker-compose.yml shows how), never from here.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config import environment
from config.supervisor import HOST, CannotStart, Child, Supervisor, is_free, next_free_port, only_one_in
from schedule import demo

DEFAULT_SANDBOX_PORT = 8010
# No talk among workers: here is one, and Ctrl-C is done a second sooner.
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
WORKER = ("worker", "--queues", "default", "--concurrency", "2", "--loglevel", "INFO", *ALONE)
Say = Callable[[str], None]
Login = tuple[str, str, str]
"""Name, password, purpose."""


@dataclass(frozen=True)
class Ports:
    web: int
    sandbox: int


def run(say: Say) -> int:
    """Run the embedded mode until it is told to stop; return the exit status. Raises CannotStart with a sentence."""
    if settings.ENVIRONMENT.production:
        raise CannotStart(
            "`manage.py run` is for the embedded mode. In production mode the processes are run separately: "
            "docker-compose.yml names them (web, worker, beat)."
        )
    folder = Path(settings.DATA_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with only_one_in(folder) as lock:
        ports = choose_ports(settings.ENVIRONMENT.port, os.environ.get("SANDBOX_PORT", ""))
        logins = prepare(say)
        supervisor = Supervisor(
            children=children(ports),
            environment=child_environment(ports),
            logs=folder / "logs",
            say=say,
            pass_to_guardian=(lock,),
            # Without its folder the Celery transport fails for good; deleted under a running worker, it comes back here.
            before_start=lambda: (folder / "queue" / "control").mkdir(parents=True, exist_ok=True),
        )
        with sandbox_told(folder, ports):
            return supervisor.run(when_ready=lambda: say(welcome(ports, logins, folder)))


def choose_ports(web: int, sandbox: str) -> Ports:
    """Return free ports. Only a sandbox port that nobody asked for may move: people type the other ones."""
    require_free(web, "PORT")
    if not sandbox:
        start = DEFAULT_SANDBOX_PORT if web != DEFAULT_SANDBOX_PORT else web + 1
        return Ports(web, next_free_port(start))
    if not sandbox.isdecimal() or not 0 < int(sandbox) < 65536:
        raise CannotStart(f"SANDBOX_PORT is {sandbox!r}; it must be a number from 1 to 65535.")
    if int(sandbox) == web:
        raise CannotStart(f"PORT and SANDBOX_PORT are both {web}; they must differ.")
    require_free(int(sandbox), "SANDBOX_PORT")
    return Ports(web, int(sandbox))


def require_free(port: int, variable: str) -> None:
    try:
        free = is_free(port)
    except PermissionError as error:
        raise CannotStart(f"Port {port} is for root only; choose a higher one: `{variable}=8001 make run`.") from error
    if not free:
        other = next_free_port(port + 1)
        raise CannotStart(
            f"Port {port} is taken by another program; choose another one: `{variable}={other} make run`."
        )


def prepare(say: Say) -> list[Login]:
    """Bring the database up to date and fill an empty one with the demo gym; return the demo's logins."""
    executor = MigrationExecutor(connection)
    # Asking first saves two seconds at every later start: `migrate` also goes over all permissions.
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        say("Preparing the database.")
        call_command("migrate", interactive=False, verbosity=0)
    call_command("demo_gym", if_empty=True, stdout=StringIO())
    logins = demo.logins()
    connection.close()
    return logins


def children(ports: Ports) -> list[Child]:
    manage = (sys.executable, str(settings.ROOT / "manage.py"))
    celery = (sys.executable, "-m", "celery", "--app", "config", "--workdir", str(settings.ROOT))
    return [
        Child("sandbox", (*manage, "sandbox", "--port", str(ports.sandbox)), ports.sandbox),
        Child("web", web_command(ports.web), ports.web),
        Child("worker", (*celery, *WORKER)),
        Child("beat", (*celery, "beat", "--loglevel", "INFO")),
    ]


def web_command(port: int) -> tuple[str, ...]:
    options = ("--chdir", str(settings.ROOT), "--worker-class", "gthread", "--workers", "2", "--threads", "2")
    # No control socket: its default place is one for all gunicorns of a user.
    return (
        sys.executable,
        "-m",
        "gunicorn",
        "config.wsgi",
        "--bind",
        f"{HOST}:{port}",
        *options,
        "--no-control-socket",
    )


@contextmanager
def sandbox_told(folder: Path, ports: Ports) -> Iterator[None]:
    """Tell commands that are started beside this one, such as `manage.py sync fitbox`, where the sandbox is."""
    file = folder / environment.SANDBOX_FILE
    draft = file.with_suffix(".part")
    draft.write_text(f"{sandbox_url(ports)}\n")
    draft.replace(file)  # a command that looks meanwhile must not read half an address
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def sandbox_url(ports: Ports) -> str:
    return f"http://{HOST}:{ports.sandbox}"


def child_environment(ports: Ports) -> dict[str, str]:
    """Return the environment of the children: this process's, with the sandbox standing in where nothing was named."""
    sandbox = sandbox_url(ports)
    urls = {f"{name}_API_URL": url for name, url in environment.sandbox_urls(sandbox).items()}
    defaults = {"SANDBOX_URL": sandbox, **urls, "PYTHONUNBUFFERED": "1"}
    given = {name: value for name, value in os.environ.items() if value}
    return {**defaults, **given, "CALLBOARD_DATA_DIR": str(settings.DATA_DIR)}


def welcome(ports: Ports, logins: list[Login], folder: Path) -> str:
    base = settings.BASE_URL
    lines = [
        "",
        "Callboard is running.",
        "",
        f"  Timetable   {base}/timetable/",
        f"  Admin       {base}/admin/",
        f"  Feed        {base}/calendar/timetable.ics",
        f"  API         {base}/api/v1/timetable",
        f"  Sandbox     http://{HOST}:{ports.sandbox}/ (stands in for the providers)",
        f"  Logs        {folder / 'logs'}",
    ]
    if logins:
        lines += ["", "  Demo logins (name / password)"]
        lines += [f"    {f'{name} / {password}':<30} {purpose}" for name, password, purpose in logins]
    return "\n".join(
        [*lines, "", "This week's classes arrive within a minute of the first start. Stop with Ctrl-C.", ""]
    )
