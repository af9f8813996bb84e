"""The set-up, with real virtual environments, tiny packages of our own and no network."""

import ast
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from config import bootstrap
from config.bootstrap import DEV_LOCK, RUNTIME_LOCK, Refusal

SOURCE = Path(bootstrap.__file__)


def put_program(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def put_wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel of one module and return its line for a lock file."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{info}/RECORD,,"]
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{file},sha256={digest},{len(text)}")
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(f"{info}/RECORD", "\n".join(record) + "\n")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Clone:
    """A repository with nothing but lock files and the wheels that they name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root / "wheels"
        self.wheels.mkdir()
        self.head = f"--no-index\n--find-links {self.wheels}\n"
        self.lock(put_wheel(self.wheels, "served", "1.0"), put_wheel(self.wheels, "tested", "1.0"))

    def lock(self, runtime: str, dev: str) -> None:
        (self.root / RUNTIME_LOCK).write_text(self.head + runtime)
        (self.root / DEV_LOCK).write_text(self.head + runtime + dev)

    def version_of(self, module: str) -> str:
        python = str(self.root / ".venv/bin/python")
        return bootstrap.output_of([python, "-c", f"import {module}; print({module}.version)"])

    def prepare(self, dev: bool = False) -> str:
        return bootstrap.prepare(str(self.root), dev)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = Clone(tmp_path_factory.mktemp("first"))
    clone.prepare()
    return clone.root / ".venv"


@pytest.fixture
def clone(first_run: Path, tmp_path: Path) -> Clone:
    """A clone after its first `make run`; copied, since making an environment takes seconds."""
    clone = Clone(tmp_path)
    shutil.copytree(first_run, tmp_path / ".venv", symlinks=True)
    bootstrap.write_stamp(str(tmp_path), str(tmp_path / ".venv/bin/python"), dev=False)
    return clone


def test_syntax_is_readable_by_python_3_6():
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


def test_too_old_a_python_is_one_sentence(tmp_path, monkeypatch):
    old = put_program(tmp_path, "python3", "echo 3.6.15")
    monkeypatch.setattr(bootstrap, "candidates", lambda: [old])
    with pytest.raises(Refusal, match=r"^Callboard needs Python 3\.11 or newer, and only .* was found; .*\.$"):
        bootstrap.find_python()


def test_a_newer_python_on_the_path_is_taken(tmp_path, monkeypatch):
    put_program(tmp_path, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    new = put_program(tmp_path, "python3.12", 'case "$*" in *ensurepip*) echo ok;; *) echo 3.12.1;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", put_program(tmp_path, "old", "echo 3.6.15"))
    assert bootstrap.find_python() == new


def test_a_missing_ensurepip_is_one_sentence_with_the_command(tmp_path, monkeypatch):
    bare = put_program(tmp_path, "python3", 'case "$*" in *ensurepip*) exit 1;; *) echo 3.12.1;; esac')
    monkeypatch.setattr(bootstrap, "candidates", lambda: [bare])
    with pytest.raises(Refusal, match=r"ensurepip is missing; install it by `apt-get install python3-venv`\.$"):
        bootstrap.find_python()


def test_a_refusal_ends_the_command_with_status_1_and_one_line(monkeypatch, capsys):
    def refuse(root: str, dev: bool) -> str:
        raise Refusal("There is no Python.")

    monkeypatch.setattr(bootstrap, "prepare", refuse)
    assert bootstrap.main(["run"]) == 1
    assert capsys.readouterr().err == "callboard: There is no Python.\n"


def test_the_first_start_installs_the_runtime_lock_only(clone):
    assert (clone.version_of("served"), clone.version_of("tested")) == ("1.0", "")


def test_a_second_start_installs_nothing(clone, monkeypatch):
    monkeypatch.setattr(bootstrap, "install", lambda *_: pytest.fail("installed again"))
    assert clone.prepare() == str(clone.root / ".venv/bin/python")


def test_a_changed_lock_file_is_installed(clone):
    clone.lock(put_wheel(clone.wheels, "served", "2.0"), "")
    clone.prepare()
    assert clone.version_of("served") == "2.0"


def test_a_run_after_tests_keeps_what_the_tests_need(clone):
    clone.prepare(dev=True)
    clone.lock(put_wheel(clone.wheels, "served", "2.0"), put_wheel(clone.wheels, "tested", "2.0"))
    clone.prepare(dev=False)
    assert (clone.version_of("served"), clone.version_of("tested")) == ("2.0", "2.0")


def test_an_installation_that_was_cut_off_is_made_anew(clone):
    module = next((clone.root / ".venv").rglob("served.py"))
    module.write_text("")  # unpacked in part: pip would take it for installed
    (clone.root / ".venv.lock").write_text("installing\n")
    clone.prepare()
    assert clone.version_of("served") == "1.0"
    assert (clone.root / ".venv.lock").read_text() == ""


def test_a_broken_environment_is_made_anew(clone, monkeypatch):
    python = clone.root / ".venv/bin/python"
    target = python.readlink()
    python.unlink()
    monkeypatch.setattr(bootstrap, "make_environment", lambda _, venv: Path(venv, "bin/python").symlink_to(target))
    clone.prepare()
    assert clone.version_of("served") == "1.0"


def test_a_wheel_that_is_not_the_locked_one_is_refused_and_not_trusted_later(clone):
    line = put_wheel(clone.wheels, "served", "2.0")
    clone.lock(line.replace(line[-9:], "00000000\n"), "")
    with pytest.raises(Refusal, match=r"pip could not install requirements\.lock"):
        clone.prepare()
    assert (clone.root / ".venv.lock").read_text() == "installing\n"
    assert clone.version_of("served") == "1.0"


def test_two_starts_at_once_share_one_installation(clone):
    shutil.rmtree(clone.root / ".venv")
    (clone.root / "config").mkdir(exist_ok=True)
    shutil.copy(SOURCE, clone.root / "config/bootstrap.py")
    (clone.root / "manage.py").write_text("import served; print('served', served.version)\n")
    command = [sys.executable, str(clone.root / "config/bootstrap.py"), "run"]
    starts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(2)
    ]
    ends = [start.communicate(timeout=60) for start in starts]
    assert [output for output, _ in ends] == ["served 1.0\n"] * 2
    told = "".join(error for _, error in ends)
    assert told.count("installing requirements.lock") == 1
    assert told.count("another start is setting up .venv; waiting for it") == 1
