"""What a provider of the sandbox was asked: one record per request, and counters over all of them."""

import itertools
import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.sandbox.messages import Request

# Enough for any test; older records go, the counters stay.
RECORDS_KEPT = 5_000
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as received, with what became of it. `header()` reads names in any case."""

    number: int
    at: datetime
    provider: str
    connection: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int
    fault: str | None

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "provider": self.provider,
            "connection": self.connection,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "status": self.status,
            "fault": self.fault,
        }


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the last reset. `violations` names what a client must never do, for instance a key in a URL."""

    requests: int
    not_modified: int
    max_parallel: int
    connections_opened: int
    connections_reused: int
    by_status: dict[int, int]
    by_method: dict[str, int]
    by_fault: dict[str, int]
    violations: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Traffic:
    """The log of one provider. Safe to use from all connections at once."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._parallel = 0
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._records: deque[RequestRecord] = deque(maxlen=RECORDS_KEPT)
            self._statuses: Counter[int] = Counter()
            self._methods: Counter[str] = Counter()
            self._faults: Counter[str] = Counter()
            self._violations: Counter[str] = Counter()
            self._connections: set[int] = set()
            self._reused = 0
            self._max_parallel = self._parallel

    def enter(self, connection: int) -> None:
        """A request arrived on this connection."""
        with self._lock:
            self._parallel += 1
            self._max_parallel = max(self._max_parallel, self._parallel)
            if connection in self._connections:
                self._reused += 1
            self._connections.add(connection)

    def leave(self) -> None:
        with self._lock:
            self._parallel -= 1

    def record(self, request: Request, connection: int, at: datetime, status: int, fault: str | None) -> None:
        """Note a request. Called before its answer leaves, so that a client with an answer finds the record."""
        entry = RequestRecord(
            number=next(_numbers),
            at=at,
            provider=self._provider,
            connection=connection,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            status=status,
            fault=fault,
        )
        with self._lock:
            self._records.append(entry)
            self._statuses[status] += 1
            self._methods[request.method] += 1
            if fault:
                self._faults[fault] += 1

    def violation(self, name: str) -> None:
        with self._lock:
            self._violations[name] += 1

    @property
    def records(self) -> list[RequestRecord]:
        """The newest records, oldest first."""
        with self._lock:
            return list(self._records)

    @property
    def counters(self) -> Counters:
        with self._lock:
            return Counters(
                requests=self._statuses.total(),
                not_modified=self._statuses[304],
                max_parallel=self._max_parallel,
                connections_opened=len(self._connections),
                connections_reused=self._reused,
                by_status=dict(self._statuses),
                by_method=dict(self._methods),
                by_fault=dict(self._faults),
                violations=dict(self._violations),
            )
