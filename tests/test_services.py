"""Where the tests take their servers from, and that they leave nothing on them."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests import services
from tests.services import Missing


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which none of the programs is installed."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(services, "glob", lambda pattern: [])
    monkeypatch.delenv("CHROMIUM", raising=False)


def test_everything_missing_is_named_by_its_debian_package(bare):
    assert services.packages_for("", "") == ["postgresql", "redis-server", "chromium"]


def test_a_server_that_answers_needs_no_program(bare):
    assert services.packages_for("postgresql://postgres@db/postgres", "redis://cache") == ["chromium"]


def test_without_the_right_to_install_the_exact_command_is_told(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    command = "`sudo apt-get install --yes --no-install-recommends postgresql chromium`"
    with pytest.raises(Missing, match=f"not installed: postgresql, chromium. Install them by {command}"):
        services.install_missing(["postgresql", "chromium"])


def test_root_on_debian_installs_after_an_update(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    steps: list[list[str]] = []

    def run(step: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        steps.append(step)
        return subprocess.CompletedProcess(step, 0)

    monkeypatch.setattr(subprocess, "run", run)
    services.install_missing(["redis-server"])
    assert [step[:2] for step in steps] == [["apt-get", "update"], ["apt-get", "install"]]
    assert "redis-server" in steps[1]


def test_a_given_server_that_does_not_answer_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres:hidden@127.0.0.1:1/callboard")
    with pytest.raises(
        Missing, match=r"^DATABASE_URL names postgresql://postgres@127\.0\.0\.1:1, where no database can"
    ):
        services.running_postgresql()


def test_a_given_redis_that_does_not_answer_is_not_replaced_by_another(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@127.0.0.1:1/0")
    with pytest.raises(Missing, match=r"^REDIS_URL names redis://127\.0\.0\.1:1, which does not answer"):
        services.running_redis()


@pytest.mark.postgresql_only
@pytest.mark.skipif(
    not services.postgresql_program("initdb"), reason="its program is not installed; the tests run on another machine's"
)
def test_a_throwaway_postgresql_serves_and_is_gone_afterwards():
    with services.throwaway_postgresql() as address:
        assert services.may_make_databases(address)
    assert not services.may_make_databases(address)


@pytest.mark.postgresql_only
@pytest.mark.skipif(
    not shutil.which("redis-server"), reason="its program is not installed; the tests run on another machine's"
)
def test_a_throwaway_redis_serves_and_is_gone_afterwards():
    with services.throwaway_redis() as address:
        assert services.redis_answers(address)
    assert not services.redis_answers(address)


@pytest.mark.postgresql_only
def test_only_databases_of_this_run_are_dropped():
    import psycopg

    server, name = os.environ["DATABASE_URL"], f"callboard_run_{int(time.time())}_0000abcd"
    with psycopg.connect(services.on_database(server, "postgres"), autocommit=True) as connection:
        before = set(services.database_names(connection))
        with services.own_database(server, name):
            connection.execute(f'CREATE DATABASE "test_{name}_gw0"')
            assert {name, f"test_{name}_gw0"} <= set(services.database_names(connection))
        after = set(services.database_names(connection))
    assert not {database for database in after if name in database}
    assert {database for database in before if not database.startswith(("callboard_run_", "test_"))} <= after


@pytest.mark.postgresql_only
def test_only_keys_of_this_run_are_removed():
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
        prefix = os.environ["CALLBOARD_KEY_PREFIX"]
        with services.own_keys(os.environ["REDIS_URL"], "run_7_services"):
            client.set(f"{prefix}:other", "stays", ex=60)
            client.set(f"{prefix}:run_7_services:1", "goes", ex=60)
        assert (client.get(f"{prefix}:other"), client.get(f"{prefix}:run_7_services:1")) == ("stays", None)
        client.delete(f"{prefix}:other")


@pytest.mark.parametrize(
    ("database", "days", "is_left_over"),
    [
        ("test_callboard_run_1000_0123abcd_gw1", 2, True),
        ("callboard_run_1000_0123abcd", 2, True),
        ("callboard_run_1000_0123abcd", 0.5, False),
        ("callboard", 2, False),
        ("test_callboard", 2, False),
        ("callboard_run_1000_0123abcd_of_mine", 2, False),
    ],
)
def test_a_killed_run_is_tidied_up_after_a_day(database, days, is_left_over):
    assert services.is_left_over(database, now=1000 + days * 86_400 + 1) is is_left_over


def test_the_command_gets_the_servers_and_its_status_is_returned():
    program = "import os, sys; sys.exit(7 if 'DATABASE_URL' not in os.environ and os.environ['CHROMIUM'] else 1)"
    environment = {**os.environ, "DATABASE_URL": "postgresql://elsewhere/never"}
    command = [sys.executable, "-m", "tests.services", "--embedded", "--", "-c", program]
    assert subprocess.run(command, env=environment, check=False).returncode == 7


def test_a_stop_signal_reaches_the_command_and_its_end_is_waited_for(tmp_path):
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("up", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-m", "tests.services", "--embedded", "--", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 5


def test_root_lends_the_server_a_user():
    assert pwd.getpwnam(services.server_user()).pw_uid != 0
