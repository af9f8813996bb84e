"""Who works on which connection: requests, claims by one conditional UPDATE, renewal, and the end of a run.

The database is the memory of what is due; Celery messages are only hints that it is time to look. A message that is lost
costs a tick, one that comes twice finds the lease taken and leaves.
"""

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from integrations.models import Connection, ConnectionStatus
from sync.errors import LeaseLost, TooSoon
from sync.models import Run, RunResult, RunState, RunTrigger, SyncJob

LEASE = timedelta(seconds=75)
"""Longer than any one call with its retries may take between two renewals; a dead worker is replaced within 2 minutes."""
APPLY_LEASE = timedelta(seconds=100)
"""Taken just before apply, whose transaction may not be interrupted by a renewal."""
SPREAD = 0.05
"""Scheduled runs are moved by up to this share of the interval, so that connections do not all call at once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one connection, until its lease ends."""

    job_id: int
    connection_id: int
    run_id: int
    token: uuid.UUID


def request(connection: Connection, trigger: RunTrigger, *, now: datetime, user: AbstractBaseUser | None = None) -> Run:
    """Return the run that will do this: the one that works or waits already, else a new pending one, due now.

    Raises TooSoon when the provider asked to wait.
    """
    with transaction.atomic():
        job = job_of(connection, now, lock=True)
        working = connection.runs.filter(state=RunState.RUNNING, lease_token=job.lease_token).first()
        if working and job.lease_until and job.lease_until > now:
            return working
        if job.requested_run and job.requested_run.state == RunState.PENDING:
            return job.requested_run
        if job.not_before and job.not_before > now:
            raise TooSoon(job.not_before)
        run = Run.objects.create(
            connection=connection,
            source=connection.provider,
            trigger=trigger,
            requested_by_id=user.pk if user else None,
            created_at=now,
            progress="Waiting for a worker",
        )
        SyncJob.objects.filter(pk=job.pk).update(requested_run=run, due_at=now)
    return run


def job_of(connection: Connection, now: datetime, *, lock: bool = False) -> SyncJob:
    """Return the connection's job, made due now if there is none; locked until the transaction ends when asked."""
    SyncJob.objects.get_or_create(connection=connection, defaults={"due_at": now})
    # Without its requested run: PostgreSQL, having waited for the lock, would join the one of before it waited.
    jobs = SyncJob.objects.select_for_update() if lock else SyncJob.objects.all()
    return jobs.get(connection=connection)


def due(now: datetime, providers: list[str]) -> list[int]:
    """Return the ids of enabled connections whose work is due and which nobody holds."""
    jobs = SyncJob.objects.filter(_free(now), due_at__lte=now, connection__provider__in=providers)
    scheduled = Q(connection__is_enabled=True, connection__status=ConnectionStatus.ACTIVE)
    asked = Q(requested_run__state=RunState.PENDING)
    return list(jobs.filter(scheduled | asked).order_by("due_at").values_list("connection_id", flat=True))


def claim(connection_id: int, *, now: datetime) -> Claim | None:
    """Take the connection's work if it is due and free, and start its run; None if somebody else has it.

    Runs that a dead worker left behind are closed as failed.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        won = SyncJob.objects.filter(_free(now), connection_id=connection_id, due_at__lte=now).update(
            lease_token=token, lease_until=now + LEASE
        )
        if not won:
            return None
        job = SyncJob.objects.select_related("requested_run", "connection").get(connection_id=connection_id)
        abandoned = Run.objects.filter(connection_id=connection_id, state=RunState.RUNNING)
        abandoned.update(
            state=RunState.FAILED,
            result=RunResult.FAILED,
            completed_at=now,
            error_code="worker_stopped",
            error="The worker stopped before the end. Nothing was left half done; the next run starts over.",
        )
        run = job.requested_run
        if run is None or run.state != RunState.PENDING:
            run = Run(connection_id=connection_id, source=job.connection.provider, created_at=now)
        run.state, run.lease_token, run.started_at, run.progress_at = RunState.RUNNING, token, now, now
        run.progress = "Starting"
        run.save()
        SyncJob.objects.filter(pk=job.pk).update(requested_run=None)
    return Claim(job.pk, connection_id, run.pk, token)


def renew(claim: Claim, *, now: datetime, lease: timedelta = LEASE, progress: str = "") -> None:
    """Keep the lease and say what is being done. Raises LeaseLost when another worker took over."""
    held = SyncJob.objects.filter(pk=claim.job_id, lease_token=claim.token).update(lease_until=now + lease)
    if not held:
        raise LeaseLost("another worker took this connection over")
    if progress:
        Run.objects.filter(pk=claim.run_id, lease_token=claim.token).update(progress=progress, progress_at=now)


def release(claim: Claim, *, now: datetime, due_at: datetime, **fields: object) -> None:
    """End the lease and say when the connection is due again, with more fields of the job. Raises LeaseLost.

    A run requested meanwhile makes it due at once.
    """
    jobs = SyncJob.objects.filter(pk=claim.job_id, lease_token=claim.token)
    if not jobs.update(lease_token=None, lease_until=None, due_at=due_at, **fields):
        raise LeaseLost("another worker took this connection over")
    asked = Run.objects.filter(pk=OuterRef("requested_run"), state=RunState.PENDING)
    SyncJob.objects.filter(Exists(asked), pk=claim.job_id, due_at__gt=now).update(due_at=now)


def next_due(interval_minutes: int, now: datetime) -> datetime:
    """Return when a connection of that interval is due again, a little spread."""
    seconds = interval_minutes * 60
    return now + timedelta(seconds=seconds - random.uniform(0, SPREAD) * seconds)  # noqa: S311 - not a secret


def _free(now: datetime) -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lt=now)
