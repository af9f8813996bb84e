"""Credentials at rest: unreadable in the database, unreadable on objects, and known to the log's redaction."""

import base64
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection as database

from integrations import credentials
from integrations.credentials import DamagedCredential, Sealed
from integrations.models import Connection
from integrations.redaction import redact

SECRET = "canary-at-rest-1234"


@pytest.fixture
def connection(db: None) -> Connection:
    return Connection.objects.create(provider="fitbox", name="Main gym", credentials={"api_key": SECRET})


@pytest.mark.req("X-01", "X-03")
def test_no_table_holds_the_secret_in_any_spelling(connection: Connection) -> None:
    connection.name = "Renamed"
    connection.save()
    credentials.read(connection, actor="test", purpose="test")
    with database.cursor() as cursor:
        found = ""
        for table in ("connection", "historicalconnection", "credentialuse"):
            cursor.execute(f"SELECT * FROM integrations_{table}")  # noqa: S608 - the names stand above
            found += repr(cursor.fetchall())
    assert "Renamed" in found and "fernet:" in found
    for spelling in (SECRET, base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex()):
        assert spelling not in found


@pytest.mark.req("X-03")
def test_no_object_shows_it(connection: Connection) -> None:
    assert SECRET not in repr(vars(connection))
    assert SECRET not in repr(vars(Connection.objects.get()))
    assert repr(connection.credentials) == "<sealed>"


@pytest.mark.req("X-01")
def test_every_key_of_the_ring_reads_and_the_first_one_writes(connection: Connection, settings: Any) -> None:
    new = Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = (new, *settings.CREDENTIAL_KEYS)
    assert credentials.unseal(connection.credentials) == {"api_key": SECRET}
    assert not credentials.is_current(connection.credentials)
    assert credentials.is_current(credentials.seal({"api_key": "x"}))
    settings.CREDENTIAL_KEYS = (new,)
    with pytest.raises(DamagedCredential):
        credentials.unseal(connection.credentials)


@pytest.mark.req("X-01")
def test_what_was_never_encrypted_is_not_believed() -> None:
    for use in (credentials.unseal, credentials.reseal):
        with pytest.raises(DamagedCredential, match="not encrypted"):
            use(Sealed('{"api_key": "plain"}'))
    assert not credentials.is_current(Sealed('{"api_key": "plain"}'))


@pytest.mark.req("X-03")
def test_a_secret_that_was_read_is_known_to_the_log(connection: Connection) -> None:
    credentials.read(connection, actor="test", purpose="test")
    assert redact(f"odd place: {SECRET}") == "odd place: [redacted]"
