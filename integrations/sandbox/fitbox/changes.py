"""What an edit does to one class as Fitbox sends it; all pure."""

import re
from datetime import date, datetime, timedelta

from integrations.sandbox.fitbox.week import COACHES, CROSSFIT, DAYS, LOCATION_ID, LOCATION_NAME, Payload, instant_text


def stamped(item: Payload, times: list[datetime]) -> Payload:
    if not times:
        return item
    newest = instant_text(max(times))
    own = item.get("updated_at")
    return {**item, "updated_at": max(str(own), newest) if is_stamp(own) else newest}


def is_stamp(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) is not None


def moved(item: Payload, minutes: int) -> Payload:
    """The fields of a class that change when it starts so many minutes later; items without a start stay."""
    starts = item.get("start_time")
    if not isinstance(starts, str) or not re.fullmatch(r"\d\d:\d\d", starts):
        return {}
    days, start = divmod(minutes_of(starts) + minutes, 1440)
    fields: Payload = {"start_time": clock_text(start)}
    if isinstance(item.get("end_time"), str):
        fields["end_time"] = clock_text(minutes_of(item["end_time"]) + minutes)
    day = day_of(item.get("date"))
    if day:
        day += timedelta(days=days)
        fields |= {"date": day.isoformat(), "day_of_week": DAYS[day.weekday()]}
    elif days and item.get("day_of_week") in DAYS:
        fields["day_of_week"] = DAYS[(DAYS.index(item["day_of_week"]) + days) % 7]
    return fields


def booked(item: Payload, by: int) -> Payload:
    booked, capacity = item.get("current_bookings"), item.get("max_capacity")
    if not isinstance(booked, int):
        return item
    wanted = booked + by
    places = capacity if isinstance(capacity, int) else wanted
    waiting = int(item.get("waitlist_count") or 0) + max(wanted - places, 0)
    return {**item, "current_bookings": min(wanted, places), "waitlist_count": waiting}


def added_class(key: object, on: date, start_time: str) -> Payload:
    end = clock_text(minutes_of(start_time) + CROSSFIT.minutes)
    return {
        "id": key,
        "series_id": None,
        "day_of_week": DAYS[on.weekday()],
        "date": on.isoformat(),
        "start_time": start_time,
        "end_time": end,
        "duration_minutes": CROSSFIT.minutes,
        "class_type": CROSSFIT.name,
        "instructor": COACHES[0].payload(),
        "max_capacity": CROSSFIT.capacity,
        "current_bookings": 0,
        "waitlist_count": 0,
        "special_notes": None,
        "status": "active",
        "location": {"id": LOCATION_ID, "name": LOCATION_NAME, "room": CROSSFIT.room},
    }


def minutes_of(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def clock_text(minutes: int) -> str:
    hours, rest = divmod(minutes % 1440, 60)
    return f"{hours:02d}:{rest:02d}"


def day_of(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def day_in_id(key: str) -> date | None:
    found = re.search(r"_(\d{8})(?:_|$)", key)
    return day_of(f"{found[1][:4]}-{found[1][4:6]}-{found[1][6:]}") if found else None


def range_of_id(key: str) -> tuple[date, date] | None:
    day = day_in_id(key)
    return (day, day) if day else None
