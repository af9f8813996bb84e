"""Do one sync in the foreground: a progress bar, a summary, and an exit status that scripts can trust."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        # Not Django's wrapper, which would end each drawing of the bar with a new line.
        terminal = options.get("stderr") or sys.stderr
        with tqdm(total=STEPS, desc=f"Sync {provider}", file=terminal, bar_format=BAR) as bar, _log_above(bar):
            progress = Progress(bar)
            run = _follow(connection, run, progress)
            progress.end(run)
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


LONGEST = 60
"""Characters of a description; a longer one would break the line, and the bar with it."""
BAR = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


class Progress:
    """Moves the bar as the run says what it does."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def __call__(self, text: str) -> None:
        self.bar.set_description_str(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...", refresh=False)
        if text.startswith("Writing"):
            self.bar.n = STEPS - 1
        elif text.startswith("Reading"):
            self.bar.n = 1
        self.bar.refresh()

    def end(self, run: Run) -> None:
        """Leave the bar full if the run came to its end, whoever did it."""
        is_done = run.state == RunState.COMPLETED
        self.bar.n = STEPS if is_done else self.bar.n
        self.bar.set_description_str("Done" if is_done else "Failed")


class _Above:
    """A stream that writes above the bar, which is drawn anew below."""

    def __init__(self, bar: Any, stream: Any) -> None:
        self.bar = bar
        self.stream = stream

    def write(self, text: str) -> None:
        self.bar.clear()
        self.stream.write(text)
        self.bar.refresh()

    def flush(self) -> None:
        self.stream.flush()


@contextmanager
def _log_above(bar: Any) -> Iterator[None]:
    """Keep log lines from breaking into the bar; the handlers stay, for their filters take keys out of the lines."""
    handlers = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    streams = [handler.setStream(_Above(bar, handler.stream)) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            if stream is not None:
                handler.setStream(stream)


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
