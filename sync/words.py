"""What page, API and command line tell people about the source and its syncs: the same sentences everywhere."""

from django.utils import timezone
from django.utils.formats import date_format

from integrations import adapters
from schedule.models import Organization
from sync import sources
from sync.controls import CMS, Standing
from sync.errors import TooSoon
from sync.models import Run, RunState

WAITING = "Waiting for a worker"


def of_run(run: Run) -> str:
    """Return what the run did, or how far it is."""
    if run.state in (RunState.PENDING, RunState.RUNNING):
        return run.progress or WAITING
    if run.error:
        return run.error
    if run.unchanged_answer:
        return "Synced: nothing had changed."
    counts = {"new": run.created, "changed": run.changed, "removed": run.removed, "with new counts": run.live_only}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing had changed"
    left_out = f" {run.invalid} of {run.total} could not be read; the findings name them." if run.invalid else ""
    return f"Synced: {said}.{left_out}"


def of_choice(chosen: str, run: Run | None) -> str:
    """Return what follows from the choice of a source; `run` is the sync it started."""
    if chosen == CMS:
        return "Members now see the manual timetable."
    words = sources.names()[chosen]
    if run is not None:
        return f"Members now see {words}. A sync has started."
    if sources.connection_of(chosen) is None:
        return f"{words} is chosen, but there is no connection yet: members see the manual timetable until you add one."
    return f"Members now see {words}. The next sync follows by itself."


def why_no_sync(standing: Standing) -> str:
    """Return why no sync can be started now; empty when one can."""
    if not standing.booking_source:
        return "No booking system is offered here, so there is nothing to sync."
    provider = adapters.display_name(standing.booking_source)
    if standing.connection is None:
        return f"There is no connection to {provider} yet. Add one, with its address and key."
    if not standing.connection.is_enabled:
        return f"Syncing with {provider} is turned off. Turn it on in the settings of the timetable data source."
    return ""


def of_pause(refused: TooSoon, provider: str) -> str:
    """Return when the next sync is possible, on the gym's clock."""
    at = timezone.localtime(refused.until, Organization.installation().zone)
    return (
        f"{adapters.display_name(provider)} asked for a pause. The next sync is possible at {date_format(at, 'H:i:s')}."
    )
