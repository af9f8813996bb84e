"""The only door to the network: pooled sessions, time and body limits, retries, rate limit, breaker, guarded addresses.

`Client.get` is one logical read. Each of its attempts asks the breaker, counts against the rate limit, ends by its own
deadline and is logged once; which errors may succeed later, and after how long, is decided here and nowhere else.
Only safe requests exist here so far, so everything may be repeated.
"""

import copy
import http.client
import io
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
import requests
import tenacity
import urllib3
from django.utils import timezone
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from integrations import addresses, breaker, errors, rates
from integrations.addresses import Origin
from integrations.records import Validator

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER = 15 * 60.0
"""What a provider may ask of us at most, in seconds."""
LONGEST_WAIT = 10.0
"""A longer Retry-After ends the run instead: a worker does not sleep on it."""
LONGEST_BACKOFF = 4.0
REDIRECTS = 3
PARALLEL_CALLS = 2
"""Calls at a time to one origin, in one process."""
IDLE_SECONDS = 90.0
"""Shorter than the memory of most routers and balancers, which forget idle connections without a word."""
CHUNK = 64 * 1024
TRIAL_MARGIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how often, how much. `total_seconds` bounds one attempt whole, however slowly its bytes come."""

    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    total_seconds: float = 10.0
    retries: int = 3
    body_bytes: int = 5 * 2**20
    """Of the body as we would read it, after unpacking."""
    calls: int = 60
    per_seconds: int = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: 2xx, or 304 if the request was conditional. Header names are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    not_modified: bool
    elapsed: float
    """Seconds of the attempt that succeeded."""

    def json(self) -> Any:
        """Return the body as JSON, whatever its content type says. Raises InvalidPayload."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            what = "an empty answer" if not self.body.strip() else "something that is not JSON"
            if self.body.lstrip()[:1] == b"<":
                what = "a web page instead of data"
            raise errors.InvalidPayload(what) from error

    @property
    def validator(self) -> Validator:
        return Validator(self.headers.get("ETag", "")[:1000], self.headers.get("Last-Modified", "")[:100])


class Client:
    """One account at one provider. Connections are shared by all clients of the process that ask the same origin.

    `deadline` is the end of the whole run on the monotonic clock. `on_call` hears the number of requests sent so far.
    Without a `breaker_key` no breaker is asked: a person waits for the answer of this very call.
    """

    def __init__(
        self,
        provider: str,
        account_key: str,
        base_url: str,
        limits: Limits = Limits(),
        headers: Mapping[str, str] | None = None,
        *,
        allow_private: bool = False,
        deadline: float | None = None,
        on_call: Callable[[int], None] | None = None,
        breaker_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.provider = provider
        self.base_url = base_url.rstrip("/")
        self.origin = addresses.origin_of(base_url)
        self.limits = limits
        self.calls = 0
        self.latencies_ms: list[float] = []
        self._key = f"{provider}:{account_key}"
        self._breaker_key = self._key if breaker_key is None else breaker_key
        self._headers = dict(headers or {})
        self._allow_private = allow_private
        self._deadline = deadline
        self._on_call = on_call
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Connections stay open for the next run in this process; only those that nobody used for a while go.
        _pools.close_idle()

    def address(self, path: str, params: Mapping[str, str] | None = None) -> str:
        query = f"?{urlencode(params)}" if params else ""
        return f"{self.base_url}{path}{query}"

    def get(self, path: str, params: Mapping[str, str] | None = None, *, validator: Validator | None = None) -> Answer:
        """Read one address. With a validator the answer may be "not modified". Raises IntegrationError.

        Equal reads at the same time in one process are one request, and share its outcome.
        """
        url = self.address(path, params)
        headers = self._headers | _conditions(validator)
        flight_key = (self._key, url, tuple(headers.items()))
        while True:
            flight, leads = _flights.join(flight_key)
            if leads:
                return self._lead(flight, flight_key, url, headers)
            if outcome := flight.outcome(self._seconds_left()):
                return outcome

    def _lead(self, flight: "_Flight", key: "_FlightKey", url: str, headers: Mapping[str, str]) -> Answer:
        try:
            flight.answer = self._with_retries(url, headers)
            return flight.answer
        except errors.IntegrationError as error:
            flight.error = error
            raise
        finally:
            _flights.land(key, flight)

    # --- attempts

    def _with_retries(self, url: str, headers: Mapping[str, str]) -> Answer:
        retrying = tenacity.Retrying(
            stop=self._gives_up,
            wait=_wait_before_next,
            retry=tenacity.retry_if_exception(_may_succeed_soon),
            sleep=self._sleep,
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                return self._attempt(url, headers, attempt.retry_state.attempt_number)
        raise AssertionError("tenacity ends by an answer or an error")

    def _gives_up(self, state: tenacity.RetryCallState) -> bool:
        if state.attempt_number > self.limits.retries:
            return True
        return self._deadline is not None and time.monotonic() + state.upcoming_sleep >= self._deadline

    def _attempt(self, url: str, headers: Mapping[str, str], number: int) -> Answer:
        """Make one request, redirects within its origin followed, and tell breaker and rate limit of it."""
        times = self._times()
        permit = self._permit()
        settled = False
        try:
            answer = self._follow(url, headers, number, times)
            settled = True
            if permit:
                breaker.record(permit, True, timezone.now())
            return answer
        except errors.IntegrationError as error:
            if permit and error.counts_for_breaker:
                settled = True
                breaker.record(permit, False, timezone.now())
            raise
        finally:
            if permit and not settled:
                breaker.release(permit)

    def _permit(self) -> breaker.Permit | None:
        if not self._breaker_key:
            return None
        trial_for = timedelta(seconds=self.limits.total_seconds) + TRIAL_MARGIN
        try:
            return breaker.before_call(self._breaker_key, timezone.now(), trial_for=trial_for)
        except errors.CircuitOpen as error:
            error.provider = self.provider
            raise

    def _follow(self, url: str, headers: Mapping[str, str], number: int, times: "_Times") -> Answer:
        for _ in range(REDIRECTS + 1):
            answer = self._send(url, headers, number, times)
            if answer.status not in (301, 302, 303, 307, 308):
                return _checked(answer, headers, self.provider)
            target = urljoin(url, answer.headers.get("Location", ""))
            if addresses.origin_of(target) != self.origin:
                # Nothing is sent there, least of all the key.
                raise errors.AddressRefused("it redirects to another server", provider=self.provider)
            url = target
        raise errors.InvalidPayload("it redirects in a circle", provider=self.provider)

    def _send(self, url: str, headers: Mapping[str, str], number: int, times: "_Times") -> Answer:
        try:
            rates.acquire(self._key, self.limits.calls, self.limits.per_seconds)
        except errors.RateLimited as error:
            error.provider = self.provider
            raise
        request_id = str(uuid.uuid4())
        self.calls += 1
        began, status = time.perf_counter(), "none"
        try:
            answer = self._exchange(url, {**headers, "X-Request-Id": request_id}, times)
            status = str(answer.status)
        except errors.IntegrationError as error:
            status = error.code
            raise
        finally:
            milliseconds = (time.perf_counter() - began) * 1000
            self.latencies_ms.append(milliseconds)
            logger.info(
                "call provider=%s method=GET path=%s status=%s ms=%.0f request=%s attempt=%d",
                self.provider,
                urlsplit(url).path,
                status,
                milliseconds,
                request_id,
                number,
            )
        if self._on_call:
            self._on_call(self.calls)
        return answer

    def _exchange(self, url: str, headers: Mapping[str, str], times: "_Times") -> Answer:
        """Send one request and read its answer whole, within its time and size."""
        began = time.monotonic()
        reset = _times.set(times)
        try:
            with _pools.session(self.origin, self._allow_private, times) as session:
                request = requests.PreparedRequest()
                request.prepare(method="GET", url=url, headers={"Accept-Encoding": "gzip", **headers})
                timeout = (min(self.limits.connect_seconds, times.left()), min(self.limits.read_seconds, times.left()))
                with session.send(request, stream=True, timeout=timeout, allow_redirects=False) as response:
                    body = _read_body(response, self.limits.body_bytes)
                    status, answered = response.status_code, response.headers
        except errors.IntegrationError as error:
            error.provider = self.provider
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failure(error, self.provider) from error
        finally:
            _times.reset(reset)
        return Answer(status, answered, body, url, status == 304, time.monotonic() - began)

    def _times(self) -> "_Times":
        ends_at = time.monotonic() + self.limits.total_seconds
        if self._deadline is not None and self._deadline < ends_at:
            ends_at = self._deadline
        if ends_at <= time.monotonic():
            refused = errors.ProviderUnavailable("the run's time is used up", provider=self.provider)
            refused.retriable = False
            raise refused
        return _Times(ends_at, self.limits.read_seconds)

    def _seconds_left(self) -> float:
        """Return the longest that this client would wait for one read with all its retries."""
        longest = (self.limits.retries + 1) * (self.limits.total_seconds + LONGEST_WAIT)
        return longest if self._deadline is None else max(min(longest, self._deadline - time.monotonic()), 0.0)


# --- what a status means, and what may be tried again -----------------------------------------------------------------


def _checked(answer: Answer, sent: Mapping[str, str], provider: str) -> Answer:
    """Return a good answer, or raise the one error that its status stands for."""
    status = answer.status
    if 200 <= status < 300 and status != 206:
        return answer
    if status == 304 and not {"If-None-Match", "If-Modified-Since"}.isdisjoint(sent):
        return answer
    wait = _retry_after(answer.headers)
    match status:
        case 401:
            raise errors.CredentialRejected("the key is unknown or expired", provider=provider, status=status)
        case 403:
            raise errors.AccessDenied("access is denied", provider=provider, status=status)
        case 404:
            raise errors.NotConfigured("the address leads nowhere (404)", provider=provider, status=status)
        case 410:
            raise errors.CursorExpired(provider=provider, status=status)
        case 412:
            raise errors.PreconditionFailed(provider=provider, status=status)
        case 429:
            raise errors.RateLimited("it asked for a pause", provider=provider, status=status, retry_after=wait)
    if 400 <= status < 500:
        raise errors.RequestRejected(f"status {status}", provider=provider, status=status)
    if status >= 500:
        raise errors.ProviderUnavailable(f"status {status}", provider=provider, status=status, retry_after=wait)
    raise errors.InvalidPayload(f"an answer of status {status}", provider=provider, status=status)


def _failure(error: Exception, provider: str) -> errors.IntegrationError:
    """Return our error for a request without an answer; its text names the kind and never the address asked."""
    causes = list(_causes(error))
    if any(isinstance(cause, requests.exceptions.SSLError | urllib3.exceptions.SSLError) for cause in causes):
        return errors.CertificateRefused("its certificate was refused", provider=provider)
    if any(isinstance(cause, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader) for cause in causes):
        return errors.NotConfigured("the address or the key has a form that cannot be sent", provider=provider)
    if any(
        isinstance(cause, requests.exceptions.ContentDecodingError | urllib3.exceptions.DecodeError) for cause in causes
    ):
        return errors.InvalidPayload("a compressed answer that cannot be unpacked", provider=provider)
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return errors.ProviderUnavailable("its name cannot be found", provider=provider)
    if any(
        isinstance(cause, TimeoutError | requests.exceptions.Timeout | urllib3.exceptions.TimeoutError)
        for cause in causes
    ):
        return errors.ProviderUnavailable("it did not answer in time", provider=provider)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return errors.ProviderUnavailable("it refused the connection", provider=provider)
    if any(isinstance(cause, urllib3.exceptions.ProtocolError) for cause in causes):
        return errors.ProviderUnavailable("the connection broke off", provider=provider)
    return errors.ProviderUnavailable("it cannot be reached", provider=provider)


def _causes(error: BaseException | None) -> "list[BaseException]":
    """Return an error with all it was raised from; urllib3 also keeps causes as arguments."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or current in found:
            continue
        found.append(current)
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return found


def _may_succeed_soon(error: BaseException) -> bool:
    """Whether the same request is worth repeating within this run. Our own refusals never are: they have no status."""
    if not isinstance(error, errors.IntegrationError) or (error.retry_after or 0.0) > LONGEST_WAIT:
        return False
    return error.retriable or (isinstance(error, errors.RateLimited) and error.status == 429)


def _wait_before_next(state: tenacity.RetryCallState) -> float:
    """Exponential with full jitter, up to 1, 2, 4 s; never before the instant that the provider asked for."""
    error = state.outcome.exception() if state.outcome else None
    jitter = random.uniform(0.0, min(2.0 ** (state.attempt_number - 1), LONGEST_BACKOFF))  # noqa: S311 - no secret
    if isinstance(error, errors.IntegrationError) and error.retry_after is not None:
        return error.retry_after + min(jitter, 1.0)
    return jitter


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds, at most 15 minutes; None if absent or unreadable. RFC 9110, section 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 10:
        return min(float(text), LONGEST_RETRY_AFTER)
    if (until := _http_date(text)) is None:
        return None
    # Measured on the provider's own clock where it tells it, which may be a day off.
    now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _conditions(validator: Validator | None) -> dict[str, str]:
    if validator is None:
        return {}
    sent = {"If-None-Match": validator.etag, "If-Modified-Since": validator.last_modified}
    return {name: value for name, value in sent.items() if value}


def _read_body(response: requests.Response, limit: int) -> bytes:
    """Read an answer's body, unpacked piece by piece, and stop at the limit. Raises PayloadTooLarge."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise errors.PayloadTooLarge(f"an answer of more than {limit} bytes")
    pieces: list[bytes] = []
    size = 0
    for piece in response.raw.stream(CHUNK, decode_content=True):
        size += len(piece)
        if size > limit:
            raise errors.PayloadTooLarge(f"an answer of more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


# --- one request for equal reads at the same time ---------------------------------------------------------------------

_FlightKey = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Flight:
    """A read under way, and what came of it."""

    landed: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    error: errors.IntegrationError | None = None

    def outcome(self, timeout: float) -> Answer | None:
        """Wait for the leader. None: it ended by an error of its own side, so the next one has to try."""
        if not self.landed.wait(timeout):
            raise errors.ProviderUnavailable("it did not answer in time")
        if self.error is not None:
            raise copy.copy(self.error) from self.error
        return self.answer


class _Flights:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[_FlightKey, _Flight] = {}

    def join(self, key: _FlightKey) -> tuple[_Flight, bool]:
        """Return the flight of this key, and whether the caller has to make it."""
        with self._lock:
            if (flight := self._flying.get(key)) is not None:
                return flight, False
            flight = self._flying[key] = _Flight()
            return flight, True

    def land(self, key: _FlightKey, flight: _Flight) -> None:
        with self._lock:
            del self._flying[key]
        flight.landed.set()


# --- pooled sessions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Times:
    """When the attempt of this thread has to be over (monotonic), and the longest silence within it."""

    ends_at: float
    read_seconds: float

    def left(self) -> float:
        """Return the seconds left. Raises TimeoutError when there are none."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of this call is over")
        return left


# The layers between a request and its socket pass no deadline on; an attempt stays in its thread from start to end.
_times: ContextVar[_Times] = ContextVar("times")


class _Session:
    """A pooled session of one origin, handed to at most two threads at a time."""

    def __init__(self, allow_private: bool) -> None:
        self.requests = requests.Session()
        # No proxies, no .netrc and no certificates from the environment; no cookies from one account to another.
        self.requests.trust_env = False
        self.requests.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _GuardedAdapter(allow_private)
        self.requests.mount("http://", adapter)
        self.requests.mount("https://", adapter)
        self.places = threading.BoundedSemaphore(PARALLEL_CALLS)
        self.users = 0
        self.idle_since = time.monotonic()


class _Pools:
    """The sessions of this process, by origin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[tuple[Origin, bool], _Session] = {}

    def session(self, origin: Origin, allow_private: bool, times: _Times) -> "_Borrowed":
        with self._lock:
            session = self._sessions.get((origin, allow_private))
            if session is None:
                session = self._sessions[origin, allow_private] = _Session(allow_private)
            session.users += 1
        return _Borrowed(self, session, times)

    def give_back(self, session: _Session) -> None:
        with self._lock:
            session.users -= 1
            session.idle_since = time.monotonic()

    def close_idle(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """Close the connections of origins that nobody asked for a while."""
        oldest = time.monotonic() - idle_seconds
        with self._lock:
            idle = [
                key for key, session in self._sessions.items() if not session.users and session.idle_since <= oldest
            ]
            closing = [self._sessions.pop(key) for key in idle]
        for session in closing:
            session.requests.close()

    def forget(self) -> None:
        """Start anew in a child process: connections of the parent are the parent's."""
        self._lock = threading.Lock()
        self._sessions = {}


@dataclass(slots=True)
class _Borrowed:
    pools: _Pools
    session: _Session
    times: _Times

    def __enter__(self) -> requests.Session:
        try:
            if not self.session.places.acquire(timeout=self.times.left()):
                raise TimeoutError("no connection became free in time")
        except TimeoutError:
            self.pools.give_back(self.session)
            raise
        return self.session.requests

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.places.release()
        self.pools.give_back(self.session)


class _TimedReader(io.RawIOBase):
    """Reads a socket; every wait is cut to what is left of the call, so that dribbling bytes cannot stretch it."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        times = _times.get()
        self._sock.settimeout(min(times.left(), times.read_seconds))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


def _open_socket(connection: HTTPConnection, allow_private: bool) -> socket.socket:
    """Resolve the host once, judge its addresses, and connect to one of just these, all within the connect time."""
    timeout = connection.timeout
    seconds = timeout if isinstance(timeout, int | float) else Limits().connect_seconds
    ends_at = time.monotonic() + seconds
    try:
        found = addresses.resolve(connection.host, connection.port, allow_private=allow_private, timeout=seconds)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, str(error)) from error
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    failure: OSError = OSError("it has no address")
    for resolved in found:
        sock = socket.socket(resolved.family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(max(ends_at - time.monotonic(), 0.001))
            sock.connect(resolved.address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "the connection was not made in time") from failure
    raise NewConnectionError(connection, "no connection") from failure


class _GuardedHTTP(HTTPConnection):
    response_class = _TimedResponse
    allow_private: ClassVar[bool] = False

    def _new_conn(self) -> socket.socket:
        return _open_socket(self, self.allow_private)


class _GuardedHTTPS(HTTPSConnection):
    """The certificate is checked against the name asked for, not against the address that the name led to."""

    response_class = _TimedResponse
    allow_private: ClassVar[bool] = False

    def _new_conn(self) -> socket.socket:
        return _open_socket(self, self.allow_private)


class _OpenHTTP(_GuardedHTTP):
    allow_private = True


class _OpenHTTPS(_GuardedHTTPS):
    allow_private = True


class _GuardedHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _GuardedHTTP


class _GuardedHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPS


class _OpenHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OpenHTTP


class _OpenHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OpenHTTPS


class _GuardedAdapter(HTTPAdapter):
    """requests' own transport, over connections that know which addresses they may go to."""

    def __init__(self, allow_private: bool) -> None:
        super().__init__(pool_connections=1, pool_maxsize=PARALLEL_CALLS, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = (
            {"http": _OpenHTTPPool, "https": _OpenHTTPSPool}
            if allow_private
            else {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}
        )


_flights = _Flights()
_pools = _Pools()
os.register_at_fork(after_in_child=_pools.forget)
