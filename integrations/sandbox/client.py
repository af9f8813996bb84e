"""A small client of the control API, for tests and scripts whose sandbox runs in another process."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


class ControlRefused(Exception):
    """The control API said no; the message is its own."""


class ControlClient:
    """Speaks to a running sandbox by its address, for instance http://127.0.0.1:8010."""

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        self._netloc, self._timeout_seconds = urlsplit(url).netloc, timeout_seconds

    def get(self, path: str) -> Any:
        return self._send("GET", path, None)

    def post(self, path: str, body: object = None) -> Any:
        return self._send("POST", path, body)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path, None)

    def _send(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection(self._netloc, timeout=self._timeout_seconds)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/_control/{path.lstrip('/')}", sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ControlRefused(value["error"]["message"])
        return value
