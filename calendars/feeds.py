"""Stored VEVENT texts -> one calendar (RFC 5545, RFC 7986), pure.

There is no METHOD (this is a publication, not an invitation) and no VTIMEZONE: all instants are in UTC. The bytes depend
on the arguments alone, so that an unchanged feed keeps its ETag.
"""

from collections.abc import Iterable

from schedule.vevent import escape, fold

PRODID = "-//Callboard//Callboard//EN"


def calendar(vevents: Iterable[str], *, name: str, refresh_minutes: int) -> bytes:
    """Return the calendar named `name` that asks apps to look again every `refresh_minutes`.

    `vevents` are texts as `schedule.vevent.render` makes them: folded, each line ended by CRLF.
    """
    title = escape(name)
    head = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODID}",
        "CALSCALE:GREGORIAN",
        fold(f"NAME:{title}"),
        # What the apps understood before RFC 7986 gave the same two things standard names.
        fold(f"X-WR-CALNAME:{title}"),
        # Without VALUE some apps read the duration as text and poll at their own pace.
        f"REFRESH-INTERVAL;VALUE=DURATION:PT{refresh_minutes}M",
        f"X-PUBLISHED-TTL:PT{refresh_minutes}M",
        "",
    )
    return ("\r\n".join(head) + "".join(vevents) + "END:VCALENDAR\r\n").encode()
