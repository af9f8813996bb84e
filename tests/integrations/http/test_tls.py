"""TLS proves who answers, for the name that was asked, or nothing is sent."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from integrations import errors
from integrations.http import wire
from tests.integrations.conftest import Door

pytestmark = pytest.mark.django_db
NAME = "gym.example"


class TlsServer:
    """Answers `{}` over TLS with a certificate of its own making, and keeps what it was sent."""

    def __init__(self, folder: Path, name: str, days: int) -> None:
        self.certificate = folder / "certificate.pem"
        key_file = folder / "key.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=30))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]),
                False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key_file.write_bytes(key.private_bytes(*form))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key_file)
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
                with self._context.wrap_socket(accepted, server_side=True) as secured:
                    self.received.append(secured.recv(65536))
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            except ssl.SSLError:
                continue  # the client did not believe the certificate, as most tests here want
            except OSError:
                return


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """A server whose name leads to loopback; (name in its certificate, days left, whether its issuer is trusted)."""
    name, days, trusted = request.param
    server = TlsServer(tmp_path, name, days)
    if trusted:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(server.certificate))
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **named: ask("127.0.0.1", *args, **named))
    wire._pools.close_idle(0)
    yield server
    server.close()


@pytest.mark.parametrize("served", [(NAME, 30, True)], indirect=True)
def test_a_trusted_certificate_for_the_name_asked_is_believed(served: TlsServer) -> None:
    answer = Door(f"https://{NAME}:{served.port}").client().get("/")
    assert (answer.status, len(served.received)) == (200, 1)


@pytest.mark.parametrize(
    "served",
    [(NAME, 30, False), ("other.example", 30, True), (NAME, -1, True)],
    ids=["self-signed", "wrong name", "expired"],
    indirect=True,
)
def test_any_other_certificate_is_refused_and_nothing_is_sent(served: TlsServer) -> None:
    door = Door(f"https://{NAME}:{served.port}")
    client = door.client()
    with pytest.raises(errors.CertificateRefused):
        client.get("/")
    assert (client.calls, door.naps, served.received) == (1, [], [])
