"""The sandbox: a local stand-in for every provider, for the demo, training, tests and benchmarks.

Start it with `manage.py sandbox --port 8010`, with `python -m integrations.sandbox --port 8010`, or inside a test:

    with Sandbox.serve(seed=1) as sandbox:
        sandbox.clock.set(datetime(2026, 3, 2, 9, tzinfo=UTC))
        sandbox.fitbox.faults.add(Fault("status", status=503, calls=1))
        sandbox.fitbox.schedule.cancel("cls_101_20260302")
        ...  # a client against sandbox.url_of("fitbox")
        assert sandbox.fitbox.traffic.counters.requests == 2

It listens on loopback only. docs/sandbox.md describes the control API under /_control/.
"""

from integrations.sandbox.clock import Clock
from integrations.sandbox.faults import Fault, standard_outage
from integrations.sandbox.fitbox import EXPIRED_KEY, FORBIDDEN_KEY, SANDBOX_FITBOX_KEY
from integrations.sandbox.sandbox import Sandbox
from integrations.sandbox.server import PortTaken
from integrations.sandbox.traffic import Counters, RequestRecord

__all__ = [
    "EXPIRED_KEY",
    "FORBIDDEN_KEY",
    "SANDBOX_FITBOX_KEY",
    "Clock",
    "Counters",
    "Fault",
    "PortTaken",
    "RequestRecord",
    "Sandbox",
    "standard_outage",
]
