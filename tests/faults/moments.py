"""The moments of a sync at which a fault test stops a worker, to kill it there.

Run as a program, this is the real Celery worker, with a look at each moment whether a test waits for it. A test writes the
moment's name into the folder that MOMENTS_FOLDER names; the first worker's child to come there takes the file away, stops,
says so with its process id, and goes on only when what it said is gone.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import django

FOLDER = "MOMENTS_FOLDER"


@dataclass(frozen=True, slots=True)
class Moment:
    """Before or after the nth call of a function in one run, and what the database holds by then."""

    name: str
    function: str
    after: bool
    nth: int = 1
    is_written: bool = False
    """The import is committed."""
    is_closed: bool = False
    """The run has said how it ended."""


def before(name: str, function: str, nth: int = 1, **holds: bool) -> Moment:
    return Moment(name, function, after=False, nth=nth, **holds)


def after(name: str, function: str, nth: int = 1, **holds: bool) -> Moment:
    return Moment(name, function, after=True, nth=nth, **holds)


REQUEST = "integrations.http.wire:get"
CLAIMED = before("claimed", "sync.ingest:_Work.__init__")
READING = (before("before the request", REQUEST), after("after the request", REQUEST))
NEXT_PAGE = (before("before the second request", REQUEST, 2), after("after the second request", REQUEST, 2))
DECIDING = (after("validated", "sync.ingest:read_import"), after("planned", "sync.proposals:Proposal.plan"))
APPLYING = (
    before("applying, before the rows", "schedule.store:_write_rows"),
    after("applying, rows written", "schedule.store:_write_rows"),
    after("applying, history written", "schedule.store:_write_history"),
    after("applying, source noted", "schedule.store:note_read"),
    after("applying, before the commit", "schedule.store:bump_publication"),
)
APPLIED = after("applied", "schedule.store:settle", is_written=True)
NOTED = after("noted as read", "schedule.store:note_read", is_written=True)
CLOSING = (
    before("before the release", "sync.leases:release", is_written=True),
    after("released, before the commit", "sync.leases:release", is_written=True),
    after("closed, before the commit", "sync.ingest:_Work._close", is_written=True),
    after("closed", "sync.ingest:_Work.do", is_written=True, is_closed=True),
)
FIRST_SYNC = (CLAIMED, *READING, *NEXT_PAGE, *DECIDING, *APPLYING, APPLIED, *CLOSING)
CHANGES = (CLAIMED, *READING, *DECIDING, *APPLYING, APPLIED, *CLOSING)
NO_CHANGE = (CLAIMED, *READING, NOTED, *CLOSING)


# --- in the worker ----------------------------------------------------------------------------------------------------


def watch(moments: Iterable[Moment], folder: Path) -> None:
    """Put a look for these moments around their functions, whose own work is left as it is."""
    for function in {moment.function for moment in moments}:
        module, _, path = function.partition(":")
        owner: Any = import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        setattr(owner, name, _watched(getattr(owner, name), function, folder))


def _watched(function: Callable[..., Any], name: str, folder: Path) -> Callable[..., Any]:
    calls: Counter[str] = Counter()

    @wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        asked = _asked(folder)
        calls[asked] += 1
        moment = ALL.get(asked.partition("\n")[0])
        here = moment is not None and moment.function == name and moment.nth == calls[asked]
        if moment and here and not moment.after:
            _stop(folder)
        result = function(*arguments, **named)
        if moment and here and moment.after:
            _stop(folder)
        return result

    return watched


def _asked(folder: Path) -> str:
    """Return the name of the moment that a test waits for, and a number of its own, so that calls are counted anew."""
    try:
        return (folder / "moment").read_text()
    except FileNotFoundError:
        return ""


def _stop(folder: Path) -> None:
    try:
        (folder / "moment").rename(folder / "taken")
    except FileNotFoundError:
        return  # another child was first
    draft = folder / "reached.draft"
    draft.write_text(str(os.getpid()))
    draft.rename(folder / "reached")
    while (folder / "reached").exists():
        time.sleep(0.02)


ALL = {moment.name: moment for moment in (*FIRST_SYNC, *CHANGES, *NO_CHANGE)}


def main() -> None:
    django.setup()
    watch(ALL.values(), Path(os.environ[FOLDER]))
    from config.celery import app

    # Celery keeps a killed child's place for 10 s, in case its task is heard of after all.
    app.conf.worker_lost_wait = 0.2
    app.start(argv=sys.argv[sys.argv.index("worker") :])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
