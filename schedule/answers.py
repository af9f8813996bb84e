"""Public answers over HTTP: one body for each state of the timetable, 304 for those who have it, saved copies in need.

Nothing here reads a session or a user, so every answer may be kept by whoever stands between.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache as once
from hashlib import blake2b

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

from schedule import cache
from schedule.board import Outlook
from schedule.cache import Entry

DATABASE_FAULTS = (OperationalError, InterfaceError)
RETRY_AFTER_SECONDS = 30
SETTLED_AFTER = timedelta(seconds=2)
"""Last-Modified counts whole seconds: a body may be replaced within the second in which it was made."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the timetable: its name in cache keys, and for how many seconds shared caches may answer with it."""

    name: str
    content_type: str
    shared: int = 30
    renewing: int = 60
    """Counted from then on: old, while the next one is fetched."""
    failing: int = 3600
    """Counted from then on: old, while Callboard answers with errors."""

    @property
    def headers(self) -> dict[str, str]:
        """Return what caches may do. Browsers obey stale-while-revalidate as well and would show what was before a
        switch of the source once more, so only CDNs are told of it (docs/decisions/0006-cache-headers.md).
        """
        error = f"stale-if-error={self.failing}"
        return {
            "Cache-Control": f"public, max-age=0, s-maxage={self.shared}, {error}",
            "CDN-Cache-Control": f"public, max-age={self.shared}, stale-while-revalidate={self.renewing}, {error}",
        }


def entry(
    form: Form, outlook: Outlook, key: Iterable[object], views: Iterable[str], build: Callable[[], bytes]
) -> Entry:
    """Return the body of this form for this key, built if no cache has it, and keep it as the saved copy of `views`."""
    now = outlook.standing.now
    version = digest(form.name, template_version(), *key)

    def built() -> Entry:
        return Entry(version, now, now, outlook.data_at, outlook.standing.zone.key, build())

    if not outlook.standing.keeps(outlook.week):
        return built()
    found = cache.get(cache.Name.SCHEDULE, version, now)
    if found is None:
        found = built()
        cache.put(cache.Name.SCHEDULE, version, found)
    cache.confirm((f"{form.name}:{view}" for view in views), found, now)
    return found


def answer(request: HttpRequest, form: Form, entry: Entry, body: bytes, now: datetime) -> HttpResponseBase:
    """Return the body, or 304 or 412 as the request's conditions say (RFC 9110, 13.2.2)."""
    etag = f'W/"{entry.version}"'
    response = HttpResponse(body, content_type=form.content_type)
    response["ETag"] = etag
    modified = None
    if now - entry.made_at >= SETTLED_AFTER:
        modified = int(entry.made_at.timestamp())
        response["Last-Modified"] = http_date(modified)
    final = get_conditional_response(request, etag, modified, response) or response
    for name, value in form.headers.items():
        final[name] = value
    return _for_method(request, final)


def saved(
    request: HttpRequest, form: Form, view: str, now: datetime, tell: Callable[[Entry], bytes]
) -> HttpResponseBase | None:
    """Return the saved copy of a view for the time in which the database does not answer; `tell` marks it as such.

    It has no validators: what is served instead of the truth must not be confirmed as unchanged afterwards.
    """
    copy = cache.saved(f"{form.name}:{view}", now)
    if copy is None:
        return None
    response = HttpResponse(tell(copy), content_type=form.content_type)
    response["Cache-Control"] = "public, max-age=0, s-maxage=10, stale-if-error=3600"
    response["Age"] = str(max(0, int((now - copy.checked_at).total_seconds())))
    response["Callboard-Saved-Copy"] = copy.checked_at.isoformat(timespec="seconds")
    return _for_method(request, response)


def page(
    request: HttpRequest, template: str, context: dict[str, object] | None = None, *, status: int = 200
) -> HttpResponseBase:
    """Return a page that is made for this request alone and kept by nobody."""
    response = HttpResponse(render_to_string(template, context), status=status)
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _for_method(request, response)


def refusal(status: int, error: str, message: str, **more: str) -> HttpResponse:
    """Return the API's form of an error: `error` for machines, `message` for people."""
    body = orjson.dumps({"status": "error", "error": error, "message": message, **more})
    response = HttpResponse(body, status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=12).hexdigest()


@once
def template_version() -> str:
    """Return a hash of all that makes bodies: a new version of Callboard must not answer with bodies of the old one."""
    files = [path for folder in ("templates", "schedule", "calendars") for path in (settings.ROOT / folder).rglob("*")]
    made_of = sorted(path for path in files if path.suffix in (".html", ".py") and "migrations" not in path.parts)
    return blake2b(b"".join(path.read_bytes() for path in made_of), digest_size=8).hexdigest()


def _for_method(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Answer HEAD with the headers of GET; the length is that of the body left out."""
    if request.method == "HEAD" and isinstance(response, HttpResponse) and response.status_code != 304:
        response["Content-Length"] = str(len(response.content))
        response.content = b""
    return response
