"""The beginning of a real gym: the demo goes, an organization, its settings and the first login come, all at once."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from integrations import credentials
from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY
from schedule import demo, store
from schedule.models import Organization, TimetableSettings
from sync import connections, held

DEMO_MARK = "demo"
"""In the settings of a connection to the sandbox; a key that a person enters takes it away, unless it is the sandbox's."""


class GymExists(Exception):
    """This installation serves a real gym already; the text says so."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new gym begins with; the first login's password goes beside it, not into reprs."""

    name: str
    zone: str
    email: str
    username: str


def refuse_if_real() -> None:
    """Raise GymExists unless there is no gym yet, or only the demo."""
    gym = Organization.objects.filter(is_installation=True).first()
    if gym is not None and not gym.is_demo:
        raise GymExists(f"This Callboard serves {gym.name} already. Its name and time zone are changed in the admin.")


def start(beginning: Beginning, password: str, *, now: datetime) -> tuple[Organization, User]:
    """Take the demo away and make the gym and its first login, whole or not at all.

    Raises GymExists, ValidationError by field, and SyncAlreadyRunning while the demo is being synced.
    """
    with transaction.atomic():
        refuse_if_real()
        leave_demo(now=now)
        gym = Organization(name=beginning.name, timezone=beginning.zone, email=beginning.email, is_installation=True)
        gym.full_clean()
        gym.save()
        user = _first_login(beginning, password)
        timetable = TimetableSettings(organization=gym)
        # Whoever asks on the page was a login of the demo, and is gone by now.
        timetable._history_user = user  # type: ignore[attr-defined]  # read by django-simple-history at save
        timetable.save()
        store.bump_publication()
    return gym, user


def own(connection: Connection, key: str) -> None:
    """Let the demo's connection outlive the demo, unsaved, if it now leads elsewhere: by another key or an address."""
    if key != SANDBOX_FITBOX_KEY or connection.base_url:
        connection.settings = {name: value for name, value in connection.settings.items() if name != DEMO_MARK}


def outliving_connections() -> list[Connection]:
    """Return the connections that stay when the demo goes."""
    return [connection for connection in Connection.objects.all() if not connection.settings.get(DEMO_MARK)]


def leave_demo(*, now: datetime) -> None:
    """Remove the demo gym with its rows, logins and connections; a connection with a key or an address of its own stays."""
    if not demo.exists():
        return
    connections.stop(Connection.objects.all(), now=now)
    demo.remove()
    for connection in Connection.objects.all():
        if connection.settings.get(DEMO_MARK):
            credentials.record_use(connection, "delete", actor="start_gym", purpose="the demo ended")
            number = connection.pk
            connection.delete()
            Connection.history.filter(id=number).delete()
        else:
            # Its rows went with the demo's gym: "unchanged since last time" would leave the new one empty.
            held.supersede(connection, now)
            connections.resume(connection)
            connections.start_over(connection, now=now)


def _first_login(beginning: Beginning, password: str) -> User:
    users = get_user_model()
    user = users(username=beginning.username, email=beginning.email, is_staff=True, is_superuser=True)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from error
    user.set_password(password)
    user.full_clean()
    user.save()
    return user
