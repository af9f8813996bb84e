"""The whole sandbox: clock, providers, control API and the server in front of them."""

from types import TracebackType
from typing import Self

from integrations.sandbox.clock import Clock
from integrations.sandbox.control import Control
from integrations.sandbox.faults import NEEDS_BODY, Fault, spoil
from integrations.sandbox.fitbox import Fitbox
from integrations.sandbox.messages import Answer, Request, error_answer
from integrations.sandbox.provider import Provider
from integrations.sandbox.server import Finished, SocketServer

DEFAULT_SEED = 1
LOOPBACK = "127.0.0.1"
# The status in a record whose request got no answer at all.
NO_ANSWER = 0


class Sandbox:
    """Serves every provider under its own first path segment. A new provider is one more line in `providers`."""

    def __init__(self, *, port: int = 0, seed: int = DEFAULT_SEED, host: str = LOOPBACK) -> None:
        self.clock = Clock()
        self.fitbox = Fitbox(self.clock, seed)
        self.providers: dict[str, Provider] = {provider.name: provider for provider in (self.fitbox,)}
        self._control = Control(self.clock, self.providers)
        self._server = SocketServer(host, port, self._answer, self.clock.now)

    @classmethod
    def serve(cls, *, port: int = 0, seed: int = DEFAULT_SEED, host: str = LOOPBACK) -> Self:
        """Start serving in threads; port 0 takes a free one. Raises PortTaken."""
        sandbox = cls(port=port, seed=seed, host=host)
        sandbox._server.start()
        return sandbox

    @property
    def url(self) -> str:
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        return f"http://{host}:{self._server.port}"

    def url_of(self, provider: str) -> str:
        """The base address of a provider, for instance http://127.0.0.1:8010/fitbox."""
        return f"{self.url}/{self.providers[provider].name}"

    def reset(self) -> None:
        self.clock.use_real()
        for provider in self.providers.values():
            provider.reset()

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answer(self, request: Request, connection: int) -> tuple[Answer, Finished]:
        name, _, rest = request.path.lstrip("/").partition("/")
        inner = Request(request.method, request.target, f"/{rest}", request.headers, request.body)
        if name == "_control":
            return self._control.answer(inner), _nothing
        provider = self.providers.get(name)
        if provider is None:
            known = ", ".join(f"/{known}" for known in self.providers)
            return error_answer(404, "not_found", f"The sandbox serves {known} and /_control.", request), _nothing
        provider.traffic.enter(connection)
        try:
            return self._answer_of(provider, inner, connection), provider.traffic.leave
        except BaseException:
            # A defect of the sandbox: its thread ends with a traceback, but the count of parallel requests stays true.
            provider.traffic.leave()
            raise

    def _answer_of(self, provider: Provider, request: Request, connection: int) -> Answer:
        fault = provider.faults.take(request.target)
        answer = _answer_with(provider, request, fault)
        now = self.clock.now()
        if fault:
            answer = spoil(answer, fault, now)
        status = NO_ANSWER if answer.delivery.never_answers else answer.status
        provider.traffic.record(request, connection, now, status, fault.kind if fault else None)
        return answer


def _answer_with(provider: Provider, request: Request, fault: Fault | None) -> Answer:
    if fault is None:
        return provider.answer(request, None)
    if fault.kind in provider.own_faults:
        return provider.answer(request.unconditional(), fault)
    return provider.answer(request.unconditional() if fault.kind in NEEDS_BODY else request, None)


def _nothing() -> None:
    """The control API's own requests are not counted."""
