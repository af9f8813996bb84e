"""Which addresses the door to the network may open: the guard against requests to private places (SSRF).

A name is resolved once, every address it has is judged, and the connection goes to an address that was judged; nothing
is looked up a second time in between. The caller connects while a connection is opened, so also after a redirect.
"""

import ipaddress
import queue
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from integrations.errors import AddressRefused

SCHEMES = {"http": 80, "https": 443}
PRIVILEGED_PORTS = 1024
"""Below it only the two ports of the web are opened outside: mail, shells and directories listen on the others."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: who may see our credentials."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == SCHEMES[self.scheme]
        return f"{self.scheme}://{host}" if usual else f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """One address that was judged and may be connected to."""

    family: int
    address: tuple[str | int | bytes, ...]


def origin_of(url: str) -> Origin:
    """Return the origin of an http(s) address. Raises AddressRefused; the text never repeats user or password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused("it is not a web address") from error
    if parts.scheme not in SCHEMES:
        raise AddressRefused("it must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("it must not contain a user name or password")
    if not parts.hostname or any(character.isspace() or character in "\\%" for character in parts.hostname):
        raise AddressRefused("it names no host")
    return Origin(parts.scheme, parts.hostname.rstrip("."), SCHEMES[parts.scheme] if port is None else port)


def resolve(host: str, port: int, *, allow_private: bool, timeout: float) -> list[Resolved]:
    """Return where this host is, or raise AddressRefused if any of its addresses is one we do not open.

    Raises socket.gaierror when there is no such host, TimeoutError when the answer takes longer than `timeout` seconds.
    """
    if not allow_private and port < PRIVILEGED_PORTS and port not in SCHEMES.values():
        raise AddressRefused(f"port {port} is not a port of the web")
    found = _look_up(host, port, timeout)
    if not allow_private:
        for resolved in found:
            if not is_public(str(resolved.address[0])):
                raise AddressRefused(f"{host} is a private or special address")
    return found


def is_loopback(url: str) -> bool:
    """Whether an address names this machine itself, literally: what a name leads to may change. Raises AddressRefused."""
    host = origin_of(url).host
    return host == "localhost" or (_is_literal(host) and ipaddress.ip_address(host).is_loopback)


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public Internet; one inside another counts as both."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return all(_is_global_unicast(each) for each in (address, *_embedded(address)))


def _is_global_unicast(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or address in _NAT64 or address in _COMPATIBLE:
            # Only a wrapping: what is inside decides. `::` and `::1` have an inside that is not public either.
            return True
        if address.is_site_local or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: IPAddress) -> list[IPAddress]:
    """Return the IPv4 addresses that an IPv6 address leads to: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner: list[IPAddress] = []
    if address.ipv4_mapped is not None:
        inner.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    if address in _NAT64 or address in _COMPATIBLE:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner


def _look_up(host: str, port: int, timeout: float) -> list[Resolved]:
    """Resolve in a thread of its own: the system's resolver knows no deadline, and a call must end on time."""
    if _is_literal(host):
        return _addresses(host, port, socket.AI_NUMERICHOST)
    outcome: queue.SimpleQueue[list[Resolved] | socket.gaierror] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(_addresses(host, port, 0))
        except socket.gaierror as error:
            outcome.put(error)
        except (OSError, UnicodeError) as error:  # the resolver itself failed; a label is empty or too long
            outcome.put(socket.gaierror(socket.EAI_NONAME, str(error)))

    threading.Thread(target=work, name="resolve", daemon=True).start()
    try:
        found = outcome.get(timeout=timeout)
    except queue.Empty as error:
        raise TimeoutError(f"{host} could not be resolved in time") from error
    if isinstance(found, socket.gaierror):
        raise found
    return found


def _addresses(host: str, port: int, flags: int) -> list[Resolved]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [Resolved(family, address) for family, _, _, _, address in found]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
