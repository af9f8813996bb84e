"""`manage.py rotate_credentials`: re-encrypt every connection's credentials under the first key of CREDENTIAL_KEYS.

Put the new key in front, restart, run this, then remove the old key. It may be stopped at any moment and started again,
since rows under the first key are passed over, and it may run while syncs run, since every row stays readable and is
replaced only if nobody changed it meanwhile.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from integrations import credentials
from integrations.credentials import DamagedCredential
from integrations.models import Connection

BATCH = 100
ACTOR = "command:rotate_credentials"


@dataclass(slots=True)
class Tally:
    checked: int = 0
    rotated: int = 0
    damaged: list[str] = field(default_factory=list)


class Command(BaseCommand):
    help = "Re-encrypt all credentials under the first key of CREDENTIAL_KEYS. Can be stopped and started again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help=f"Connections read at a time (default {BATCH})")

    def handle(self, *args: Any, **options: Any) -> None:
        total = Connection.objects.count()
        tally = Tally()
        for batch in _batches(max(options["batch"], 1)):
            for connection in batch:
                self._rotate(connection, tally)
            self.stdout.write(f"{tally.checked} of {total} connections checked, {tally.rotated} re-encrypted")
        if tally.damaged:
            names = "\n- ".join(tally.damaged)
            raise CommandError(
                f"{len(tally.damaged)} connections cannot be read with the configured keys:\n- {names}\n"
                "Put the missing key back into CREDENTIAL_KEYS and run this again, or enter their credentials anew.",
                returncode=1,
            )
        self.stdout.write("Everything is encrypted under the first key; the others can be removed.")

    def _rotate(self, connection: Connection, tally: Tally) -> None:
        tally.checked += 1
        try:
            if rotate(connection):
                tally.rotated += 1
        except DamagedCredential as error:
            tally.damaged.append(f"{connection.name} ({connection.provider}, no. {connection.pk}): {error}")


def rotate(connection: Connection) -> bool:
    """Re-encrypt one connection's credentials if they need it; whether it was done. Raises DamagedCredential.

    The UPDATE names the text that was read: credentials that somebody saved in between win, and are looked at again.
    """
    sealed = connection.credentials
    while not credentials.is_current(sealed):
        fresh = credentials.reseal(sealed)
        with transaction.atomic():
            if Connection.objects.filter(pk=connection.pk, credentials=sealed).update(credentials=fresh):
                credentials.record_use(connection, "rotate", actor=ACTOR, purpose="key rotation")
                return True
        latest = Connection.objects.filter(pk=connection.pk).values_list("credentials", flat=True).first()
        if latest is None:  # deleted meanwhile
            return False
        sealed = latest
    return False


def _batches(size: int) -> Iterator[list[Connection]]:
    """Yield all connections by rising number; a page begins after the last number seen, so changes cannot shift it."""
    last = 0
    while batch := list(Connection.objects.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk
