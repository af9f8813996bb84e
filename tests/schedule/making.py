"""Makes a gym and its rows for tests of what is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import OperationalError, connection
from django.test import override_settings

from schedule import vevent
from schedule.models import Event, Organization, SourceState, TimetableSettings
from schedule.store import bump_publication

ZONE = ZoneInfo("Australia/Melbourne")
MONDAY = date(2026, 11, 16)
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=ZONE)
"""Wednesday of 2026-W47."""


def gym(**settings: Any) -> Organization:
    organization = Organization.objects.create(
        name="Harbour Gym", timezone=ZONE.key, is_installation=True, phone="03 5550 0100"
    )
    TimetableSettings.objects.create(organization=organization, **settings)
    bump_publication()
    return organization


def session(organization: Organization, day: int = 2, clock: str = "18:00", **values: Any) -> Event:
    """Make one class on a day of the week (0 is Monday), as the store would leave it."""
    number = Event.objects.count()
    starts_at = datetime.combine(MONDAY + timedelta(days=day), time.fromisoformat(clock), ZONE).astimezone(UTC)
    row = {
        "source": "cms",
        "external_id": f"{number}/{starts_at.date()}",
        "uid": f"{number}@callboard",
        "title": "HIIT",
        "class_type_name": "HIIT",
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=45),
        "timezone": ZONE.key,
        "organization": organization,
        "revised_at": NOW,
    } | values
    event = Event(**{"connection": row["source"], **row})
    event.vevent = vevent.render(event)
    event.save()
    bump_publication()
    return event


def read(source: str = "fitbox", at: datetime = NOW - timedelta(minutes=2), **values: Any) -> SourceState:
    """Say when a source was last read completely, for eight weeks from this Monday."""
    covered = {"covered_from": MONDAY, "covered_until": MONDAY + timedelta(days=55)} | values
    state, _ = SourceState.objects.update_or_create(
        source=source, connection="1", defaults={"last_complete_at": at, **covered}
    )
    return state


@contextmanager
def no_redis() -> Iterator[None]:
    """Put a Redis that refuses connections in place of the shared cache."""
    refusing = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    with override_settings(CACHES={"default": refusing}):
        yield


@contextmanager
def no_database() -> Iterator[None]:
    """Let every statement fail as it does when the database's server is gone."""

    def refuse(*_: Any) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(refuse):
        yield
