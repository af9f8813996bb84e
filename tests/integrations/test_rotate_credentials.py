"""Keys change while everything runs: in batches, stoppable, never over a newer change, and damage is named."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from integrations import credentials
from integrations.credentials import Sealed
from integrations.management.commands import rotate_credentials
from integrations.models import Connection, CredentialUse

pytestmark = [pytest.mark.django_db, pytest.mark.req("X-01", "BY-23")]
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def connections(settings: Any) -> list[Connection]:
    settings.CREDENTIAL_KEYS = (OLD,)
    made = [
        Connection.objects.create(provider="fitbox", name=f"Gym {n}", credentials={"api_key": f"secret-{n}"})
        for n in range(5)
    ]
    settings.CREDENTIAL_KEYS = (NEW, OLD)
    return made


def stored() -> dict[str, str]:
    """Decrypt every connection's key with whatever keys the settings have now."""
    return {each.name: credentials.unseal(each.credentials)["api_key"] for each in Connection.objects.all()}


def run(**options: Any) -> str:
    out = StringIO()
    call_command("rotate_credentials", stdout=out, **options)
    return out.getvalue()


def test_after_it_the_old_key_can_go(connections: list[Connection], settings: Any) -> None:
    before = stored()
    told = run(batch=2)
    settings.CREDENTIAL_KEYS = (NEW,)
    assert stored() == before == {f"Gym {n}": f"secret-{n}" for n in range(5)}
    assert told.splitlines() == [
        "2 of 5 connections checked, 2 re-encrypted",
        "4 of 5 connections checked, 4 re-encrypted",
        "5 of 5 connections checked, 5 re-encrypted",
        "Everything is encrypted under the first key; the others can be removed.",
    ]


@pytest.mark.req("X-02")
def test_each_rotated_connection_has_an_audit_row(connections: list[Connection]) -> None:
    run()
    uses = CredentialUse.objects.values_list("connection_name", "action", "actor").order_by("connection_name")
    assert list(uses) == [(f"Gym {n}", "rotate", "command:rotate_credentials") for n in range(5)]


def test_a_second_run_finds_nothing_to_do(connections: list[Connection]) -> None:
    run()
    texts = list(Connection.objects.order_by("pk").values_list("credentials", flat=True))
    assert "5 of 5 connections checked, 0 re-encrypted" in run()
    assert list(Connection.objects.order_by("pk").values_list("credentials", flat=True)) == texts


def test_a_stopped_run_goes_on_where_it_was(connections: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10))
    reseal = credentials.reseal

    def stopped_at_the_third(sealed: Sealed) -> Sealed:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return reseal(sealed)

    monkeypatch.setattr(credentials, "reseal", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(batch=1)
    monkeypatch.undo()
    assert len(stored()) == 5
    assert "5 of 5 connections checked, 3 re-encrypted" in run()


def test_credentials_saved_meanwhile_win(connections: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    reseal = credentials.reseal

    def saved_meanwhile(sealed: Sealed) -> Sealed:
        Connection.objects.filter(pk=connections[0].pk).update(credentials={"api_key": "newer"})
        return reseal(sealed)

    monkeypatch.setattr(credentials, "reseal", saved_meanwhile)
    rotate_credentials.rotate(Connection.objects.get(pk=connections[0].pk))
    assert stored()["Gym 0"] == "newer"


def test_damaged_ones_are_named_and_the_others_done(connections: list[Connection], settings: Any) -> None:
    Connection.objects.filter(pk=connections[1].pk).update(credentials=Sealed("fernet:gAAAA"))
    Connection.objects.filter(pk=connections[3].pk).update(credentials=Sealed("plain text"))
    with pytest.raises(CommandError) as raised:
        run()
    assert raised.value.returncode == 1
    assert "2 connections cannot be read" in str(raised.value)
    assert "Gym 1 (fitbox, no." in str(raised.value) and "Gym 3 (fitbox, no." in str(raised.value)
    settings.CREDENTIAL_KEYS = (NEW,)
    assert credentials.unseal(Connection.objects.get(name="Gym 4").credentials) == {"api_key": "secret-4"}


def test_a_connection_without_credentials_is_passed_over(settings: Any) -> None:
    Connection.objects.create(provider="fitbox", name="None")
    assert "1 of 1 connections checked, 0 re-encrypted" in run()
