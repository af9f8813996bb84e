"""A run in words, for page, API and command line."""

from sync.models import Run, RunResult, RunState

ENDED = (RunState.COMPLETED, RunState.FAILED)


def sentence(run: Run) -> str:
    """Return what the run did, or how far it is."""
    if run.state not in ENDED:
        return run.progress or "Waiting for a worker."
    if run.error:
        return run.error
    if run.unchanged_answer:
        return "Synced: nothing had changed."
    counts = {"new": run.created, "changed": run.changed, "removed": run.removed, "with new counts": run.live_only}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing had changed"
    left_out = f" {run.invalid} of {run.total} could not be read; the findings name them." if run.invalid else ""
    return f"Synced: {said}.{left_out}"


def went_well(run: Run) -> bool:
    """Whether the timetable now shows what the source said."""
    return run.state == RunState.COMPLETED and run.result in (RunResult.SUCCESS, RunResult.PARTIAL, RunResult.RELEASED)
