"""The sockets: pooled sessions by origin, connections that know where they may go, and a deadline on every wait.

requests and urllib3 are imported here and nowhere else. What they raise leaves as one of our own errors.
"""

import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, ClassVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from integrations import addresses, errors
from integrations.addresses import Origin

PARALLEL_CALLS = 2
"""Calls at a time to one origin, in one process."""
IDLE_SECONDS = 90.0
"""Shorter than the memory of most routers and balancers, which forget idle connections without a word."""
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Times:
    """When a request has to be over (monotonic), and the longest it may take to connect and to be silent."""

    ends_at: float
    connect_seconds: float
    read_seconds: float

    def left(self) -> float:
        """Return the seconds left. Raises TimeoutError when there are none."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of this call is over")
        return left


@dataclass(frozen=True, slots=True)
class Received:
    """What came back, whatever its status. Header names are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(
    origin: Origin, url: str, headers: Mapping[str, str], times: Times, *, body_bytes: int, allow_private: bool
) -> Received:
    """Send one GET and read its answer whole, within its times and size; no redirect is followed.

    Raises ProviderUnavailable, CertificateRefused, AddressRefused, NotConfigured, InvalidPayload, PayloadTooLarge; their
    texts never hold the address.
    """
    reset = _current.set(times)
    try:
        with _pools.session(origin, allow_private, times) as session:
            request = requests.PreparedRequest()
            request.prepare(method="GET", url=url, headers={"Accept-Encoding": "gzip", **headers})
            timeout = (min(times.connect_seconds, times.left()), min(times.read_seconds, times.left()))
            with session.send(request, stream=True, timeout=timeout, allow_redirects=False) as response:
                return Received(response.status_code, response.headers, _read_body(response, body_bytes))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _failure(error) from error
    finally:
        _current.reset(reset)


def close_idle() -> None:
    """Close connections that nobody used for a while; the others stay for the next run in this process."""
    _pools.close_idle()


def _failure(error: Exception) -> errors.IntegrationError:
    """Return our error for a request without an answer; its text names the kind and never the address asked."""
    causes = _causes(error)

    def came_from(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if came_from(requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        return errors.CertificateRefused("its certificate was refused")
    if came_from(requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader):
        return errors.NotConfigured("the address or the key has a form that cannot be sent")
    if came_from(requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError):
        return errors.InvalidPayload("a compressed answer that cannot be unpacked")
    if came_from(NameResolutionError):
        return errors.ProviderUnavailable("its name cannot be found")
    if came_from(ConnectionRefusedError):
        return errors.ProviderUnavailable("it refused the connection")
    # Before the time-outs: urllib3 counts a connection that was not made among them, whatever the reason.
    if came_from(NewConnectionError):
        return errors.ProviderUnavailable("it cannot be reached")
    if came_from(TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        return errors.ProviderUnavailable("it did not answer in time")
    if came_from(urllib3.exceptions.ProtocolError):
        return errors.ProviderUnavailable("the connection broke off")
    return errors.ProviderUnavailable("it cannot be reached")


def _causes(error: BaseException | None) -> list[BaseException]:
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


# The layers between a request and its socket pass no deadline on; an attempt stays in its thread from start to end.
_current: ContextVar[Times] = ContextVar("times")


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

    def session(self, origin: Origin, allow_private: bool, times: Times) -> "_Borrowed":
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
    times: Times

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
        times = _current.get()
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
    times = _current.get()
    seconds = min(times.connect_seconds, times.left())
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


_pools = _Pools()
os.register_at_fork(after_in_child=_pools.forget)
