"""An import ready to be planned: what a source says now, as dated events. It can be kept and planned later."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

import orjson

from schedule import store, timetable
from schedule.differences import ClosureValues
from schedule.models import SourceState
from schedule.values import Incoming, Live, from_canonical
from sync import plan
from sync.plan import Answer, Guard, Part, Plan


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that one answer of a source would bring. `asked` and `covered` are the gym's days, both included."""

    source: str
    connection: str
    zone: str
    asked: tuple[date, date]
    covered: tuple[date, date] | None
    incoming: Sequence[Incoming]
    removed: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    """Items that came but could not be read, by id or place."""
    closures: tuple[ClosureValues, ...] | None = None

    def plan(self, now: datetime, guard: Guard | None) -> Plan:
        """Read what is stored and plan against it; without a guard nothing is held."""
        shown = _part(self.asked, self.zone)
        known = store.known(self.source, self.connection, since=shown.since, ids=[i.external_id for i in self.incoming])
        accepted = SourceState.objects.filter(source=self.source, connection=self.connection).exists()
        answer = Answer(
            source=self.source,
            connection=self.connection,
            incoming=self.incoming,
            shown=shown,
            covered=_part(self.covered, self.zone) if self.covered else None,
            removed=self.removed,
            unreadable=self.unreadable,
            closed=self._is_closed,
        )
        return plan.plan(known.rows, answer, based_on=known.revision, now=now, first=not accepted, guard=guard)

    def _is_closed(self, at: datetime) -> bool:
        if not self.closures:
            return False
        day = at.astimezone(ZoneInfo(self.zone)).date()
        return any(closure.covers(day) for closure in self.closures)

    def digest(self) -> str:
        """Return a hash of what the proposal would bring, the same for the same data whenever it comes again."""
        said = blake2b(digest_size=16)
        for item in sorted(self.incoming, key=lambda item: item.external_id):
            said.update(f"{item.external_id}\0{item.fingerprint}\n".encode())
        said.update(
            repr((sorted(self.removed), sorted(self.unreadable), self.covered and "full", self.closures)).encode()
        )
        return said.hexdigest()

    def pack(self) -> bytes:
        """Return the proposal as compressed JSON, for the table of held imports."""
        return zlib.compress(
            orjson.dumps(
                {
                    "source": self.source,
                    "connection": self.connection,
                    "zone": self.zone,
                    "asked": self.asked,
                    "covered": self.covered,
                    "removed": sorted(self.removed),
                    "unreadable": sorted(self.unreadable),
                    "closures": self.closures,
                    "incoming": [
                        [i.external_id, i.text, i.live.booked, i.live.waitlist, i.payload and i.payload.decode()]
                        for i in self.incoming
                    ],
                }
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Proposal":
        said = orjson.loads(zlib.decompress(data))
        incoming = [
            Incoming.of(key, from_canonical(orjson.loads(text)), Live(booked, waitlist), payload and payload.encode())
            for key, text, booked, waitlist, payload in said["incoming"]
        ]
        closures = said["closures"]
        return cls(
            said["source"],
            said["connection"],
            said["zone"],
            _days(said["asked"]),
            _days(said["covered"]) if said["covered"] else None,
            incoming,
            frozenset(said["removed"]),
            frozenset(said["unreadable"]),
            None if closures is None else tuple(ClosureValues(*_days(c.values()), c["name"]) for c in closures),
        )


def _part(days: tuple[date, date], zone: str) -> Part:
    return Part(*timetable.bounds(*days, ZoneInfo(zone)))


def _days(said: Sequence[str]) -> tuple[date, date]:
    first, last, *_ = said
    return date.fromisoformat(first), date.fromisoformat(last)
