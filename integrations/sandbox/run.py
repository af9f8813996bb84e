"""Run the sandbox in the foreground until it is told to stop."""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from integrations.sandbox.fitbox import SANDBOX_FITBOX_KEY
from integrations.sandbox.sandbox import Sandbox

DEFAULT_PORT = 8010


def run(port: int, seed: int, write: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT. Raises PortTaken."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with Sandbox.serve(port=port, seed=seed) as sandbox:
            write(f"Sandbox: {sandbox.url}")
            write(f"Fitbox:  {sandbox.url_of('fitbox')} (key {SANDBOX_FITBOX_KEY})")
            write(f"Control: {sandbox.url}/_control/")
            stop.wait()
        write("Sandbox stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
