"""`manage.py run`: start everything of the embedded mode and keep it running until Ctrl-C."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from config import processes
from config.supervisor import CannotStart


class Command(BaseCommand):
    help = "Start the web server, a worker, beat and the sandbox, and keep them running until Ctrl-C."
    # Checked by the processes themselves, and the migrations are about to be run.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            processes.run(self._say)
        except CannotStart as reason:
            sys.exit(f"callboard: {reason}")
        except KeyboardInterrupt:
            self._say("Stopped.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
