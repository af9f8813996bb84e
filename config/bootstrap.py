"""Prepare `.venv` from the committed lock file, then start what was asked for: `python3 config/bootstrap.py run`.

Whatever python3 the machine has reads this file first, so it uses the standard library only and no syntax newer than
Python 3.6: an old Python must end in a sentence, not in a SyntaxError.

`.venv.lock` keeps two starts apart and, while it holds a word, says that somebody is writing to `.venv`; a start that
finds the word without its writer knows that an installation was cut off and makes the environment anew. pip itself
would take a half-unpacked package for an installed one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional, TextIO

OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUNTIME_LOCK = "requirements.lock"
DEV_LOCK = "requirements-dev.lock"

PYTEST = ["-m", "pytest", "-n", "2"]
COVERAGE = ["--cov", "--cov-report", "term"]
COMMANDS = {
    "run": ["manage.py", "run"],
    "test": ["-m", "tests.services", "--", *PYTEST],
    "test-embedded": ["-m", "tests.services", "--embedded", "--", *PYTEST],
    "check": ["-m", "tests.check"],
    "bench": ["-m", "tests.services", "--", "-m", "bench"],
}


class Refusal(Exception):
    """Callboard cannot be set up here; the text is one sentence that says why and what to do."""


def main(arguments: List[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        print("usage: python3 config/bootstrap.py " + "|".join(COMMANDS), file=sys.stderr)
        return 2
    command, rest = arguments[0], arguments[1:]
    try:
        python = prepare(ROOT, dev=command != "run")
    except Refusal as refusal:
        print("callboard: {}".format(refusal), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncallboard: stopped; the next start repairs what was half installed.", file=sys.stderr)
        return 130
    os.chdir(ROOT)
    # Figures of a few chosen tests say nothing about coverage.
    extra = COVERAGE if command == "test" and not rest else []
    sys.stdout.flush()
    os.execv(python, [python] + COMMANDS[command] + extra + rest)  # noqa: S606 (no shell is meant)


def prepare(root: str, dev: bool) -> str:
    """Return the path of a Python that has everything of the lock file, installing what is missing."""
    venv = os.path.join(root, ".venv")
    python = os.path.join(venv, "bin", "python")
    with only_one(os.path.join(root, ".venv.lock")) as work:
        if is_ready(root, python, dev) and not work.was_cut_off:
            return python
        with work:
            dev = dev or DEV_LOCK in read_stamp(root)
            if work.was_cut_off or not works(python):
                make_environment(find_python(), venv)
            install(root, python, DEV_LOCK if dev else RUNTIME_LOCK)
            write_stamp(root, python, dev)
    return python


# --- is there anything to do? ---------------------------------------------------------------------------------------


def is_ready(root: str, python: str, dev: bool) -> bool:
    stamp = read_stamp(root)
    wanted = {name: digest(root, name) for name in ((RUNTIME_LOCK, DEV_LOCK) if dev else (RUNTIME_LOCK,))}
    # The version is asked of the interpreter itself: a system upgrade can put another one behind the same path.
    return all(stamp.get(name) == value for name, value in wanted.items()) and stamp.get("python") == version(python)


def read_stamp(root: str) -> Dict[str, str]:
    try:
        with open(stamp_path(root)) as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(root: str, python: str, dev: bool) -> None:
    """Say what is installed; the development lock includes the other, so that `make run` leaves it alone."""
    stamp = {"python": version(python), RUNTIME_LOCK: digest(root, RUNTIME_LOCK)}
    if dev:
        stamp[DEV_LOCK] = digest(root, DEV_LOCK)
    with open(stamp_path(root), "w") as file:
        json.dump(stamp, file)


def stamp_path(root: str) -> str:
    return os.path.join(root, ".venv", "callboard.json")


def digest(root: str, name: str) -> str:
    try:
        with open(os.path.join(root, name), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise Refusal(
            "{} cannot be read ({}); take it from the repository again.".format(name, error.strerror)
        ) from error


def version(python: str) -> str:
    """Return the version of an interpreter as "3.11.7", or "" if it does not run."""
    return output_of([python, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])


def works(python: str) -> bool:
    return output_of([python, "-c", "import pip, sys; print(sys.prefix != sys.base_prefix)"]) == "True"


# --- finding a Python -----------------------------------------------------------------------------------------------


def find_python() -> str:
    """Return a Python that is new enough and can make environments: the running one, else one on PATH."""
    new_enough = [path for path in candidates() if is_new_enough(path)]
    if not new_enough:
        raise Refusal(
            "Callboard needs Python {}.{} or newer, and only {} was found; install a newer one, for instance by "
            "`apt-get install python3.11 python3.11-venv` or from python.org.".format(
                OLDEST[0], OLDEST[1], sys.version.split()[0]
            )
        )
    for path in new_enough:
        if output_of([path, "-c", "import ensurepip, venv; print('ok')"]) == "ok":
            return path
    raise Refusal(
        "{} cannot make virtual environments because ensurepip is missing; install it by "
        "`apt-get install python3-venv`.".format(new_enough[0])
    )


def candidates() -> List[str]:
    found = [sys.executable] + [shutil.which(name) for name in NEWER_NAMES]
    return [path for path in found if path]


def is_new_enough(path: str) -> bool:
    # A name on PATH may be a version manager's shim for a Python that is not there: only what runs counts.
    numbers = version(path).split(".")[:2]
    return len(numbers) == 2 and tuple(int(number) for number in numbers) >= OLDEST


def output_of(command: List[str]) -> str:
    try:
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


# --- making and filling the environment -----------------------------------------------------------------------------


def make_environment(python: str, venv: str) -> None:
    tell("making .venv with {}".format(python))
    done = subprocess.run(
        [python, "-m", "venv", "--clear", venv], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        last = done.stdout.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise Refusal("the virtual environment could not be made ({}).".format(last[0]))


def install(root: str, python: str, lock: str) -> None:
    tell("installing {} (wheels only, hashes checked); this takes a minute the first time".format(lock))
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq"]
    # Twice quiet: warnings about the machine's own package index are not ours to show; errors still are.
    command += ["--require-hashes", "--only-binary", ":all:", "--requirement", os.path.join(root, lock)]
    environment = dict(os.environ, PIP_ROOT_USER_ACTION="ignore")
    if subprocess.run(command, check=False, env=environment, stdout=sys.stderr).returncode:
        raise Refusal(
            "pip could not install {}; its reason stands above. Check the network and start again.".format(lock)
        )


def tell(sentence: str) -> None:
    print("callboard: " + sentence, file=sys.stderr)
    sys.stderr.flush()


class Work:
    """The time in which `.venv` is being written; a word in the lock file stands for exactly that time."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.was_cut_off = bool(file.read())

    def __enter__(self) -> None:
        self._write("installing\n")

    def __exit__(self, kind: Optional[type], value: object, traceback: object) -> None:
        # A refusal or an interruption leaves the word: what is there now must not be trusted.
        if kind is None:
            self._write("")

    def _write(self, text: str) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.file.write(text)
        self.file.flush()


@contextmanager
def only_one(path: str) -> Iterator[Work]:
    """Hold the lock file, after saying so if another start has it; the kernel frees it when its holder dies."""
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            tell("another start is setting up .venv; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield Work(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
