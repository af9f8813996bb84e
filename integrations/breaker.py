"""The circuit breaker of one provider account, its state shared by all workers through one row.

Closed: calls pass. It opens when, at a failure, at least 4 of the last 10 calls within 10 minutes are known and half or
more of them failed. Open: calls are refused for 30 s. Half-open: one trial call passes, claimed by a conditional UPDATE;
its outcome closes the breaker or opens it anew, and a trial whose worker died is free again after its time.
Why our own: docs/decisions/0003-breaker.md. Numbers: the provider page of Fitbox, section 3.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection, transaction
from django.db.models import Q

from integrations.errors import CircuitOpen
from integrations.models import Breaker

WINDOW_CALLS = 10
WINDOW = timedelta(minutes=10)
MINIMUM_CALLS = 4
FAILURE_SHARE = 0.5
OPEN_FOR = timedelta(seconds=30)
TRIAL_FOR = timedelta(seconds=15)
"""Longer than a call may take, so that a slow trial is not joined by a second one."""
SUCCESS_NEWS = timedelta(seconds=30)
"""Ten successes in a row, all younger than this, say what an eleventh would: it is not written."""

Outcomes = list[tuple[float, bool]]


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a breaker stands, for people. `until`: when the next call may be tried."""

    state: State
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that may be made. Hand it back by `record` or `release`."""

    key: str
    trial_until: datetime | None = None
    """Set for the one trial call of the half-open state, and names it."""
    is_first: bool = False
    """No call was recorded under this key so far."""
    steady: bool = False
    """The window is full of fresh successes: another one is no news."""


def before_call(key: str, now: datetime, *, trial_for: timedelta = TRIAL_FOR) -> Permit:
    """Return the permit for one call. Raises CircuitOpen, with the instant of the next possible try."""
    row = Breaker.objects.filter(key=key).first()
    if row is None or row.opened_at is None:
        return Permit(key, is_first=row is None, steady=row is not None and _is_steady(row.outcomes, now))
    standing = _standing(row, now)
    if standing.state is State.HALF_OPEN and standing.until is None:
        trial_until = now + trial_for
        free = Q(trial_until=None) | Q(trial_until__lte=now)
        if Breaker.objects.filter(free, key=key, opened_at=row.opened_at).update(trial_until=trial_until):
            return Permit(key, trial_until)
        # Another worker was quicker: its trial decides.
        standing = Standing(State.HALF_OPEN, trial_until)
    raise CircuitOpen("it failed repeatedly and is left alone for a moment", until=standing.until)


def record(permit: Permit, ok: bool, now: datetime) -> None:
    """Note how a permitted call ended. Calls that say nothing of the provider's health are released instead."""
    if ok and permit.steady:
        return
    if permit.trial_until is not None:
        _settle_trial(permit, ok, now)
        return
    if permit.is_first:
        Breaker.objects.bulk_create([Breaker(key=permit.key)], ignore_conflicts=True)
    with transaction.atomic():
        _relax_commit()
        row = Breaker.objects.select_for_update().get(key=permit.key)
        row.outcomes = [*_recent(row.outcomes, now), (now.timestamp(), ok)][-WINDOW_CALLS:]
        if not ok and row.opened_at is None and _fails_too_often(row.outcomes):
            row.opened_at, row.trial_until = now, None
        row.save(update_fields=["outcomes", "opened_at", "trial_until"])


def release(permit: Permit) -> None:
    """Give back a permit whose call proved nothing (a refused key, a 429): a trial is free for the next caller."""
    if permit.trial_until is not None:
        Breaker.objects.filter(key=permit.key, trial_until=permit.trial_until).update(trial_until=None)


def state(key: str, now: datetime) -> Standing:
    """Return how this breaker stands, for status pages."""
    row = Breaker.objects.filter(key=key).first()
    return Standing(State.CLOSED) if row is None else _standing(row, now)


def _relax_commit() -> None:
    """Do not wait for PostgreSQL's disk: an outcome that a crash of the server takes back is one call less to judge by."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO OFF")


def _settle_trial(permit: Permit, ok: bool, now: datetime) -> None:
    # The trial is named: a late answer must not decide for a trial that took its place.
    mine = Breaker.objects.filter(key=permit.key, trial_until=permit.trial_until)
    if ok:
        mine.update(opened_at=None, trial_until=None, outcomes=[])
    else:
        mine.update(opened_at=now, trial_until=None)


def _standing(row: Breaker, now: datetime) -> Standing:
    if row.opened_at is None:
        return Standing(State.CLOSED)
    if now < row.opened_at + OPEN_FOR:
        return Standing(State.OPEN, row.opened_at + OPEN_FOR)
    held = row.trial_until is not None and row.trial_until > now
    return Standing(State.HALF_OPEN, row.trial_until if held else None)


def _recent(outcomes: Outcomes, now: datetime) -> Outcomes:
    oldest = (now - WINDOW).timestamp()
    return [(at, ok) for at, ok in outcomes if at > oldest]


def _fails_too_often(outcomes: Outcomes) -> bool:
    failures = sum(not ok for _, ok in outcomes)
    return len(outcomes) >= MINIMUM_CALLS and failures >= FAILURE_SHARE * len(outcomes)


def _is_steady(outcomes: Outcomes, now: datetime) -> bool:
    fresh = (now - SUCCESS_NEWS).timestamp()
    return len(outcomes) == WINDOW_CALLS and all(ok and at > fresh for at, ok in outcomes)
