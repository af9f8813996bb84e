"""The providers: one adapter module and one line in the table each. Deleting both removes a provider.

Nothing outside this package names a provider; whoever needs one asks for it by the connection's `provider`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from django.conf import settings

from integrations import addresses, credentials, redaction
from integrations.adapters import fitbox
from integrations.adapters.base import Access, EventSource, Provider, Verification
from integrations.credentials import DamagedCredential
from integrations.errors import CredentialDamaged, IntegrationError, NotConfigured, explain_try
from integrations.http import Client, Limits
from integrations.models import Connection

INTERACTIVE = Limits(retries=0)
"""A person waits for this one answer."""


def table(*, fitbox_enabled: bool) -> dict[str, Provider]:
    """Return the providers of this installation. One that is switched off is not there at all."""
    return {"fitbox": fitbox.PROVIDER} if fitbox_enabled else {}


PROVIDERS = table(fitbox_enabled=settings.FITBOX_ENABLED)


def find(name: str) -> Provider:
    """Return a provider by name. Raises NotConfigured if it is unknown here or switched off."""
    try:
        return PROVIDERS[name]
    except KeyError as error:
        raise NotConfigured("this installation does not have it", provider=name) from error


def display_name(name: str) -> str:
    """Return the provider's name for people, also for one that is switched off."""
    return PROVIDERS[name].display_name if name in PROVIDERS else name.capitalize()


def missing(provider: Provider, base_url: str, secrets: Collection[str]) -> frozenset[str]:
    """Return what neither a connection with this address and these secrets nor the environment has, `base_url` included."""
    usual_url, usual_secrets = provider.environment()
    lacking = {name for name in provider.secret_names if name not in secrets and not usual_secrets.get(name)}
    return frozenset(lacking | (set() if base_url or usual_url else {"base_url"}))


@contextmanager
def open_source(
    connection: Connection,
    *,
    actor: str,
    purpose: str,
    deadline: float | None = None,
    on_call: Callable[[int], None] | None = None,
) -> Iterator[EventSource]:
    """Open a connection's source for use; its credentials are read here, with an audit row for `actor`.

    `deadline` is the end of the run on the monotonic clock, `on_call` hears the number of calls so far. Raises
    NotConfigured, CredentialDamaged, AddressRefused.
    """
    provider = find(connection.provider)
    try:
        stored = credentials.read(connection, actor=actor, purpose=purpose)
    except DamagedCredential as error:
        raise CredentialDamaged(str(error), provider=provider.name) from error
    access = _access(provider, connection.base_url, stored, connection.profile, connection.settings)
    limits = Limits(
        # The connection's limit is one for the whole call; silence may last as long.
        read_seconds=connection.timeout_seconds,
        total_seconds=connection.timeout_seconds,
        retries=connection.retries,
        calls=connection.calls_per_minute,
    )
    with _client(provider, access, connection.key, limits, deadline=deadline, on_call=on_call) as client:
        yield provider.open(client, access)


def try_source(provider_name: str, base_url: str, profile: str, secrets: Mapping[str, str]) -> Verification:
    """Try an address and credentials that are not saved yet, and answer in words. Raises nothing a provider can cause.

    Empty ones stand for those of the environment. Counts against one rate limit for all tries, and asks no breaker:
    whoever mends a connection must not wait because it was broken.
    """
    try:
        provider = find(provider_name)
        access = _access(provider, base_url, secrets, profile, {})
        with _client(provider, access, "try", INTERACTIVE, breaker_key="") as client:
            return provider.open(client, access).verify()
    except IntegrationError as error:
        return Verification(False, explain_try(error, display_name(provider_name)))


def _access(
    provider: Provider, base_url: str, secrets: Mapping[str, str], profile: str, options: Mapping[str, object]
) -> Access:
    usual_url, usual_secrets = provider.environment()
    own = {name: value for name, value in secrets.items() if value}
    if base_url and base_url.rstrip("/") != usual_url.rstrip("/"):
        usual_secrets = {}  # the environment's key is for the environment's address and goes nowhere else
    access = Access(base_url or usual_url, {**usual_secrets, **own}, profile, options)
    for value in access.secrets.values():
        redaction.protect(value)
    if not access.base_url:
        raise NotConfigured("it has no address", provider=provider.name)
    if any(not access.secrets.get(name) for name in provider.secret_names):
        raise NotConfigured("it has no key", provider=provider.name)
    return access


def _client(
    provider: Provider,
    access: Access,
    account_key: str,
    limits: Limits,
    *,
    deadline: float | None = None,
    on_call: Callable[[int], None] | None = None,
    breaker_key: str | None = None,
) -> Client:
    return Client(
        provider.name,
        account_key,
        access.base_url,
        limits,
        provider.headers(access),
        allow_private=settings.ALLOW_PRIVATE_ADDRESSES
        or (settings.ALLOW_LOOPBACK_ADDRESSES and addresses.is_loopback(access.base_url)),
        deadline=deadline,
        on_call=on_call,
        breaker_key=breaker_key,
    )
