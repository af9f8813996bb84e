"""Reading single values out of a provider's payload: text, numbers, days, times, instants. Pure, and every value bounded.

What comes out fits the event table whatever came in: no control characters, no text of a megabyte, no number that a
column cannot hold. Text stays text: markup in a title is escaped where it is shown, only notes lose theirs here.
"""

import html
import re
from datetime import date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import nh3

LARGEST_NUMBER = 2**31 - 1
"""What an integer column holds."""
LONGEST_TOKEN = 40
"""Of a day, a time or an instant."""
TRUE_FORMS = (True, 1, "1", "true", "True")
# The caches below are typed: true equals 1, yet it is no Monday.
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_NUMBERS = {name: number for number, name in enumerate(WEEKDAYS, start=1)}
_WEEKDAY_NUMBERS |= {name[:3]: number for name, number in _WEEKDAY_NUMBERS.items()}
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?:\s*([ap])\.?m\.?)?", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r" *-?\d{1,15} *", re.ASCII)
# Controls, and the marks that turn the direction of the text around them: a title must not rearrange its neighbours.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff\u200b]")
_LINE_TAGS = re.compile(r"(?i)<\s*(?:br|/p|/div|/li|/h[1-6]|/tr)\b[^<>]*>")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n(?: ?\n)+ ?")


class Unreadable(Exception):
    """This value cannot be read; the text says why, without repeating more than a little of it."""


def text(value: object) -> str:
    """Return one line of text, trimmed, its spaces collapsed; empty for null. Raises Unreadable for anything else."""
    if value is None:
        return ""
    if type(value) is not str:
        raise Unreadable(f"it is {_kind(value)}, not text")
    if value.isascii() and value.isprintable() and "  " not in value:
        return value.strip(" ")
    return " ".join(_CONTROLS.sub(" ", value).split())


def identifier(value: object) -> str:
    """Return an opaque id as text; numbers are ids too. Raises Unreadable."""
    if type(value) is int:
        return str(value)
    return text(value)


def notes(value: object, limit: int) -> str:
    """Return text of several lines without any markup, at most `limit` characters. Raises Unreadable."""
    if value is None or value == "":
        return ""
    if type(value) is not str:
        raise Unreadable(f"it is {_kind(value)}, not text")
    # Far beyond the limit nothing is read: cleaning a megabyte of markup is work that nobody sees.
    plain = value[: limit * 10]
    if "<" in plain or "&" in plain:
        # Twice: editors send markup that was escaped once more on its way.
        plain = _without_markup(_without_markup(plain))
    elif len(plain) <= limit and plain.isascii() and plain.isprintable() and "  " not in plain:
        return plain.strip(" ")
    plain = _CONTROLS.sub(" ", plain.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))
    return _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", plain)).strip()[:limit].rstrip()


def whole_number(value: object) -> int | None:
    """Return a whole number, however it is written, that a column can hold; None for null. Raises Unreadable."""
    if value is None:
        return None
    if type(value) is int:
        number = value
    elif (type(value) is float and value.is_integer()) or (type(value) is str and _WHOLE.fullmatch(value)):
        number = int(value)
    else:
        raise Unreadable(f"{shown(value)} is no whole number")
    if not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:
        raise Unreadable("the number is far too large")
    return number


def truth(value: object) -> bool:
    """Return whether a flag is set, in any of the forms met: true, 1, "1"; all else is false."""
    return value in TRUE_FORMS


@lru_cache(maxsize=256, typed=True)
def weekday(value: object) -> int:
    """Return the ISO weekday of an English day name, its first three letters, or 1 to 7. Raises Unreadable.

    0 is refused: some systems mean Monday by it and some Sunday.
    """
    if type(value) is int and 1 <= value <= 7:
        return value
    if type(value) is str and len(value) <= LONGEST_TOKEN:
        name = value.strip().casefold()
        if number := _WEEKDAY_NUMBERS.get(name):
            return number
        if name.isdecimal() and 1 <= int(name) <= 7:
            return int(name)
    raise Unreadable(f"{shown(value)} is no day of the week")


@lru_cache(maxsize=4096, typed=True)
def clock_time(value: object) -> time:
    """Return a time of day written HH:MM, HH:MM:SS or h:mm AM. Raises Unreadable."""
    if type(value) is str and len(value) <= LONGEST_TOKEN and (found := _CLOCK.fullmatch(value.strip())):
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if found[4] is None and hour < 24:
            return time(hour, minute, second)
        if found[4] is not None and 1 <= hour <= 12:
            return time(hour % 12 + (12 if found[4] in "pP" else 0), minute, second)
    raise Unreadable(f"{shown(value)} is no time of day")


@lru_cache(maxsize=4096, typed=True)
def day(value: object) -> date:
    """Return a date written YYYY-MM-DD. Raises Unreadable."""
    if type(value) is str and len(found := value.strip()) == 10 and found[7] == "-":
        try:
            return date.fromisoformat(found)
        except ValueError:
            pass  # told below, as for every other form
    raise Unreadable(f"{shown(value)} is no date")


def instant(value: object) -> datetime:
    """Return an instant written with its offset. Raises Unreadable, also for years that no zone can shift."""
    if type(value) is str and len(value) <= LONGEST_TOKEN:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = datetime.min
        if found.tzinfo is not None and 1900 < found.year < 9999:
            return found
    raise Unreadable(f"{shown(value)} is no instant with an offset")


@lru_cache(maxsize=256, typed=True)
def zone_name(value: object) -> str:
    """Return an IANA zone name that this installation knows. Raises Unreadable."""
    if type(value) is str and 0 < len(value) <= 64:
        try:
            return ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # told below, as for every other form
    raise Unreadable(f"{shown(value)} is no time zone")


def shown(value: object) -> str:
    """Return a value for a report: short, on one line."""
    if value is None:
        return "nothing"
    if type(value) is str:
        # Cut first: what is cut away need not be cleaned.
        return f'"{" ".join(_CONTROLS.sub(" ", value[:LONGEST_TOKEN]).split())}"'
    return str(value)[:LONGEST_TOKEN] if isinstance(value, int | float) else _kind(value)


def _without_markup(value: str) -> str:
    cleaned = nh3.clean(_LINE_TAGS.sub("\n", value), tags=set())
    return html.unescape(cleaned)


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")
