"""One answer as a unit: its pages, its items each once, its closed days, and where to go on from. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from integrations import errors
from integrations.adapters import reading
from integrations.adapters.fitbox.fields import Fields
from integrations.adapters.fitbox.items import LONGEST, Invalid, Reading, hashable, identifier, zone_of
from integrations.adapters.fitbox.profiles import Profile
from integrations.adapters.reading import Unreadable
from integrations.records import ClosureRecord, EventRecord, Fetched, Validator

CURSOR_OVERLAP = timedelta(minutes=5)
"""Read again with the next differences, for changes that were written late or by another clock."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer. Without a payload it is the one that we already had."""

    number: int
    address: str
    payload: Any
    items: Sequence[Any]
    next_page: int | None
    validator: Validator


def read_pages(pages: Sequence[Page], profile: Profile, state: Reading, cursor: str) -> Fetched:
    """Return all pages of one answer as one. Raises IncompletePayload when they are known not to be all."""
    items = _distinct(pages, state)
    records = [record for item, place in items if (record := _read_item(state, profile, item, place)) is not None]
    first = pages[0].payload
    return Fetched(
        records=records,
        findings=state.findings,
        total=len(items),
        removed=_removed(pages, state) if cursor else (),
        closures=_closures(pages, state),
        zone="" if first.get("timezone") is None else zone_of(state, first["timezone"], "answer"),
        cursor=_next_cursor(state.newest, cursor) if profile.has_differences else "",
        generated_at=_generated_at(first.get("generated_at")),
    )


def next_page(said: object) -> int | None:
    if said is None or said is False or said == "":
        return None
    try:
        number = reading.whole_number(said)
    except Unreadable as fault:
        raise errors.IncompletePayload(f"its next page cannot be read: {fault}") from fault
    if number is None or number < 1:
        raise errors.IncompletePayload(f"its next page is {number}")
    return number


def _distinct(pages: Sequence[Page], state: Reading) -> list[tuple[object, str]]:
    """Return the answer's items, each once and with the name for reports; of equal ids the newest version.

    Raises IncompletePayload when `total` says that some are missing. An item that comes again on a later page may have
    pushed another one out of the answer, so it does not count; a double on the same page is the provider's own and does.
    """
    order: dict[tuple[str, bool] | int, tuple[object, str]] = {}
    counted = position = 0
    for page in pages:
        here: set[object] = set()
        for item in page.items:
            position += 1
            key = _key(item, state.fields) or position
            if key not in order:
                here.add(key)
                counted += 1
                order[key] = (item, key[0] if isinstance(key, tuple) else f"#{position}")
                continue
            if key in here:
                counted += 1
            kept, name = order[key]
            order[key] = (_newer(kept, item, state.fields), name)
            state.report("duplicate", "It is in the answer more than once; the newest version is used.", name)
    _check_totals(pages, counted, len(order))
    return list(order.values())


def _key(item: object, names: Fields) -> tuple[str, bool] | None:
    """Return what makes an item the same as another: its id, of a weekly slot or of a dated class."""
    if not isinstance(item, dict):
        return None
    said = item.get(names.id)
    if type(said) is not str and type(said) is not int:
        return None
    found = str(said).strip()[: LONGEST["id"] + 1]
    return (found, bool(names.date and item.get(names.date))) if found else None


def _newer(one: Any, other: Any, names: Fields) -> object:
    try:
        return other if reading.instant(other.get(names.updated)) > reading.instant(one.get(names.updated)) else one
    except Unreadable:
        return one


def _check_totals(pages: Sequence[Page], counted: int, distinct: int) -> None:
    totals = {page.payload["total"] for page in pages if type(page.payload.get("total")) is int}
    if len(totals) > 1:
        raise errors.IncompletePayload("its data changed while its pages were read")
    if totals and totals.isdisjoint({counted, distinct}):
        raise errors.IncompletePayload(f"it announced {totals.pop()} classes and sent {distinct}")


def _removed(pages: Sequence[Page], state: Reading) -> list[str]:
    found: dict[str, None] = {}
    for page in pages:
        said = page.payload.get("removed")
        for entry in said if isinstance(said, list) else ():
            key = entry.get("id") if isinstance(entry, dict) else entry
            try:
                found[identifier(key, "id")] = None
            except Invalid as fault:
                state.report("removed", f"A removed class cannot be read: {fault}", "answer", "removed")
    found.pop("", None)
    return list(found)


def _closures(pages: Sequence[Page], state: Reading) -> list[ClosureRecord] | None:
    """Return the closed days; None if the answer does not speak of closed days at all."""
    said = [page.payload["holidays"] for page in pages if isinstance(page.payload.get("holidays"), list)]
    if not said:
        return None
    found: dict[date, ClosureRecord] = {}
    for entry in (entry for holidays in said for entry in holidays):
        try:
            day = reading.day(hashable(entry.get("date")) if isinstance(entry, dict) else None)
            name = reading.text(entry.get("name"))[: LONGEST["name"]]
        except Unreadable as fault:
            state.report("holiday", f"A holiday cannot be read: {fault}.", "answer", "holidays")
            continue
        if reading.truth(entry.get("closed")):
            found.setdefault(day, ClosureRecord(day, day, name))
    return list(found.values())


def _next_cursor(newest: datetime | None, cursor: str) -> str:
    if newest is None:
        return cursor
    moved = (newest.astimezone(UTC) - CURSOR_OVERLAP).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    # Differences may be older than what was seen before; the place to go on from never moves back.
    return max(moved, cursor)


def _generated_at(said: object) -> datetime | None:
    try:
        return reading.instant(said)
    except Unreadable:
        return None


def _read_item(reading_: Reading, profile: Profile, item: object, place: str) -> EventRecord | None:
    """Return one item as a record; None, and one hard finding, if it cannot be shown."""
    if not isinstance(item, dict):
        reading_.report("item", "The item is no object.", place, hard=True)
        return None
    try:
        return profile.read(reading_, item, place)
    except Invalid as fault:
        reading_.report(fault.field_name, str(fault), place, fault.field_name, hard=True)
        return None
