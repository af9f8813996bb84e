"""Imports that wait for a person: kept whole, released in one transaction exactly as shown, or discarded.

While one is open the same data coming again only counts up; other data take its place. Data that were discarded are not
held a second time: they simply stay out.
"""

from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from integrations.models import Connection
from schedule import store
from schedule.differences import Changes, SourceRead
from sync.errors import StaleDecision
from sync.models import HeldImport, HeldState, Run, RunResult, RunState, RunTrigger
from sync.plan import Plan
from sync.proposals import Proposal


def keep(run: Run, connection: Connection, proposal: Proposal, planned: Plan, now: datetime) -> RunResult:
    """Keep the import for a person and return how its run ended: held, or discarded because a person refused this data."""
    assert planned.hold is not None  # noqa: S101 - only held plans come here
    digest = proposal.digest()
    mine = HeldImport.objects.filter(connection=connection)
    last_decided = mine.exclude(state__in=(HeldState.OPEN, HeldState.SUPERSEDED)).first()
    if last_decided and last_decided.state == HeldState.DISCARDED and last_decided.digest == digest:
        mine.filter(pk=last_decided.pk).update(last_seen_at=now, times_seen=last_decided.times_seen + 1)
        return RunResult.DISCARDED
    with transaction.atomic():
        waiting = mine.select_for_update().filter(state=HeldState.OPEN).first()
        if waiting and waiting.digest == digest:
            mine.filter(pk=waiting.pk).update(last_seen_at=now, times_seen=waiting.times_seen + 1)
            return RunResult.HELD
        supersede(connection, now)
        HeldImport.objects.create(
            connection=connection,
            run=run,
            digest=digest,
            reason=planned.hold.reason,
            summary=_summary(planned),
            data=proposal.pack(),
            first_seen_at=now,
            last_seen_at=now,
        )
    return RunResult.HELD


def supersede(connection: Connection, now: datetime) -> None:
    """Close an open held import because newer data were accepted or held instead."""
    HeldImport.objects.filter(connection=connection, state=HeldState.OPEN).update(
        state=HeldState.SUPERSEDED, data=b"", decided_at=now
    )


def release(held: HeldImport, *, user: AbstractBaseUser, now: datetime) -> Run:
    """Apply a held import as it was kept, without the guard, and return the run that says so. Raises StaleDecision."""
    with transaction.atomic():
        waiting = _take(held, HeldState.RELEASED, user, now)
        connection = waiting.connection
        run = Run.objects.create(
            connection=connection,
            source=connection.provider,
            state=RunState.RUNNING,
            trigger=RunTrigger.RELEASE,
            requested_by_id=user.pk,
            created_at=now,
            started_at=now,
            progress="Applying the released import",
        )
        proposal = Proposal.unpack(bytes(waiting.data))
        planned: list[Changes] = []

        def changes() -> Changes:
            planned.append(_changes(proposal, connection, run, now))
            return planned[-1]

        applied = store.settle(changes, cause=f"run:{run.pk}", now=now)
        run.record(applied, planned[-1], waiting.run.total)
        run.invalid, run.findings = waiting.run.invalid, waiting.run.findings
        run.result = RunResult.PARTIAL if run.invalid else RunResult.SUCCESS
        run.state, run.completed_at, run.progress = RunState.COMPLETED, now, ""
        run.save()
        Run.objects.filter(pk=waiting.run_id).update(result=RunResult.RELEASED)
        HeldImport.objects.filter(pk=waiting.pk).update(data=b"")
    return run


def discard(held: HeldImport, *, user: AbstractBaseUser, now: datetime) -> None:
    """Refuse a held import; nothing changes, and the same data are not offered again. Raises StaleDecision."""
    with transaction.atomic():
        waiting = _take(held, HeldState.DISCARDED, user, now)
        Run.objects.filter(pk=waiting.run_id).update(result=RunResult.DISCARDED)
        HeldImport.objects.filter(pk=waiting.pk).update(data=b"")


def _changes(proposal: Proposal, connection: Connection, run: Run, now: datetime) -> Changes:
    first, last = proposal.covered or proposal.asked
    read = SourceRead(now, first, last, connection.interval_minutes, str(run.pk))
    return replace(proposal.plan(now, None).changes, closures=proposal.closures, read=read)


def _take(held: HeldImport, state: HeldState, user: AbstractBaseUser, now: datetime) -> HeldImport:
    """Decide about the import once: the row that is still open, marked; of two people only one comes here."""
    open_ones = HeldImport.objects.filter(pk=held.pk, state=HeldState.OPEN)
    if not open_ones.update(state=state, decided_at=now, decided_by_id=user.pk):
        raise StaleDecision("this import was decided or replaced by a newer one meanwhile; nothing was done")
    return HeldImport.objects.select_related("connection", "run").get(pk=held.pk)


def _summary(planned: Plan) -> dict[str, int]:
    changes, hold = planned.changes, planned.hold
    return {
        "create": len(changes.creates),
        "change": len(changes.updates),
        "remove": len(changes.removals),
        "remove_cancelled": sum(known.cancelled for known in changes.removals),
        "unchanged": changes.unchanged + len(changes.lives),
        "due": hold.due if hold else 0,
    }
