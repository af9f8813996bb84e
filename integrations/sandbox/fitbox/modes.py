"""The data modes: what the invented gym's Fitbox holds, from an ordinary week to hostile text.

A mode is a function from a view (seed, zone, range, time) to the list of classes; most take the ordinary week and bend
some of it. Modes that promise a share of items count within the range that was asked for.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.sandbox.fitbox.week import (
    DAYS,
    KINDS,
    LOCATION_ID,
    LOCATION_NAME,
    Payload,
    dated_classes,
    instant_text,
    monday_of,
    weekly_slots,
)

SIX_PAGES = 1_200
ONE_MEGABYTE = 1_000_000
# A day of bulk classes: 22 slots of 45 minutes from 05:00, in as many rooms as it takes.
BULK_SLOTS_A_DAY = 22


@dataclass(frozen=True, slots=True)
class View:
    """What is asked of a mode: the gym, the days (both included), and the instant at which it is seen."""

    seed: int
    zone: ZoneInfo
    first: date
    last: date
    at: datetime
    count: int

    def ordinary(self) -> list[Payload]:
        return dated_classes(self.seed, self.zone, self.first, self.last, self.at)


Mode = Callable[[View], list[Any]]
Bend = Callable[[Payload], Payload]


def ordinary(view: View) -> list[Payload]:
    return view.ordinary()


def weekly_only(view: View) -> list[Payload]:
    return weekly_slots(view.seed)


def dated_only(view: View) -> list[Payload]:
    """Dated classes that belong to no series."""
    return [{**item, "series_id": None} for item in view.ordinary()]


def mixed(view: View) -> list[Payload]:
    """Weekly slots, dated records that replace some of them (one without series_id a week), and a one-off class."""
    slots = weekly_slots(view.seed)
    usual = {slot["series_id"]: slot for slot in slots}
    replaced: list[Payload] = []
    for item in view.ordinary():
        slot = usual[item["series_id"]]
        if item["status"] != "active" or item["instructor"] != slot["instructor"]:
            replaced.append(item)
        elif item["day_of_week"] == "thursday" and item["start_time"] == "17:30":
            replaced.append({**item, "series_id": None, "special_notes": "Guest coach tonight."})
        elif item["day_of_week"] == "saturday" and item["start_time"] == "11:00":
            replaced.append(_one_off(item))
    return slots + replaced


def _one_off(item: Payload) -> Payload:
    changed = {"series_id": None, "start_time": "13:00", "end_time": "14:00", "duration_minutes": 60}
    return {**item, **changed, "id": item["id"].replace("cls_", "cls_once_"), "special_notes": "Partner throwdown."}


def two_locations(view: View) -> list[Payload]:
    """Every third class is held at a second place."""
    second = {"id": "loc_2", "name": "Harbour", "room": None}
    return _bend(view.ordinary(), 3, [lambda item: {**item, "location": second}])


def dst_weeks(view: View) -> list[Payload]:
    """The ordinary week, and on Sunday nights classes in the hour that clock changes skip or repeat."""
    items = view.ordinary()
    for model in [item for item in items if item["day_of_week"] == "sunday" and item["start_time"] == "08:00"]:
        for starts, ends, minutes in (("01:30", "03:30", 120), ("02:15", "03:15", 60), ("02:45", "03:00", 15)):
            night = {"start_time": starts, "end_time": ends, "duration_minutes": minutes, "class_type": "Open Gym"}
            tag = starts.replace(":", "")
            items.append({**model, **night, "id": f"{model['id']}_{tag}", "series_id": f"{model['series_id']}_{tag}"})
    return items


def bulk(view: View) -> list[Payload]:
    """`count` classes spread evenly over the asked days; no coach or room has two at a time."""
    days = [view.first + timedelta(days=n) for n in range((view.last - view.first).days + 1)]
    each, extra = divmod(view.count, len(days))
    published = f"{monday_of(view.first) - timedelta(days=70)}T00:00:00Z"
    return [
        _bulk_item(day, n, published)
        for position, day in enumerate(days)
        for n in range(each + (1 if position < extra else 0))
    ]


def _bulk_item(day: date, n: int, published: str) -> Payload:
    room, slot = divmod(n, BULK_SLOTS_A_DAY)
    kind = KINDS[n % len(KINDS)]
    starts = datetime.combine(day, time(5)) + timedelta(minutes=45 * slot)
    return {
        "id": f"cls_bulk{n:05d}_{day:%Y%m%d}",
        "series_id": f"ser_bulk{n:05d}_{day.weekday()}",
        "day_of_week": DAYS[day.weekday()],
        "date": day.isoformat(),
        "start_time": f"{starts:%H:%M}",
        "end_time": f"{starts + timedelta(minutes=45):%H:%M}",
        "duration_minutes": 45,
        "class_type": kind.name,
        "instructor": {"id": f"ins_{room + 1}", "name": f"Coach {room + 1}", "photo_url": None},
        "max_capacity": 16,
        "current_bookings": n % 17,
        "waitlist_count": 0,
        "special_notes": None,
        "status": "active",
        "location": {"id": LOCATION_ID, "name": LOCATION_NAME, "room": f"Room {room + 1}"},
        "updated_at": published,
    }


def six_pages(view: View) -> list[Payload]:
    return bulk(View(view.seed, view.zone, view.first, view.last, view.at, SIX_PAGES))


def empty(view: View) -> list[Payload]:
    return []


def exactly_80_percent_valid(view: View) -> list[Payload]:
    items = _divisible_by_five(view)
    return _bend(items, 5, INVALID)


def under_80_percent_valid(view: View) -> list[Payload]:
    """One valid class fewer than 80 %."""
    items = _bend(_divisible_by_five(view), 5, INVALID)
    if len(items) > 1:
        items[1] = _zero_capacity(items[1])
    return items


def _divisible_by_five(view: View) -> list[Payload]:
    items = [{**item, "status": "active"} for item in view.ordinary()]
    return items[: len(items) // 5 * 5]


def overbooked(view: View) -> list[Payload]:
    return [{**item, "current_bookings": item["max_capacity"] + 3} for item in view.ordinary()]


def null_coach(view: View) -> list[Payload]:
    return [{**item, "instructor": None} for item in view.ordinary()]


def null_capacity(view: View) -> list[Payload]:
    return [{**item, "max_capacity": None} for item in view.ordinary()]


def unknown_types(view: View) -> list[Payload]:
    names = ("Aqua Zumba", "  crossfit ", "OPEN   GYM", "Kettlebell Kids", "open-gym", "personal training")
    return _bend(view.ordinary(), 4, [_setting("class_type", name) for name in names])


def odd_weekdays(view: View) -> list[Payload]:
    """Weekdays and times in every form the contract takes, and one weekday 0, which it does not."""
    items = [_odd_form(item, position) for position, item in enumerate(view.ordinary())]
    if items:
        items[-1]["day_of_week"] = 0
    return items


def _odd_form(item: Payload, position: int) -> Payload:
    name = str(item["day_of_week"])
    number = DAYS.index(name) + 1
    forms: tuple[object, ...] = (name.upper(), name[:3], name[:3].title(), number, f" {name.title()} ", name)
    starts = time.fromisoformat(item["start_time"])
    times = (item["start_time"], f"{starts:%H:%M:%S}", f"{starts:%I:%M %p}".lstrip("0"))
    return {**item, "day_of_week": forms[position % len(forms)], "start_time": times[position % len(times)]}


def hostile_text(view: View) -> list[Payload]:
    """Markup, templates, formulas, calendar lines, emoji, right-to-left and control characters; one text of 1 MB."""
    bends = [_setting(field, text) for text in HOSTILE_TEXTS for field in ("special_notes", "class_type")]
    bends += [_naming(text) for text in HOSTILE_TEXTS]
    items = _bend(view.ordinary(), 1, bends)
    if items:
        items[-1] = {**items[-1], "class_type": "A" * ONE_MEGABYTE}
    return items


def strange_photos(view: View) -> list[Payload]:
    return _bend(view.ordinary(), 1, [_photo(url) for url in STRANGE_PHOTOS])


def cancelled(view: View) -> list[Payload]:
    """Every other class has a status other than active, one of them unknown to the contract."""
    statuses = ("cancelled", "canceled", "deleted", "draft", "postponed", "CANCELLED")
    items = [{**item, "status": "active"} for item in view.ordinary()]
    return _bend(items, 2, [_setting("status", status) for status in statuses])


def no_ids(view: View) -> list[Payload]:
    return [{k: v for k, v in item.items() if k not in ("id", "series_id")} for item in view.ordinary()]


def extreme_values(view: View) -> list[Payload]:
    """Values at and beyond every edge; two of eleven kinds break a hard rule, so most of the week stays valid."""
    return _bend(view.ordinary(), 2, EXTREMES)


def wrong_types(view: View) -> list[Any]:
    """Every seventh item has a field of the wrong type, no needed field, or is no object; all have unknown fields."""
    items: list[Any] = [{**item, "colour": "teal", "extra": {"nested": [1, None]}} for item in view.ordinary()]
    for position in range(0, len(items), 7):
        items[position] = WRONG[position // 7 % len(WRONG)](items[position])
    return items


def _bend(items: list[Payload], every: int, bends: Iterable[Bend]) -> list[Payload]:
    """Apply the bends in turn to every so-manieth item, from the first."""
    bends = list(bends)
    for count, position in enumerate(range(0, len(items), every)):
        items[position] = bends[count % len(bends)](items[position])
    return items


def _setting(field: str, value: object) -> Bend:
    return lambda item: {**item, field: value}


def _without(field: str) -> Bend:
    return lambda item: {name: value for name, value in item.items() if name != field}


def _naming(text: str) -> Bend:
    return lambda item: {
        **item,
        "instructor": {**item["instructor"], "name": text},
        "location": {**item["location"], "room": text},
    }


def _photo(url: object) -> Bend:
    return lambda item: {**item, "instructor": {**item["instructor"], "photo_url": url}}


def _zero_capacity(item: Payload) -> Payload:
    return {**item, "max_capacity": 0}


def _other_weekday(item: Payload) -> Payload:
    return {**item, "day_of_week": DAYS[(DAYS.index(item["day_of_week"]) + 1) % 7]}


def _end_before_start(item: Payload) -> Payload:
    return {**item, "start_time": "22:00", "end_time": "01:00", "duration_minutes": 180}


def _year_9999(item: Payload) -> Payload:
    return {**item, "date": "9999-12-31", "day_of_week": "friday"}


def _as_text(item: Payload) -> Any:
    return str(item["id"])


def _as_null(item: Payload) -> Any:
    return None


INVALID: tuple[Bend, ...] = (
    _without("start_time"),
    _setting("day_of_week", "someday"),
    _without("class_type"),
    _zero_capacity,
    _setting("max_capacity", -5),
    _setting("current_bookings", -1),
    _other_weekday,
    _setting("start_time", "25:61"),
)
EXTREMES: tuple[Bend, ...] = (
    _zero_capacity,
    _setting("current_bookings", 999),
    _end_before_start,
    _year_9999,
    lambda item: {**item, "end_time": None, "duration_minutes": 5},
    lambda item: {**item, "end_time": None, "duration_minutes": 1_440},
    lambda item: {**item, "end_time": None, "duration_minutes": None},
    _setting("max_capacity", 2**31),
    _setting("waitlist_count", 10**12),
    _setting("date", "1970-01-01"),
    _setting("updated_at", "9999-12-31T23:59:59Z"),
)
WRONG: tuple[Callable[[Payload], Any], ...] = (
    _setting("max_capacity", "sixteen"),
    _setting("current_bookings", {"count": 3}),
    _setting("instructor", "Cam Ito"),
    _setting("start_time", 600),
    _setting("location", ["Main floor"]),
    _without("day_of_week"),
    _as_text,
    _as_null,
    _setting("class_type", 7),
)
HOSTILE_TEXTS = (
    "<script>alert('x')</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% debug %}",
    '=HYPERLINK("http://elsewhere.invalid")',
    "Text\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:injected; and, \\more",
    "Emoji 🏋️‍♀️ 👩🏽‍🤝‍👨🏿 and accents é ñ ø 日本語",
    "\u202eright to left\u202c שלום مرحبا",
    "Control \u0000\u0007\u001b[31m\u007f\u0085\u2028 characters",
    "Zero\u200bwidth\ufeff and cafe\u0301",
    "'; DROP TABLE events; --",
)
STRANGE_PHOTOS: tuple[object, ...] = (
    "http://photos.fitbox.example/1.jpg",
    "javascript:alert(1)",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "//elsewhere.invalid/1.jpg",
    "https://elsewhere.invalid/1.jpg",
    "https://127.0.0.1/1.jpg",
    "https://photos.fitbox.example@elsewhere.invalid/1.jpg",
    "https://photos.fitbox.example/" + "x" * 5_000,
    "not a url",
    "",
    None,
    42,
)

MODES: dict[str, Mode] = {
    mode.__name__: mode
    for mode in (
        ordinary,
        weekly_only,
        dated_only,
        mixed,
        two_locations,
        dst_weeks,
        bulk,
        six_pages,
        empty,
        exactly_80_percent_valid,
        under_80_percent_valid,
        overbooked,
        null_coach,
        null_capacity,
        unknown_types,
        odd_weekdays,
        hostile_text,
        strange_photos,
        cancelled,
        no_ids,
        extreme_values,
        wrong_types,
    )
}
# The classes are ordinary; the closed days come beside them (Schedule.holidays).
MODES["holiday_week"] = ordinary
# The copies are made after all edits, or an edit would make original and copy equally new.
MODES["duplicates"] = ordinary
# Their bookings do not grow, so their data stand still until someone edits them.
STILL_MODES = frozenset({"bulk", "six_pages", "empty", "weekly_only"})


def with_copies(mode: str, items: list[Any]) -> list[Any]:
    """In the mode of duplicates every ninth class is followed by an older version of itself with other notes."""
    if mode != "duplicates":
        return items
    doubled: list[Any] = []
    for position, item in enumerate(items):
        doubled.append(item)
        if position % 9 == 0:
            older = datetime.fromisoformat(item["updated_at"]) - timedelta(days=1)
            doubled.append({**item, "special_notes": "An older version.", "updated_at": instant_text(older)})
    return doubled


def holidays_of(mode: str, today: date) -> list[Payload]:
    """The closed Wednesday and the open Friday of the current week in the holiday mode; none otherwise."""
    if mode != "holiday_week":
        return []
    monday = monday_of(today)
    return [
        {"date": (monday + timedelta(days=2)).isoformat(), "name": "Founders' Day", "closed": True},
        {"date": (monday + timedelta(days=4)).isoformat(), "name": "Harbour Festival", "closed": False},
    ]
