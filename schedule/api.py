"""The public JSON: GET /api/v1/timetable, the same week as the page in names that other programs read."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from schedule import answers, board, cache
from schedule.answers import DATABASE_FAULTS, Form
from schedule.board import Board, InvalidWeek, Outlook, Session
from schedule.models import Organization

logger = logging.getLogger(__name__)

JSON = Form("api", "application/json")
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class CoachSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    image = serializers.CharField(help_text="Address of a picture, or empty")


class SessionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    uid = serializers.CharField(help_text="iCalendar UID, one for life")
    day = serializers.ChoiceField(DAY_NAMES)
    date = serializers.DateField()
    time = serializers.CharField(help_text="HH:MM in the gym's zone")
    startsAt = serializers.DateTimeField(help_text="UTC")
    endsAt = serializers.DateTimeField(help_text="UTC, excluded")
    classType = serializers.CharField()
    coach = CoachSerializer(allow_null=True)
    capacity = serializers.IntegerField(allow_null=True, help_text="Null means no limit")
    currentBookings = serializers.IntegerField(allow_null=True)
    spotsLeft = serializers.IntegerField(allow_null=True)
    notes = serializers.CharField()
    isActive = serializers.BooleanField(help_text="False for a cancelled class")
    status = serializers.ChoiceField(("confirmed", "tentative", "cancelled"))
    location = serializers.CharField()
    room = serializers.CharField()
    level = serializers.CharField()
    externalUrl = serializers.CharField()


class TimetableSerializer(serializers.Serializer[Any]):
    ageSeconds = serializers.IntegerField(allow_null=True, help_text="Since lastUpdated")
    stale = serializers.BooleanField(help_text="The data are older than they should be")
    lastUpdated = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]  # a field of this name shadows one of DRF's own
    week = serializers.CharField(help_text="ISO 8601, e.g. 2026-W47")
    timezone = serializers.CharField(help_text="IANA name of the gym's zone")
    schedule = SessionSerializer(many=True)


class RefusalSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="error")
    error = serializers.CharField(help_text="For machines")
    message = serializers.CharField(help_text="For people")
    field = serializers.CharField(required=False)


class TimetableView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="timetable",
        summary="One week of the timetable",
        parameters=[OpenApiParameter("week", str, description="ISO week, e.g. 2026-W47; this week if left out")],
        responses={
            200: TimetableSerializer,
            304: OpenApiResponse(description="Nothing changed since the ETag sent"),
            400: RefusalSerializer,
            503: RefusalSerializer,
        },
        auth=[],
    )
    def get(self, request: Request) -> HttpResponseBase:
        return _timetable(request._request)


def _timetable(request: HttpRequest) -> HttpResponseBase:
    now = timezone.now()
    try:
        wish = board.parse_week(request.GET.get("week", ""))
    except InvalidWeek as error:
        return answers.refusal(400, "invalid_week", str(error), field="week")
    try:
        return _week(request, board.look(wish, now))
    except Organization.DoesNotExist:
        return answers.refusal(503, "no_gym", "This Callboard has no gym yet.")
    except DATABASE_FAULTS as fault:
        logger.error(
            "The timetable's database does not answer (%s); a saved copy is sent if there is one.", type(fault).__name__
        )
        copy = answers.saved(
            request, JSON, wish.code if wish else "", now, lambda copy: _with_age(copy, now, stale=True)
        )
        return copy or answers.refusal(503, "unavailable", "The timetable cannot be read just now. Try again soon.")


def _week(request: HttpRequest, outlook: Outlook) -> HttpResponseBase:
    now = outlook.standing.now
    views = [outlook.week.code] + ([""] if outlook.week == outlook.standing.this_week else [])
    entry = answers.entry(JSON, outlook, outlook.key, views, lambda: document(board.build(outlook)))
    return answers.answer(request, JSON, entry, _with_age(entry, now, stale=outlook.decision.stale), now)


def document(shown: Board) -> bytes:
    """Return the answer without what moves with the clock."""
    outlook = shown.outlook
    return orjson.dumps(
        {
            "lastUpdated": outlook.data_at and _instant(outlook.data_at),
            "source": outlook.decision.source,
            "week": outlook.week.code,
            "timezone": outlook.standing.zone.key,
            "schedule": [session_document(session) for session in shown.sessions],
        }
    )


def session_document(session: Session) -> dict[str, Any]:
    coach = session.coach
    return {
        "id": session.id,
        "uid": session.uid,
        "day": DAY_NAMES[session.starts_at.weekday()],
        "date": session.starts_at.date().isoformat(),
        "time": f"{session.starts_at:%H:%M}",
        "startsAt": _instant(session.starts_at),
        "endsAt": _instant(session.ends_at),
        # A special event may be of a type, but what is on is its own name.
        "classType": session.title if session.is_special else session.class_type,
        "coach": {"id": coach.id, "name": coach.name, "image": coach.image} if coach else None,
        "capacity": session.capacity,
        "currentBookings": session.booked,
        "spotsLeft": session.spots_left,
        "notes": session.notes,
        "isActive": not session.is_cancelled,
        "status": session.status,
        "location": session.location,
        "room": session.room,
        "level": session.level,
        "externalUrl": session.external_url,
    }


def _with_age(entry: cache.Entry, now: datetime, *, stale: bool) -> bytes:
    """Return the whole answer: its age is counted now, from the time kept beside the body, however long it was kept."""
    age = None if entry.data_at is None else max(0, int((now - entry.data_at).total_seconds()))
    return orjson.dumps({"ageSeconds": age, "stale": stale})[:-1] + b"," + entry.body[1:]


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
