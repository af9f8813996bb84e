"""What a provider of the sandbox is: something that answers requests, with faults, a log and a piece of control API."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from integrations.sandbox.clock import Clock
from integrations.sandbox.faults import Fault, FaultQueue
from integrations.sandbox.messages import Answer, Request
from integrations.sandbox.traffic import Traffic


class Provider(ABC):
    """The base of every provider module. The server calls `answer` from many threads at once."""

    name: ClassVar[str]
    # Faults that only this provider can do, beside those of faults.py; handed to `answer`.
    own_faults: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock, self.seed = clock, seed
        self.faults = FaultQueue(clock, seed, self.own_faults)
        self.traffic = Traffic(self.name)

    @abstractmethod
    def answer(self, request: Request, own_fault: Fault | None) -> Answer:
        """Answer one request whose path has lost the provider's prefix."""

    @abstractmethod
    def control(self, request: Request) -> Any:
        """Answer a request to /_control/<name>/<path> with something JSON can hold. Raises BadRequest, LookupError."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The state in a few words for GET /_control/<name>."""

    @abstractmethod
    def restore(self) -> None:
        """Go back to the state at the start."""

    def reset(self) -> None:
        """Back to the start: state, faults, log and counters."""
        self.faults.clear()
        self.traffic.clear()
        self.restore()
