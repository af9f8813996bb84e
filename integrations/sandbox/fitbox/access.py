"""Who may ask the sandbox's Fitbox, and how often: keys and the moving window of the rate limit."""

import math
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from integrations.sandbox.faults import RETRY_AFTER_FORMS, retry_after_header
from integrations.sandbox.messages import Answer, BadRequest, Request, error_answer

# Keys of the sandbox only; they open nothing else.
SANDBOX_FITBOX_KEY = "sandbox-fitbox-key"
EXPIRED_KEY = "sandbox-fitbox-expired"
FORBIDDEN_KEY = "sandbox-fitbox-forbidden"
KEY_STATES = ("valid", "expired", "forbidden")
# Names under which a client might put a key into a URL, where proxies and logs would keep it.
KEY_PARAMETERS = frozenset({"api_key", "apikey", "key", "token", "access_token", "authorization"})


def _sandbox_keys() -> dict[str, str]:
    return {SANDBOX_FITBOX_KEY: "valid", EXPIRED_KEY: "expired", FORBIDDEN_KEY: "forbidden"}


@dataclass(frozen=True)
class Switches:
    """How the sandbox's Fitbox behaves, apart from its data and its faults."""

    ignore_parameters: bool = False  # everything in one answer, whatever was asked
    no_validators: bool = False  # neither ETag nor Last-Modified, and no 304
    frozen_etag: bool = False  # the ETag never changes although the data do
    rate_limit: int | None = 60  # calls of one key in any `rate_window_seconds`; None: no limit
    rate_window_seconds: float = 60.0
    retry_after_form: str = "seconds"  # of the 429 above the limit: seconds, date, none
    bookings_frozen: bool = False
    timezone: str = "Australia/Melbourne"
    keys: dict[str, str] = field(default_factory=_sandbox_keys)

    def __post_init__(self) -> None:
        """Raises BadRequest, since switches also come over the control API."""
        for name in ("ignore_parameters", "no_validators", "frozen_etag", "bookings_frozen"):
            if not isinstance(getattr(self, name), bool):
                raise BadRequest(f"{name} is true or false.")
        if self.rate_limit is not None and (not isinstance(self.rate_limit, int) or self.rate_limit < 1):
            raise BadRequest("rate_limit is a whole number from 1, or null for none.")
        if not isinstance(self.rate_window_seconds, int | float) or self.rate_window_seconds <= 0:
            raise BadRequest("rate_window_seconds is a number above 0.")
        if self.retry_after_form not in RETRY_AFTER_FORMS:
            raise BadRequest(f"retry_after_form is one of {', '.join(RETRY_AFTER_FORMS)}.")
        if not isinstance(self.keys, dict) or not set(self.keys.values()) <= set(KEY_STATES):
            raise BadRequest(f"keys is an object of key and state; states are {', '.join(KEY_STATES)}.")


class RateLimiter:
    """Calls a key in a window that moves with the clock; refused calls are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()

    def wait_seconds(self, key: str, limit: int, window_seconds: float, now: datetime) -> int:
        """Count a call and return 0, or return how many whole seconds the next one must wait."""
        window = timedelta(seconds=window_seconds)
        with self._lock:
            calls = self._calls[key]
            while calls and (now - calls[0] >= window or now < calls[0]):
                calls.popleft()
            if len(calls) < limit:
                calls.append(now)
                return 0
            return max(math.ceil((calls[0] + window - now).total_seconds()), 1)


def key_of(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def has_key_in_url(request: Request, keys: dict[str, str]) -> bool:
    if "?" not in request.target and not any(key in request.target for key in keys):
        return False
    named = any(name.lower() in KEY_PARAMETERS for name in request.query)
    return named or any(key in request.decoded_target for key in keys)


def refusal(request: Request, switches: Switches, limiter: RateLimiter, now: datetime) -> Answer | None:
    """The 401, 403 or 429 this request gets; None lets it pass and counts it."""
    key = key_of(request)
    state = switches.keys.get(key or "")
    challenge = ("WWW-Authenticate", "Bearer")
    if key is None:
        return error_answer(401, "key_missing", "Send Authorization: Bearer and a key.", request, challenge)
    if state is None:
        return error_answer(401, "key_unknown", "This key is not known.", request, challenge)
    if state == "expired":
        return error_answer(401, "key_expired", "This key has expired.", request, challenge)
    if state == "forbidden":
        return error_answer(403, "key_without_permission", "This key may not read the schedule.", request)
    if switches.rate_limit is None:
        return None
    wait = limiter.wait_seconds(key, switches.rate_limit, switches.rate_window_seconds, now)
    if not wait:
        return None
    after = retry_after_header(switches.retry_after_form, wait, now)
    message = f"More than {switches.rate_limit} calls in {switches.rate_window_seconds:g} seconds."
    return error_answer(429, "rate_limited", message, request, *after)
