"""Begin a real gym: the demo goes, the gym and its first login come."""

import os
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sync import gym
from sync.errors import SyncAlreadyRunning
from sync.gym import Beginning

PASSWORD_VARIABLE = "CALLBOARD_STAFF_PASSWORD"  # noqa: S105 - the variable's name


class Command(BaseCommand):
    help = (
        "Take the demo away and begin your gym with its first login. The password is asked for, or taken from "
        f"{PASSWORD_VARIABLE}; never from the command line, where others can read it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the gym's name")
        parser.add_argument("--zone", required=True, help="its time zone, an IANA name such as Australia/Melbourne")
        parser.add_argument("--email", required=True, help="its e-mail address")
        parser.add_argument("--username", required=True, help="the first login")

    def handle(self, *args: Any, name: str, zone: str, email: str, username: str, **options: Any) -> None:
        try:
            gym.refuse_if_real()
            begun, user = gym.start(Beginning(name, zone, email, username), self._password(), now=timezone.now())
        except gym.GymExists as refused:
            raise CommandError(str(refused)) from refused
        except SyncAlreadyRunning as refused:
            raise CommandError(f"Nothing was done: {refused}.") from refused
        except ValidationError as error:
            faults = [f"{field}: {' '.join(reasons)}" for field, reasons in error.message_dict.items()]
            raise CommandError("Nothing was done.\n" + "\n".join(faults)) from error
        self.stdout.write(f"{begun.name} is this installation's gym. Log in at /admin/ as {user.get_username()}.")

    def _password(self) -> str:
        if given := os.environ.get(PASSWORD_VARIABLE):
            return given
        try:
            password = getpass("Password of the first login: ")
            if password != getpass("Password, again: "):
                raise CommandError("The two passwords differ; nothing was done.")
        except (EOFError, KeyboardInterrupt) as ended:
            raise CommandError(f"No password was given; type it, or set {PASSWORD_VARIABLE}.") from ended
        return password
