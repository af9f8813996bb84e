"""The environment is checked whole at start; embedded mode needs none of it, production mode all."""

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import ROOT, EnvironmentFault, read

FERNET_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
PRODUCTION = {
    "CALLBOARD_MODE": "production",
    "SECRET_KEY": "k7Qw9zT4xV1bN8mR5pL2sD6fG3hJ0cY-aE_uIoPqWxZvBnMtRy",
    "CREDENTIAL_KEYS": FERNET_KEY,
    "ALLOWED_HOSTS": "timetable.example.com",
    "BASE_URL": "https://timetable.example.com",
    "DATABASE_URL": "postgres://callboard@db/callboard",
    "REDIS_URL": "redis://cache:6379/0",
}


def faults(**changed: str | None) -> str:
    environ = {name: value for name, value in (PRODUCTION | changed).items() if value is not None}
    with pytest.raises(EnvironmentFault) as caught:
        read(environ)
    return str(caught.value)


def test_production_starts_with_everything_given() -> None:
    environment = read(PRODUCTION)
    assert environment.production and environment.secure
    assert environment.credential_keys == (FERNET_KEY,)
    assert not environment.allow_private_addresses and not environment.allow_loopback_addresses


@pytest.mark.req("X-27", "BY-23", "X-01")
@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "CREDENTIAL_KEYS", "ALLOWED_HOSTS", "BASE_URL", "DATABASE_URL", "REDIS_URL"]
)
def test_production_refuses_to_start_without(name: str) -> None:
    assert faults(**{name: None}).count("\n- ") == 1
    assert f"\n- {name}" in faults(**{name: None})


@pytest.mark.req("X-27")
def test_all_faults_are_told_at_once() -> None:
    text = faults(SECRET_KEY=None, CREDENTIAL_KEYS=None, TIME_ZONE="Mars/Olympus", PORT="eighty")
    assert [line.split()[1].rstrip(":") for line in text.splitlines()[1:]] == [
        "PORT", "TIME_ZONE", "SECRET_KEY", "CREDENTIAL_KEYS",
    ]  # fmt: skip


@pytest.mark.parametrize("secret", ["short", "a" * 60])
def test_a_weak_secret_is_refused_and_not_repeated(secret: str) -> None:
    text = faults(SECRET_KEY=secret)
    assert "SECRET_KEY is weak" in text and "secrets.token_urlsafe" in text
    assert secret not in text


def test_a_credential_key_of_the_wrong_form_is_refused_and_not_repeated() -> None:
    text = faults(CREDENTIAL_KEYS=f"{FERNET_KEY},not-a-key")
    assert "key 2 is no Fernet key" in text
    assert "not-a-key" not in text


@pytest.mark.req("BY-23")
def test_the_credential_key_may_not_be_the_secret_key() -> None:
    key = base64.urlsafe_b64encode(b"0123456789abcdefghijklmnopqrstuv" * 2).decode()[:44]
    assert "must not be SECRET_KEY" in faults(SECRET_KEY=key + "x" * 10, CREDENTIAL_KEYS=f"{key + 'x' * 10},{key}")


@pytest.mark.req("X-23")
def test_embedded_mode_needs_nothing_and_makes_its_secrets_once(tmp_path: Path) -> None:
    first = read({"CALLBOARD_DATA_DIR": str(tmp_path / "data")})
    again = read({"CALLBOARD_DATA_DIR": str(tmp_path / "data")})
    assert (first.secret_key, first.credential_keys) == (again.secret_key, again.credential_keys)
    assert first.secret_key not in first.credential_keys
    path = tmp_path / "data" / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())) == {"SECRET_KEY", "CREDENTIAL_KEYS"}
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.json"]


def test_a_sandbox_that_runs_stands_in_for_a_provider_that_nobody_named(tmp_path: Path) -> None:
    environ = {"CALLBOARD_DATA_DIR": str(tmp_path)}
    assert read(environ).provider_urls == {}
    (tmp_path / "sandbox.url").write_text("http://127.0.0.1:8011\n")
    assert read(environ).provider_urls == {"FITBOX": "http://127.0.0.1:8011/fitbox"}
    assert read(environ | {"FITBOX_API_URL": ""}).provider_urls == {"FITBOX": "http://127.0.0.1:8011/fitbox"}
    named = read(environ | {"FITBOX_API_URL": "https://gym.example.com"})
    assert named.provider_urls == {"FITBOX": "https://gym.example.com"}


def test_production_knows_no_sandbox(tmp_path: Path) -> None:
    (tmp_path / "sandbox.url").write_text("http://127.0.0.1:8011\n")
    assert read(PRODUCTION | {"CALLBOARD_DATA_DIR": str(tmp_path)}).provider_urls == {}


@pytest.mark.parametrize(
    ("said", "private", "loopback"), [("", False, True), ("true", True, True), ("false", False, False)]
)
def test_embedded_mode_reaches_its_own_machine_and_no_private_network_unasked(
    tmp_path: Path, said: str, private: bool, loopback: bool
) -> None:
    environment = read({"CALLBOARD_DATA_DIR": str(tmp_path), "ALLOW_PRIVATE_ADDRESSES": said})
    assert (environment.allow_private_addresses, environment.allow_loopback_addresses) == (private, loopback)


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    keys = {read({"CALLBOARD_DATA_DIR": str(tmp_path / name)}).credential_keys for name in ("a", "b")}
    assert len(keys) == 2


def test_a_start_without_secrets_ends_with_sentences_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"CALLBOARD_MODE": "production", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Callboard cannot start:\n- ")
    assert "Traceback" not in done.stderr
