"""What staff set about the data source, the sync and the fallback: read, checked and saved for page and API alike."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction

from integrations.models import Connection
from schedule import store
from schedule.models import Organization, SourceState, TimetableSettings
from sync import sources, tasks
from sync.models import Run, SyncJob

CMS = "cms"
STALE_MARGIN_MINUTES = 15
"""A limit below interval + 15 minutes would call data stale that a single late run will replace."""
PROMISED_INTERVAL_MINUTES = 10
"""Above it, interval plus run time passes the 15 minutes within which changes are promised to show."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The settings beside the choice of the source. Those of the connection keep their defaults while there is none."""

    is_enabled: bool = True
    interval_minutes: int = 15
    timeout_seconds: int = 10
    retries: int = 3
    stale_limit_minutes: int = 60
    show_cancelled: bool = True
    fallback_order: tuple[str, ...] = (CMS,)


OF_CONNECTION = ("is_enabled", "interval_minutes", "timeout_seconds", "retries")
OF_TIMETABLE = ("stale_limit_minutes", "show_cancelled", "fallback_order")
NAMES = tuple(field.name for field in fields(Controls))


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that the page and the API say about the source."""

    chosen: str
    booking_source: str
    """The source that is synced: the chosen one, or the one that could be; empty when none may be chosen."""
    connection: Connection | None
    controls: Controls
    last_sync: datetime | None
    last_run: Run | None
    current_run: Run | None
    """Waiting or working now."""
    next_possible_at: datetime | None
    """A sync cannot start before then, because the provider asked to wait."""


def standing(now: datetime) -> Standing:
    """Read how the source stands. Raises Organization.DoesNotExist before there is a gym."""
    timetable = _timetable()
    chosen = timetable.data_source if timetable.data_source in sources.names() else CMS
    booking = booking_source(timetable)
    connection = sources.connection_of(booking) if booking else None
    controls = _controls(timetable, connection)
    if connection is None:
        return Standing(chosen, booking, None, controls, None, None, None, None)
    runs = connection.runs.select_related("requested_by")
    job = SyncJob.objects.filter(connection=connection).first()
    state = SourceState.objects.filter(source=booking, connection=connection.key).first()
    waits = job is not None and job.not_before is not None and job.not_before > now
    return Standing(
        chosen,
        booking,
        connection,
        controls,
        state.last_complete_at if state else None,
        runs.exclude(state__in=("pending", "running")).first(),
        runs.filter(state__in=("pending", "running")).order_by("-state").first(),
        job.not_before if job and waits else None,
    )


def save(wanted: Controls, *, user: AbstractBaseUser, now: datetime) -> None:
    """Check the settings together and save those that changed, in the user's name. Raises ValidationError by field."""
    with transaction.atomic():
        timetable = _timetable(lock=True)
        connection = _locked_connection(booking_source(timetable))
        wanted = replace(wanted, fallback_order=_with_cms_last(wanted.fallback_order))
        _check(wanted, connection is not None)
        _save_timetable(timetable, wanted, user)
        if connection is not None:
            _save_connection(connection, wanted, user, now)


def _timetable(*, lock: bool = False) -> TimetableSettings:
    """Return the gym's settings, or the defaults: looking at a page writes nothing."""
    organization = Organization.installation()
    if lock:
        TimetableSettings.current()
        return TimetableSettings.objects.select_for_update().get(organization=organization)
    found = TimetableSettings.objects.filter(organization=organization).first()
    return found or TimetableSettings(organization=organization, fallback_order=[CMS])


def booking_source(timetable: TimetableSettings) -> str:
    """Return the source that is synced: the chosen one, else the first that could be; empty when none may be."""
    others = [name for name in sources.names() if name != CMS]
    return timetable.data_source if timetable.data_source in others else next(iter(others), "")


def _locked_connection(source: str) -> Connection | None:
    connection = sources.connection_of(source) if source else None
    return Connection.objects.select_for_update().get(pk=connection.pk) if connection else None


def _controls(timetable: TimetableSettings, connection: Connection | None) -> Controls:
    values = {name: getattr(timetable, name) for name in OF_TIMETABLE}
    values["fallback_order"] = _with_cms_last(timetable.fallback_order)
    if connection is not None:
        values |= {name: getattr(connection, name) for name in OF_CONNECTION}
    return Controls(**values)


def _with_cms_last(order: Sequence[str]) -> tuple[str, ...]:
    return (*dict.fromkeys(name for name in order if name != CMS), CMS)


def _check(wanted: Controls, has_connection: bool) -> None:
    """Raise ValidationError for what only both tables together can tell."""
    least = wanted.interval_minutes + STALE_MARGIN_MINUTES
    if has_connection and wanted.stale_limit_minutes < least:
        raise ValidationError(
            {
                "stale_limit_minutes": f"With an interval of {wanted.interval_minutes} minutes the limit must be at least "
                f"{least}: a single late sync would otherwise take good data off the page."
            }
        )


def _save_timetable(timetable: TimetableSettings, wanted: Controls, user: AbstractBaseUser) -> None:
    values = {name: getattr(wanted, name) for name in OF_TIMETABLE}
    values["fallback_order"] = list(wanted.fallback_order)
    if all(getattr(timetable, name) == value for name, value in values.items()):
        return
    for name, value in values.items():
        setattr(timetable, name, value)
    timetable.full_clean(exclude=["organization", "data_source"], validate_unique=False)
    timetable._history_user = user  # type: ignore[attr-defined]  # read by django-simple-history at save
    timetable.save()
    store.bump_publication()


def _save_connection(connection: Connection, wanted: Controls, user: AbstractBaseUser, now: datetime) -> None:
    before = {name: getattr(connection, name) for name in OF_CONNECTION}
    values = {name: getattr(wanted, name) for name in OF_CONNECTION}
    if before == values:
        return
    for name, value in values.items():
        setattr(connection, name, value)
    connection.clean_fields(
        exclude=[field.name for field in connection._meta.fields if field.name not in OF_CONNECTION]
    )
    connection._history_user = user  # type: ignore[attr-defined]  # as above
    connection.save(update_fields=list(OF_CONNECTION))
    # A shorter interval counts from now, not from when the longer one ends; what was off starts at once.
    soonest = (
        now if values["is_enabled"] and not before["is_enabled"] else now + timedelta(minutes=wanted.interval_minutes)
    )
    SyncJob.objects.filter(connection=connection, due_at__gt=soonest).update(due_at=soonest)
    if soonest == now:
        transaction.on_commit(lambda: tasks.enqueue(connection.pk))
