"""Answers of the sandbox's Fitbox: the query as asked, one page of the schedule, and its validators."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, TypeVar

import orjson

from integrations.sandbox.faults import Fault
from integrations.sandbox.fitbox.schedule import Listing
from integrations.sandbox.fitbox.week import Payload, instant_text
from integrations.sandbox.messages import Answer, BadRequest, Request

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 200, 500
DEFAULT_DAYS = 14
MAX_RANGE_DAYS = 400
T = TypeVar("T")
FROZEN_ETAG = '"never-changes"'


@dataclass(frozen=True, slots=True)
class ScheduleQuery:
    first: date
    last: date
    since: datetime | None
    location_id: str | None
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered answer, kept until the data change."""

    body: bytes
    etag: str
    last_modified: datetime
    full: Answer
    unchanged: Answer


def parse_query(query: Mapping[str, str], today: date) -> ScheduleQuery:
    """Read from, to, updated_since, location_id, page and page_size. Raises BadRequest."""
    first = _date(query, "from", today)
    last = _date(query, "to", first + timedelta(days=DEFAULT_DAYS - 1))
    check_range(first, last)
    return ScheduleQuery(
        first=first,
        last=last,
        since=_instant(query, "updated_since"),
        location_id=query.get("location_id"),
        page=_number(query, "page", 1, None),
        page_size=_number(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
    )


def check_range(first: date, last: date) -> None:
    if last < first:
        raise BadRequest("to is before from.")
    if (last - first).days >= MAX_RANGE_DAYS:
        raise BadRequest(f"A range has at most {MAX_RANGE_DAYS} days.")


def filtered(listing: Listing, query: ScheduleQuery) -> Listing:
    """The listing of one place and, with updated_since, what changed from that instant on."""
    items, removed = listing.items, listing.removed
    if query.location_id is not None:
        items = [item for item in items if isinstance(item, dict) and _location_id(item) == query.location_id]
    if query.since is None:
        # Without a starting point there is nothing that a removal could be a difference to.
        return Listing(items, [], listing.holidays, listing.newest)
    since = instant_text(query.since)
    items = [item for item in items if not isinstance(item, dict) or str(item.get("updated_at") or since) >= since]
    removed = [entry for entry in removed if entry["removed_at"] >= since]
    return Listing(items, removed, listing.holidays, listing.newest)


def schedule_body(listing: Listing, query: ScheduleQuery, head: Payload, own_fault: Fault | None) -> Payload:
    """One page of the schedule. Raises BadRequest for a page beyond the last."""
    total, size = len(listing.items), query.page_size
    pages = max(-(-total // size), 1)
    kind = own_fault.kind if own_fault else None
    page = query.page
    if kind == "endless_pages":
        page = (page - 1) % pages + 1
    elif page > pages:
        raise BadRequest(f"There is no page {page}; there are {pages}.")
    if kind == "duplicate_page" and page > 1:
        page -= 1
    following = query.page + 1 if query.page < pages or kind == "endless_pages" else None
    return {
        **head,
        "classes": listing.items[(page - 1) * size : page * size],
        "removed": listing.removed,
        "holidays": listing.holidays,
        "page": query.page,
        "page_size": size,
        "total": total + 7 if kind == "wrong_total" else total,
        "next_page": query.page if kind == "looping_page" else following,
    }


def render(value: Payload, last_modified: datetime, *, no_validators: bool, frozen_etag: bool) -> Page:
    body = orjson.dumps(value)
    etag = FROZEN_ETAG if frozen_etag else f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    dated = format_datetime(last_modified.astimezone(UTC), usegmt=True)
    headers = () if no_validators else (("ETag", etag), ("Last-Modified", dated), ("Cache-Control", "no-cache"))
    return Page(body, etag, last_modified, Answer(200, body, headers), Answer(304, b"", headers, content_type=None))


def conditional(page: Page, request: Request) -> Answer:
    """The page, or 304 when the request's validators say that the client has it. RFC 9110, section 13."""
    return page.unchanged if _client_has(page, request.headers) else page.full


def _client_has(page: Page, headers: Mapping[str, str]) -> bool:
    tags = headers.get("if-none-match")
    if tags is not None:
        # If-Modified-Since does not count beside If-None-Match.
        return (
            tags == page.etag
            or tags.strip() == "*"
            or page.etag in [t.strip().removeprefix("W/") for t in tags.split(",")]
        )
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        instant = parsedate_to_datetime(since)
    except ValueError:
        # A date that cannot be read is ignored, as the RFC asks.
        return False
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return page.last_modified.replace(microsecond=0) <= instant


def day_parameter(query: Mapping[str, str], name: str) -> date:
    """A required date. Raises BadRequest."""
    if name not in query:
        raise BadRequest(f"{name} is missing.")
    return _date(query, name, date.min)


def _date(query: Mapping[str, str], name: str, default: date) -> date:
    return _parsed(query, name, default, date.fromisoformat, "a date like 2025-09-15")


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    instant = _parsed(query, name, datetime.min, datetime.fromisoformat, "an instant like 2025-09-15T02:00:00Z")
    if instant.tzinfo is None:
        raise BadRequest(f"{name} has no offset; a plus sign must be sent as %2B.")
    return instant


def _number(query: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    number = _parsed(query, name, default, int, "a whole number")
    if number < 1 or (most is not None and number > most):
        raise BadRequest(f"{name} is from 1{f' to {most}' if most else ''}.")
    return number


def _parsed(query: Mapping[str, str], name: str, default: T, parse: Callable[[str], T], form: str) -> T:
    if name not in query:
        return default
    try:
        return parse(query[name])
    except ValueError as error:
        raise BadRequest(f"{name} is {form}, not {query[name]!r}.") from error


def _location_id(item: Payload) -> Any:
    location = item.get("location")
    return location.get("id") if isinstance(location, dict) else None
