"""The interfaces that adapters implement. An adapter says which abilities it has as capabilities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import ClassVar, Protocol

from integrations.http import Client
from integrations.records import Fetched, Validator


class Capability(StrEnum):
    TIMETABLE = "timetable"
    """Holds a public week of classes that members may be shown."""
    DIFFERENCES = "differences"
    """Can answer with what changed since a cursor."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to "does this address and key work?", in words for the person who asked."""

    ok: bool
    text: str


class EventSource(Protocol):
    """A system that classes, appointments or rentals are read from."""

    provider: ClassVar[str]
    display_name: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]

    def verify(self) -> Verification:
        """Try the credentials with one small call and answer in words; raises nothing that a provider can cause."""
        ...

    def fetch(self, since: date, until: date, cursor: str, validators: Mapping[str, Validator]) -> Fetched:
        """Return everything from `since` to `until` (gym's days, both included) as one complete unit.

        An empty cursor asks for a full answer; otherwise for what changed since it. `validators` are those of the last
        accepted answer, by address; when every page is unchanged the answer says so and carries no records.
        Raises IntegrationError (see integrations.errors); on any raise nothing of the answer may be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider is asked, and with what; whole, from the connection, the environment, or both."""

    base_url: str
    secrets: Mapping[str, str]
    profile: str
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Provider:
    name: str
    display_name: str
    capabilities: frozenset[Capability]
    profiles: Mapping[str, str]
    """The forms of its interface, with the words people choose them by."""
    secret_names: tuple[str, ...]
    """What a connection has to hold to be let in."""
    environment: Callable[[], tuple[str, Mapping[str, str]]]
    """Address and secrets of the environment, for connections without their own."""
    headers: Callable[[Access], Mapping[str, str]]
    open: Callable[[Client, Access], EventSource]
