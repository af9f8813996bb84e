"""A connection's key: entered once, kept encrypted, known by its last characters."""

from integrations import credentials, redaction
from integrations.models import Connection

KEY = "api_key"
ENDING = "key_ending"
"""In the connection's settings, so that showing it decrypts nothing."""
ENDING_LENGTH = 4
SHORTEST_WITH_ENDING = 12
"""Of a shorter key the last four characters would tell too much."""


def enter(connection: Connection, key: str) -> None:
    """Put a new key into the connection, unsaved."""
    redaction.protect(key)
    connection.credentials = credentials.seal({KEY: key})
    ending = key[-ENDING_LENGTH:] if len(key) >= SHORTEST_WITH_ENDING else ""
    connection.settings = {**connection.settings, ENDING: ending}


def described(connection: Connection) -> str:
    """Return what may be shown of the stored key."""
    if not connection.credentials:
        return "No key is stored."
    ending = connection.settings.get(ENDING)
    return f"The stored key ends in ••••{ending}." if ending else "A key is stored."
