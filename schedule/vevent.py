"""One event row -> its VEVENT text (RFC 5545), pure.

The text is stored with the row and sent to calendar apps as it is, so it holds nothing that moves all day: no counts of
bookings. Instants leave in UTC, the one form that every app reads right on both clock changes. It is made of plain
strings, because an import renders thousands of them: most values need neither escaping nor folding, and are only looked at.
"""

import re
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

LINE_OCTETS = 75
"""RFC 5545, 3.1: a line is at most this long, its line break aside."""

# What TEXT values may not hold as it is. Besides RFC 5545's own list, the C1 controls and Unicode's line breaks, at which
# some readers split lines, and lone surrogates, which have no form in UTF-8.
_SPECIAL = re.compile("[\\\\;,\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_REPLACED = {"\\": "\\\\", ";": "\\;", ",": "\\,"} | dict.fromkeys("\n\r\x0b\x0c\x85\u2028\u2029", "\\n")
_UNSAFE_IN_URI = re.compile("[\\s\x00-\x20\x7f-\x9f\ud800-\udfff]")
_STATUS = {"confirmed": "CONFIRMED", "tentative": "TENTATIVE", "cancelled": "CANCELLED"}


class Renderable(Protocol):
    """What a VEVENT is made from: a row of the event table, stored or about to be."""

    @property
    def uid(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def timezone(self) -> str: ...
    @property
    def all_day(self) -> bool: ...
    @property
    def status(self) -> str: ...
    @property
    def status_reason(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def instructor_name(self) -> str: ...
    @property
    def class_type_name(self) -> str: ...
    @property
    def external_url(self) -> str: ...
    @property
    def revised_at(self) -> datetime: ...


def render(event: Renderable) -> str:
    """Return the event from BEGIN:VEVENT to END:VEVENT, every line folded and ended by CRLF.

    Raises ValueError for a naive time. Nothing in the text depends on the present moment.
    """
    cancelled = event.status == "cancelled"
    revised = _instant(event.revised_at)
    lines = [
        "BEGIN:VEVENT",
        fold("UID:" + escape(event.uid)),
        # Without a METHOD, DTSTAMP is when the event was last revised (RFC 5545, 3.8.7.2).
        f"DTSTAMP:{revised}\r\nLAST-MODIFIED:{revised}\r\nSEQUENCE:{event.sequence}",
        _times(event),
        fold("SUMMARY:" + escape(event.title)),
    ]
    if description := _description(event, cancelled):
        lines.append(fold("DESCRIPTION:" + escape(description)))
    if event.room or event.location:
        place = f"{event.room}, {event.location}" if event.room and event.location else event.room or event.location
        lines.append(fold("LOCATION:" + escape(place)))
    if event.class_type_name:
        lines.append(fold("CATEGORIES:" + escape(event.class_type_name)))
    lines.append("STATUS:" + _STATUS[event.status])
    # A class that is on offer takes up nobody's time; an appointment does.
    lines.append("TRANSP:TRANSPARENT" if cancelled or event.kind == "class_session" else "TRANSP:OPAQUE")
    if event.external_url and (address := _web_address(event.external_url)):
        lines.append(fold("URL:" + address))
    lines.append("END:VEVENT\r\n")
    return "\r\n".join(lines)


def escape(text: str) -> str:
    """Return `text` as a TEXT value (RFC 5545, 3.3.11): line breaks as `\\n`, control characters removed."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_replacement, text.replace("\r\n", "\n"))


def _replacement(match: re.Match[str]) -> str:
    return _REPLACED.get(match[0], "")


def fold(line: str) -> str:
    """Return the content line in pieces of at most 75 octets, each but the first after CRLF and a space.

    No character is split: the pieces are each valid UTF-8.
    """
    if len(line) * 4 <= LINE_OCTETS or (line.isascii() and len(line) <= LINE_OCTETS):
        return line
    octets = line.encode()
    pieces = []
    start, room = 0, LINE_OCTETS
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:  # the middle of a character
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, LINE_OCTETS - 1  # the space before the piece counts too
    pieces.append(octets[start:])
    return b"\r\n ".join(pieces).decode()


def _times(event: Renderable) -> str:
    if not event.all_day:
        return f"DTSTART:{_instant(event.starts_at)}\r\nDTEND:{_instant(event.ends_at)}"
    zone = ZoneInfo(event.timezone)
    first, end = _aware(event.starts_at).astimezone(zone), _aware(event.ends_at).astimezone(zone)
    return f"DTSTART;VALUE=DATE:{first:%Y%m%d}\r\nDTEND;VALUE=DATE:{end:%Y%m%d}"


def _instant(at: datetime) -> str:
    at = at if at.tzinfo is UTC else _aware(at).astimezone(UTC)
    return f"{at.year:04}{at.month:02}{at.day:02}T{at.hour:02}{at.minute:02}{at.second:02}Z"


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("A naive time cannot be written into a calendar.")
    return at


def _description(event: Renderable, cancelled: bool) -> str:
    """Return what an app shows below the title; why a class is off comes first, since the rest is then beside the point."""
    parts = []
    if event.status_reason:
        parts.append(f"Cancelled: {event.status_reason}" if cancelled else event.status_reason)
    if event.instructor_name:
        parts.append(f"With {event.instructor_name}")
    if event.description:
        parts.append(event.description)
    return "\n".join(parts)


def _web_address(address: str) -> str:
    """Return the address if an app may offer it as a link, else nothing: providers' texts can hold `javascript:`."""
    if _UNSAFE_IN_URI.search(address):
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme in ("http", "https") and parts.netloc else ""
