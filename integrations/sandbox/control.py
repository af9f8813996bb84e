"""The control API under /_control/: JSON in, JSON out, for tests, demos and training.

It is reachable from this machine only, and not from web pages open in its browser: the Host must be a loopback name
and a request that changes something must be application/json, which a page of another origin cannot send unasked.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations.sandbox.clock import Clock
from integrations.sandbox.faults import Fault, parse_fault, standard_outage
from integrations.sandbox.messages import Answer, BadRequest, Request, error_answer, json_answer
from integrations.sandbox.provider import Provider

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Control:
    """Answers /_control/...; what concerns one provider only is passed to it."""

    def __init__(self, clock: Clock, providers: Mapping[str, Provider]) -> None:
        self._clock, self._providers = clock, providers

    def answer(self, request: Request) -> Answer:
        """Answer one request whose path has lost /_control."""
        if refusal := _refusal(request):
            return refusal
        try:
            return json_answer(200, self._dispatch(request))
        except BadRequest as error:
            return error_answer(400, "bad_request", str(error), request)
        except LookupError as error:
            return error_answer(404, "not_found", str(error.args[0]), request)

    def _dispatch(self, request: Request) -> Any:
        first, _, rest = request.path.strip("/").partition("/")
        provider = self._providers.get(first)
        if provider:
            return self._of_provider(provider, rest, request)
        match request.method, request.path.strip("/"):
            case "GET", "":
                return self._overview()
            case "GET", "clock":
                return self._clock_state()
            case "POST", "clock":
                return self._set_clock(request.json())
            case "GET", "requests":
                return self._requests(request.query)
            case "GET", "counters":
                return {name: provider.traffic.counters.as_json() for name, provider in self._providers.items()}
            case "POST", "counters/reset":
                for provider in self._providers.values():
                    provider.traffic.clear()
                return {"reset": "counters"}
            case "POST", "reset":
                return self._reset()
        raise LookupError(f"The control API has no {request.method} {request.path}.")

    def _of_provider(self, provider: Provider, path: str, request: Request) -> Any:
        match request.method, path:
            case "GET", "":
                return {**provider.describe(), **provider.faults.describe()}
            case "GET", "faults" | "outage":
                return provider.faults.describe()
            case "POST", "faults":
                provider.faults.add(*_faults(request.json(), provider))
                return provider.faults.describe()
            case "DELETE", "faults":
                provider.faults.clear()
                return provider.faults.describe()
            case "POST", "outage":
                provider.faults.run_outage(_phases(request.json(), provider))
                return provider.faults.describe()
            case "DELETE", "outage":
                provider.faults.end_outage()
                return provider.faults.describe()
            case "POST", "reset":
                provider.reset()
                return provider.describe()
        relative = Request(request.method, request.target, f"/{path}", request.headers, request.body)
        return provider.control(relative)

    def _overview(self) -> dict[str, Any]:
        providers = {name: provider.describe() for name, provider in self._providers.items()}
        return {**self._clock_state(), "providers": providers}

    def _clock_state(self) -> dict[str, Any]:
        return {"now": self._clock.now().isoformat(), "real": self._clock.is_real}

    def _set_clock(self, body: Any) -> dict[str, Any]:
        match body:
            case {"real": True}:
                self._clock.use_real()
            case {"advance_seconds": int() | float() as seconds}:
                self._clock.advance(seconds)
            case {"now": str(text)}:
                self._clock.set(_instant(text), ticking=body.get("ticking", False) is True)
            case _:
                raise BadRequest('Send {"now": instant, "ticking": bool}, {"advance_seconds": n} or {"real": true}.')
        return self._clock_state()

    def _requests(self, query: dict[str, str]) -> list[dict[str, Any]]:
        chosen = [p for name, p in self._providers.items() if query.get("provider", name) == name]
        records = sorted((r for p in chosen for r in p.traffic.records), key=lambda record: record.number)
        limit = query.get("limit", "500")
        if not limit.isdigit():
            raise BadRequest("limit is a whole number.")
        return [record.as_json() for record in records[max(len(records) - int(limit), 0) :]]

    def _reset(self) -> dict[str, Any]:
        self._clock.use_real()
        for provider in self._providers.values():
            provider.reset()
        return self._overview()


def _refusal(request: Request) -> Answer | None:
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if host.lower() not in LOOPBACK_NAMES:
        return error_answer(403, "forbidden", "The control API answers on loopback names only.", request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method not in ("GET", "HEAD") and content_type != "application/json":
        return error_answer(415, "wrong_content_type", "Send Content-Type: application/json.", request)
    return None


def _faults(body: Any, provider: Provider) -> list[Fault]:
    return [parse_fault(item, provider.own_faults) for item in (body if isinstance(body, list) else [body])]


def _phases(body: Any, provider: Provider) -> list[tuple[float, Fault | None]]:
    """Phases from JSON: {"phases": [{"seconds": 600, "fault": null or a fault}]}, or {"standard": true}."""
    match body:
        case {"standard": True}:
            down = body.get("fault")
            return standard_outage(down and parse_fault(down, provider.own_faults))
        case {"phases": list(phases)}:
            return [_phase(phase, provider) for phase in phases]
    raise BadRequest('Send {"phases": [{"seconds": n, "fault": fault or null}]} or {"standard": true}.')


def _phase(phase: Any, provider: Provider) -> tuple[float, Fault | None]:
    match phase:
        case {"seconds": int() | float() as seconds}:
            fault = phase.get("fault")
            return seconds, None if fault is None else parse_fault(fault, provider.own_faults)
    raise BadRequest("A phase needs seconds and may have a fault.")


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no instant.") from error
    if instant.tzinfo is None:
        raise BadRequest(f"{text!r} has no offset.")
    return instant
