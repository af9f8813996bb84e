"""The two forms of Fitbox's interface: where each is asked, what is sent, what its answer must hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from integrations import errors
from integrations.adapters.fitbox.fields import OCCURRENCE_FIELDS, SCHEDULE_FIELDS, Fields
from integrations.adapters.fitbox.items import Payload, Reading, occurrence_record, schedule_record
from integrations.records import EventRecord

PAGE_SIZE = 500
"""The most the provider allows."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One form of the provider's interface: where it is asked, what is sent, and how an item of it is read."""

    path: str
    fields: Fields
    items: Callable[[object], list[Any]]
    query: Callable[[date, date, str, int], dict[str, str]]
    read: Callable[[Reading, Payload, str], EventRecord]
    has_differences: bool


def _schedule_query(since: date, until: date, cursor: str, page: int) -> dict[str, str]:
    query = {"from": since.isoformat(), "to": until.isoformat(), "page": str(page), "page_size": str(PAGE_SIZE)}
    return query | ({"updated_since": cursor} if cursor else {})


def _occurrence_query(since: date, until: date, cursor: str, page: int) -> dict[str, str]:
    return {"start": since.isoformat(), "end": until.isoformat()}


def _schedule_items(payload: object) -> list[Any]:
    if not isinstance(payload, dict) or payload.get("error") or not isinstance(payload.get("classes"), list):
        raise errors.InvalidPayload("an answer without a list of classes")
    found: list[Any] = payload["classes"]
    return found


def _occurrence_items(payload: object) -> list[Any]:
    # A failure comes with status 200 and says so inside, in one of several forms.
    if not isinstance(payload, dict) or payload.get("error") not in (None, False, 0, "0", "false", ""):
        raise errors.InvalidPayload("an answer that says it failed")
    if not isinstance(payload.get("data"), list):
        raise errors.InvalidPayload("an answer without a list of classes")
    found: list[Any] = payload["data"]
    return found


PROFILES = {
    "": Profile("/api/v1/schedule", SCHEDULE_FIELDS, _schedule_items, _schedule_query, schedule_record, True),
    "occurrences": Profile(
        "/api/v1/schedulelist", OCCURRENCE_FIELDS, _occurrence_items, _occurrence_query, occurrence_record, False
    ),
}
PROFILES["weekly"] = PROFILES[""]
PROFILE_NAMES = {"": "Schedule (weekly slots and dated classes)", "occurrences": "Occurrence list"}
