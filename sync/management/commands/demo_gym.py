"""Make the invented demo gym with its connection to the sandbox, or print its logins."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from integrations import keys
from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY
from schedule import demo
from schedule.models import Organization, TimetableSettings
from sync import sources
from sync.gym import DEMO_MARK
from sync.models import SyncJob


class Command(BaseCommand):
    help = "Make an invented gym with a full week, to try Callboard with. `start_gym` takes it away again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--if-empty", action="store_true", help="do nothing when there is a gym already")
        parser.add_argument("--print-logins", action="store_true", help="print the demo's logins and make nothing")

    def handle(self, *args: Any, if_empty: bool, print_logins: bool, **options: Any) -> None:
        if print_logins:
            self._print_logins()
            return
        if if_empty and Organization.objects.exists():
            return
        if settings.ENVIRONMENT.production:
            raise CommandError("The demo's passwords are public; production mode makes no demo. Use `start_gym`.")
        if not demo.exists() and Organization.objects.exists():
            raise CommandError("This installation has a gym already, and the demo would stand in its place.")
        gym = make(timezone.now())
        self.stdout.write(f"{gym.name} is this installation's gym.")
        self._print_logins()

    def _print_logins(self) -> None:
        for name, password, purpose in demo.logins():
            self.stdout.write(f"  {name} / {password}   {purpose}")


@transaction.atomic
def make(now: datetime) -> Organization:
    """Make the demo, read from the sandbox's Fitbox where that is not switched off; a demo that stands stays as it is."""
    stood = demo.exists()
    gym = demo.make(now)
    if stood or "fitbox" not in sources.names():
        return gym
    connection = Connection(provider="fitbox", name="Fitbox (sandbox)", settings={DEMO_MARK: True})
    keys.enter(connection, SANDBOX_FITBOX_KEY)
    connection.save()
    SyncJob.objects.create(connection=connection, due_at=now)
    timetable = TimetableSettings.objects.get(organization=gym)
    timetable.data_source = "fitbox"
    timetable.save()  # not by an update, which would leave the choice out of the history
    return gym
