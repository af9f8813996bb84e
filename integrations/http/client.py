"""One account at one provider, as its adapter sees it: `Client.get` gives a good answer or raises one of our errors.

`get` is one logical read. Each of its attempts asks the breaker, counts against the rate limit, ends by its own deadline
and is logged once; which errors may succeed later, and after how long, is decided here and nowhere else. Only safe
requests exist here so far, so everything may be repeated.
"""

import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
import tenacity
from django.utils import timezone

from integrations import addresses, breaker, errors, rates
from integrations.http import wire
from integrations.http.flights import Flight, Flights, Key
from integrations.http.wire import Times
from integrations.records import Validator

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER = 15 * 60.0
"""What a provider may ask of us at most, in seconds."""
LONGEST_WAIT = 10.0
"""A longer Retry-After ends the run instead: a worker does not sleep on it."""
LONGEST_BACKOFF = 4.0
LONGEST_VALIDATOR = 1000
REDIRECTS = 3
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
        """What a later request may send to ask for this address only if it changed. A huge one is as good as none."""
        etag, modified = self.headers.get("ETag", ""), self.headers.get("Last-Modified", "")
        fits = len(etag) + len(modified) <= LONGEST_VALIDATOR
        return Validator(etag, modified) if fits else Validator()


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
        wire.close_idle()

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

    def _lead(self, flight: Flight[Answer], key: Key, url: str, headers: Mapping[str, str]) -> Answer:
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

    def _follow(self, url: str, headers: Mapping[str, str], number: int, times: Times) -> Answer:
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

    def _send(self, url: str, headers: Mapping[str, str], number: int, times: Times) -> Answer:
        try:
            rates.acquire(self._key, self.limits.calls, self.limits.per_seconds)
        except errors.RateLimited as error:
            error.provider = self.provider
            raise
        request_id = str(uuid.uuid4())
        self.calls += 1
        if self._on_call:
            # Before the call: one that fails was made all the same.
            self._on_call(self.calls)
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
        return answer

    def _exchange(self, url: str, headers: Mapping[str, str], times: Times) -> Answer:
        """Send one request and read its answer whole, within its time and size."""
        began = time.monotonic()
        try:
            got = wire.get(
                self.origin,
                url,
                headers,
                times,
                body_bytes=self.limits.body_bytes,
                allow_private=self._allow_private,
            )
        except errors.IntegrationError as error:
            error.provider = self.provider
            raise
        return Answer(got.status, got.headers, got.body, url, got.status == 304, time.monotonic() - began)

    def _times(self) -> Times:
        ends_at = time.monotonic() + self.limits.total_seconds
        if self._deadline is not None and self._deadline < ends_at:
            ends_at = self._deadline
        if ends_at <= time.monotonic():
            refused = errors.ProviderUnavailable("the run's time is used up", provider=self.provider)
            refused.retriable = False
            raise refused
        return Times(ends_at, self.limits.connect_seconds, self.limits.read_seconds)

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


_flights: Flights[Answer] = Flights()
os.register_at_fork(after_in_child=_flights.forget)
