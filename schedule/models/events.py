"""The one event table, its change history, and the revision counters that caches and feeds use.

Rows are written by `schedule.store` alone. `provider_values` is what the source said, in our terms (the fingerprint is of
it); the columns beside it are the effective values, after closures and overrides, which pages and `vevent` show.
"""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.timezone import now

from schedule.models.people import Organization, Person, Place
from schedule.models.timetable import ClassType


class EventKind(models.TextChoices):
    CLASS_SESSION = "class_session", "class session"
    APPOINTMENT = "appointment", "appointment"
    RENTAL = "rental", "rental"
    PERSONAL = "personal", "personal event"
    MEETING = "meeting", "roster class meeting"


class EventStatus(models.TextChoices):
    CONFIRMED = "confirmed", "confirmed"
    TENTATIVE = "tentative", "tentative"
    CANCELLED = "cancelled", "cancelled"


def validate_source(name: str) -> None:
    """Raise ValidationError unless `name` is one of the sources that the settings list."""
    if name not in settings.EVENT_SOURCES:
        raise ValidationError("%(name)s is not a source of events.", params={"name": name})


class EventQuerySet(models.QuerySet["Event"]):
    def live(self) -> "EventQuerySet":
        """Rows that exist: cancelled ones included, tombstones not."""
        return self.filter(deleted_at__isnull=True)


class Event(models.Model):
    """One thing that happens at one time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=EventKind, default=EventKind.CLASS_SESSION)
    source = models.CharField(max_length=20, validators=[validate_source])
    connection = models.CharField(max_length=64, help_text="'cms', 'manual' or the connection's id; never null")
    external_id = models.CharField(max_length=255)
    uid = models.CharField(max_length=255, help_text="iCalendar UID, one for life")
    sequence = models.PositiveIntegerField(default=0)
    title = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="Excluded")
    timezone = models.CharField(max_length=64)
    all_day = models.BooleanField(default=False)
    series_id = models.CharField(max_length=255, blank=True)
    original_start = models.DateTimeField(null=True, blank=True, help_text="Which occurrence of the series this is")
    status = models.CharField(max_length=20, choices=EventStatus, default=EventStatus.CONFIRMED)
    status_reason = models.CharField(max_length=200, blank=True, help_text="Why it is cancelled, in words for members")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="events")
    place = models.ForeignKey(Place, on_delete=models.SET_NULL, null=True, blank=True, db_index=False)
    location = models.CharField(max_length=200, blank=True)
    room = models.CharField(max_length=100, blank=True)
    instructor = models.ForeignKey(
        Person, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    instructor_key = models.CharField(max_length=100, blank=True, help_text="The provider's id of the instructor")
    instructor_name = models.CharField(max_length=200, blank=True)
    instructor_image = models.CharField(max_length=500, blank=True)
    class_type = models.ForeignKey(ClassType, on_delete=models.SET_NULL, null=True, blank=True, db_index=False)
    class_type_name = models.CharField(max_length=100, blank=True)
    level = models.CharField(max_length=60, blank=True)
    capacity = models.PositiveIntegerField(null=True, blank=True, help_text="Empty means no limit")
    booked = models.PositiveIntegerField(null=True, blank=True)
    waitlist = models.PositiveIntegerField(null=True, blank=True)
    price = models.CharField(max_length=40, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    client = models.ForeignKey(Person, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    is_private = models.BooleanField(default=False)
    external_url = models.CharField(max_length=1000, blank=True)
    provider_values = models.JSONField(default=dict, help_text="What the source said, in our terms")
    payload = models.JSONField(null=True, blank=True, help_text="What the source sent, personal lists dropped")
    fingerprint = models.CharField(max_length=64, blank=True)
    revision = models.BigIntegerField(default=0)
    revised_at = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True, blank=True)
    vevent = models.TextField(blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "external_id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "connection", "external_id"], name="event_identity"),
            models.UniqueConstraint(fields=["uid"], name="event_uid_once"),
        ]
        indexes = [
            models.Index(fields=["source", "starts_at"], name="event_by_source_and_start"),
            models.Index(fields=["revision"], name="event_by_revision"),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.starts_at:%Y-%m-%d %H:%M}Z"

    @property
    def spots_left(self) -> int | None:
        """Places left, never below 0; None when there is no limit or the number of bookings is unknown."""
        if self.capacity is None or self.booked is None:
            return None
        return max(0, self.capacity - self.booked)


class ChangeKind(models.TextChoices):
    CREATED = "created", "created"
    CHANGED = "changed", "changed"
    REMOVED = "removed", "removed"
    RESTORED = "restored", "restored"


class Change(models.Model):
    """One change of one event: provider values before and after, and what caused it. History and undo come from these."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=10, choices=ChangeKind)
    cause = models.CharField(max_length=100, help_text="e.g. run:17, or user:3")
    at = models.DateTimeField()
    revision = models.BigIntegerField()
    before = models.JSONField(null=True, help_text="Provider values before; null for a new event")
    after = models.JSONField(null=True, help_text="Provider values after; null for a removed event")
    effect = models.JSONField(
        null=True, help_text="Shown fields that changed: {name: [before, after]}; null for a new event"
    )

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["cause"], name="change_by_cause")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.cause}"


class Counter(models.Model):
    """A number that only rises. `events` counts the store's revisions, `publication` everything that shown pages depend on."""

    EVENTS = "events"
    PUBLICATION = "publication"

    name = models.CharField(max_length=20, primary_key=True)
    value = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.value}"
