"""Imports that wait for a person: kept whole, released exactly as shown, or discarded for good."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from integrations.models import Connection
from schedule import store
from schedule.differences import ClosureValues
from schedule.models import Closure, Event, Organization, SourceState
from schedule.values import EventValues, Incoming, Live
from sync import held
from sync.errors import StaleDecision
from sync.models import HeldImport, HeldState, Run, RunResult, RunState
from sync.plan import Guard
from sync.proposals import Proposal

NOW = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
DAYS = (date(2026, 11, 23), date(2026, 12, 6))
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.req("BY-01")]


@pytest.fixture
def connection() -> Connection:
    Organization.objects.create(name="Harbour Street Gym", timezone="Australia/Melbourne", is_installation=True)
    return Connection.objects.create(provider="fitbox", name="Fitbox")


@pytest.fixture
def manager() -> User:
    return User.objects.create_user("manager")


def proposal(connection: Connection, count: int, *, title: str = "HIIT", cancelled: int = 0) -> Proposal:
    """Return a week of `count` classes, the first of them cancelled."""
    starts_at = NOW + timedelta(hours=10)
    values = EventValues(title=title, starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), timezone="UTC")
    said = [replace(values, room=f"Room {i}") for i in range(count)]
    said[:cancelled] = [replace(one, status="cancelled") for one in said[:cancelled]]
    week = [Incoming.of(f"c{i}", one, Live(3, 1), b'{"id":"x"}') for i, one in enumerate(said)]
    return Proposal("fitbox", connection.key, "Australia/Melbourne", DAYS, DAYS, week)


def accept(connection: Connection, count: int) -> None:
    planned = proposal(connection, count).plan(NOW, None)
    store.apply(planned.changes, cause="run:0", now=NOW)


def hold(
    connection: Connection, count: int, *, now: datetime = NOW, title: str = "HIIT", cancelled: int = 0
) -> tuple[RunResult, Run]:
    run = Run.objects.create(connection=connection, source="fitbox", created_at=now, result=RunResult.HELD)
    offered = proposal(connection, count, title=title, cancelled=cancelled)
    return held.keep(run, connection, offered, offered.plan(now, Guard()), now), run


def live() -> int:
    return Event.objects.live().count()


def test_a_proposal_survives_being_packed(connection: Connection) -> None:
    day = date(2026, 11, 24)
    made = replace(
        proposal(connection, 3),
        removed=frozenset({"a"}),
        closures=(ClosureValues(day, day + timedelta(days=1), "Cup"),),
    )
    assert Proposal.unpack(made.pack()) == made
    assert Proposal.unpack(replace(made, covered=None, closures=None).pack()).closures is None


def test_a_held_import_changes_nothing(connection: Connection) -> None:
    accept(connection, 10)
    result, _ = hold(connection, 2)
    assert (result, live()) == (RunResult.HELD, 10)
    waiting = HeldImport.objects.get()
    assert (waiting.reason, waiting.summary["remove"]) == ("8 of 10 coming classes would go.", 8)


def test_the_same_data_again_are_the_same_held_import(connection: Connection) -> None:
    accept(connection, 10)
    hold(connection, 2)
    hold(connection, 2, now=NOW + timedelta(minutes=15))
    waiting = HeldImport.objects.get()
    assert (waiting.times_seen, waiting.last_seen_at) == (2, NOW + timedelta(minutes=15))


def test_other_data_take_the_place_of_a_waiting_import(connection: Connection) -> None:
    accept(connection, 10)
    hold(connection, 2)
    hold(connection, 3)
    states = HeldImport.objects.order_by("first_seen_at", "times_seen").values_list("state", flat=True)
    assert sorted(states) == [HeldState.OPEN, HeldState.SUPERSEDED]


def test_released_it_is_applied_as_it_was_kept(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    _, run = hold(connection, 2)
    released = held.release(HeldImport.objects.get(), user=manager, now=NOW)
    assert (live(), released.removed, released.result, released.requested_by) == (2, 8, RunResult.SUCCESS, manager)
    run.refresh_from_db()
    assert run.result == RunResult.RELEASED
    decided = HeldImport.objects.get()
    assert (decided.state, decided.decided_by, bytes(decided.data)) == (HeldState.RELEASED, manager, b"")
    assert SourceState.objects.get().last_complete_at == NOW


def test_the_run_of_a_release_counts_as_any_other(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    _, run = hold(connection, 2, cancelled=1)
    finding = {"rule": "capacity", "message": "Capacity is 0", "record": "#3", "field": "capacity", "hard": True}
    Run.objects.filter(pk=run.pk).update(total=3, invalid=1, findings=[finding])
    released = held.release(HeldImport.objects.get(), user=manager, now=NOW)
    released.refresh_from_db()
    assert (released.total, released.unchanged, released.cancelled, released.removed) == (3, 1, 1, 8)
    assert (released.result, released.invalid, released.findings) == (RunResult.PARTIAL, 1, [finding])


def test_even_an_empty_import_can_be_released(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    hold(connection, 0)
    held.release(HeldImport.objects.get(), user=manager, now=NOW)
    assert live() == 0
    assert proposal(connection, 0).plan(NOW, Guard()).hold is None


def test_released_closures_close_the_days(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    run = Run.objects.create(connection=connection, source="fitbox", created_at=NOW)
    closed = replace(proposal(connection, 2), closures=(ClosureValues(DAYS[0], DAYS[0], "Cup"),))
    held.keep(run, connection, closed, closed.plan(NOW, Guard()), NOW)
    held.release(HeldImport.objects.get(), user=manager, now=NOW)
    assert Closure.objects.get().name == "Cup"


def test_discarded_it_changes_nothing_and_the_same_data_stay_out(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    _, run = hold(connection, 2)
    held.discard(HeldImport.objects.get(), user=manager, now=NOW)
    run.refresh_from_db()
    assert (run.result, live()) == (RunResult.DISCARDED, 10)
    result, _ = hold(connection, 2, now=NOW + timedelta(minutes=15))
    assert (result, live(), HeldImport.objects.count()) == (RunResult.DISCARDED, 10, 1)


def test_after_a_discard_other_data_are_held_anew(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    hold(connection, 2)
    held.discard(HeldImport.objects.get(), user=manager, now=NOW)
    result, _ = hold(connection, 3, now=NOW + timedelta(minutes=15))
    assert result == RunResult.HELD


def test_of_two_people_only_the_first_decides(connection: Connection, manager: User) -> None:
    accept(connection, 10)
    hold(connection, 2)
    waiting = HeldImport.objects.get()
    held.discard(waiting, user=manager, now=NOW)
    with pytest.raises(StaleDecision):
        held.release(waiting, user=manager, now=NOW)
    assert live() == 10
    assert not Run.objects.filter(state=RunState.RUNNING).exists()
