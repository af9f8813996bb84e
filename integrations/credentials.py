"""Encrypted credentials: a JSON field under a key ring of its own. The only importer of `cryptography` here.

The first key of `CREDENTIAL_KEYS` encrypts, all of them decrypt (MultiFernet), so a key can be rotated while syncs run.
Reading for use goes through `read(connection, ...)`, which leaves an audit row; the field alone never decrypts by itself.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.utils import timezone

from integrations import redaction

if TYPE_CHECKING:
    from integrations.models import Connection

    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField

MARK = "fernet:"
"""Every stored value begins with it, so that a value which was never encrypted is refused, not believed."""


class DamagedCredential(Exception):
    """The stored text was not made by any of our keys, or was altered. Enter the credentials again."""


class Sealed:
    """Encrypted credentials as they stand in the database; text only, safe in any log."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<sealed>"

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(values: Mapping[str, str]) -> Sealed:
    """Encrypt under the first key. Nothing to keep gives an empty seal."""
    if not values:
        return Sealed("")
    return Sealed(MARK + _ring(settings.CREDENTIAL_KEYS).encrypt(json.dumps(dict(values)).encode()).decode())


def unseal(sealed: Sealed) -> dict[str, str]:
    """Decrypt with any key of the ring. Raises DamagedCredential; never falls back to reading plain text."""
    if not sealed:
        return {}
    if not sealed.text.startswith(MARK):
        raise DamagedCredential("the stored credentials are not encrypted")
    try:
        plain: dict[str, str] = json.loads(_ring(settings.CREDENTIAL_KEYS).decrypt(sealed.text[len(MARK) :].encode()))
    except InvalidToken as error:
        raise DamagedCredential("the stored credentials cannot be decrypted with the configured keys") from error
    return plain


def is_current(sealed: Sealed) -> bool:
    """Whether these values are encrypted under the first key already, or there is nothing to encrypt."""
    if not sealed:
        return True
    try:
        _ring(settings.CREDENTIAL_KEYS[:1]).decrypt(sealed.text.removeprefix(MARK).encode())
    except InvalidToken:
        return False
    return sealed.text.startswith(MARK)


def reseal(sealed: Sealed) -> Sealed:
    """Return the same values under the first key, without showing them to anybody. Raises DamagedCredential."""
    if not sealed:
        return sealed
    if not sealed.text.startswith(MARK):
        raise DamagedCredential("the stored credentials are not encrypted")
    try:
        return Sealed(MARK + _ring(settings.CREDENTIAL_KEYS).rotate(sealed.text[len(MARK) :].encode()).decode())
    except InvalidToken as error:
        raise DamagedCredential("the stored credentials cannot be decrypted with the configured keys") from error


def read(connection: "Connection", *, actor: str, purpose: str) -> dict[str, str]:
    """Decrypt a connection's credentials for use and record who did it and why. Raises DamagedCredential.

    What was decrypted is known to the log's redaction before anybody can use it.
    """
    record_use(connection, "read", actor=actor, purpose=purpose)
    plain = unseal(connection.credentials)
    for value in plain.values():
        redaction.protect(value)
    return plain


def record_use(connection: "Connection", action: str, *, actor: str, purpose: str = "") -> None:
    """Write the audit row of one use, change or test of a connection's credentials."""
    from integrations.models import CredentialUse  # noqa: PLC0415 - its module needs the field of this one

    CredentialUse.objects.create(
        connection=connection,
        connection_name=connection.name,
        action=action,
        actor=actor,
        purpose=purpose,
        at=timezone.now(),
    )


class EncryptedJSONField(_TextField):
    """A column that holds sealed values: plain mappings are encrypted on the way in, and come out as `Sealed`."""

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Sealed:
        return Sealed(value or "")

    def to_python(self, value: Any) -> Sealed:
        if isinstance(value, Sealed):
            return value
        if isinstance(value, Mapping):
            return seal(value)
        return Sealed(value or "")

    def pre_save(self, model_instance: models.Model, add: bool) -> Sealed:
        """Seal what is saved on the instance too, so that plain values do not stay on an object in memory."""
        sealed = self.to_python(getattr(model_instance, self.attname))
        setattr(model_instance, self.attname, sealed)
        return sealed

    def get_prep_value(self, value: Any) -> str:
        return self.to_python(value).text

    def value_to_string(self, obj: models.Model) -> str:
        return self.to_python(self.value_from_object(obj)).text
