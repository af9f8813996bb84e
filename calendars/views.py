"""The public feed: the weeks that the page shows, for calendar apps."""

import logging
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from calendars import feeds
from schedule import answers, board
from schedule.answers import DATABASE_FAULTS, Form
from schedule.board import Outlook
from schedule.models import Organization
from schedule.timetable import Week, horizon

logger = logging.getLogger(__name__)

FEED = Form("feed", "text/calendar; charset=utf-8", shared=60, renewing=300, failing=86400)
FILE = {"Content-Disposition": 'inline; filename="timetable.ics"'}
VIEW = "timetable"
REFRESH_MINUTES = 30
"""How often apps are asked to look; most go by their own pace, and an unchanged feed costs them a 304."""


@require_safe
def timetable(request: HttpRequest) -> HttpResponseBase:
    now = timezone.now()
    try:
        response = _calendar(request, board.standing(now))
    except Organization.DoesNotExist:
        response = _out_of_reach("This Callboard has no gym yet.")
    except DATABASE_FAULTS as fault:
        logger.error(
            "The feed's database does not answer (%s); a saved copy is sent if there is one.", type(fault).__name__
        )
        copy = answers.saved(request, FEED, VIEW, now, lambda copy: copy.body)
        response = copy or _out_of_reach("The timetable cannot be read just now. Try again soon.")
    return response


def _calendar(request: HttpRequest, standing: board.Standing) -> HttpResponseBase:
    weeks = _weeks(standing)
    outlooks = board.outlooks(standing, weeks)
    entry = answers.entry(FEED, outlooks[0], _key(outlooks), [VIEW], lambda: _render(outlooks))
    response = answers.answer(request, FEED, entry, entry.body, standing.now)
    for name, value in FILE.items():
        response.headers[name] = value
    return response


def _weeks(standing: board.Standing) -> list[Week]:
    """Return the weeks from this one to the horizon."""
    first, last = horizon(standing.today)
    return [Week.of(first + timedelta(weeks=n)) for n in range((last - first).days // 7 + 1)]


def _key(outlooks: list[Outlook]) -> list[Any]:
    """Return what the bytes depend on. They carry no word on freshness, so when the data were read is left out:

    a poll between two imports that changed nothing gets its 304.
    """
    standing = outlooks[0].standing
    sources = [(outlook.week.code, outlook.decision.source) for outlook in outlooks]
    return [standing.organization.pk, standing.revision, standing.choice.show_cancelled, *sources]


def _render(outlooks: list[Outlook]) -> bytes:
    texts = board.rows(outlooks).values_list("vevent", flat=True)
    return feeds.calendar(texts, name=outlooks[0].standing.organization.name, refresh_minutes=REFRESH_MINUTES)


def _out_of_reach(reason: str) -> HttpResponse:
    headers = {"Cache-Control": "no-store", "Retry-After": str(answers.RETRY_AFTER_SECONDS)}
    return HttpResponse(reason + "\n", status=503, content_type="text/plain; charset=utf-8", headers=headers)
