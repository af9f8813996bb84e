"""The staff pages beside the models: the data source with its sync, and the beginning of a real gym."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from django.contrib import admin, messages
from django.contrib.auth import login
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from schedule import board
from schedule.models import Organization
from sync import audit, controls, gym, sources, words
from sync.controls import CMS, Standing
from sync.errors import SyncAlreadyRunning, TooSoon
from sync.forms import EXPLANATIONS, ControlsForm, SourceForm, StartGymForm
from sync.models import Run, RunTrigger
from sync.rights import may_change_source, may_see_source

LINES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Option:
    """One source as the page offers it."""

    name: str
    words: str
    explanation: str
    is_chosen: bool
    difference: sources.Difference | None
    """What this week would change if it were chosen; None for the one that is."""
    was_read: bool


# --- the data source --------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def timetable_source(request: HttpRequest) -> HttpResponse:
    if not may_see_source(request.user) or (request.method == "POST" and not may_change_source(request.user)):
        raise PermissionDenied
    try:
        if request.method == "POST":
            return _choose(request) if "data_source" in request.POST or "choose" in request.POST else _save(request)
        return _page(request)
    except Organization.DoesNotExist:
        return redirect("admin:start-gym")


def _choose(request: HttpRequest) -> HttpResponse:
    form = SourceForm(request.POST)
    if not form.is_valid():
        return _page(request, source_error=" ".join(map(str, form.errors["data_source"])), status=400)
    chosen = form.cleaned_data["data_source"]
    try:
        run = sources.choose(chosen, user=_user(request), now=timezone.now())
    except (ValidationError, DatabaseError):
        return _page(
            request,
            source_error=f"{sources.names()[chosen]} could not be saved, so the former choice holds. Try again in a moment.",
            status=503,
        )
    messages.success(request, words.of_choice(chosen, run))
    return HttpResponseRedirect(_address(run))


def _save(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    form = ControlsForm(request.POST, standing=controls.standing(now))
    if not form.is_valid() or not form.save(user=_user(request), now=now):
        return _page(request, form=form, status=400)
    messages.success(request, "The settings are saved and in force.")
    return HttpResponseRedirect(_address(None))


@require_POST
def sync_now(request: HttpRequest) -> HttpResponse:
    """Start a sync, or join the one at work; the way without script."""
    if not may_change_source(request.user):
        raise PermissionDenied
    now = timezone.now()
    standing = controls.standing(now)
    if (refusal := words.why_no_sync(standing)) or standing.connection is None:
        messages.error(request, refusal)
        return redirect("admin:timetable-source")
    try:
        run = sources.start(standing.connection, RunTrigger.MANUAL, user=_user(request), now=now)
    except TooSoon as refused:
        messages.warning(request, words.of_pause(refused, standing.booking_source))
        return redirect("admin:timetable-source")
    return HttpResponseRedirect(_address(run))


def _page(
    request: HttpRequest, *, form: ControlsForm | None = None, source_error: str = "", status: int = 200
) -> HttpResponse:
    now = timezone.now()
    standing = controls.standing(now)
    context = admin.site.each_context(request) | {
        "title": "Timetable Data Source",
        "standing": standing,
        "options": list(_options(standing)),
        "source_words": sources.names().get(standing.booking_source, ""),
        "members_see": board.look(None, now).status,
        "source_error": source_error,
        "form": form or ControlsForm(standing=standing),
        "entries": audit.recent(standing.connection),
        "may_change": may_change_source(request.user),
        "wait_seconds": math.ceil((standing.next_possible_at - now).total_seconds())
        if standing.next_possible_at
        else 0,
        "cannot_sync": words.why_no_sync(standing),
        "promise_is_broken": standing.chosen != CMS
        and standing.controls.interval_minutes > controls.PROMISED_INTERVAL_MINUTES,
        "promised_interval": controls.PROMISED_INTERVAL_MINUTES,
        "run": standing.current_run,
        "lines_shown": LINES_SHOWN,
        "is_demo": Organization.installation().is_demo,
    }
    return TemplateResponse(request, "sync/timetable_source.html", context, status=status)


def _options(standing: Standing) -> Iterable[Option]:
    now = timezone.now()
    for name, title in sources.names().items():
        is_chosen = name == standing.chosen
        difference = None if is_chosen else sources.difference(standing.chosen, name, now=now)
        was_read = name == CMS or (name == standing.booking_source and standing.last_sync is not None)
        yield Option(name, title, EXPLANATIONS.get(name, ""), is_chosen, difference, was_read)


def _address(run: Run | None) -> str:
    """Return the page's address; with a run to wait for, one that a browser without script can load again.

    A redirect without an anchor would keep the one that was posted to, and the message stands at the top.
    """
    address = reverse("admin:timetable-source")
    return f"{address}?{urlencode({'run': run.pk})}#sync" if run else f"{address}#content-start"


def summary(request: HttpRequest) -> Mapping[str, Any] | None:
    """Return what the admin's front page says about the source; None for those who may not see it, or without a gym."""
    if not may_see_source(request.user):
        return None
    now = timezone.now()
    try:
        standing = controls.standing(now)
    except Organization.DoesNotExist:
        return {"title": "No gym yet", "members_see": "", "is_demo": False, "standing": None}
    return {
        "title": sources.names()[standing.chosen],
        "members_see": board.look(None, now).status,
        "standing": standing,
        "source_words": sources.names().get(standing.booking_source, ""),
        "is_demo": Organization.installation().is_demo,
    }


# --- a real gym -------------------------------------------------------------------------------------------------------


@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def start_gym(request: HttpRequest) -> HttpResponse:
    if not request.user.is_superuser:  # the first login may do everything, so must this one
        raise PermissionDenied
    try:
        gym.refuse_if_real()
    except gym.GymExists as refused:
        messages.info(request, str(refused))
        return redirect("admin:index")
    form = StartGymForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid() and (user := _begin(form)):
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        messages.success(request, "Your gym stands. Next: class types and the weekly timetable, or a connection.")
        return redirect("admin:index")
    context = admin.site.each_context(request) | {
        "title": "Start your gym",
        "form": form,
        "outliving": gym.outliving_connections(),
        "zones": sorted(available_timezones()),
    }
    status = 400 if form.errors else 200
    return TemplateResponse(request, "sync/start_gym.html", context, status=status)


def _begin(form: StartGymForm) -> User | None:
    said = form.cleaned_data
    beginning = gym.Beginning(said["name"], said["zone"], said["email"], said["username"])
    try:
        _, user = gym.start(beginning, said["password"], now=timezone.now())
    except (gym.GymExists, SyncAlreadyRunning) as refused:
        form.add_error(None, f"{str(refused)[:1].upper()}{str(refused)[1:]}.")
        return None
    except ValidationError as error:
        for name, reasons in error.message_dict.items():
            form.add_error(name if name in form.fields else None, reasons)
        return None
    return user


def _user(request: HttpRequest) -> AbstractBaseUser:
    """Return the person who asks; the admin lets nobody else come here."""
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 - for the types
    return request.user
