"""The publication cache: bodies that were shown for a revision, in this process and in the cache that all share.

Three names, each a kind of value here rather than a cache of its own; the revision is always inside:

- `timetable:schedule` (900 s): one rendered body. Its key is made of everything that it depends on, so it never goes
  wrong, only out of use.
- `timetable:current` (900 s): how many rows each source has in a week, true for the revision kept in it.
- `timetable:backup` (3,600 s): the last body of a view under a key without any revision, which is what can still be
  found when the database, and with it the revision, is out of reach.

Lives are counted from the instant kept in the value, by the caller's clock, so that a value copied from the shared cache
into this process does not begin to live anew. Values are bytes. A shared cache that fails makes pages slower, never
wrong: it is left alone for a few seconds, a warning says so, and the database answers.
"""

import logging
import pickle
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock

import orjson
from django.core.cache import cache as shared
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# What Django's Redis and file caches raise when their server, disk or a half-written file lets them down.
CACHE_FAULTS = (RedisError, OSError, EOFError, zlib.error, pickle.UnpicklingError)
PAUSE_SECONDS = 5.0
"""How long a failed shared cache is not asked: a server that hangs costs its time limit once, not in every request."""
CONFIRM_EVERY = timedelta(seconds=60)
MEMORY_ENTRIES = 256
MEMORY_BYTES = 32 * 2**20


class Name(StrEnum):
    SCHEDULE = "timetable:schedule"
    CURRENT = "timetable:current"
    BACKUP = "timetable:backup"


LIVES = {
    Name.SCHEDULE: timedelta(seconds=900),
    Name.CURRENT: timedelta(seconds=900),
    Name.BACKUP: timedelta(seconds=3600),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One body with its times. `checked_at` is when it was last known to be what the database says."""

    version: str
    made_at: datetime
    checked_at: datetime
    data_at: datetime | None
    zone: str
    body: bytes


def get(name: Name, key: str, now: datetime) -> Entry | None:
    """Return the living value of that name and key, from this process or the shared cache."""
    place = f"{name}:{key}"
    entry = _memory.get(place)
    if entry is None and (entry := _shared_get(place)) is not None:
        _memory.put(place, entry)
    return entry if entry is not None and _lives(name, entry, now) else None


def put(name: Name, key: str, entry: Entry) -> None:
    place = f"{name}:{key}"
    _memory.put(place, entry)
    _shared_put(place, entry, LIVES[name])


def confirm(views: Iterable[str], entry: Entry, now: datetime) -> None:
    """Keep `entry` as the saved copy of these views; one that is already kept is renewed once a minute."""
    for view in views:
        kept = _memory.get(f"{Name.BACKUP}:{view}")
        if kept is None or kept.version != entry.version or now - kept.checked_at >= CONFIRM_EVERY:
            put(Name.BACKUP, view, replace(entry, checked_at=now))


def saved(view: str, now: datetime) -> Entry | None:
    """Return the saved copy of a view: the newest of this process's and the shared one, if it still lives."""
    place = f"{Name.BACKUP}:{view}"
    copies = [entry for entry in (_memory.get(place), _shared_get(place)) if entry and _lives(Name.BACKUP, entry, now)]
    return max(copies, key=lambda entry: entry.checked_at, default=None)


def forget() -> None:
    """Empty this process's part and ask the shared cache again at once."""
    global _paused_until  # noqa: PLW0603 - one pause for the whole process
    _memory.clear()
    _paused_until = 0.0


def _lives(name: Name, entry: Entry, now: datetime) -> bool:
    return now - entry.checked_at < LIVES[name]


# --- this process -----------------------------------------------------------------------------------------------------


class _Memory:
    """The entries used last, bounded in number and bytes; weeks that nobody asks for any more fall out."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, place: str) -> Entry | None:
        with self._lock:
            if (entry := self._entries.get(place)) is not None:
                self._entries.move_to_end(place)
            return entry

    def put(self, place: str, entry: Entry) -> None:
        with self._lock:
            if (old := self._entries.pop(place, None)) is not None:
                self._bytes -= len(old.body)
            self._entries[place] = entry
            self._bytes += len(entry.body)
            while len(self._entries) > MEMORY_ENTRIES or (self._bytes > MEMORY_BYTES and len(self._entries) > 1):
                self._bytes -= len(self._entries.popitem(last=False)[1].body)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0


_memory = _Memory()


# --- the shared cache -------------------------------------------------------------------------------------------------

_paused_until = 0.0


def _shared_get(place: str) -> Entry | None:
    if time.monotonic() < _paused_until:
        return None
    try:
        return _decode(shared.get(place))
    except CACHE_FAULTS as fault:
        _pause(fault)
        return None


def _shared_put(place: str, entry: Entry, life: timedelta) -> None:
    if time.monotonic() < _paused_until:
        return
    try:
        shared.set(place, _encode(entry), timeout=life.total_seconds())
    except CACHE_FAULTS as fault:
        _pause(fault)


def _pause(fault: BaseException) -> None:
    global _paused_until  # noqa: PLW0603 - one pause for the whole process
    _paused_until = time.monotonic() + PAUSE_SECONDS
    logger.warning("The shared cache does not answer (%s); pages are built from the database.", type(fault).__name__)


def _encode(entry: Entry) -> bytes:
    """Return one line of JSON and the body as it is: no Python object has to be made from what a cache holds."""
    head = (entry.version, entry.made_at, entry.checked_at, entry.data_at, entry.zone)
    return orjson.dumps(head) + b"\n" + entry.body


def _decode(value: object) -> Entry | None:
    """Return the entry, or None for anything that `_encode` did not write."""
    if not isinstance(value, bytes):
        return None
    head, _, body = value.partition(b"\n")
    try:
        version, made_at, checked_at, data_at, zone = orjson.loads(head)
        read = datetime.fromisoformat
        return Entry(version, read(made_at), read(checked_at), data_at and read(data_at), zone, body)
    except (ValueError, TypeError):
        return None
