"""The second profile: the same classes as an occurrence list, in the shape of the vendor's mobile interface.

Envelope data/message/error, instants in three forms, booleans as true, 1, "1" or null, places that may be unlimited,
and the attending people by name, who are invented here and must never reach a client's store.
"""

import hashlib
import random
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.sandbox.fitbox.week import DAYS, Payload, monday_of

LISTED = "active"
# The types a class must have to be told in this profile.
WHOLE: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("class_type", (str,)),
    ("duration_minutes", (int,)),
    ("current_bookings", (int,)),
    ("max_capacity", (int, type(None))),
    ("instructor", (dict, type(None))),
    ("location", (dict, type(None))),
)
FIRST_NAMES = ("Avery", "Blake", "Casey", "Devon", "Emery", "Finley", "Gray", "Harley", "Indy", "Jules", "Kit", "Lou")
LAST_NAMES = ("Ashdown", "Birchall", "Coldwell", "Dunmore", "Eastlake", "Fairholm", "Greenhow", "Hartwell", "Ingleby")
# The same truth in the four forms the vendor's answers are seen to hold.
TRUE_FORMS: tuple[object, ...] = (True, 1, "1")
FALSE_FORMS: tuple[object, ...] = (False, 0, "0", None)


def envelope(data: object, message: str = "OK", *, error: object = False) -> Payload:
    return {"data": data, "message": message, "error": error}


def occurrence_list(items: list[Any], zone: ZoneInfo, first: date, last: date) -> list[Payload]:
    """The active classes of a range; cancelled ones are not listed, as if softly deleted."""
    listed: list[Payload] = []
    for item in items:
        if _is_listed(item):
            listed += [occurrence(item, zone, day) for day in _days(item, first, last)]
    return sorted(listed, key=lambda entry: (entry["start_utc"], entry["id"]))


def occurrence(item: Payload, zone: ZoneInfo, day: date) -> Payload:
    starts = datetime.fromisoformat(f"{day}T{item['start_time']}").replace(tzinfo=zone)
    ends = (starts.astimezone(UTC) + timedelta(minutes=item["duration_minutes"])).astimezone(zone)
    key = str(item.get("id"))
    number = numeric_id(f"{key}/{day}")
    people = _attendances(number, int(item["current_bookings"]))
    unlimited = item["class_type"] == "Open Gym"
    full = not unlimited and item["max_capacity"] is not None and len(people) >= item["max_capacity"]
    location = item.get("location") or {}
    return {
        "id": number,
        "event_id": numeric_id(str(item.get("series_id") or key)),
        "class": {"id": numeric_id(str(item["class_type"])), "name": item["class_type"]},
        **_instants("start", starts),
        **_instants("end", ends),
        "event_timezone": str(zone),
        "attendance_limit": None if unlimited else item["max_capacity"],
        "attendances": people,
        "waitlist_count": item.get("waitlist_count", 0),
        "venue": location.get("name"),
        "venue_id": numeric_id(str(location.get("id"))),
        "room": location.get("room"),
        "description": item.get("special_notes"),
        "is_full": _flag(full, number),
        "is_active": _flag(True, number // 7),
        "deleted_at": None,
        "updated_at": item.get("updated_at"),
    }


def detail(item: Payload, zone: ZoneInfo, day: date) -> Payload:
    """One occurrence with its coaches, which the list does not name."""
    coach = item.get("instructor")
    coaches = [{"id": int(str(coach["id"]).removeprefix("ins_")), "name": coach["name"]}] if coach else []
    return {**occurrence(item, zone, day), "coaches": coaches}


def find_occurrence(items: list[Any], number: int, first: date, last: date) -> tuple[Payload, date] | None:
    for item in items:
        if _is_listed(item):
            for day in _days(item, first, last):
                if numeric_id(f"{item.get('id')}/{day}") == number:
                    return item, day
    return None


def venues(items: list[Any]) -> list[Payload]:
    places = {
        item["location"]["id"]: item["location"]["name"] for item in items if _is_listed(item) and item.get("location")
    }
    return [{"id": numeric_id(key), "name": name} for key, name in sorted(places.items())]


def numeric_id(text: str) -> int:
    """The same number for the same text on every start."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=5).digest())


def _is_listed(item: Any) -> bool:
    """Active, and whole enough to be an occurrence: this profile has no weekday or text times to get wrong."""
    if not isinstance(item, dict) or item.get("status") != LISTED:
        return False
    starts = re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(item.get("start_time")))
    on_a_day = item.get("day_of_week") in DAYS and (item.get("date") or "2000-01-01") < "9000"
    return starts is not None and on_a_day and all(isinstance(item.get(name), kinds) for name, kinds in WHOLE)


def _days(item: Payload, first: date, last: date) -> list[date]:
    """The dates of a class in a range; a weekly slot has one a week."""
    if item.get("date"):
        return [date.fromisoformat(item["date"])]
    weekday = timedelta(days=DAYS.index(item["day_of_week"]))
    weeks = range(0, (last - monday_of(first)).days + 1, 7)
    days = [monday_of(first) + timedelta(days=offset) + weekday for offset in weeks]
    return [day for day in days if first <= day <= last]


def _instants(name: str, instant: datetime) -> Payload:
    return {
        name: instant.isoformat(),
        f"{name}_local": instant.strftime("%Y-%m-%d %H:%M:%S"),
        f"{name}_utc": instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _attendances(number: int, count: int) -> list[Payload]:
    chance = random.Random(number)
    people: list[Payload] = []
    for place in range(max(count, 0)):
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        member = {"id": chance.randrange(1000, 9999), "name": f"{first} {last}", "email": f"{first}.{last}@example.org"}
        people.append(
            {"id": number % 100_000 * 100 + place, "member": member, "checked_in": _flag(place % 3 == 0, place)}
        )
    return people


def _flag(value: bool, turn: int) -> object:
    forms = TRUE_FORMS if value else FALSE_FORMS
    return forms[turn % len(forms)]
