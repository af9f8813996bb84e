"""The checks of `make check` that are our own, each shown to find what it is for."""

from pathlib import Path

import pytest

from tests import check

PROJECT = """
[project]
dependencies = ["Django>=5.2,<5.3", "psycopg[binary]>=3.2"]
[dependency-groups]
dev = ["pytest>=8"]
"""
RUNTIME = "django==5.2.19 \\\n    --hash=sha256:00\npsycopg[binary]==3.3.9 ; python_version >= '3.11' \\\n"


def repository(folder: Path, runtime: str = RUNTIME, dev: str = RUNTIME + "pytest==9.2.0\n") -> Path:
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "requirements.lock").write_text(runtime)
    (folder / "requirements-dev.lock").write_text(dev)
    return folder


def test_locks_in_line_have_no_fault(tmp_path):
    assert check.lock_faults(repository(tmp_path)) == []


@pytest.mark.parametrize(
    ("runtime", "dev", "fault"),
    [
        ("psycopg==3.3.9\n", RUNTIME + "pytest==9.2.0\n", "requirements.lock lacks Django<5.3,>=5.2"),
        (RUNTIME.replace("5.2.19", "6.0"), RUNTIME + "pytest==9.2.0\n", "requirements.lock lacks Django<5.3,>=5.2"),
        (RUNTIME, RUNTIME, "requirements-dev.lock lacks pytest>=8"),
        (
            RUNTIME,
            RUNTIME.replace("3.3.9", "3.3.8") + "pytest==9.2.0\n",
            "requirements-dev.lock has another psycopg than requirements.lock",
        ),
    ],
)
def test_locks_out_of_line_are_named(tmp_path, runtime, dev, fault):
    faults = check.lock_faults(repository(tmp_path, runtime, dev))
    assert (fault, faults[-1]) == (faults[0], "Write them anew: make lock")


def test_a_file_that_names_a_registry_is_found(tmp_path):
    (tmp_path / "lock").write_text(f"--index-url https://{check.REGISTRY_HOSTS[0]}/simple\n")
    (tmp_path / "clean").write_text("requests\n")
    found = check.named_hosts([tmp_path / "clean", tmp_path / "lock"])
    assert found == [f"{tmp_path / 'lock'} names {check.REGISTRY_HOSTS[0]}"]


def test_a_failed_step_is_told_with_its_output(capsys):
    assert not check.passes(check.Step("types", lambda: "models.py:3: wrong\n"))
    assert capsys.readouterr().out.splitlines()[1] == "       models.py:3: wrong"
