"""Make the invented demo gym, or print its logins."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from schedule import demo
from schedule.models import Organization


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
        gym = demo.make(timezone.now())
        self.stdout.write(f"{gym.name} is this installation's gym.")
        self._print_logins()

    def _print_logins(self) -> None:
        for name, password, purpose in demo.logins():
            self.stdout.write(f"  {name} / {password}   {purpose}")
