"""One moving window for all workers: never more than the limit in any 60 seconds, whoever asks."""

import threading
import time
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations import rates
from integrations.errors import RateLimited
from integrations.models import RateWindow

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def granted(key: str, limit: int, count: int) -> int:
    passed = 0
    for _ in range(count):
        try:
            rates.acquire(key, limit, 60)
        except RateLimited:
            continue
        passed += 1
    return passed


@pytest.mark.django_db
@pytest.mark.req("X-06", "TT-03")
def test_a_window_grants_its_limit_and_says_when_the_next_place_is_free() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        assert granted("a", 3, 1) == 1
        clock.shift(20)
        assert granted("a", 3, 5) == 2
        with pytest.raises(RateLimited) as raised:
            rates.acquire("a", 3, 60)
        assert raised.value.retry_after == pytest.approx(40)
        assert rates.seconds_until_free("a", 3, 60) == pytest.approx(40)


@pytest.mark.django_db
@pytest.mark.req("X-06")
def test_the_window_moves_and_never_starts_anew() -> None:
    """60 at the end of one minute and 60 at the start of the next would be a fixed window's mistake."""
    with time_machine.travel(NOON, tick=False) as clock:
        assert granted("a", 60, 61) == 60
        clock.shift(59)
        assert granted("a", 60, 1) == 0
        clock.shift(1)
        assert granted("a", 60, 61) == 60
        clock.shift(30)
        assert granted("a", 60, 1) == 0


@pytest.mark.django_db
def test_keys_have_windows_of_their_own() -> None:
    assert granted("a", 2, 3) == 2
    assert granted("b", 2, 3) == 2


@pytest.mark.django_db
def test_a_limit_that_changed_holds_at_once() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        assert granted("a", 5, 5) == 5
        clock.shift(1)
        assert granted("a", 2, 1) == 0
        assert granted("a", 7, 5) == 2


@pytest.mark.django_db
def test_a_row_never_grows_beyond_its_limit() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(5):
            assert granted("a", 4, 4) == 4
            clock.shift(61)
    assert [len(row.calls) for row in RateWindow.objects.all()] == [4]


@pytest.mark.django_db
def test_a_granted_call_costs_one_statement() -> None:
    rates.acquire("a", 60, 60)
    with CaptureQueriesContext(connection) as queries:
        rates.acquire("a", 60, 60)
    assert len(queries) == 1


@pytest.mark.postgresql_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.req("X-06", "TT-03")
def test_workers_that_ask_at_the_same_moment_share_one_window() -> None:
    passed: list[int] = []
    start = threading.Barrier(6)

    def work() -> None:
        try:
            start.wait()
            passed.append(granted("shared", 20, 15))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 20


@pytest.mark.django_db
def test_the_storage_tells_what_it_holds() -> None:
    storage = rates.DatabaseStorage()
    assert storage.acquire_entry("k", 2, 60) and storage.acquire_entry("k", 2, 60)
    assert not storage.acquire_entry("k", 2, 60)
    oldest, count = storage.get_moving_window("k", 2, 60)
    assert count == storage.get("k") == 2 and oldest <= time.time()
    storage.clear("k")
    assert storage.get_moving_window("k", 2, 60)[1] == 0
    with pytest.raises(ValueError, match="one at a time"):
        storage.acquire_entry("k", 2, 60, amount=2)
