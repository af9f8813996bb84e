"""One request for equal reads at the same time in one process: the first caller makes it, the others share its outcome."""

import copy
import threading
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from integrations.errors import IntegrationError, ProviderUnavailable

T = TypeVar("T")
Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Account, address and all headers: a different key or validator never shares."""


@dataclass(slots=True)
class Flight(Generic[T]):
    """A read under way, and what came of it."""

    landed: threading.Event = field(default_factory=threading.Event)
    answer: T | None = None
    error: IntegrationError | None = None

    def outcome(self, timeout: float) -> T | None:
        """Wait for the leader. None: it ended by an error of its own side, so the next one has to try."""
        if not self.landed.wait(timeout):
            raise ProviderUnavailable("it did not answer in time")
        if self.error is not None:
            raise copy.copy(self.error) from self.error
        return self.answer


class Flights(Generic[T]):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Key, Flight[T]] = {}

    def forget(self) -> None:
        """Start anew in a child process: the threads that would land these flights stayed with the parent."""
        self._lock = threading.Lock()
        self._flying = {}

    def join(self, key: Key) -> tuple[Flight[T], bool]:
        """Return the flight of this key, and whether the caller has to make it."""
        with self._lock:
            if (flight := self._flying.get(key)) is not None:
                return flight, False
            flight = self._flying[key] = Flight()
            return flight, True

    def land(self, key: Key, flight: Flight[T]) -> None:
        with self._lock:
            del self._flying[key]
        flight.landed.set()
