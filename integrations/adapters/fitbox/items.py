"""Translation, pure: one item of an answer becomes a record, or one finding that says why it cannot.

What is read here is the form; whether a capacity or a date is believed is decided by whoever imports.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from integrations.adapters import reading
from integrations.adapters.fitbox.fields import Fields
from integrations.adapters.reading import Unreadable
from integrations.records import EventRecord, Instant, ItemFinding, PersonRecord, PlaceRecord, RecordStatus, WallTime

LONGEST = {"id": 200, "title": 300, "class_type": 100, "person_id": 100, "name": 200, "room": 100, "photo": 500}
"""What the columns of the event table hold."""
LONGEST_NOTES = 2000
LONGEST_KEPT = 2000
"""Of a text kept in the payload."""
MOST_FIELDS = 60
LONGEST_MINUTES = 7 * 24 * 60
STATUSES = {
    "active": RecordStatus.ACTIVE,
    "cancelled": RecordStatus.CANCELLED,
    "canceled": RecordStatus.CANCELLED,
    "deleted": RecordStatus.HIDDEN,
    "draft": RecordStatus.HIDDEN,
}

Payload = dict[str, Any]


@dataclass(slots=True)
class Reading:
    """One answer while it is read: what was odd so far, and the people and places already met."""

    fields: Fields
    photo_hosts: Sequence[str]
    newest_allowed: datetime
    findings: list[ItemFinding] = field(default_factory=list)
    newest: datetime | None = None
    people: dict[tuple[object, object, object], PersonRecord] = field(default_factory=dict)
    places: dict[tuple[object, object, object], PlaceRecord] = field(default_factory=dict)

    def report(self, rule: str, message: str, record: str, name: str = "", *, hard: bool = False) -> None:
        self.findings.append(ItemFinding(rule, message, record, name, hard))


class Invalid(Exception):
    """An item without something that a class cannot be shown without."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(f"{field_name}: {why}.")
        self.field_name = field_name


def schedule_record(reading_: Reading, item: Payload, place: str) -> EventRecord:
    names = reading_.fields
    kind = _class_type(item.get(names.class_type), names.class_type)
    return EventRecord(
        external_id=identifier(item.get(names.id), names.id),
        when=_wall_time(reading_, item, place),
        title=_cut(reading_, kind, "title", place, names.class_type),
        status=_status(reading_, item.get(names.status), place),
        class_type=kind[: LONGEST["class_type"]],
        series_id=identifier(item.get(names.series), names.series),
        instructor=_person(reading_, item.get(names.instructor), place) if item.get(names.instructor) else None,
        place=_place(reading_, item.get(names.place), place) if item.get(names.place) else None,
        capacity=_number(item.get(names.capacity), names.capacity),
        booked=_number(item.get(names.booked), names.booked),
        waitlist=_soft_number(reading_, item.get(names.waitlist), place, names.waitlist),
        notes=_notes(reading_, item.get(names.notes), place),
        updated_at=_updated_at(reading_, item.get(names.updated), place),
        payload=_kept(item, names),
    )


def occurrence_record(reading_: Reading, item: Payload, place: str) -> EventRecord:
    names = reading_.fields
    attending = item.pop(names.booked, None)
    # Who attends is nobody's business here: counted, and gone before anything else sees the item.
    item[names.booked] = len(attending) if isinstance(attending, list) else attending
    named = item.get(names.class_type)
    kind = _class_type(named.get("name") if isinstance(named, dict) else named, names.class_type)
    hidden = item.get("deleted_at") is not None or not reading.truth(item.get(names.status, True))
    venue = {"id": item.get("venue_id"), "name": item.get("venue"), "room": item.get("room")}
    return EventRecord(
        external_id=identifier(item.get(names.id), names.id),
        when=_instant(reading_, item, place),
        title=_cut(reading_, kind, "title", place, names.class_type),
        status=RecordStatus.HIDDEN if hidden else RecordStatus.ACTIVE,
        class_type=kind[: LONGEST["class_type"]],
        series_id=identifier(item.get(names.series), names.series),
        place=_place(reading_, venue, place) if item.get("venue") or item.get("room") else None,
        capacity=_number(item.get(names.capacity), names.capacity),
        booked=_number(item[names.booked], names.booked),
        waitlist=_soft_number(reading_, item.get(names.waitlist), place, names.waitlist),
        notes=_notes(reading_, item.get(names.notes), place),
        updated_at=_updated_at(reading_, item.get(names.updated), place),
        payload=_kept(item, names),
    )


def _class_type(value: object, name: str) -> str:
    try:
        kind = reading.text(value)
    except Unreadable as fault:
        raise Invalid(name, str(fault)) from fault
    if not kind:
        raise Invalid(name, "it is missing")
    return kind


def _wall_time(reading_: Reading, item: Payload, place: str) -> WallTime:
    names = reading_.fields
    name = names.weekday
    try:
        weekday = reading.weekday(hashable(item.get(name)))
        name = names.start
        start = reading.clock_time(hashable(item.get(name)))
        name = names.date
        on = None if item.get(name) is None else reading.day(hashable(item[name]))
    except Unreadable as fault:
        raise Invalid(name, str(fault)) from fault
    if on is not None and on.isoweekday() != weekday:
        raise Invalid(name, f"{on} is a {reading.WEEKDAYS[on.isoweekday() - 1]}, not a {reading.WEEKDAYS[weekday - 1]}")
    end = minutes = None
    if (said := item.get(names.end)) is not None:
        try:
            end = reading.clock_time(hashable(said))
        except Unreadable as fault:
            reading_.report("end", f"The end is left out: {fault}.", place, names.end)
    if (said := item.get(names.minutes)) is not None:
        minutes = _minutes(reading_, said, place)
    if (
        end is not None
        and minutes is not None
        and (end.hour * 60 + end.minute - start.hour * 60 - start.minute) % 1440 != minutes % 1440
    ):
        reading_.report("end", "End and duration do not agree; the end is used.", place, names.end)
    zone = "" if item.get(names.zone) is None else zone_of(reading_, item[names.zone], place)
    return WallTime(start, on, weekday, end, minutes, zone)


def _instant(reading_: Reading, item: Payload, place: str) -> Instant:
    """Return start and end, from whichever of their forms can be read: with an offset, in UTC, or local with its zone."""
    names = reading_.fields
    zone = "" if item.get(names.zone) is None else zone_of(reading_, item[names.zone], place)
    try:
        starts_at = _moment(item, names.start, zone)
    except Unreadable as fault:
        raise Invalid(names.start, str(fault)) from fault
    try:
        ends_at = _moment(item, names.end, zone)
    except Unreadable as fault:
        reading_.report("end", f"The end is left out: {fault}.", place, names.end)
        return Instant(starts_at, zone=zone)
    if ends_at <= starts_at:
        reading_.report("end", "It ends before it starts; the end is left out.", place, names.end)
        return Instant(starts_at, zone=zone)
    return Instant(starts_at, ends_at, zone=zone)


def _moment(item: Payload, name: str, zone: str) -> datetime:
    for spelling in (name, f"{name}_utc"):
        try:
            return reading.instant(item.get(spelling)).astimezone(UTC)
        except Unreadable:
            continue
    local = item.get(f"{name}_local")
    if zone and type(local) is str and len(local) <= reading.LONGEST_TOKEN:
        try:
            wall = datetime.fromisoformat(local)
        except ValueError:
            wall = None
        if wall is not None and wall.tzinfo is None and 1900 < wall.year < 9999:
            return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    raise Unreadable(f"{reading.shown(item.get(name))} is no instant with an offset")


def _minutes(reading_: Reading, said: object, place: str) -> int | None:
    try:
        minutes = reading.whole_number(said)
    except Unreadable:
        minutes = 0
    if minutes is None or 0 < minutes <= LONGEST_MINUTES:
        return minutes
    reading_.report("duration", f"{reading.shown(said)} is no duration in minutes.", place, reading_.fields.minutes)
    return None


def zone_of(reading_: Reading, said: object, place: str) -> str:
    try:
        return reading.zone_name(hashable(said))
    except Unreadable as fault:
        reading_.report("timezone", f"The gym's own time zone is used: {fault}.", place, reading_.fields.zone)
        return ""


def _status(reading_: Reading, said: object, place: str) -> RecordStatus:
    if said == "active":
        return RecordStatus.ACTIVE
    if said is None:
        reading_.report("status", "It has no status and is taken as active.", place, reading_.fields.status)
        return RecordStatus.ACTIVE
    known = STATUSES.get(said.strip().lower()) if type(said) is str else None
    if known is None:
        reading_.report(
            "status", f"The status {reading.shown(said)} is unknown; it is not shown.", place, reading_.fields.status
        )
        return RecordStatus.HIDDEN
    return known


def _person(reading_: Reading, said: object, place: str) -> PersonRecord | None:
    name = reading_.fields.instructor
    if not isinstance(said, dict):
        reading_.report("instructor", "The instructor cannot be read and is left out.", place, name)
        return None
    key = (hashable(said.get("id")), hashable(said.get("name")), hashable(said.get("photo_url")))
    if (met := reading_.people.get(key)) is not None:
        return met
    found = len(reading_.findings)
    try:
        person = PersonRecord(
            reading.identifier(said.get("id"))[: LONGEST["person_id"]],
            _cut(reading_, reading.text(said.get("name")), "name", place, name),
            _photo(reading_, said.get("photo_url"), place),
        )
    except Unreadable as fault:
        reading_.report("instructor", f"The instructor is left out: {fault}.", place, name)
        return None
    if len(reading_.findings) == found:
        # One that was odd is read again, so that each class it concerns is reported.
        reading_.people[key] = person
    return person if person.name or person.external_id else None


def _photo(reading_: Reading, said: object, place: str) -> str:
    if said is None or said == "":
        return ""
    if type(said) is str and len(said) <= LONGEST["photo"] and _is_allowed_photo(said, reading_.photo_hosts):
        return said
    reading_.report("photo", "The photo's address is not https on an allowed host; it is left out.", place, "photo_url")
    return ""


def _is_allowed_photo(url: str, hosts: Sequence[str]) -> bool:
    if not url.isascii() or not url.isprintable() or any(character in url for character in "\\\"'<> "):
        return False
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    return plain and any(host == allowed or host.endswith(f".{allowed}") for allowed in hosts)


def _place(reading_: Reading, said: object, place: str) -> PlaceRecord | None:
    name = reading_.fields.place
    if not isinstance(said, dict):
        reading_.report("location", "The location cannot be read and is left out.", place, name)
        return None
    key = (hashable(said.get("id")), hashable(said.get("name")), hashable(said.get("room")))
    if (met := reading_.places.get(key)) is not None:
        return met
    try:
        where = PlaceRecord(
            reading.identifier(said.get("id"))[: LONGEST["person_id"]],
            _cut(reading_, reading.text(said.get("name")), "name", place, name),
            _cut(reading_, reading.text(said.get("room")), "room", place, name),
        )
    except Unreadable as fault:
        reading_.report("location", f"The location is left out: {fault}.", place, name)
        return None
    reading_.places[key] = where
    return where


def identifier(value: object, name: str) -> str:
    """Return an id whole; one that does not fit cannot be cut, since two could become the same."""
    try:
        found = reading.identifier(value)
    except Unreadable as fault:
        raise Invalid(name, str(fault)) from fault
    if len(found) > LONGEST["id"]:
        raise Invalid(name, f"it is longer than {LONGEST['id']} characters")
    return found


def _number(value: object, name: str) -> int | None:
    if value is None or (type(value) is int and -reading.LARGEST_NUMBER <= value <= reading.LARGEST_NUMBER):
        return value
    try:
        return reading.whole_number(value)
    except Unreadable as fault:
        raise Invalid(name, str(fault)) from fault


def _soft_number(reading_: Reading, value: object, place: str, name: str) -> int | None:
    try:
        number = reading.whole_number(value)
    except Unreadable as fault:
        number = -1
        reading_.report("waitlist", f"The waiting list is left out: {fault}.", place, name)
    return number if number is not None and number >= 0 else None


def _notes(reading_: Reading, value: object, place: str) -> str:
    if value is None or value == "":
        return ""
    try:
        found = reading.notes(value, LONGEST_NOTES)
    except Unreadable as fault:
        reading_.report("notes", f"The notes are left out: {fault}.", place, reading_.fields.notes)
        return ""
    if len(found) == LONGEST_NOTES:
        reading_.report("notes", f"The notes are cut to {LONGEST_NOTES} characters.", place, reading_.fields.notes)
    return found


def _updated_at(reading_: Reading, value: object, place: str) -> datetime | None:
    if value is None:
        return None
    try:
        updated_at = reading.instant(value)
    except Unreadable as fault:
        reading_.report("updated_at", f"It is left out: {fault}.", place, reading_.fields.updated)
        return None
    if updated_at > reading_.newest_allowed:
        reading_.report("updated_at", "It lies in the future and is left out.", place, reading_.fields.updated)
        return None
    if reading_.newest is None or updated_at > reading_.newest:
        reading_.newest = updated_at
    return updated_at


def _cut(reading_: Reading, value: str, limit: str, place: str, name: str) -> str:
    if len(value) <= LONGEST[limit]:
        return value
    reading_.report("length", f"The text is cut to {LONGEST[limit]} characters.", place, name)
    return value[: LONGEST[limit]].rstrip()


_PLAIN = frozenset({str, int, float, bool, type(None)})
_KEPT_INSIDE = {"id": "person_id", "name": "name", "photo_url": "photo", "room": "room"}


def _kept(item: Payload, names: Fields) -> Payload:
    """Return what of an item may be stored: plain values of bounded size. Lists and unknown objects may hold people."""
    kept = {
        name: value
        for name, value in item.items()
        if type(value) in _PLAIN and (type(value) is not str or (len(value) <= LONGEST_KEPT and "\0" not in value))
    }
    if len(kept) > MOST_FIELDS:
        known = {getattr(names, each) for each in Fields.__dataclass_fields__}
        kept = {name: value for name, value in kept.items() if name in known}
    for name in (names.instructor, names.place, names.class_type):
        if isinstance(said := item.get(name), dict):
            kept[name] = {
                inner: value
                for inner, limit in _KEPT_INSIDE.items()
                if inner in said
                and type(value := said.get(inner)) in _PLAIN
                and (type(value) is not str or (len(value) <= LONGEST[limit] and "\0" not in value))
            }
    return kept


def hashable(value: object) -> object:
    """Return a value that a cache can hold; what cannot be a key cannot be read either."""
    return value if type(value) in _PLAIN else None
