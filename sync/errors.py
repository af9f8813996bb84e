"""What can go wrong in the engine itself; a provider's troubles are in integrations.errors."""

from datetime import datetime


class SyncError(Exception):
    """A run could not do its work. `code` is for machines, the text for people."""

    code = "sync_error"


class LeaseLost(SyncError):
    """Another worker took over this connection; this run stops and writes nothing more."""

    code = "lease_lost"


class TooManyInvalid(SyncError):
    """Fewer than the required share of the items could be read; the whole import is refused."""

    code = "too_many_invalid"


class TooSoon(SyncError):
    """The provider, or our own limit, asks to wait until `until`."""

    code = "too_soon"

    def __init__(self, until: datetime) -> None:
        super().__init__(f"next possible at {until:%H:%M:%S} UTC")
        self.until = until


class StaleDecision(SyncError):
    """What the person decided about has been decided or replaced meanwhile; nothing was done."""

    code = "stale_decision"


class SyncAlreadyRunning(SyncError):
    """A run is in flight on something that is about to be taken away; it must end first."""

    code = "sync_already_running"
