"""A sandbox as the provider, a server for odd bytes, and the door's client with naps that are noted instead of slept."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from integrations.http import Client, Limits
from integrations.sandbox import Sandbox
from integrations.sandbox.fitbox import SANDBOX_FITBOX_KEY

SCHEDULE = "/api/v1/schedule"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.serve(seed=1) as sandbox:
        yield sandbox


@dataclass
class Door:
    """Makes clients of one sandbox's Fitbox and notes how long they would have slept."""

    base_url: str
    naps: list[float] = field(default_factory=list)

    def client(self, **changes: Any) -> Client:
        named = {"account_key": "1", "base_url": self.base_url, "limits": Limits(), "allow_private": True, **changes}
        headers = named.pop("headers", {"Authorization": f"Bearer {SANDBOX_FITBOX_KEY}"})
        return Client("fitbox", headers=headers, sleep=self.naps.append, **named)


@pytest.fixture
def door(sandbox: Sandbox) -> Door:
    return Door(sandbox.url_of("fitbox"))


class OddServer:
    """Answers each connection by a function of its socket: for bytes that no decent server would send."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted:
            try:
                while head := accepted.recv(65536):
                    self.heads.append(head)
                    self._answer(accepted)
            except OSError:
                return  # the client left, which is what several tests are about


@pytest.fixture
def odd_server() -> Iterator[Callable[[Callable[[socket.socket], None]], OddServer]]:
    made: list[OddServer] = []

    def make(answer: Callable[[socket.socket], None]) -> OddServer:
        made.append(OddServer(answer))
        return made[-1]

    yield make
    for server in made:
        server.close()
