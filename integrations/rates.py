"""How often a provider may be asked, over all workers together: a moving window kept in the database.

`limits` has the strategy, the storage is ours and one row a limit. A call is granted by one conditional UPDATE, so two
workers can never both take the last place; a refused call raises at once, and the run, not the worker, waits.
Why the database: docs/decisions/0004-rate-limits-in-the-database.md.
"""

import time
from typing import Any

from django.db import Error, connection
from limits import RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from integrations.errors import RateLimited
from integrations.models import RateWindow

# Granted while fewer than `limit` calls are noted or the limit-th newest has left the window. As soon as the list is
# full its oldest entry makes room, so a row never grows beyond the limit. PostgreSQL need not wait for its disk: a count
# that a crash of the server takes back is at most one call too many.
_TAKE = {
    "postgresql": """
        WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        UPDATE integrations_ratewindow
        SET calls = CASE WHEN jsonb_array_length(calls) >= %(limit)s THEN calls - 0 ELSE calls END
            || to_jsonb(%(now)s::float8)
        FROM relaxed
        WHERE key = %(key)s
          AND (jsonb_array_length(calls) < %(limit)s OR (calls ->> -%(limit)s)::float8 <= %(since)s)
    """,
    "sqlite": """
        UPDATE integrations_ratewindow
        SET calls = json_insert(
            CASE WHEN json_array_length(calls) >= %(limit)s THEN json_remove(calls, '$[0]') ELSE calls END,
            '$[#]', %(now)s)
        WHERE key = %(key)s
          AND (json_array_length(calls) < %(limit)s OR json_extract(calls, '$[#-' || %(limit)s || ']') <= %(since)s)
    """,
}


def acquire(key: str, limit: int, per_seconds: int) -> None:
    """Count one call under `key`. Raises RateLimited, with the seconds until a place is free, when there is none."""
    if _limiter.hit(_item(limit, per_seconds), key):
        return
    raise RateLimited(
        f"{limit} calls in {per_seconds} s are used up", retry_after=seconds_until_free(key, limit, per_seconds)
    )


def seconds_until_free(key: str, limit: int, per_seconds: int) -> float:
    """Return how long until another call would be granted; 0 when it would be now."""
    stats = _limiter.get_window_stats(_item(limit, per_seconds), key)
    return 0.0 if stats.remaining > 0 else max(stats.reset_time - time.time(), 0.0)


class DatabaseStorage(Storage, MovingWindowSupport):
    """The part of `limits`' storage that a moving window needs, over the table RateWindow."""

    # No scheme: the class is not found by address, and it has no options to parse from one.
    STORAGE_SCHEME = None

    @property
    def base_exceptions(self) -> type[Exception]:
        return Error

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if amount != 1:
            raise ValueError("calls are counted one at a time")
        if self._take(key, limit, expiry):
            return True
        # Refused, or the first call ever under this key: only the second makes a row, so the common case stays one statement.
        made = RateWindow.objects.bulk_create([RateWindow(key=key)], ignore_conflicts=True)
        return bool(made) and self._take(key, limit, expiry)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the oldest counted instant of the window (now, if there is none) and how many calls it holds."""
        now = time.time()
        calls = RateWindow.objects.filter(key=key).values_list("calls", flat=True).first() or []
        counted = sorted(call for call in calls if call > now - expiry)[-limit:]
        return (counted[0] if counted else now), len(counted)

    def check(self) -> bool:
        connection.ensure_connection()
        return True

    def reset(self) -> int | None:
        return RateWindow.objects.all().delete()[0]

    def clear(self, key: str) -> None:
        RateWindow.objects.filter(key=key).delete()

    # The counters of other strategies, which `limits` wants of every storage, told in terms of the window.

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("this storage holds moving windows only")

    def get(self, key: str) -> int:
        return len(RateWindow.objects.filter(key=key).values_list("calls", flat=True).first() or [])

    def get_expiry(self, key: str) -> float:
        return time.time()

    def _take(self, key: str, limit: int, expiry: int) -> bool:
        now = time.time()
        values: dict[str, Any] = {"key": key, "limit": limit, "now": now, "since": now - expiry}
        with connection.cursor() as cursor:
            cursor.execute(_TAKE[connection.vendor], values)
            return bool(cursor.rowcount == 1)


class _Calls(RateLimitItemPerSecond):
    """A limit whose window stays when the limit changes: the calls were made, whatever was allowed then."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return "/".join(str(identifier) for identifier in identifiers)


def _item(limit: int, per_seconds: int) -> _Calls:
    return _Calls(limit, per_seconds)


_limiter = MovingWindowRateLimiter(DatabaseStorage())
