"""The breaker's windows and its three states, with its one row shared by all workers."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations import breaker
from integrations.breaker import Permit, Standing, State
from integrations.errors import CircuitOpen

pytestmark = [pytest.mark.django_db, pytest.mark.req("X-07")]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def call(ok: bool, seconds: float = 0) -> None:
    breaker.record(breaker.before_call("k", at(seconds)), ok, at(seconds))


def calls(text: str, step: float = 1) -> None:
    """Make calls in order: `.` succeeds, `x` fails."""
    for place, each in enumerate(text):
        call(each == ".", place * step)


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("xxx", False),
        ("xxxx", True),
        ("..xx", True),
        ("xx..", False),
        (".....xxx", False),
        (".....xxxx", False),
        (".....xxxxx", True),
        ("..........xxxx", False),
        ("..........xxxxx", True),
    ],
)
def test_it_opens_at_half_of_the_last_ten_but_not_below_four_calls(text: str, opens: bool) -> None:
    calls(text)
    assert (breaker.state("k", at(len(text))).state is State.OPEN) == opens


def test_calls_older_than_ten_minutes_do_not_count() -> None:
    calls("xxx")
    call(False, 700)
    assert breaker.state("k", at(700)).state is State.CLOSED


def test_open_refuses_for_thirty_seconds_and_says_until_when() -> None:
    calls("xxxx", step=0)
    with pytest.raises(CircuitOpen) as raised:
        breaker.before_call("k", at(29.9))
    assert raised.value.until == at(30)
    assert breaker.state("k", at(30)) == Standing(State.HALF_OPEN)


def test_half_open_lets_exactly_one_trial_through() -> None:
    calls("xxxx", step=0)
    trial = breaker.before_call("k", at(31))
    assert trial.trial_until == at(46)
    with pytest.raises(CircuitOpen) as raised:
        breaker.before_call("k", at(32))
    assert raised.value.until == at(46)


def test_a_good_trial_closes_and_forgets() -> None:
    calls("xxxx", step=0)
    breaker.record(breaker.before_call("k", at(31)), True, at(32))
    assert breaker.state("k", at(32)) == Standing(State.CLOSED)
    call(False, 33)
    assert breaker.state("k", at(33)).state is State.CLOSED


def test_a_failed_trial_opens_for_another_thirty_seconds() -> None:
    calls("xxxx", step=0)
    breaker.record(breaker.before_call("k", at(31)), False, at(35))
    assert breaker.state("k", at(64.9)) == Standing(State.OPEN, at(65))


def test_a_trial_whose_worker_died_is_free_after_its_time() -> None:
    calls("xxxx", step=0)
    breaker.before_call("k", at(31))
    assert breaker.before_call("k", at(46)).trial_until == at(61)


def test_a_late_trial_does_not_decide_for_the_next_one() -> None:
    calls("xxxx", step=0)
    late = breaker.before_call("k", at(31))
    breaker.before_call("k", at(46))
    breaker.record(late, True, at(47))
    assert breaker.state("k", at(47)).state is State.HALF_OPEN


def test_a_trial_that_proved_nothing_is_given_back() -> None:
    calls("xxxx", step=0)
    breaker.release(breaker.before_call("k", at(31)))
    assert breaker.before_call("k", at(32)).trial_until is not None


def test_a_call_begun_before_it_opened_does_not_close_it() -> None:
    early = breaker.before_call("k", at(0))
    calls("xxxx", step=0)
    breaker.record(early, True, at(5))
    assert breaker.state("k", at(5)).state is State.OPEN


def test_keys_have_breakers_of_their_own() -> None:
    calls("xxxx", step=0)
    assert breaker.before_call("other", at(1)) == Permit("other", is_first=True)


def test_more_of_the_same_success_is_not_written() -> None:
    calls("." * 10, step=0)
    with CaptureQueriesContext(connection) as queries:
        call(True, 5)
    assert len(queries) == 1


def test_successes_are_written_again_before_they_grow_old() -> None:
    calls("." * 10, step=0)
    call(True, 31)
    with CaptureQueriesContext(connection) as queries:
        call(True, 32)
    assert len(queries) > 1


@pytest.mark.postgresql_only
@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_gets_the_trial() -> None:
    calls("xxxx", step=0)
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def work() -> None:
        try:
            start.wait()
            breaker.before_call("k", at(40))
            outcomes.append("trial")
        except CircuitOpen:
            outcomes.append("refused")
        finally:
            connection.close()

    together(work, 8)
    assert sorted(outcomes) == ["refused"] * 7 + ["trial"]


@pytest.mark.postgresql_only
@pytest.mark.django_db(transaction=True)
def test_failures_of_all_workers_count_together() -> None:
    permits = [breaker.before_call("k", at(0)) for _ in range(4)]
    start = threading.Barrier(4)

    def work() -> None:
        try:
            permit = permits.pop()
            start.wait()
            breaker.record(permit, False, at(1))
        finally:
            connection.close()

    together(work, 4)
    assert breaker.state("k", at(1)).state is State.OPEN


def together(work: "threading._Target", count: int) -> None:  # type: ignore[name-defined]
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
