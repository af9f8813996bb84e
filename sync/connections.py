"""What a change of a connection means for its work and for the rows that came through it."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet

from integrations import credentials
from integrations.models import Connection, ConnectionStatus
from schedule import store, timetable
from schedule.differences import Changes
from schedule.models import Closure, Organization, SourceState
from sync import tasks
from sync.errors import SyncAlreadyRunning
from sync.models import SyncJob

STOPPED_FOR = timedelta(minutes=10)
"""Longer than any removal takes; the job goes with its connection, so nobody waits for the end of it."""


def key_was_entered(connection: Connection, *, now: datetime) -> None:
    """Take a rejected connection back into work: its key is new."""
    Connection.objects.filter(pk=connection.pk).update(status=ConnectionStatus.ACTIVE, status_text="")
    start_over(connection, now=now)


def start_over(connection: Connection, *, now: datetime) -> None:
    """Make the connection due now, for a full read that remembers nothing of earlier ones; whoever holds it keeps it."""
    fresh: dict[str, Any] = {
        "due_at": now,
        "not_before": None,
        "failures": 0,
        "cursor": "",
        "validators": {},
        "full_read_at": None,
    }
    job, made = SyncJob.objects.get_or_create(connection=connection, defaults=fresh)
    if not made:
        SyncJob.objects.filter(pk=job.pk).update(**fresh)
    transaction.on_commit(lambda: tasks.enqueue(connection.pk))


def make_due(connection: Connection, *, now: datetime) -> None:
    """Let the connection be read with the next tick; a new one gets its job here."""
    job, made = SyncJob.objects.get_or_create(connection=connection, defaults={"due_at": now})
    if not made:
        SyncJob.objects.filter(pk=job.pk, due_at__gt=now).update(due_at=now)
    transaction.on_commit(lambda: tasks.enqueue(connection.pk))


def remove(connection: Connection, *, user: AbstractBaseUser, now: datetime) -> None:
    """Delete the connection with its runs, and take the classes of this week and later that it brought off the timetable.

    Earlier weeks stay, and each row's history. Raises SyncAlreadyRunning: a sync in flight would write after its connection
    is gone.
    """
    with transaction.atomic():
        stop(Connection.objects.filter(pk=connection.pk), now=now)
        _remove_rows(connection, cause=f"user:{user.pk}", now=now)
        credentials.record_use(connection, "delete", actor=f"user:{user.pk}", purpose="connection deleted")
        connection._history_user = user  # type: ignore[attr-defined]  # read by django-simple-history at delete
        connection.delete()


def stop(connections: QuerySet[Connection], *, now: datetime) -> None:
    """Take the leases of these connections, so that no worker begins with them. Raises SyncAlreadyRunning."""
    jobs = SyncJob.objects.filter(connection__in=connections)
    free = jobs.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
    taken = free.update(lease_token=uuid.uuid4(), lease_until=now + STOPPED_FOR)
    if taken != jobs.count():
        raise SyncAlreadyRunning("a sync is running just now; try again when it has ended")


def resume(connection: Connection) -> None:
    """Give back what `stop` took."""
    SyncJob.objects.filter(connection=connection).update(lease_token=None, lease_until=None)


def _remove_rows(connection: Connection, *, cause: str, now: datetime) -> None:
    """Take away what the next connection would bring again: it reads this week from its Monday on, days past included."""
    organization = Organization.installation()
    week = timetable.Week.of(timetable.local_today(now, organization.zone))
    since, _ = week.bounds(organization.zone)
    source, key = connection.provider, connection.key

    def plan() -> Changes:
        known = store.known(source, key, since=since)
        rows = [row for row in known.rows.values() if not row.deleted]
        has_closures = Closure.objects.filter(source=source, connection=key).exists()
        return Changes(source, key, known.revision, removals=rows, closures=() if has_closures else None)

    store.settle(plan, cause=cause, now=now)
    SourceState.objects.filter(source=source, connection=key).delete()
    store.bump_publication()
