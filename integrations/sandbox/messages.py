"""What passes between the socket server and the providers: a request as received, an answer as it will be sent."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


class BadRequest(Exception):
    """The caller's request cannot be understood; the message says which part and why."""


@dataclass(frozen=True)
class Request:
    """One request. `path` has no provider prefix; header names are lower case, values as received."""

    method: str
    target: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated name the last counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def decoded_target(self) -> str:
        return unquote(self.target)

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object. Raises BadRequest."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise BadRequest(f"The body is not JSON: {error}.") from error

    def unconditional(self) -> "Request":
        """The same request without If-None-Match and If-Modified-Since."""
        return replace(self, headers={name: value for name, value in self.headers.items() if name not in CONDITIONS})


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer goes over the wire; the default is at once and complete."""

    wait_seconds: float = 0.0
    bytes_per_second: int | None = None
    body_bytes: int | None = None  # how much of the body is really sent; the header still names all of it
    never_answers: bool = False
    ending: str = "keep"  # keep the connection, close it, or reset it


AT_ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. With `stream` the body is sent in chunks of unknown length instead of `body`."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = "application/json"
    stream: Callable[[], Iterator[bytes]] | None = None
    delivery: Delivery = field(default=AT_ONCE)

    def with_header(self, name: str, value: str) -> "Answer":
        return replace(self, headers=(*self.headers, (name, value)))


def json_answer(status: int, value: object, *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), headers)


def error_answer(status: int, code: str, message: str, request: Request, *headers: tuple[str, str]) -> Answer:
    """An error in the shape of the Fitbox contract, which the control API uses as well."""
    request_id = request.headers.get("x-request-id")
    body = {"error": {"code": code, "message": message, "request_id": request_id}}
    return json_answer(status, body, *headers)
