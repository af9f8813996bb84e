"""What the engine remembers: when each connection is due and who works on it, every run, and imports held for a person."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from integrations.models import Connection

if TYPE_CHECKING:
    from schedule.differences import Changes
    from schedule.store import Applied


class SyncJob(models.Model):
    """The work due for one connection. A worker claims it by one conditional UPDATE (`sync.leases`)."""

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="job")
    due_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    requested_run = models.ForeignKey("Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    cursor = models.TextField(blank=True, help_text="The provider's place to go on from; saved only after its data")
    validators = models.JSONField(default=dict, blank=True, help_text="ETags by address; saved only after their data")
    full_read_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed runs in a row")
    not_before = models.DateTimeField(null=True, blank=True, help_text="The provider asked to wait until then")

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="job_by_due")]

    def __str__(self) -> str:
        return f"job of {self.connection}"


class RunState(models.TextChoices):
    PENDING = "pending", "pending"
    RUNNING = "running", "running"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"


class RunResult(models.TextChoices):
    SUCCESS = "success", "success"
    PARTIAL = "partial", "partial"
    FAILED = "failed", "failed"
    HELD = "held", "held for a person"
    RELEASED = "released", "released by a person"
    DISCARDED = "discarded", "discarded by a person"


class RunTrigger(models.TextChoices):
    SCHEDULE = "schedule", "schedule"
    MANUAL = "manual", "manual"
    SWITCH = "switch", "source switched"
    COMMAND = "command", "command line"
    RELEASE = "release", "held import released"


class Run(models.Model):
    """One run of one connection, from request to end: its state describes the job, its result the outcome."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="runs")
    source = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=RunState, default=RunState.PENDING)
    result = models.CharField(max_length=10, choices=RunResult, blank=True)
    trigger = models.CharField(max_length=10, choices=RunTrigger, default=RunTrigger.SCHEDULE)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    progress_at = models.DateTimeField(null=True, blank=True)
    progress = models.CharField(max_length=200, blank=True, help_text="What is being done, in words")
    unchanged_answer = models.BooleanField(default=False, help_text="Every page answered 'not modified'")
    total = models.PositiveIntegerField(default=0, help_text="Records in the answer, valid or not")
    invalid = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    live_only = models.PositiveIntegerField(default=0, help_text="Rows of which only booking counts changed")
    unchanged = models.PositiveIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0, help_text="Requests sent to the provider")
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True, help_text="What happened and what to do, in words")
    findings = models.JSONField(default=list, blank=True, help_text="Named findings: rule, severity, record, message")
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds of each step")
    revision = models.BigIntegerField(null=True, blank=True, help_text="The store's revision that this run made")

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["connection", "-created_at"], name="run_by_connection"),
            models.Index(fields=["state"], name="run_by_state"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"

    @property
    def duration_seconds(self) -> float | None:
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    def record(self, applied: "Applied", changes: "Changes", total: int) -> None:
        """Count what was written, unsaved; `total` is the number of records in the answer, valid or not."""
        self.total, self.unchanged = total, changes.unchanged
        self.created, self.changed, self.removed = applied.created, applied.changed, applied.removed
        self.cancelled = sum(update.incoming.values.status == "cancelled" for update in changes.updates)
        self.live_only, self.revision = applied.live, applied.revision


class HeldState(models.TextChoices):
    OPEN = "open", "waits for a person"
    RELEASED = "released", "released"
    DISCARDED = "discarded", "discarded"
    SUPERSEDED = "superseded", "a newer import took its place"


class HeldImport(models.Model):
    """A complete answer that would take away too much, kept whole until a person decides. The old data keep serving."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="held_imports")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="held_import")
    state = models.CharField(max_length=10, choices=HeldState, default=HeldState.OPEN)
    digest = models.CharField(max_length=64, help_text="Hash of what the import would bring")
    reason = models.TextField()
    summary = models.JSONField(default=dict, help_text="Counts of what would be created, changed, removed")
    data = models.BinaryField(help_text="The import, compressed; emptied once decided")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=1)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["-first_seen_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"], condition=models.Q(state=HeldState.OPEN), name="one_open_held_import"
            )
        ]

    def __str__(self) -> str:
        return f"held import of {self.connection}"
