"""End the supervisor's children when the supervisor itself is gone, however it went: also by SIGKILL.

Runs as a process of its own, in a session of its own, standard library only: `python config/guardian.py <seconds>`.
Its standard input is a pipe whose other end only the supervisor holds, so the kernel reports the supervisor's end as
the pipe's end. Linux's PR_SET_PDEATHSIG would reach the children only, not theirs, and no other system has it; this
works on all.

Lines read: `+<process group>` when a child was started, `-<process group>` when it has been reaped.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress


def main(patience_seconds: float) -> None:
    # Ctrl-C and a closed terminal concern the supervisor; it says over the pipe when all is done.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(remaining(sys.stdin), patience_seconds)


def remaining(lines: Iterable[str]) -> set[int]:
    """Read until the supervisor is gone; return the process groups that were not reported as reaped."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def end(groups: Iterable[int], patience_seconds: float) -> None:
    """Ask each group's leader to stop, then kill what is still there.

    The leader alone is asked, and waited for: gunicorn and Celery end their own workers when these have finished.
    """
    waiting = {group for group in groups if signal_process(group, signal.SIGTERM)}
    deadline = time.monotonic() + patience_seconds
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        waiting = {group for group in waiting if signal_process(group, 0)}
    for group in groups:
        signal_group(group, signal.SIGKILL)


def signal_process(pid: int, number: int) -> bool:
    """Signal one process; False if it is gone. Number 0 only asks."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def signal_group(group: int, number: int) -> None:
    """Signal every process of a group, if there is still one."""
    # macOS answers PermissionError for a group in which only zombies are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    main(float(sys.argv[1]))
