"""Faults: which call gets one, and what it does to the answer.

A fault applies for a number of calls, to a seeded share of calls, for a period of the sandbox's clock, or until it is
cleared. The provider answers first and the fault then spoils that answer, so rate limits and counters stay true.
"""

import gzip
import io
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from integrations.sandbox.clock import Clock
from integrations.sandbox.messages import Answer, BadRequest, Delivery

MEBIBYTE = 1024 * 1024
RETRY_AFTER_FORMS = ("seconds", "date", "none")
# Above the 5 MiB a client may accept by the Fitbox contract.
OVERSIZED_BYTES = 6 * MEBIBYTE
BOMB_BYTES = 50 * MEBIBYTE

LOGIN_PAGE = b"<!doctype html><html><head><title>Log in</title></head><body><form>Please log in.</form></body></html>"
ERROR_CODES = {
    400: "bad_request",
    401: "key_unknown",
    403: "forbidden",
    404: "not_found",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "maintenance",
    504: "gateway_timeout",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and the calls it applies to. Sizes are bytes of the body a client ends up with."""

    kind: str
    calls: int | None = None  # None: until cleared, or until `seconds` are over
    share: float = 1.0  # of the calls it could apply to, drawn from the sandbox's seed
    seconds: float | None = None  # how long it stays, by the sandbox's clock
    skip: int = 0  # calls left alone first
    match: str = ""  # only for request targets that contain this text, for instance "page=2"
    delay_seconds: float = 30.0  # slow_start, hang
    bytes_per_second: int = 20  # slow_body
    status: int = 500  # status
    retry_after: int = 7  # seconds, for status 429 and 503
    retry_after_form: str = "none"  # seconds, date, none
    location: str = "http://elsewhere.invalid/api/v1/schedule"  # redirect
    size: int | None = None  # oversized, gzip_bomb


def parse_fault(value: object, own_kinds: frozenset[str]) -> Fault:
    """Read a fault from JSON. Raises BadRequest naming the field that is wrong."""
    if not isinstance(value, dict):
        raise BadRequest("A fault is an object with a kind.")
    names = {field.name for field in fields(Fault)}
    for name in value:
        if name not in names:
            raise BadRequest(f"A fault has no field {name!r}; it has {', '.join(sorted(names))}.")
    if not isinstance(value.get("kind"), str):
        raise BadRequest("A fault needs a kind.")
    fault = Fault(**value)
    _check(fault, own_kinds)
    return fault


def _check(fault: Fault, own_kinds: frozenset[str]) -> None:
    known = own_kinds | SPOILERS.keys()
    if fault.kind not in known:
        raise BadRequest(f"There is no fault {fault.kind!r}; there are {', '.join(sorted(known))}.")
    for name in ("calls", "skip", "status", "retry_after", "bytes_per_second", "size"):
        number = getattr(fault, name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
            raise BadRequest(f"{name} is a whole number, not {number!r}.")
    for name in ("share", "seconds", "delay_seconds"):
        number = getattr(fault, name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float) or number < 0):
            raise BadRequest(f"{name} is a number, not {number!r}.")
    if fault.calls == 0 or fault.share > 1 or fault.bytes_per_second == 0:
        raise BadRequest("calls and bytes_per_second are at least 1, share is at most 1.")
    if not isinstance(fault.match, str) or not isinstance(fault.location, str):
        raise BadRequest("match and location are text.")
    if fault.retry_after_form not in RETRY_AFTER_FORMS:
        raise BadRequest(f"retry_after_form is one of {', '.join(RETRY_AFTER_FORMS)}.")


class _Pending:
    """A fault in the queue with what is left of it."""

    def __init__(self, fault: Fault, until: datetime | None, chance: random.Random) -> None:
        self.fault, self.until, self.chance = fault, until, chance
        self.skip, self.calls_left = fault.skip, fault.calls

    def takes(self, target: str) -> bool:
        """Whether this call gets the fault; counts the call."""
        if self.fault.match not in target:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.fault.share < 1 and self.chance.random() >= self.fault.share:
            return False
        if self.calls_left is not None:
            self.calls_left -= 1
        return True


class FaultQueue:
    """Faults in the order they were added; a call gets the first that applies to it."""

    def __init__(self, clock: Clock, seed: int, own_kinds: frozenset[str]) -> None:
        self._clock, self._seed, self._own_kinds = clock, seed, own_kinds
        self._lock = threading.Lock()
        self._added = 0
        self._pending: list[_Pending] = []
        self._phases: list[tuple[datetime, Fault | None]] = []

    def add(self, *faults: Fault) -> None:
        for fault in faults:
            _check(fault, self._own_kinds)
        with self._lock:
            for fault in faults:
                until = None if fault.seconds is None else self._clock.now() + timedelta(seconds=fault.seconds)
                chance = random.Random(f"{self._seed}/{fault.kind}/{self._added}")
                self._added += 1
                self._pending.append(_Pending(fault, until, chance))

    def run_outage(self, phases: list[tuple[float, Fault | None]]) -> None:
        """Start an outage script now: each phase is (seconds of the sandbox's clock, fault or None for up)."""
        for _, fault in phases:
            if fault is not None:
                _check(fault, self._own_kinds)
        with self._lock:
            self._phases = []
            end = self._clock.now()
            for seconds, fault in phases:
                end += timedelta(seconds=seconds)
                self._phases.append((end, fault))

    def clear(self) -> None:
        """Drop all faults and end the outage."""
        with self._lock:
            self._pending.clear()
            self._phases.clear()

    def end_outage(self) -> None:
        with self._lock:
            self._phases.clear()

    def take(self, target: str) -> Fault | None:
        """The fault for a call to this target, if any; an outage comes before single faults."""
        if not self._pending and not self._phases:
            return None
        with self._lock:
            now = self._clock.now()
            for end, fault in self._phases:
                if now < end:
                    if fault is not None:
                        return fault
                    break
            self._pending = [p for p in self._pending if p.calls_left != 0 and (p.until is None or now < p.until)]
            return next((pending.fault for pending in self._pending if pending.takes(target)), None)

    def describe(self) -> dict[str, Any]:
        with self._lock:
            return {
                "pending": [
                    {**_as_json(pending.fault), "calls_left": pending.calls_left}
                    for pending in self._pending
                    if pending.calls_left != 0
                ],
                "outage": [
                    {"until": end.isoformat(), "fault": fault and _as_json(fault)} for end, fault in self._phases
                ],
            }


def _as_json(fault: Fault) -> dict[str, Any]:
    return {field.name: getattr(fault, field.name) for field in fields(Fault)}


def standard_outage(down: Fault | None = None) -> list[tuple[float, Fault | None]]:
    """Up for 10 minutes, down for 40, flapping for 10, then up: enough for breaker, alerts and recovery."""
    down = down or Fault("status", status=503)
    flapping: list[tuple[float, Fault | None]] = [(60, None), (60, down)] * 5
    return [(600, None), (2400, down), *flapping]


def retry_after_header(form: str, seconds: int, now: datetime) -> tuple[tuple[str, str], ...]:
    """Retry-After in the form asked for: seconds, an HTTP date, or no header at all."""
    if form == "none":
        return ()
    value = str(seconds) if form == "seconds" else format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    return (("Retry-After", value),)


def spoil(answer: Answer, fault: Fault, now: datetime) -> Answer:
    """What becomes of a provider's answer under this fault. A provider's own faults leave it as it is."""
    spoiler = SPOILERS.get(fault.kind)
    return spoiler(answer, fault, now) if spoiler else answer


def _slow_start(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(wait_seconds=fault.delay_seconds))


def _slow_body(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(bytes_per_second=fault.bytes_per_second))


def _hang(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(wait_seconds=fault.delay_seconds, never_answers=True, ending="close"))


def _reset(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(never_answers=True, ending="reset"))


def _reset_mid_body(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(body_bytes=len(answer.body) // 2, ending="reset"))


def _truncated_body(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, delivery=Delivery(body_bytes=len(answer.body) // 2, ending="close"))


def _cut_json(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _fixed_body(
    body: bytes, content_type: str | None = "application/json"
) -> Callable[[Answer, Fault, datetime], Answer]:
    def spoiler(answer: Answer, fault: Fault, now: datetime) -> Answer:
        return Answer(200, body, content_type=content_type)

    return spoiler


def _wrong_content_type(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return replace(answer, content_type="text/plain; charset=utf-8")


def _status(answer: Answer, fault: Fault, now: datetime) -> Answer:
    code = ERROR_CODES.get(fault.status, "fault")
    body = b'{"error": {"code": "%s", "message": "Fault switched on in the sandbox.", "request_id": null}}'
    retry_after = retry_after_header(fault.retry_after_form, fault.retry_after, now)
    return Answer(fault.status, body % code.encode(), retry_after)


def _redirect(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return Answer(302, b"", (("Location", fault.location),))


def _oversized(answer: Answer, fault: Fault, now: datetime) -> Answer:
    size = OVERSIZED_BYTES if fault.size is None else fault.size

    def stream() -> Iterator[bytes]:
        """Chunks without a Content-Length, so that only a client that counts while reading notices."""
        head, tail = b'{"padding": "', b'", "classes": []}'
        left = size - len(head) - len(tail)
        yield head
        while left > 0:
            yield b"x" * min(left, 65536)
            left -= 65536
        yield tail

    return Answer(200, stream=stream)


def _gzip(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return _gzipped(answer, gzip.compress(answer.body, 1)) if answer.body else answer


def _broken_gzip(answer: Answer, fault: Fault, now: datetime) -> Answer:
    packed = gzip.compress(answer.body or b"{}", 1)
    return _gzipped(answer, packed[:12] + b"\xff" * max(len(packed) - 12, 8))


def _gzip_bomb(answer: Answer, fault: Fault, now: datetime) -> Answer:
    return _gzipped(answer, _bomb(BOMB_BYTES if fault.size is None else fault.size))


def _gzipped(answer: Answer, packed: bytes) -> Answer:
    headers = tuple(header for header in answer.headers if header[0] != "ETag")
    return replace(answer, body=packed, headers=(*headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")))


@lru_cache(maxsize=4)
def _bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as bomb:
        bomb.write(b'{"classes": [')
        for _ in range(size // 65536):
            bomb.write(b" " * 65536)
        bomb.write(b"]}")
    return packed.getvalue()


SPOILERS: dict[str, Callable[[Answer, Fault, datetime], Answer]] = {
    "slow_start": _slow_start,
    "slow_body": _slow_body,
    "hang": _hang,
    "reset": _reset,
    "reset_mid_body": _reset_mid_body,
    "truncated_body": _truncated_body,
    "cut_json": _cut_json,
    "html": _fixed_body(LOGIN_PAGE, "text/html; charset=utf-8"),
    "empty": _fixed_body(b""),
    "empty_object": _fixed_body(b"{}"),
    "empty_list": _fixed_body(b"[]"),
    "null": _fixed_body(b"null"),
    "wrong_content_type": _wrong_content_type,
    "error_true": _fixed_body(b'{"data": null, "message": "Something went wrong.", "error": true}'),
    "status": _status,
    "redirect": _redirect,
    "oversized": _oversized,
    "gzip": _gzip,
    "broken_gzip": _broken_gzip,
    "gzip_bomb": _gzip_bomb,
}
# These need a body to spoil: a request that carries validators is answered in full while one of them applies.
NEEDS_BODY = frozenset(
    {"slow_body", "reset_mid_body", "truncated_body", "cut_json", "wrong_content_type", "broken_gzip", "gzip_bomb"}
)
