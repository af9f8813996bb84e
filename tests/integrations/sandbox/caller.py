"""A caller of the sandbox over a real, kept connection, which decodes nothing by itself."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from integrations.sandbox import SANDBOX_FITBOX_KEY, Sandbox

MONDAY, SUNDAY = "2026-03-02", "2026-03-08"
THIS_WEEK = {"from": MONDAY, "to": SUNDAY}


@dataclass(frozen=True)
class Received:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def classes(self) -> list[Any]:
        return list(self.json["classes"])


class Caller:
    def __init__(self, sandbox: Sandbox, timeout_seconds: float = 5.0) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=timeout_seconds)

    def send(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: str | None = None
    ) -> Received:
        self.connection.request(method, target, body, headers or {})
        answer = self.connection.getresponse()
        return Received(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(
        self, path: str, query: dict[str, Any] | None = None, *, key: str | None = SANDBOX_FITBOX_KEY, **headers: str
    ) -> Received:
        """GET under /fitbox; keyword `If_None_Match` becomes the header If-None-Match."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        return self.send("GET", f"/fitbox{path}{'?' + urlencode(query) if query else ''}", sent)

    def week(self, **query: Any) -> Received:
        return self.get("/api/v1/schedule", {**THIS_WEEK, **query})
