"""docker-compose.yml, Dockerfile and .env.example agree with what the code reads and with how production must run."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import environment

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("migrate", "web", "worker", "beat")


class Recorder(dict[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def test_every_variable_that_is_read_is_explained(tmp_path):
    recorder = Recorder(CALLBOARD_DATA_DIR=str(tmp_path))
    environment.read(recorder)
    explained = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert recorder.asked - explained == set()


@pytest.mark.req("X-25")
def test_compose_names_every_process_and_server():
    assert set(COMPOSE["services"]) == {*OURS, "postgres", "redis"}


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_processes_start_after_migrations_and_servers(name):
    assert COMPOSE["services"][name]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }


@pytest.mark.parametrize("name", ["SECRET_KEY", "CREDENTIAL_KEYS", "ALLOWED_HOSTS", "BASE_URL"])
def test_compose_starts_with_no_secret_of_its_own(name):
    for service in OURS:
        assert COMPOSE["services"][service]["environment"][name].startswith(f"${{{name}:?")


def test_compose_gives_production_all_that_it_insists_on():
    given = dict.fromkeys(COMPOSE["services"]["web"]["environment"], "x")
    given |= {
        "CALLBOARD_MODE": COMPOSE["services"]["web"]["environment"]["CALLBOARD_MODE"],
        "SECRET_KEY": "0123456789" * 6,
        "CREDENTIAL_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "BASE_URL": "https://timetable.example.com",
        "TIME_ZONE": "Europe/London",
        "LOG_LEVEL": "INFO",
    }
    assert environment.read(given).production


@pytest.mark.req("X-25")
def test_the_image_runs_without_root_from_hashed_wheels():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\w+)$", dockerfile, re.MULTILINE) == ["callboard"]
    assert dockerfile.index("USER callboard") < dockerfile.index('CMD ["gunicorn"')
    assert "--require-hashes --only-binary :all: -r requirements.lock" in dockerfile
