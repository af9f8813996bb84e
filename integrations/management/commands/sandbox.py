"""`manage.py sandbox`: serve a local stand-in of every provider on one loopback port."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from integrations.sandbox.run import DEFAULT_PORT, run
from integrations.sandbox.sandbox import DEFAULT_SEED
from integrations.sandbox.server import PortTaken


class Command(BaseCommand):
    help = "Serve a local stand-in of every provider on 127.0.0.1, until stopped."
    # It needs no database and no settings of ours.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1; 0 takes a free one")
        parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which invented gym")

    def handle(self, *args: object, port: int, seed: int, **options: object) -> None:
        try:
            run(port, seed, self._write)
        except PortTaken as error:
            raise CommandError(str(error), returncode=1) from error

    def _write(self, line: str) -> None:
        self.stdout.write(line)
        # Whoever started this in a pipe waits for the address.
        self.stdout.flush()
