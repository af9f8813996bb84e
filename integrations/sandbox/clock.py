"""The sandbox's clock: the real one, or one that a test sets and moves by hand."""

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """What the providers of the sandbox call now. A set clock stands still unless it is told to tick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set_to: datetime | None = None
        self._ticks_since: float | None = None

    def now(self) -> datetime:
        with self._lock:
            return self._read()

    def set(self, instant: datetime, *, ticking: bool = False) -> None:
        """Set the clock to an aware instant; with `ticking` it goes on from there at its usual speed."""
        if instant.tzinfo is None:
            raise ValueError("The sandbox's clock needs an instant with an offset.")
        with self._lock:
            self._set_to = instant.astimezone(UTC)
            self._ticks_since = time.monotonic() if ticking else None

    def advance(self, seconds: float) -> datetime:
        """Move the clock on and return the new time; a real clock becomes a set, ticking one by it."""
        with self._lock:
            ticking = self._set_to is None or self._ticks_since is not None
            self._set_to = self._read() + timedelta(seconds=seconds)
            self._ticks_since = time.monotonic() if ticking else None
            return self._set_to

    def use_real(self) -> None:
        with self._lock:
            self._set_to = self._ticks_since = None

    @property
    def is_real(self) -> bool:
        return self._set_to is None

    def _read(self) -> datetime:
        if self._set_to is None:
            return datetime.now(UTC)
        if self._ticks_since is None:
            return self._set_to
        return self._set_to + timedelta(seconds=time.monotonic() - self._ticks_since)
