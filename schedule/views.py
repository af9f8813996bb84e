"""The public pages: the week, its colours, and the sign that the process lives."""

import logging
import re
from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from django.views.decorators.http import require_safe

from schedule import answers, board, cache
from schedule.answers import DATABASE_FAULTS, Form
from schedule.board import Board, InvalidWeek, Outlook
from schedule.models import Organization
from schedule.publishing import Word
from schedule.timetable import Week

logger = logging.getLogger(__name__)

PAGE = Form("page", "text/html; charset=utf-8")
STEP_SECONDS = 300
"""How long "over" and "on now" may lag behind in the page as sent; a script moves them by the minute."""
NOTICED = (Word.SAVED, Word.FALLBACK, Word.LAST_GOOD, Word.NOTHING)
"""Reasons that a reader must not overlook: what is shown is not what was meant to be."""
STATUS = re.compile(rb"<!--status-->.*?<!--/status-->", re.DOTALL)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(reverse("schedule:timetable"))


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; nothing about what it can reach, for anybody may ask."""
    return HttpResponse("ok", content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@require_safe
def timetable(request: HttpRequest) -> HttpResponseBase:
    now = timezone.now()
    asked = request.GET.get("week", "")
    try:
        wish = board.parse_week(asked)
    except InvalidWeek as error:
        return answers.page(request, "schedule/no_such_week.html", {"reason": error}, status=404)
    try:
        return _week(request, board.look(wish, now))
    except Organization.DoesNotExist:
        return answers.page(request, "schedule/begin.html")
    except DATABASE_FAULTS as fault:
        logger.error(
            "The timetable's database does not answer (%s); a saved copy is shown if there is one.",
            type(fault).__name__,
        )
        copy = answers.saved(request, PAGE, wish.code if wish else "", now, _marked)
        return copy or answers.page(request, "schedule/unavailable.html", status=503)


@require_safe
def type_colours(request: HttpRequest) -> HttpResponse:
    """Answer the class types' colours as a stylesheet, for the policy allows no style in the page itself.

    The page names it with the hash of its content, so one that fits its name never changes.
    """
    try:
        css = colours_css(board.colours(Organization.installation()))
    except (Organization.DoesNotExist, *DATABASE_FAULTS):
        return HttpResponse("", status=503, content_type="text/css", headers={"Cache-Control": "no-store"})
    fits = request.GET.get("v") == answers.digest(css)
    keep = "public, max-age=31536000, immutable" if fits else "public, max-age=0, s-maxage=30"
    return HttpResponse(css, content_type="text/css; charset=utf-8", headers={"Cache-Control": keep})


def colours_css(colours: list[tuple[int, str]]) -> str:
    return "".join(f".t{pk}{{--type:{colour}}}\n" for pk, colour in colours)


def _week(request: HttpRequest, outlook: Outlook) -> HttpResponseBase:
    standing = outlook.standing
    step = int(standing.now.timestamp()) // STEP_SECONDS
    # Without the database nobody knows the gym's zone, so what "this week" showed is kept under no week's name, too.
    views = [outlook.week.code] + ([""] if outlook.week == standing.this_week else [])
    entry = answers.entry(PAGE, outlook, (*outlook.key, step), views, lambda: _render(board.build(outlook)))
    return answers.answer(request, PAGE, entry, entry.body, standing.now)


def _render(shown: Board) -> bytes:
    outlook = shown.outlook
    standing, week = outlook.standing, outlook.week
    context = {
        "gym": standing.organization,
        "week": week,
        "previous": _link(week.previous, standing.this_week),
        "next": _link(week.next, standing.this_week),
        "is_this_week": week == standing.this_week,
        "days": shown.days,
        "is_empty": not shown.sessions,
        "status": outlook.status,
        "needs_notice": outlook.decision.word in NOTICED,
        "today": standing.today,
        "now": standing.now,
        "zone": standing.zone.key,
        "colours_version": answers.digest(colours_css(board.colours(standing.organization))),
    }
    with timezone.override(standing.zone):
        return render_to_string("schedule/timetable.html", context).encode()


def _link(week: Week, this_week: Week) -> str:
    """Return the address of a week, nothing for one beyond the years that are shown."""
    if week.monday.year not in board.YEARS:
        return ""
    address = reverse("schedule:timetable")
    return address if week == this_week else f"{address}?week={week.code}"


def _marked(copy: cache.Entry) -> bytes:
    """Return the saved page with its status line saying what it is, for "live" would be a lie now."""
    words = saved_copy_words(copy.checked_at, ZoneInfo(copy.zone))
    line = f'<span class="mark" aria-hidden="true">!</span> {escape(words)}'
    return STATUS.sub(lambda _: line.encode(), copy.body)


def saved_copy_words(at: datetime, zone: ZoneInfo) -> str:
    trouble = "our own records cannot be read just now, so later changes may be missing"
    return f"Saved copy from {at.astimezone(zone):%H:%M} – {trouble}."
