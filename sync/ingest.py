"""One-way sources: fetch -> row rules -> import rules -> plan -> apply -> publish, as one run from claim to end.

`run` is the only way in, for scheduled and manual runs, page, API and command line alike. Whatever happens, the run row
says how it ended and the connection's job when to try again; the old timetable keeps serving.
"""

import logging
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.utils import timezone

from integrations import adapters, errors
from integrations.models import Connection, ConnectionStatus
from integrations.records import Fetched, ItemFinding, Validator
from schedule import store, timetable
from schedule.differences import Changes, ClosureValues, SourceRead
from schedule.models import Organization, SourceState
from schedule.names import Names
from sync import checks, held, leases, plan
from sync.errors import LeaseLost, StaleDecision, SyncError
from sync.leases import Claim
from sync.models import Run, RunResult, RunState, RunTrigger, SyncJob
from sync.proposals import Proposal
from sync.reading import Import, read_import

logger = logging.getLogger(__name__)
T = TypeVar("T")

FULL_READ_EVERY = timedelta(hours=6)
RUN_SECONDS = 120
SHORTEST_RETRY = timedelta(minutes=1)
FINDINGS_KEPT = 200
RENEW_EVERY_SECONDS = 5.0

Progress = Callable[[str], None]
"""Called with what is being done, in words; for the command line."""


def run(connection_id: int, *, say: Progress | None = None) -> Run | None:
    """Do the connection's due work, if nobody else does, and return its run; None when there is nothing to do."""
    taken = leases.claim(connection_id, now=timezone.now())
    if taken is None:
        logger.info("connection %s: skipped, it is not due or another worker runs it", connection_id)
        return None
    work = _Work(taken, say)
    try:
        work.do()
    except errors.IntegrationError as error:
        work.fail(error.code, errors.explain(error, work.provider_name), error)
    except LeaseLost:
        logger.warning("run %s: another worker took over; nothing more is written", taken.run_id)
    except SyncError as error:
        work.fail(
            error.code, f"The import was refused: {error}. The timetable keeps showing the last good data.", error
        )
    except Exception as error:
        work.fail("internal_error", "Callboard made a mistake; the details are in its log. Nothing was changed.", error)
        raise
    return Run.objects.get(pk=taken.run_id)


class _Work:
    """One claimed run: the state that its steps share."""

    def __init__(self, taken: Claim, say: Progress | None) -> None:
        self.claim = taken
        self.say = say
        self.connection = Connection.objects.get(pk=taken.connection_id)
        self.job = SyncJob.objects.get(pk=taken.job_id)
        self.run = Run.objects.get(pk=taken.run_id)
        self.organization = Organization.installation()
        self.asked = timetable.horizon(timetable.local_today(timezone.now(), self.organization.zone))
        self.provider_name = adapters.display_name(self.connection.provider)
        self.timings: dict[str, float] = {}
        self.deadline = clock.monotonic() + RUN_SECONDS
        self._renewed = clock.monotonic()

    def do(self) -> None:
        fetched = self._timed("fetch", lambda: self._fetch(*self._where_from()))
        if fetched.unchanged:
            self._finish_unchanged(fetched)
            return
        proposal, planned = self._plan(fetched)
        if planned.hold and fetched.covered is None:
            # A difference that takes much away is checked against the whole; what a person decides about is whole, too,
            # so that the same data are known again however they are read.
            fetched = self._timed("fetch", lambda: self._fetch("", {}))
            proposal, planned = self._plan(fetched)
        if planned.hold:
            self._hold(proposal, planned, planned.hold)
        else:
            self._write(fetched, proposal, planned)

    def fail(self, code: str, text: str, error: Exception) -> None:
        """Close the run as failed and say when to try again. After a failure the next read is a full one."""
        logger.warning("run %s of %s failed: %s", self.run.pk, self.connection, code, exc_info=code == "internal_error")
        now = timezone.now()
        pause = self._pause_after(error)
        rejected = isinstance(error, errors.CredentialRejected | errors.AccessDenied)
        with transaction.atomic():
            try:
                leases.release(
                    self.claim,
                    now=now,
                    due_at=now + pause,
                    not_before=now + pause if isinstance(error, errors.RateLimited) else None,
                    failures=self.job.failures + 1,
                )
            except LeaseLost:
                return
            if rejected:
                Connection.objects.filter(pk=self.connection.pk).update(
                    status=ConnectionStatus.REJECTED, status_text=text[:300]
                )
            self._close(RunState.FAILED, RunResult.FAILED, now, error_code=code, error=text)

    # --- steps

    def _fetch(self, cursor: str, validators: Mapping[str, Validator]) -> Fetched:
        self._progress(f"Asking {self.provider_name}")
        before = self.run.calls
        with adapters.open_source(
            self.connection,
            actor=f"run:{self.run.pk}",
            purpose="sync",
            deadline=self.deadline,
            on_call=lambda calls: self._on_call(before + calls),
        ) as source:
            return source.fetch(*self.asked, cursor, validators)

    def _where_from(self) -> tuple[str, Mapping[str, Validator]]:
        """Return the cursor and validators to ask with: none of either for a full, unconditional read.

        Full: the first read, after any failure, when a person asked, when a new week has come within the horizon (its
        classes are no change to the provider), and every 6 hours, whatever the validators say, because a provider's
        ETag may stand still although its data moved.
        """
        now = timezone.now()
        stale = self.job.full_read_at is None or now - self.job.full_read_at >= FULL_READ_EVERY
        if stale or self.job.failures or self.run.trigger != RunTrigger.SCHEDULE or not self._covers_asked():
            return "", {}
        differences = self.connection.settings.get("differences", True)
        kept = {url: Validator(**values) for url, values in self.job.validators.items()}
        return (self.job.cursor if differences else ""), kept

    def _covers_asked(self) -> bool:
        mine = SourceState.objects.filter(source=self.connection.provider, connection=self.connection.key)
        return mine.filter(covered_until__gte=self.asked[1]).exists()

    def _plan(self, fetched: Fetched) -> tuple[Proposal, plan.Plan]:
        """Judge the answer and plan what it would change. Raises TooManyInvalid."""
        imported = self._timed(
            "validate", lambda: read_import(fetched, Names.of(self.organization), self.organization.zone, self.asked)
        )
        self.run.total, self.run.invalid = fetched.total, imported.invalid
        self._keep_findings(imported.findings)
        checks.require_enough_valid(total=fetched.total, invalid=imported.invalid)
        proposal = self._proposal(fetched, imported)
        return proposal, self._timed("plan", lambda: proposal.plan(timezone.now(), plan.Guard()))

    def _write(self, fetched: Fetched, proposal: Proposal, planned: plan.Plan) -> None:
        now = timezone.now()
        count = len(planned.changes.creates) + len(planned.changes.updates) + len(planned.changes.removals)
        self._progress(f"Writing {count} changes", leases.APPLY_LEASE)
        applied = self._timed("apply", lambda: self._apply(proposal, planned, now))
        self.run.record(applied, planned.changes, fetched.total)
        result = RunResult.PARTIAL if self.run.invalid else RunResult.SUCCESS
        self._finish(fetched, full=fetched.covered is not None, result=result)

    def _proposal(self, fetched: Fetched, imported: Import) -> Proposal:
        difference = fetched.covered is None
        return Proposal(
            source=self.connection.provider,
            connection=self.connection.key,
            zone=self.organization.timezone,
            asked=self.asked,
            covered=fetched.covered,
            incoming=imported.incoming,
            removed=frozenset({*fetched.removed, *imported.hidden}) if difference else frozenset(),
            unreadable=frozenset(finding.record for finding in imported.findings if finding.hard),
            closures=None
            if fetched.closures is None
            else tuple(ClosureValues(closure.first_on, closure.last_on, closure.name) for closure in fetched.closures),
        )

    def _apply(self, proposal: Proposal, planned: plan.Plan, now: datetime) -> store.Applied:
        prepared = [planned]

        def changes() -> Changes:
            # When rows moved since the first plan (a closure was saved meanwhile), plan again from what stands now.
            latest = prepared.pop() if prepared else proposal.plan(now, plan.Guard())
            if latest.hold:
                raise StaleDecision("the timetable changed while the import was read; the next run reads again")
            return replace(latest.changes, closures=proposal.closures, read=self._source_read(proposal.covered, now))

        return store.settle(changes, cause=f"run:{self.run.pk}", now=now)

    def _source_read(self, covered: tuple[date, date] | None, now: datetime) -> SourceRead:
        first, last = covered or self.asked
        return SourceRead(now, first, last, self.connection.interval_minutes, str(self.run.pk))

    def _hold(self, proposal: Proposal, planned: plan.Plan, hold: plan.Hold) -> None:
        now = timezone.now()
        result = held.keep(self.run, self.connection, proposal, planned, now)
        waits = "It waits for a person" if result is RunResult.HELD else "A person discarded the same data before"
        text = f"{hold.reason} {waits}; the timetable keeps showing the last good data."
        with transaction.atomic():
            due_at = leases.next_due(self.connection.interval_minutes, now)
            # The next read is a full one again: a difference does not tell of what is missing, and must not settle this.
            leases.release(self.claim, now=now, due_at=due_at, failures=0, not_before=None, full_read_at=None)
            self._close(RunState.COMPLETED, result, now, error_code="held", error=text)

    def _finish_unchanged(self, fetched: Fetched) -> None:
        self.run.unchanged_answer = True
        read = self._source_read(fetched.covered, timezone.now())
        store.note_read(self.connection.provider, self.connection.key, read)
        self._finish(fetched, full=False, result=RunResult.SUCCESS)

    def _finish(self, fetched: Fetched, *, full: bool, result: RunResult) -> None:
        now = timezone.now()
        kept: dict[str, object] = {"failures": 0, "not_before": None, "cursor": fetched.cursor}
        kept["validators"] = {url: asdict(validator) for url, validator in fetched.validators.items()}
        if full:
            kept["full_read_at"] = now
        with transaction.atomic():
            leases.release(self.claim, now=now, due_at=leases.next_due(self.connection.interval_minutes, now), **kept)
            if self.connection.status != ConnectionStatus.ACTIVE:
                Connection.objects.filter(pk=self.connection.pk).update(status=ConnectionStatus.ACTIVE, status_text="")
            held.supersede(self.connection, now)
            self._close(RunState.COMPLETED, result, now)

    # --- the run row

    def _close(
        self, state: RunState, result: RunResult, now: datetime, *, error_code: str = "", error: str = ""
    ) -> None:
        self.run.state, self.run.result, self.run.completed_at = state, result, now
        self.run.error_code, self.run.error, self.run.progress = error_code, error, ""
        self.run.timings = {name: round(seconds * 1000, 1) for name, seconds in self.timings.items()}
        self.run.save()
        if self.say:
            self.say(error or "Done")

    def _keep_findings(self, findings: Sequence[ItemFinding]) -> None:
        self.run.findings = [asdict(finding) for finding in findings[:FINDINGS_KEPT]]
        if len(findings) > FINDINGS_KEPT:
            more = ItemFinding("more", f"{len(findings) - FINDINGS_KEPT} more findings are not listed.", "")
            self.run.findings.append(asdict(more))

    def _progress(self, text: str, lease: timedelta = leases.LEASE) -> None:
        leases.renew(self.claim, now=timezone.now(), lease=lease, progress=text)
        self._renewed = clock.monotonic()
        if self.say:
            self.say(text)

    def _on_call(self, calls: int) -> None:
        """Hear of each call to the provider: keep the lease alive, but not by a write for every page."""
        self.run.calls = calls
        text = f"Reading from {self.provider_name}: call {calls}"
        if clock.monotonic() - self._renewed > RENEW_EVERY_SECONDS:
            self._progress(text)
        elif self.say:
            self.say(text)

    def _timed(self, name: str, step: Callable[[], T]) -> T:
        began = clock.perf_counter()
        try:
            return step()
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + clock.perf_counter() - began

    def _pause_after(self, error: Exception) -> timedelta:
        interval = timedelta(minutes=self.connection.interval_minutes)
        if isinstance(error, errors.IntegrationError) and (wait := error.retry_after) is not None:
            return timedelta(seconds=wait)
        if isinstance(error, errors.CircuitOpen) and error.until is not None:
            return max(error.until - timezone.now(), timedelta(seconds=1))
        if isinstance(error, errors.ProviderUnavailable):
            return min(interval, SHORTEST_RETRY * (1 << min(self.job.failures, 6)))
        return interval
