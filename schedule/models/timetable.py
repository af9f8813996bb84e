"""The manual timetable and how the public one is chosen: slots, closures, special events, settings, source states."""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from schedule.models.people import Organization, Person, Place


class Weekday(models.IntegerChoices):
    """ISO 8601: Monday is 1."""

    MONDAY = 1, "Monday"
    TUESDAY = 2, "Tuesday"
    WEDNESDAY = 3, "Wednesday"
    THURSDAY = 4, "Thursday"
    FRIDAY = 5, "Friday"
    SATURDAY = 6, "Saturday"
    SUNDAY = 7, "Sunday"


class ClassType(models.Model):
    """A kind of class. `synonyms` are other names that booking systems use for it."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="class_types")
    name = models.CharField(max_length=100)
    colour = models.CharField(max_length=7, default="#3a5f8a", validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$")])
    default_minutes = models.PositiveIntegerField(default=60, validators=[MinValueValidator(5), MaxValueValidator(480)])
    synonyms = models.JSONField(default=list, blank=True, help_text='Other names, e.g. ["WOD", "Cross Fit"]')

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="class_type_name_once")]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def key(name: str) -> str:
        """Return the form under which names are compared: "Open-Gym", "open gym" and " OPEN  GYM" are one."""
        return re.sub(r"[\W_]+", "", name).casefold()


class WeeklySlot(models.Model):
    """A class that repeats every week at the gym's wall-clock time, from `valid_from` to `valid_until` (included)."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="weekly_slots")
    weekday = models.PositiveSmallIntegerField("day", choices=Weekday)
    start_time = models.TimeField("time")
    duration_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(5), MaxValueValidator(480)]
    )
    class_type = models.ForeignKey(ClassType, on_delete=models.PROTECT)
    coach = models.ForeignKey(Person, on_delete=models.SET_NULL, null=True, blank=True)
    place = models.ForeignKey(Place, on_delete=models.SET_NULL, null=True, blank=True)
    room = models.CharField(max_length=100, blank=True)
    level = models.CharField(max_length=60, blank=True)
    capacity = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty means no limit"
    )
    notes = models.TextField(max_length=2000, blank=True)
    is_active = models.BooleanField("active", default=True)
    valid_from = models.DateField(null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True, help_text="The last day, included")
    last_updated = models.DateTimeField(auto_now=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["weekday", "start_time", "pk"]
        constraints = [
            models.CheckConstraint(condition=models.Q(weekday__range=(1, 7)), name="weekday_is_iso"),
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True)
                | models.Q(valid_from__isnull=True)
                | models.Q(valid_until__gte=models.F("valid_from")),
                name="slot_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {self.start_time:%H:%M} {self.class_type}"

    def clean(self) -> None:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValidationError({"valid_until": "The last day lies before the first."})


class Closure(models.Model):
    """Days on which the gym is closed, first to last, both included; classes on them are cancelled with its name.

    `source` and `connection` say who keeps it: staff (`manual`), or a provider whose holidays it mirrors.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="closures")
    name = models.CharField(max_length=200)
    first_on = models.DateField("first day")
    last_on = models.DateField("last day", help_text="Included")
    source = models.CharField(max_length=20, default="manual", editable=False)
    connection = models.CharField(max_length=64, default="manual", editable=False)
    history = HistoricalRecords()

    class Meta:
        ordering = ["first_on"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(last_on__gte=models.F("first_on")), name="closure_ends_after_it_begins"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.first_on} to {self.last_on})"

    def clean(self) -> None:
        if self.first_on and self.last_on and self.last_on < self.first_on:
            raise ValidationError({"last_on": "The last day lies before the first."})


class SpecialEvent(models.Model):
    """Something that happens once, shown over whichever source is chosen. Times are the gym's wall clock."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="special_events")
    title = models.CharField(max_length=200)
    date = models.DateField()
    start_time = models.TimeField()
    duration_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(5), MaxValueValidator(1440)]
    )
    class_type = models.ForeignKey(ClassType, on_delete=models.SET_NULL, null=True, blank=True)
    coach = models.ForeignKey(Person, on_delete=models.SET_NULL, null=True, blank=True)
    place = models.ForeignKey(Place, on_delete=models.SET_NULL, null=True, blank=True)
    room = models.CharField(max_length=100, blank=True)
    capacity = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    notes = models.TextField(max_length=2000, blank=True)
    is_active = models.BooleanField("active", default=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["date", "start_time"]

    def __str__(self) -> str:
        return f"{self.title} ({self.date})"


class TimetableSettings(models.Model):
    """What members see: the chosen source, who stands in for it, and how old its data may grow."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="timetable_settings")
    data_source = models.CharField(max_length=20, default="cms")
    fallback_order = models.JSONField(
        default=list,
        blank=True,
        help_text="Sources tried in this order when the chosen one fails; CMS is always the last.",
    )
    stale_limit_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(20), MaxValueValidator(1440)]
    )
    show_cancelled = models.BooleanField(
        default=True,
        help_text="Off: cancelled classes vanish from page, API and feed instead of staying struck through.",
    )
    changed_at = models.DateTimeField(auto_now=True)
    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = "timetable settings"

    def __str__(self) -> str:
        return f"Timetable of {self.organization}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.fallback_order = [*dict.fromkeys(name for name in self.fallback_order if name != "cms"), "cms"]
        super().save(*args, **kwargs)

    def clean(self) -> None:
        if self.data_source not in settings.TIMETABLE_SOURCES:
            raise ValidationError({"data_source": f"{self.data_source!r} is not a source of the timetable."})
        unknown = [name for name in self.fallback_order if name not in settings.TIMETABLE_SOURCES]
        if unknown:
            raise ValidationError({"fallback_order": f"Unknown sources: {', '.join(map(str, unknown))}."})

    @property
    def chosen(self) -> str:
        """The chosen source; CMS once a provider was switched off in the environment, whatever was chosen before."""
        return self.data_source if self.data_source in settings.TIMETABLE_SOURCES else "cms"

    @staticmethod
    def of(organization: Organization) -> "TimetableSettings":
        """Return the gym's settings, or the defaults without saving them: looking at a page writes nothing."""
        try:
            return organization.timetable_settings
        except TimetableSettings.DoesNotExist:
            return TimetableSettings(organization=organization, fallback_order=["cms"])

    @staticmethod
    def current() -> "TimetableSettings":
        """Return the settings of this installation's gym, made with their defaults when there are none yet."""
        return TimetableSettings.objects.get_or_create(organization=Organization.installation())[0]


class SourceState(models.Model):
    """When a source was last read completely, and what days that answer covered; written by the store alone.

    `publishing` decides from this and nothing else whether a source is fresh.
    """

    source = models.CharField(max_length=20)
    connection = models.CharField(max_length=64)
    last_complete_at = models.DateTimeField(help_text="End of the last complete fetch, 'not modified' included")
    covered_from = models.DateField()
    covered_until = models.DateField(help_text="Included")
    interval_minutes = models.PositiveIntegerField(default=15)
    last_run = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "connection"], name="one_state_per_source")]

    def __str__(self) -> str:
        return f"{self.source} ({self.connection})"

    @property
    def fresh_for(self) -> timedelta:
        return timedelta(minutes=self.interval_minutes + 5)
