"""Which addresses the door opens: every way to write or wrap a private one is refused."""

import socket

import pytest

from integrations import addresses
from integrations.errors import AddressRefused

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "100::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "not an address",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_special_addresses_are_not_public(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert addresses.is_public(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "::1", "0"])
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises((AddressRefused, socket.gaierror)):
        addresses.resolve(host, 80, allow_private=False, timeout=3)


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **named: found)
    with pytest.raises(AddressRefused, match=r"^gym\.example is a private or special address$"):
        addresses.resolve("gym.example", 443, allow_private=False, timeout=3)


def test_a_public_name_keeps_the_addresses_that_were_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **named: found)
    resolved = addresses.resolve("gym.example", 443, allow_private=False, timeout=3)
    assert resolved == [addresses.Resolved(socket.AF_INET, ("93.184.216.34", 443))]


@pytest.mark.parametrize("port", [22, 25, 389, 445, 1])
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(AddressRefused, match="not a port of the web"):
        addresses.resolve("93.184.216.34", port, allow_private=False, timeout=3)


def test_private_addresses_are_opened_where_settings_allow_them() -> None:
    resolved = addresses.resolve("127.0.0.1", 8010, allow_private=True, timeout=3)
    assert [each.address for each in resolved] == [("127.0.0.1", 8010)]


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_a_name_of_a_wrong_form_is_not_found(host: str) -> None:
    with pytest.raises(socket.gaierror):
        addresses.resolve(host, 80, allow_private=True, timeout=3)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://Gym.Example/api", "https://gym.example"),
        ("http://gym.example:80/", "http://gym.example"),
        ("http://[::1]:8000/x", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, text: str) -> None:
    assert str(addresses.origin_of(url)) == text


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x",
        "https://a:b@gym.example",
        "https://a@gym.example",
        "//gym.example",
        "https://a b",
        "https://x%2f",
    ],
)
def test_other_forms_of_address_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        addresses.origin_of(url)
