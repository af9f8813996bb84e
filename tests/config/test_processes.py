"""What `manage.py run` starts, where, and what it says when it cannot."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import processes
from config.processes import Ports
from config.supervisor import CannotStart, next_free_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    return next_free_port(20_000)


def test_a_taken_port_is_one_sentence_with_the_way_out(taken):
    sentence = rf"^Port {taken} is taken by another program; choose another one: `PORT=\d+ make run`\.$"
    with pytest.raises(CannotStart, match=sentence):
        processes.choose_ports(taken, "")


def test_a_sandbox_port_that_nobody_asked_for_moves_to_the_next_free_one(taken, free, monkeypatch):
    monkeypatch.setattr(processes, "DEFAULT_SANDBOX_PORT", taken)
    assert processes.choose_ports(free, "").sandbox > taken


def test_a_sandbox_port_that_was_asked_for_does_not_move(taken, free):
    with pytest.raises(CannotStart, match=rf"^Port {taken} is taken .*`SANDBOX_PORT=\d+ make run`\.$"):
        processes.choose_ports(free, str(taken))


@pytest.mark.parametrize("text", ["eight", "0", "65536", "-1"])
def test_a_sandbox_port_that_is_no_port_is_named(text, free):
    with pytest.raises(CannotStart, match=f"^SANDBOX_PORT is {re.escape(repr(text))}; it must be a number"):
        processes.choose_ports(free, text)


def test_web_and_sandbox_cannot_share_a_port(free):
    with pytest.raises(CannotStart, match=f"^PORT and SANDBOX_PORT are both {free}; they must differ"):
        processes.choose_ports(free, str(free))


@pytest.mark.req("X-23")
def test_web_worker_beat_and_sandbox_are_started():
    assert [child.name for child in processes.children(Ports(8000, 8010))] == ["sandbox", "web", "worker", "beat"]


def test_the_sandbox_stands_in_for_a_provider_that_nobody_named(monkeypatch):
    monkeypatch.delenv("FITBOX_API_URL", raising=False)
    assert processes.child_environment(Ports(8000, 8011))["FITBOX_API_URL"] == "http://127.0.0.1:8011/fitbox"


def test_a_provider_that_was_named_is_kept(monkeypatch):
    monkeypatch.setenv("FITBOX_API_URL", "https://gym.example.com")
    assert processes.child_environment(Ports(8000, 8011))["FITBOX_API_URL"] == "https://gym.example.com"


def test_the_welcome_names_every_address(settings):
    settings.BASE_URL = "http://127.0.0.1:8001"
    text = processes.welcome(Ports(8001, 8010), [("mia", "secret", "front desk")], Path("data"))
    for address in ("/timetable/", "/admin/", "/calendar/timetable.ics", "/api/v1/timetable"):
        assert f"http://127.0.0.1:8001{address}\n" in text
    assert re.search(r"^    mia / secret +front desk$", text, re.MULTILINE)


def test_production_runs_its_processes_separately(settings):
    from dataclasses import replace

    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, production=True)
    with pytest.raises(CannotStart, match="In production mode the processes are run separately"):
        processes.run(print)
