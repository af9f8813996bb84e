"""A threaded HTTP/1.1 keep-alive server on loopback that can also misbehave on the socket.

The standard library's handler hides the socket behind files, which makes a reset, a body that stops half-way or 20
bytes a second awkward; here one small loop reads a request, asks for an answer, and delivers it as told.
"""

import errno
import ipaddress
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus

from integrations.sandbox.messages import Answer, Delivery, Request

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
# Longer than clients keep connections in their pools, so that a close is never a surprise unless a fault asks for it.
IDLE_SECONDS = 300.0
# How often a waiting answer looks whether its client has gone.
GLANCE_SECONDS = 0.05
REASONS = {status.value: status.phrase for status in HTTPStatus}
# Delivered while it runs: leaves the count of parallel requests.
Finished = Callable[[], None]
Answering = Callable[[Request, int], tuple[Answer, Finished]]


class PortTaken(Exception):
    """Another program listens on the port; the message is a sentence for whoever started the sandbox."""


class ClientGone(Exception):
    """The other side closed or broke the connection."""


class BadMessage(Exception):
    """The bytes received are not an HTTP/1.x request this server reads."""


class Connection:
    """One accepted socket with what has been read of the next request."""

    def __init__(self, accepted: socket.socket, number: int, stopping: threading.Event) -> None:
        self.socket, self.number, self.stopping = accepted, number, stopping
        self._read = b""
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(IDLE_SECONDS)

    def head(self) -> bytes | None:
        """The next request's head without its blank line; None when the client closed between requests."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            if len(self._read) > MAX_HEAD_BYTES:
                raise BadMessage("The request's head is too long.")
            if not self._receive():
                return None
        head, self._read = self._read[:end], self._read[end + 4 :]
        return head

    def body(self, length: int) -> bytes:
        while len(self._read) < length:
            if not self._receive():
                raise ClientGone
        body, self._read = self._read[:length], self._read[length:]
        return body

    def _receive(self) -> bool:
        try:
            received = self.socket.recv(65536)
        except OSError as error:
            raise ClientGone from error
        self._read += received
        return bool(received)

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ClientGone from error

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than client and server are there. Raises ClientGone."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stopping.is_set():
                raise ClientGone
            # Only a peek: a pipelined request must stay for later.
            readable, _, _ = select.select([self.socket], [], [], min(left, GLANCE_SECONDS))
            if readable:
                self._check_still_there()
                time.sleep(min(max(end - time.monotonic(), 0.0), GLANCE_SECONDS))

    def _check_still_there(self) -> None:
        try:
            there = bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError as error:
            raise ClientGone from error
        if not there:
            raise ClientGone

    def reset(self) -> None:
        """Make the coming close a TCP reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class SocketServer:
    """Listens on a loopback address and answers each connection in a thread of its own."""

    def __init__(self, host: str, port: int, answering: Answering, now: Callable[[], datetime]) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The sandbox serves loopback addresses only, not {host}.")
        self._answering, self._now = answering, now
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._numbers = itertools.count(1)
        self._date = (0, b"")
        self._listener = _listen(host, port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name=f"sandbox-{self.port}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections; answers that are still waiting are dropped."""
        self._stopping.set()
        # On Linux, shutting a listening socket down wakes the thread in accept(); closing alone does not.
        _shut(self._listener)
        self._listener.close()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for accepted in self._open:
                _shut(accepted)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                if self._stopping.is_set():
                    return
                # Out of file descriptors, or a client gone before it was accepted: go on with the others.
                time.sleep(GLANCE_SECONDS)
                continue
            with self._lock:
                self._open.add(accepted)
            number = next(self._numbers)
            threading.Thread(
                target=self._serve, args=(accepted, number), name=f"sandbox-c{number}", daemon=True
            ).start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        try:
            connection = Connection(accepted, number, self._stopping)
            while not self._stopping.is_set() and self._serve_one(connection):
                pass
        except ClientGone:
            pass
        finally:
            with self._lock:
                self._open.discard(accepted)
            accepted.close()

    def _serve_one(self, connection: Connection) -> bool:
        """Answer the next request of a connection; False when the connection is to be closed."""
        try:
            request, keep = _read_request(connection)
        except BadMessage as error:
            refusal = Answer(400, str(error).encode(), content_type="text/plain; charset=utf-8")
            connection.send(_head_bytes(refusal, len(refusal.body), self._date_header(), keep=False) + refusal.body)
            return False
        if request is None:
            return False
        answer, finished = self._answering(request, connection.number)
        once = _Once(finished)
        try:
            return self._deliver(connection, request, answer, once, keep)
        finally:
            once()

    def _deliver(
        self, connection: Connection, request: Request, answer: Answer, finished: Finished, keep: bool
    ) -> bool:
        delivery = answer.delivery
        keep = keep and delivery.ending == "keep"
        if delivery.wait_seconds:
            connection.wait(delivery.wait_seconds)
        if not delivery.never_answers:
            self._send(connection, request, answer, finished, keep)
        if delivery.ending == "reset":
            connection.reset()
        return keep

    def _send(self, connection: Connection, request: Request, answer: Answer, finished: Finished, keep: bool) -> None:
        length = None if answer.stream else len(answer.body)
        # The connection's end is not announced when the body is cut short: that is the fault's point.
        head = _head_bytes(answer, length, self._date_header(), keep=keep or answer.delivery.body_bytes is not None)
        body = b"" if request.method == "HEAD" else answer.body[: answer.delivery.body_bytes]
        if answer.stream and request.method != "HEAD":
            connection.send(head)
            for part in answer.stream():
                connection.send(b"%x\r\n%b\r\n" % (len(part), part))
            finished()
            connection.send(b"0\r\n\r\n")
        elif answer.delivery.bytes_per_second:
            connection.send(head)
            _trickle(connection, body, answer.delivery)
        else:
            # Before the send: a client that has its answer must not be counted as waiting for it.
            finished()
            connection.send(head + body)

    def _date_header(self) -> bytes:
        now = self._now()
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = (second, format_datetime(now, usegmt=True).encode())
        return self._date[1]


class _Once:
    """Calls a function the first time only: leaving is counted before the last byte, or after a failure."""

    def __init__(self, function: Finished) -> None:
        self._function: Finished | None = function

    def __call__(self) -> None:
        if self._function:
            function, self._function = self._function, None
            function()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"Port {port} on {host} is taken by another program; choose another port.") from error
        if error.errno == errno.EACCES:
            raise PortTaken(f"Port {port} on {host} may not be used by this user; choose one above 1023.") from error
        raise


def _shut(opened: socket.socket) -> None:
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        # Already closed by the other side.
        return


def _read_request(connection: Connection) -> tuple[Request | None, bool]:
    """The next request and whether its connection stays open; None when the client closed. Raises BadMessage."""
    head = connection.head()
    if head is None:
        return None, False
    lines = head.lstrip(b"\r\n").decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadMessage(lines[0])
    method, target, version = parts
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadMessage(line)
        headers[name.strip().lower()] = value.strip()
    body = _read_body(connection, headers)
    keep = headers.get("connection", "").lower() != "close" and version != "HTTP/1.0"
    return Request(method, target, target.partition("?")[0], headers, body), keep


def _read_body(connection: Connection, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadMessage("Chunked request bodies are not read.")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise BadMessage("Content-Length is not a number this server takes.")
    if int(length) and headers.get("expect", "").lower() == "100-continue":
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    return connection.body(int(length))


def _head_bytes(answer: Answer, length: int | None, date: bytes, *, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}"]
    if answer.content_type and (answer.body or answer.stream or answer.status == 200):
        lines.append(f"Content-Type: {answer.content_type}")
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif answer.status != 304:
        lines.append(f"Content-Length: {length}")
    lines.extend(f"{name}: {value}" for name, value in answer.headers)
    if not keep:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\nDate: " + date + b"\r\n\r\n"


def _trickle(connection: Connection, body: bytes, delivery: Delivery) -> None:
    """Send a body in small pieces, four or more a second."""
    rate = delivery.bytes_per_second or 1
    piece = max(rate // 20, 1)
    for start in range(0, len(body), piece):
        connection.wait(piece / rate)
        connection.send(body[start : start + piece])
