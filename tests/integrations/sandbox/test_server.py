"""The socket server: keep-alive, counting, odd requests, starting and stopping."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from integrations.sandbox import SANDBOX_FITBOX_KEY, Fault, PortTaken, Sandbox
from tests.integrations.sandbox.caller import Caller

ROOT = Path(__file__).parents[3]


def raw(sandbox: Sandbox, sent: bytes) -> bytes:
    """What comes back for these bytes until the server closes."""
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def test_one_connection_serves_many_requests(sandbox: Sandbox, caller: Caller) -> None:
    for _ in range(3):
        caller.week()
    counters = sandbox.fitbox.traffic.counters
    assert (counters.requests, counters.connections_opened, counters.connections_reused) == (3, 1, 2)


def test_a_second_caller_opens_a_second_connection(sandbox: Sandbox, caller: Caller) -> None:
    caller.week()
    Caller(sandbox).week()
    assert sandbox.fitbox.traffic.counters.connections_opened == 2


def test_pipelined_requests_are_answered_in_order(sandbox: Sandbox) -> None:
    fields = f"Host: 127.0.0.1\r\nAuthorization: Bearer {SANDBOX_FITBOX_KEY}\r\n"
    first = f"GET /fitbox/first HTTP/1.1\r\n{fields}\r\n"
    second = f"GET /fitbox/second HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
    received = raw(sandbox, (first + second).encode())
    assert received.index(b"nothing at /first") < received.index(b"nothing at /second")


def test_parallel_requests_are_counted_while_they_wait(sandbox: Sandbox) -> None:
    sandbox.fitbox.faults.add(Fault("slow_start", delay_seconds=0.2))
    threads = [threading.Thread(target=lambda: Caller(sandbox).week()) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.fitbox.traffic.counters.max_parallel == 3


def test_requests_one_after_the_other_are_never_parallel(sandbox: Sandbox) -> None:
    for _ in range(20):
        Caller(sandbox).week()
    assert sandbox.fitbox.traffic.counters.max_parallel == 1


def test_a_caller_who_gave_up_is_no_longer_counted_as_parallel(sandbox: Sandbox) -> None:
    sandbox.fitbox.faults.add(Fault("hang", calls=1, delay_seconds=30))
    impatient = Caller(sandbox, timeout_seconds=0.1)
    with pytest.raises(TimeoutError):
        impatient.week()
    impatient.connection.close()
    time.sleep(0.3)
    Caller(sandbox).week()
    assert sandbox.fitbox.traffic.counters.max_parallel == 1


def test_headers_are_recorded_as_received(sandbox: Sandbox, caller: Caller) -> None:
    caller.get("/api/v1/schedule", {"page": 1}, User_Agent="GeelongMovement/1.0", If_None_Match='"abc"')
    record = sandbox.fitbox.traffic.records[-1]
    assert (record.method, record.path, record.query, record.status) == ("GET", "/api/v1/schedule", {"page": "1"}, 200)
    assert record.header("Authorization") == f"Bearer {SANDBOX_FITBOX_KEY}"
    assert record.header("User-Agent") == "GeelongMovement/1.0"
    assert record.header("If-None-Match") == '"abc"'


@pytest.mark.parametrize(
    "sent",
    [
        b"HELLO\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_an_unreadable_request_is_a_400(sandbox: Sandbox, sent: bytes) -> None:
    assert raw(sandbox, sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_unknown_provider_is_a_404(caller: Caller) -> None:
    assert caller.send("GET", "/nobody/here").status == 404


def test_stop_ends_waiting_answers_at_once(sandbox: Sandbox) -> None:
    sandbox.fitbox.faults.add(Fault("hang", delay_seconds=30))
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as connection:
        connection.sendall(b"GET /fitbox/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while not sandbox.fitbox.traffic.records:
            time.sleep(0.01)
        began = time.monotonic()
        sandbox.stop()
        assert connection.recv(1) == b""
    assert time.monotonic() - began < 2


def test_the_port_is_free_again_after_stop() -> None:
    with Sandbox.serve() as first:
        port = urlsplit(first.url).port or 0
    with Sandbox.serve(port=port) as second:
        assert Caller(second).week().status == 200


def test_other_addresses_than_loopback_are_refused() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Sandbox.serve(host="0.0.0.0")


def test_a_taken_port_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(PortTaken, match=r"^Port \d+ on 127.0.0.1 is taken by another program; choose another port.$"):
        Sandbox.serve(port=urlsplit(sandbox.url).port or 0)


@pytest.mark.parametrize("command", [["manage.py", "sandbox"], ["-m", "integrations.sandbox"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_address_and_stops_on_a_signal(command: list[str], number: signal.Signals) -> None:
    arguments = [sys.executable, *command, "--port", "0", "--seed", "3"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout and process.stderr
        first = process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
    assert first.startswith("Sandbox: http://127.0.0.1:")
    assert rest.endswith("Sandbox stopped.\n")
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("command", [["manage.py", "sandbox"], ["-m", "integrations.sandbox"]])
def test_the_command_on_a_taken_port_is_one_sentence_and_status_1(sandbox: Sandbox, command: list[str]) -> None:
    port = str(urlsplit(sandbox.url).port)
    arguments = [sys.executable, *command, "--port", port]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    sentence = f"Port {port} on 127.0.0.1 is taken by another program; choose another port.\n"
    assert (done.returncode, done.stderr.removeprefix("CommandError: ")) == (1, sentence)
