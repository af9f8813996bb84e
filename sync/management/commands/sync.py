"""Do one sync in the foreground: a progress bar, a summary, and an exit status that scripts can trust."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from integrations import adapters
from integrations.models import Connection
from sync import ingest, leases, sources, words
from sync.errors import TooSoon
from sync.models import Run, RunResult, RunState, RunTrigger

LOOK_EVERY_SECONDS = 0.5
STEPS = 3
"""Reading, writing, done."""
GOOD = (RunResult.SUCCESS, RunResult.PARTIAL, RunResult.RELEASED)


class Command(BaseCommand):
    help = "Sync one provider now. Exit status 0 when the timetable shows what the provider said, else 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("provider", help=f"one of: {', '.join(adapters.PROVIDERS) or 'none is switched on'}")

    def handle(self, *args: Any, provider: str, **options: Any) -> None:
        connection = _connection(provider)
        try:
            run = leases.request(connection, RunTrigger.COMMAND, now=timezone.now())
        except TooSoon as refused:
            raise CommandError(words.of_pause(refused, provider)) from refused
        with tqdm(total=STEPS, desc=f"Sync {provider}", file=self.stderr, leave=False, bar_format=BAR) as bar:
            run = _follow(connection, run, Progress(bar))
        self._report(run)
        if run.result not in GOOD:
            sys.exit(1)

    def _report(self, run: Run) -> None:
        took = f" in {run.duration_seconds:.1f} s" if run.duration_seconds is not None else ""
        self.stdout.write(f"Run {run.pk}: {run.get_result_display()}{took}, {run.calls} calls.")
        self.stdout.write(words.of_run(run))
        counts = ("total", "created", "changed", "cancelled", "removed", "live_only", "unchanged", "invalid")
        self.stdout.write("  ".join(f"{name.replace('_', ' ')} {getattr(run, name)}" for name in counts))
        for finding in run.findings:
            left_out = " (left out)" if finding["hard"] else ""
            self.stdout.write(f"  {finding['record']}: {finding['message']}{left_out}")


BAR = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


class Progress:
    """Moves the bar as the run says what it does."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def __call__(self, text: str) -> None:
        self.bar.set_description_str(text, refresh=False)
        if text.startswith("Writing"):
            self.bar.n = STEPS - 1
        elif text.startswith("Reading"):
            self.bar.n = 1
        self.bar.refresh()


def _connection(provider: str) -> Connection:
    if provider not in adapters.PROVIDERS:
        known = ", ".join(adapters.PROVIDERS) or "none is switched on"
        raise CommandError(f"There is no provider {provider!r} here: {known}.")
    connection = sources.connection_of(provider)
    if connection is None:
        raise CommandError(f"There is no connection to {adapters.display_name(provider)} yet; add one in the admin.")
    return connection


def _follow(connection: Connection, run: Run, say: Progress) -> Run:
    """Do the run, or wait for the worker that does it; when that worker dies, its lease ends and this process goes on."""
    while run.state in (RunState.PENDING, RunState.RUNNING):
        done = ingest.run(connection.pk, say=say)
        if done is not None:
            return done
        run.refresh_from_db()
        if run.state in (RunState.PENDING, RunState.RUNNING):
            say(f"Another worker does it: {run.progress}")
            time.sleep(LOOK_EVERY_SECONDS)
    return run
