"""`make check`: what can be known about the code without running the tests. Every step runs and says how it ended."""

import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OPENAPI_FILE = ROOT / "docs" / "openapi.yaml"
PROGRAMS = Path(sys.executable).parent
# Written in two parts, so that this file passes its own check.
REGISTRY_HOSTS = tuple(
    f"{name}.{domain}"
    for name, domain in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("docker", "io"))
)


@dataclass(frozen=True)
class Step:
    name: str
    faults: Callable[[], str]
    """Return what is wrong, or "" if nothing is."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="callboard-check-") as folder:
        failed = [step.name for step in steps(Path(folder)) if not passes(step)]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall checks passed")
    return 1 if failed else 0


def passes(step: Step) -> bool:
    started = time.monotonic()
    faults = step.faults().strip()
    print(f"{'FAILED' if faults else 'ok    '} {step.name} ({time.monotonic() - started:.1f} s)", flush=True)
    if faults:
        print("\n".join(f"       {line}" for line in faults.splitlines()), flush=True)
    return not faults


def steps(folder: Path) -> list[Step]:
    embedded = {**neutral(), "CALLBOARD_DATA_DIR": str(folder / "data")}
    manage = (sys.executable, "manage.py")

    def command(*argv: str | Path, environment: Mapping[str, str] = embedded) -> Callable[[], str]:
        return lambda: output_if_failed(argv, environment)

    deploy = ("check", "--deploy", "--fail-level", "WARNING")
    return [
        Step("ruff check", command(PROGRAMS / "ruff", "check", "--quiet", ".")),
        Step("ruff format", command(PROGRAMS / "ruff", "format", "--check", "--output-format", "concise", ".")),
        Step("mypy --strict", command(PROGRAMS / "mypy")),
        Step("import contracts", command(PROGRAMS / "lint-imports", "--no-logo")),
        Step("deployment check", command(*manage, *deploy, environment=production(folder))),
        Step("migrations complete", command(*manage, "makemigrations", "--check", "--dry-run")),
        Step("OpenAPI file up to date", lambda: openapi_faults(folder / "openapi.yaml", embedded)),
        Step("lock files in line", lambda: "\n".join(lock_faults(ROOT))),
        Step("no registry's host named", lambda: "\n".join(named_hosts(committed_files()))),
    ]


# --- environments ---------------------------------------------------------------------------------------------------


def neutral() -> dict[str, str]:
    """Return this environment without what would change Callboard's settings."""
    ours = re.compile(
        r"CALLBOARD_|DATABASE_URL|REDIS_URL|SECRET_KEY|CREDENTIAL_KEYS|ALLOWED_HOSTS|BASE_URL|PORT$|.*_API_URL"
    )
    return {name: value for name, value in os.environ.items() if not ours.match(name)}


def production(folder: Path) -> dict[str, str]:
    """Return a production environment with secrets that exist for this check only; no server is asked."""
    from cryptography.fernet import Fernet

    return {
        **neutral(),
        "CALLBOARD_MODE": "production",
        "CALLBOARD_DATA_DIR": str(folder / "production"),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
        "FEED_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "timetable.example.com",
        "BASE_URL": "https://timetable.example.com",
        "DATABASE_URL": "postgresql://callboard@127.0.0.1/callboard",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
    }


# --- steps ----------------------------------------------------------------------------------------------------------


def output_if_failed(argv: Iterable[str | Path], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [str(part) for part in argv],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return (done.stdout or f"status {done.returncode}") if done.returncode else ""


def openapi_faults(made: Path, environment: Mapping[str, str]) -> str:
    command = (sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(made))
    if faults := output_if_failed(command, environment):
        return faults
    if not OPENAPI_FILE.exists() or OPENAPI_FILE.read_text() != made.read_text():
        name = OPENAPI_FILE.relative_to(ROOT)
        return f"{name} differs from the code; write it anew: .venv/bin/python manage.py spectacular --file {name}"
    return ""


def lock_faults(root: Path) -> list[str]:
    """Return how the lock files disagree with pyproject.toml and with each other."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    runtime, dev = pinned(root / "requirements.lock"), pinned(root / "requirements-dev.lock")
    faults = [
        *unmet(project["project"]["dependencies"], runtime, "requirements.lock"),
        *unmet(project["dependency-groups"]["dev"], dev, "requirements-dev.lock"),
    ]
    differing = [name for name, versions in runtime.items() if dev.get(name) != versions]
    faults += [f"requirements-dev.lock has another {name} than requirements.lock" for name in differing]
    return [*faults, "Write them anew: make lock"] if faults else []


def pinned(lock: Path) -> dict[str, list[str]]:
    """Return the versions of each package; there are several where they depend on the Python version."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", lock.read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def unmet(requirements: Iterable[str], versions: Mapping[str, list[str]], lock: str) -> Iterable[str]:
    for requirement in map(Requirement, requirements):
        locked = versions.get(canonicalize_name(requirement.name), [])
        if not any(requirement.specifier.contains(version, prereleases=True) for version in locked):
            yield f"{lock} lacks {requirement}"


def committed_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:  # an unpacked archive has no history, and nothing to be committed
        return []
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def named_hosts(files: Iterable[Path]) -> list[str]:
    """Return each file that names a package registry: what is installed from where is the machine's own matter."""
    found = []
    for path in files:
        text = path.read_bytes()
        found += [f"{path} names {host}" for host in REGISTRY_HOSTS if host.encode() in text]
    return found


if __name__ == "__main__":
    sys.exit(main())
