"""Fitbox: the class schedule of a gym, read only.

The reference profile is `GET /api/v1/schedule`: `classes[]` of weekly slots and dated occurrences, in pages that are one
unit. The profile `occurrences` is `GET /api/v1/schedulelist`: dated instants in an envelope, without pages, differences
or coaches; it shows that nothing here is tied to weekly slots and is not claimed to work with the vendor's own service.
Limits of the provider: 60 calls a minute, 10 s a call. Lists of attending people are counted and dropped at once.

Which values are believed (capacity, bookings, dates) is decided by whoever imports; here only what can be read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from integrations import errors
from integrations.adapters import reading
from integrations.adapters.base import Capability, Verification
from integrations.adapters.reading import Unreadable
from integrations.http import Client
from integrations.records import (
    ClosureRecord,
    EventRecord,
    Fetched,
    Instant,
    ItemFinding,
    PersonRecord,
    PlaceRecord,
    RecordStatus,
    Validator,
    WallTime,
)

MOST_PAGES = 20
PAGE_SIZE = 500
"""The most the provider allows."""
CURSOR_OVERLAP = timedelta(minutes=5)
"""Read again with the next differences, for changes that were written late or by another clock."""
CLOCK_SKEW = timedelta(days=2)
"""An `updated_at` further in the future is a mistake: as a cursor it would hide every change until then."""
PHOTO_HOSTS = ("fitbox.iq", "fitbox.example")
"""Whose pictures are shown, with their subdomains; a connection's setting `photo_hosts` names others."""
LONGEST = {"id": 200, "title": 300, "class_type": 100, "person_id": 100, "name": 200, "room": 100, "photo": 500}
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


@dataclass(frozen=True, slots=True)
class Fields:
    """Under which names a profile sends what we read; an empty name is a field it does not have."""

    id: str = "id"
    series: str = "series_id"
    weekday: str = "day_of_week"
    date: str = "date"
    start: str = "start_time"
    end: str = "end_time"
    minutes: str = "duration_minutes"
    zone: str = "timezone"
    class_type: str = "class_type"
    instructor: str = "instructor"
    capacity: str = "max_capacity"
    booked: str = "current_bookings"
    waitlist: str = "waitlist_count"
    notes: str = "special_notes"
    status: str = "status"
    place: str = "location"
    updated: str = "updated_at"


SCHEDULE_FIELDS = Fields()
OCCURRENCE_FIELDS = Fields(
    series="event_id",
    weekday="",
    date="",
    start="start",
    end="end",
    minutes="",
    zone="event_timezone",
    class_type="class",
    instructor="",
    capacity="attendance_limit",
    booked="attendances",
    notes="description",
    status="is_active",
    place="venue",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One form of the provider's interface: where it is asked, what is sent, and how an item of it is read."""

    path: str
    fields: Fields
    items: Callable[[object], list[Any]]
    query: Callable[[date, date, str, int], dict[str, str]]
    read: "Callable[[_Reading, Payload, str], EventRecord]"
    has_differences: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of an answer. Without a payload it is the one that we already had."""

    number: int
    address: str
    payload: Any
    items: Sequence[Any]
    next_page: int | None
    validator: Validator


# --- requests ---------------------------------------------------------------------------------------------------------


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


# --- translation: payload -> record -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
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


class _Invalid(Exception):
    """An item without something that a class cannot be shown without."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(f"{field_name}: {why}.")
        self.field_name = field_name


def _read_item(reading_: _Reading, profile: Profile, item: object, place: str) -> EventRecord | None:
    """Return one item as a record; None, and one hard finding, if it cannot be shown."""
    if not isinstance(item, dict):
        reading_.report("item", "The item is no object.", place, hard=True)
        return None
    try:
        return profile.read(reading_, item, place)
    except _Invalid as fault:
        reading_.report(fault.field_name, str(fault), place, fault.field_name, hard=True)
        return None


def _schedule_record(reading_: _Reading, item: Payload, place: str) -> EventRecord:
    names = reading_.fields
    kind = _class_type(item.get(names.class_type), names.class_type)
    return EventRecord(
        external_id=_identifier(item.get(names.id), names.id),
        when=_wall_time(reading_, item, place),
        title=_cut(reading_, kind, "title", place, names.class_type),
        status=_status(reading_, item.get(names.status), place),
        class_type=kind[: LONGEST["class_type"]],
        series_id=_identifier(item.get(names.series), names.series),
        instructor=_person(reading_, item.get(names.instructor), place) if item.get(names.instructor) else None,
        place=_place(reading_, item.get(names.place), place) if item.get(names.place) else None,
        capacity=_number(item.get(names.capacity), names.capacity),
        booked=_number(item.get(names.booked), names.booked),
        waitlist=_soft_number(reading_, item.get(names.waitlist), place, names.waitlist),
        notes=_notes(reading_, item.get(names.notes), place),
        updated_at=_updated_at(reading_, item.get(names.updated), place),
        payload=_kept(item, names),
    )


def _occurrence_record(reading_: _Reading, item: Payload, place: str) -> EventRecord:
    names = reading_.fields
    attending = item.pop(names.booked, None)
    # Who attends is nobody's business here: counted, and gone before anything else sees the item.
    item[names.booked] = len(attending) if isinstance(attending, list) else attending
    named = item.get(names.class_type)
    kind = _class_type(named.get("name") if isinstance(named, dict) else named, names.class_type)
    hidden = item.get("deleted_at") is not None or not reading.truth(item.get(names.status, True))
    venue = {"id": item.get("venue_id"), "name": item.get("venue"), "room": item.get("room")}
    return EventRecord(
        external_id=_identifier(item.get(names.id), names.id),
        when=_instant(reading_, item, place),
        title=_cut(reading_, kind, "title", place, names.class_type),
        status=RecordStatus.HIDDEN if hidden else RecordStatus.ACTIVE,
        class_type=kind[: LONGEST["class_type"]],
        series_id=_identifier(item.get(names.series), names.series),
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
        raise _Invalid(name, str(fault)) from fault
    if not kind:
        raise _Invalid(name, "it is missing")
    return kind


def _wall_time(reading_: _Reading, item: Payload, place: str) -> WallTime:
    names = reading_.fields
    name = names.weekday
    try:
        weekday = reading.weekday(_hashable(item.get(name)))
        name = names.start
        start = reading.clock_time(_hashable(item.get(name)))
        name = names.date
        on = None if item.get(name) is None else reading.day(_hashable(item[name]))
    except Unreadable as fault:
        raise _Invalid(name, str(fault)) from fault
    if on is not None and on.isoweekday() != weekday:
        raise _Invalid(
            name, f"{on} is a {reading.WEEKDAYS[on.isoweekday() - 1]}, not a {reading.WEEKDAYS[weekday - 1]}"
        )
    end = minutes = None
    if (said := item.get(names.end)) is not None:
        try:
            end = reading.clock_time(_hashable(said))
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
    zone = "" if item.get(names.zone) is None else _zone(reading_, item[names.zone], place)
    return WallTime(start, on, weekday, end, minutes, zone)


def _instant(reading_: _Reading, item: Payload, place: str) -> Instant:
    """Return start and end, from whichever of their forms can be read: with an offset, in UTC, or local with its zone."""
    names = reading_.fields
    zone = "" if item.get(names.zone) is None else _zone(reading_, item[names.zone], place)
    try:
        starts_at = _moment(item, names.start, zone)
    except Unreadable as fault:
        raise _Invalid(names.start, str(fault)) from fault
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


def _minutes(reading_: _Reading, said: object, place: str) -> int | None:
    try:
        minutes = reading.whole_number(said)
    except Unreadable:
        minutes = 0
    if minutes is None or 0 < minutes <= LONGEST_MINUTES:
        return minutes
    reading_.report("duration", f"{reading.shown(said)} is no duration in minutes.", place, reading_.fields.minutes)
    return None


def _zone(reading_: _Reading, said: object, place: str) -> str:
    try:
        return reading.zone_name(_hashable(said))
    except Unreadable as fault:
        reading_.report("timezone", f"The gym's own time zone is used: {fault}.", place, reading_.fields.zone)
        return ""


def _status(reading_: _Reading, said: object, place: str) -> RecordStatus:
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


def _person(reading_: _Reading, said: object, place: str) -> PersonRecord | None:
    name = reading_.fields.instructor
    if not isinstance(said, dict):
        reading_.report("instructor", "The instructor cannot be read and is left out.", place, name)
        return None
    key = (_hashable(said.get("id")), _hashable(said.get("name")), _hashable(said.get("photo_url")))
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


def _photo(reading_: _Reading, said: object, place: str) -> str:
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


def _place(reading_: _Reading, said: object, place: str) -> PlaceRecord | None:
    name = reading_.fields.place
    if not isinstance(said, dict):
        reading_.report("location", "The location cannot be read and is left out.", place, name)
        return None
    key = (_hashable(said.get("id")), _hashable(said.get("name")), _hashable(said.get("room")))
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


def _identifier(value: object, name: str) -> str:
    """Return an id whole; one that does not fit cannot be cut, since two could become the same."""
    try:
        found = reading.identifier(value)
    except Unreadable as fault:
        raise _Invalid(name, str(fault)) from fault
    if len(found) > LONGEST["id"]:
        raise _Invalid(name, f"it is longer than {LONGEST['id']} characters")
    return found


def _number(value: object, name: str) -> int | None:
    if value is None or (type(value) is int and -reading.LARGEST_NUMBER <= value <= reading.LARGEST_NUMBER):
        return value
    try:
        return reading.whole_number(value)
    except Unreadable as fault:
        raise _Invalid(name, str(fault)) from fault


def _soft_number(reading_: _Reading, value: object, place: str, name: str) -> int | None:
    try:
        number = reading.whole_number(value)
    except Unreadable as fault:
        number = -1
        reading_.report("waitlist", f"The waiting list is left out: {fault}.", place, name)
    return number if number is not None and number >= 0 else None


def _notes(reading_: _Reading, value: object, place: str) -> str:
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


def _updated_at(reading_: _Reading, value: object, place: str) -> datetime | None:
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


def _cut(reading_: _Reading, value: str, limit: str, place: str, name: str) -> str:
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


def _hashable(value: object) -> object:
    """Return a value that a cache can hold; what cannot be a key cannot be read either."""
    return value if type(value) in _PLAIN else None


PROFILES = {
    "": Profile("/api/v1/schedule", SCHEDULE_FIELDS, _schedule_items, _schedule_query, _schedule_record, True),
    "occurrences": Profile(
        "/api/v1/schedulelist", OCCURRENCE_FIELDS, _occurrence_items, _occurrence_query, _occurrence_record, False
    ),
}
PROFILES["weekly"] = PROFILES[""]
PROFILE_NAMES = {"": "Schedule (weekly slots and dated classes)", "occurrences": "Occurrence list"}


# --- the adapter ------------------------------------------------------------------------------------------------------


class Fitbox:
    """Reads one Fitbox account. See integrations.adapters.base.EventSource."""

    provider: ClassVar[str] = "fitbox"
    display_name: ClassVar[str] = "Fitbox"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.TIMETABLE, Capability.DIFFERENCES})

    def __init__(
        self,
        client: Client,
        *,
        profile: str = "",
        photo_hosts: Sequence[str] = PHOTO_HOSTS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if profile not in PROFILES:
            raise errors.NotConfigured(f"there is no profile {profile!r}", provider=self.provider)
        self.client = client
        self._profile = PROFILES[profile]
        self._photo_hosts = tuple(photo_hosts)
        self._clock = clock

    def verify(self) -> Verification:
        today = self._clock().date()
        query = self._profile.query(today, today, "", 1) | ({"page_size": "1"} if self._profile.has_differences else {})
        try:
            payload = self.client.get(self._profile.path, query).json()
            count = len(self._profile.items(payload))
        except errors.IntegrationError as error:
            return Verification(False, errors.explain_try(error, self.display_name))
        total = payload.get("total")
        count = total if type(total) is int else count
        classes = "no class" if not count else "1 class" if count == 1 else f"{count} classes"
        return Verification(True, f"{self.display_name} answers and accepts the key. It lists {classes} for today.")

    def fetch(self, since: date, until: date, cursor: str, validators: Mapping[str, Validator]) -> Fetched:
        """See EventSource.fetch. Two passes at most: pages that changed need those that did not in full as well."""
        if not self._profile.has_differences:
            cursor = ""
        covered = None if cursor else (since, until)
        pages = self._pages(since, until, cursor, validators, {})
        kept = {page.address: page.validator for page in pages if page.validator.etag or page.validator.last_modified}
        if all(page.payload is None for page in pages):
            return Fetched(covered=covered, cursor=cursor, unchanged=True, validators=kept, calls=self.client.calls)
        if any(page.payload is None for page in pages):
            complete = {page.number: page for page in pages if page.payload is not None}
            pages = self._pages(since, until, cursor, {}, complete)
            kept = {
                page.address: page.validator for page in pages if page.validator.etag or page.validator.last_modified
            }
        return replace(
            self._read(pages, cursor, partial=bool(cursor)), covered=covered, validators=kept, calls=self.client.calls
        )

    # --- pages

    def _pages(
        self, since: date, until: date, cursor: str, validators: Mapping[str, Validator], have: Mapping[int, _Page]
    ) -> list[_Page]:
        """Follow the pages to the last. Raises IncompletePayload when they do not end."""
        pages: list[_Page] = []
        number: int | None = 1
        while number is not None:
            if number in {page.number for page in pages}:
                raise errors.IncompletePayload(f"page {number} leads back to itself", provider=self.provider)
            if len(pages) == MOST_PAGES:
                raise errors.IncompletePayload(f"it has more than {MOST_PAGES} pages", provider=self.provider)
            page = have.get(number) or self._page(number, self._profile.query(since, until, cursor, number), validators)
            pages.append(page)
            number = page.next_page
        return pages

    def _page(self, number: int, query: dict[str, str], validators: Mapping[str, Validator]) -> _Page:
        address = self.client.address(self._profile.path, query)
        known = validators.get(address)
        answer = self.client.get(self._profile.path, query, validator=known)
        if answer.not_modified and known is not None:
            return _Page(number, address, None, (), known.next_page, known)
        payload = answer.json()
        items = self._profile.items(payload)
        next_page = _next_page(payload.get("next_page"))
        return _Page(number, address, payload, items, next_page, replace(answer.validator, next_page=next_page))

    # --- one answer

    def _read(self, pages: Sequence[_Page], cursor: str, *, partial: bool) -> Fetched:
        state = _Reading(self._profile.fields, self._photo_hosts, self._clock() + CLOCK_SKEW)
        items = _distinct(pages, state)
        records = [
            record for item, place in items if (record := _read_item(state, self._profile, item, place)) is not None
        ]
        first = pages[0].payload
        return Fetched(
            records=records,
            findings=state.findings,
            total=len(items),
            removed=_removed(pages, state) if partial else (),
            closures=_closures(pages, state),
            zone="" if first.get("timezone") is None else _zone(state, first["timezone"], "answer"),
            cursor=_next_cursor(state.newest, cursor) if self._profile.has_differences else "",
            generated_at=_generated_at(first.get("generated_at")),
        )


def _next_page(said: object) -> int | None:
    if said is None or said is False or said == "":
        return None
    try:
        number = reading.whole_number(said)
    except Unreadable as fault:
        raise errors.IncompletePayload(f"its next page cannot be read: {fault}") from fault
    if number is None or number < 1:
        raise errors.IncompletePayload(f"its next page is {number}")
    return number


def _distinct(pages: Sequence[_Page], state: _Reading) -> list[tuple[object, str]]:
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


def _check_totals(pages: Sequence[_Page], counted: int, distinct: int) -> None:
    totals = {page.payload["total"] for page in pages if type(page.payload.get("total")) is int}
    if len(totals) > 1:
        raise errors.IncompletePayload("its data changed while its pages were read")
    if totals and totals.isdisjoint({counted, distinct}):
        raise errors.IncompletePayload(f"it announced {totals.pop()} classes and sent {distinct}")


def _removed(pages: Sequence[_Page], state: _Reading) -> list[str]:
    found: dict[str, None] = {}
    for page in pages:
        said = page.payload.get("removed")
        for entry in said if isinstance(said, list) else ():
            key = entry.get("id") if isinstance(entry, dict) else entry
            try:
                found[_identifier(key, "id")] = None
            except _Invalid as fault:
                state.report("removed", f"A removed class cannot be read: {fault}", "answer", "removed")
    found.pop("", None)
    return list(found)


def _closures(pages: Sequence[_Page], state: _Reading) -> list[ClosureRecord] | None:
    """Return the closed days; None if the answer does not speak of closed days at all."""
    said = [page.payload["holidays"] for page in pages if isinstance(page.payload.get("holidays"), list)]
    if not said:
        return None
    found: dict[date, ClosureRecord] = {}
    for entry in (entry for holidays in said for entry in holidays):
        try:
            day = reading.day(_hashable(entry.get("date")) if isinstance(entry, dict) else None)
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
