"""Who works on which connection: one winner, no matter how many ask."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations.models import Connection, ConnectionStatus
from sync import leases
from sync.errors import LeaseLost, TooSoon
from sync.models import Run, RunState, RunTrigger, SyncJob

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def connection() -> Connection:
    return Connection.objects.create(provider="fitbox", name="Fitbox")


def asked(connection: Connection, now: datetime = NOW) -> Run:
    return leases.request(connection, RunTrigger.MANUAL, now=now)


def the_job() -> SyncJob:
    return SyncJob.objects.get()


def test_a_request_makes_a_pending_run_that_is_due(connection: Connection) -> None:
    run = asked(connection)
    assert (run.state, run.trigger) == (RunState.PENDING, RunTrigger.MANUAL)
    assert leases.due(NOW, ["fitbox"]) == [connection.pk]


@pytest.mark.req("X-11")
def test_ten_requests_are_one_run(connection: Connection) -> None:
    assert len({asked(connection).pk for _ in range(10)}) == 1
    assert Run.objects.count() == 1


@pytest.mark.req("X-11")
def test_a_request_while_one_runs_joins_it(connection: Connection) -> None:
    asked(connection)
    claim = leases.claim(connection.pk, now=NOW)
    assert claim is not None
    assert asked(connection).pk == claim.run_id


@pytest.mark.req("TT-35")
def test_a_second_claim_gets_nothing(connection: Connection) -> None:
    asked(connection)
    assert leases.claim(connection.pk, now=NOW) is not None
    assert leases.claim(connection.pk, now=NOW) is None
    assert Run.objects.count() == 1


def test_what_is_not_due_cannot_be_claimed(connection: Connection) -> None:
    leases.job_of(connection, NOW + timedelta(minutes=5))
    assert leases.claim(connection.pk, now=NOW) is None


@pytest.mark.req("TT-35", "X-09")
def test_a_dead_workers_lease_runs_out_and_its_run_is_closed(connection: Connection) -> None:
    asked(connection)
    first = leases.claim(connection.pk, now=NOW)
    later = NOW + leases.LEASE + timedelta(seconds=1)
    second = leases.claim(connection.pk, now=later)
    assert first and second and second.run_id != first.run_id
    left = Run.objects.get(pk=first.run_id)
    assert (left.state, left.error_code, left.completed_at) == (RunState.FAILED, "worker_stopped", later)
    assert Run.objects.get(pk=second.run_id).state == RunState.RUNNING


def test_the_worker_that_lost_its_lease_may_not_go_on(connection: Connection) -> None:
    asked(connection)
    first = leases.claim(connection.pk, now=NOW)
    later = NOW + leases.LEASE + timedelta(seconds=1)
    leases.claim(connection.pk, now=later)
    assert first is not None
    with pytest.raises(LeaseLost):
        leases.renew(first, now=later)
    with pytest.raises(LeaseLost):
        leases.release(first, now=later, due_at=later)


def test_renewing_keeps_the_lease_and_tells_the_progress(connection: Connection) -> None:
    asked(connection)
    claim = leases.claim(connection.pk, now=NOW)
    assert claim is not None
    almost = NOW + leases.LEASE - timedelta(seconds=1)
    leases.renew(claim, now=almost, progress="Reading page 2")
    assert leases.claim(connection.pk, now=NOW + leases.LEASE + timedelta(seconds=5)) is None
    assert Run.objects.get(pk=claim.run_id).progress == "Reading page 2"


def test_a_released_job_is_due_at_its_time(connection: Connection) -> None:
    asked(connection)
    claim = leases.claim(connection.pk, now=NOW)
    assert claim is not None
    leases.release(claim, now=NOW, due_at=NOW + timedelta(minutes=15), failures=2)
    assert (the_job().lease_until, the_job().due_at, the_job().failures) == (None, NOW + timedelta(minutes=15), 2)


def test_a_lease_and_a_tick_are_shorter_than_two_minutes(settings) -> None:  # type: ignore[no-untyped-def]
    longest = max(leases.LEASE, leases.APPLY_LEASE)
    assert longest + timedelta(seconds=settings.TICK_SECONDS) <= timedelta(minutes=2)


def test_a_request_before_the_provider_allows_it_says_when(connection: Connection) -> None:
    leases.job_of(connection, NOW)
    SyncJob.objects.update(not_before=NOW + timedelta(seconds=30))
    with pytest.raises(TooSoon) as caught:
        asked(connection)
    assert caught.value.until == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    "changed", [{"is_enabled": False}, {"status": ConnectionStatus.REJECTED}, {"provider": "switched-off"}]
)
def test_a_paused_connection_is_never_due_by_itself(connection: Connection, changed: dict[str, object]) -> None:
    leases.job_of(connection, NOW)
    Connection.objects.update(**changed)
    assert leases.due(NOW, ["fitbox"]) == []


def test_a_person_may_try_a_rejected_connection(connection: Connection) -> None:
    Connection.objects.update(status=ConnectionStatus.REJECTED)
    asked(connection)
    assert leases.due(NOW, ["fitbox"]) == [connection.pk]


@pytest.mark.req("TT-24")
def test_the_next_poll_is_spread_but_never_late() -> None:
    waits = [leases.next_due(15, NOW) - NOW for _ in range(200)]
    assert min(waits) >= timedelta(minutes=15) * 0.95
    assert max(waits) <= timedelta(minutes=15)
