"""The staff's API: the data source and its settings, and starting and watching a sync.

Every error has one form: `status`, `error` for machines, `message` for people, `requestId` for the log, and `field` where
one is at fault.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from schedule.models import Organization
from sync import controls, sources, words
from sync.controls import OF_CONNECTION, Standing
from sync.errors import TooSoon
from sync.models import Run, RunResult, RunState, RunTrigger
from sync.rights import may_change_source, may_see_source

logger = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
FIELDS = {
    "enabled": "is_enabled",
    "intervalMinutes": "interval_minutes",
    "timeoutSeconds": "timeout_seconds",
    "retries": "retries",
    "staleLimitMinutes": "stale_limit_minutes",
    "showCancelled": "show_cancelled",
    "fallbackOrder": "fallback_order",
}
"""The API's names of the settings, and ours."""
READ_ONLY = ("lastSync", "runId", "message")
"""What an answer holds may come back with a change; it is left alone."""


# --- errors -----------------------------------------------------------------------------------------------------------


class Refused(exceptions.APIException):
    """A request that is understood but cannot be done now."""

    def __init__(self, status: int, code: str, message: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.retry_at = retry_at


class FieldRefused(exceptions.ValidationError):
    """One field of a body is at fault, by the API's own name of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__({_printable(field): [message]})


def error_answer(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of an API view in the one form; nothing of ours leaks, the log has the request's id."""
    set_rollback()
    number = uuid.uuid4().hex
    status, code, message, more = _described(error)
    if status >= 500:
        logger.error("request %s failed in %s", number, type(context.get("view")).__name__, exc_info=error)
    headers = {"X-Request-ID": number, "Cache-Control": "no-store"}
    if isinstance(error, Refused) and error.retry_at is not None:
        more["nextPossibleAt"] = instant(error.retry_at)
        wait = (error.retry_at - timezone.now()).total_seconds()
        headers["Retry-After"] = str(max(1, round(wait + 0.5)))
    if status == 503:
        headers["Retry-After"] = "5"
    body = {"status": "error", "error": code, "message": message, "requestId": number, **more}
    return Response(body, status=status, headers=headers)


def _described(error: Exception) -> tuple[int, str, str, dict[str, object]]:
    """Return status, code, message and further keys for an exception."""
    match error:
        case exceptions.ValidationError():
            field, reason = _first_fault(error.detail)
            return 400, "invalid", f"{field}: {reason}" if field else reason, {"field": field} if field else {}
        case exceptions.ParseError():
            return error.status_code, "invalid_json", str(error.detail), {}
        case exceptions.APIException():
            return error.status_code, str(getattr(error.detail, "code", error.default_code)), str(error.detail), {}
        case PermissionDenied():
            return 403, "permission_denied", "You may not do this.", {}
        case Http404():
            return 404, "not_found", "There is nothing at this address.", {}
        case Organization.DoesNotExist():
            return 409, "no_gym", "This Callboard has no gym yet. Start one in the admin.", {}
        case DatabaseError():
            return 503, "unavailable", "It could not be saved just now; nothing was changed. Try again in a moment.", {}
        case _:
            return 500, "internal_error", "Callboard made a mistake; nothing was changed. Its log has the details.", {}


def _first_fault(detail: Any, field: str = "") -> tuple[str, str]:
    """Return the outermost field at fault and the reason, from DRF's nested errors."""
    if isinstance(detail, Mapping):
        name, inner = next(iter(detail.items()))
        own = "" if name == "non_field_errors" else str(name)
        return _first_fault(inner, field or own)
    if isinstance(detail, list):
        return _first_fault(next((item for item in detail if item), "invalid"), field)
    return field, str(detail)


def _printable(text: str) -> str:
    """Return text that any encoding takes: JSON may name a field by half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()[:100]


# --- bodies -----------------------------------------------------------------------------------------------------------


class BoundedJSONParser(JSONParser):
    """JSON of a sensible size and depth."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {}).get("request")
        if request is not None and int(request.META.get("CONTENT_LENGTH") or 0) > BODY_BYTES:
            raise Refused(413, "too_large", f"The body is larger than {BODY_BYTES // 1024} KB.")
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deeply.") from error
        except exceptions.ParseError as error:
            raise exceptions.ParseError(
                'The body is not JSON. Send an object such as {"dataSource": "cms"}.'
            ) from error


class SettingsSerializer(serializers.Serializer[Any]):
    """The settings as they stand. Those of the connection are null while there is none."""

    dataSource = serializers.CharField(help_text="cms or fitbox: where the timetable that members see comes from")
    lastSync = serializers.DateTimeField(allow_null=True, help_text="UTC; null before the first sync")
    enabled = serializers.BooleanField(allow_null=True, help_text="Whether scheduled syncs run")
    intervalMinutes = serializers.IntegerField(allow_null=True)
    timeoutSeconds = serializers.IntegerField(allow_null=True)
    retries = serializers.IntegerField(allow_null=True)
    staleLimitMinutes = serializers.IntegerField()
    showCancelled = serializers.BooleanField()
    fallbackOrder = serializers.ListField(child=serializers.CharField(), help_text="CMS is always the last")


class ChangedSettingsSerializer(SettingsSerializer):
    """The settings after a change."""

    runId = serializers.IntegerField(allow_null=True, help_text="The sync that a switch started")
    message = serializers.CharField(help_text="For people")


class SettingsChangeSerializer(serializers.Serializer[Any]):
    """A change: at least one of these; what is left out stays."""

    dataSource = serializers.CharField(required=False, help_text="cms or fitbox")
    enabled = serializers.BooleanField(required=False)
    intervalMinutes = serializers.IntegerField(required=False, min_value=5, max_value=60)
    timeoutSeconds = serializers.IntegerField(required=False, min_value=1, max_value=30)
    retries = serializers.IntegerField(required=False, min_value=0, max_value=5)
    staleLimitMinutes = serializers.IntegerField(
        required=False, min_value=20, max_value=1440, help_text="At least intervalMinutes + 15"
    )
    showCancelled = serializers.BooleanField(required=False)
    fallbackOrder = serializers.ListField(child=serializers.CharField(), required=False, max_length=20)

    def validate_dataSource(self, name: str) -> str:
        known = sources.names()
        if name not in known:
            raise serializers.ValidationError(f"must be one of {', '.join(known)}.")
        return name


class StartedSerializer(serializers.Serializer[Any]):
    runId = serializers.IntegerField()
    status = serializers.ChoiceField(RunState.choices)
    joined = serializers.BooleanField(help_text="Whether a sync that was under way does it")


class FindingSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField()
    message = serializers.CharField()
    record = serializers.CharField()
    field = serializers.CharField()
    hard = serializers.BooleanField(help_text="Whether the record was left out")


class RunSerializer(serializers.Serializer[Any]):
    runId = serializers.IntegerField()
    status = serializers.ChoiceField(RunState.choices)
    result = serializers.ChoiceField(RunResult.choices, allow_blank=True, help_text="Empty until the end")
    source = serializers.CharField()  # type: ignore[assignment]  # DRF has an attribute of that name
    trigger = serializers.ChoiceField(RunTrigger.choices)
    progress = serializers.CharField(help_text="What is being done, in words")
    message = serializers.CharField(help_text="What happened, for people")
    timestamp = serializers.DateTimeField(help_text="UTC; when it was asked for")
    startedAt = serializers.DateTimeField(allow_null=True)
    completedAt = serializers.DateTimeField(allow_null=True)
    duration = serializers.FloatField(allow_null=True, help_text="Seconds")
    scheduleCount = serializers.IntegerField(help_text="Records in the answer")
    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    removed = serializers.IntegerField()
    countsOnly = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    invalid = serializers.IntegerField()
    calls = serializers.IntegerField()
    error = serializers.CharField(allow_null=True, help_text="For people; null when nothing went wrong")
    errorCode = serializers.CharField(allow_null=True, help_text="For machines")
    findings = FindingSerializer(many=True)


class ErrorSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="error")
    error = serializers.CharField(help_text="For machines")
    message = serializers.CharField(help_text="For people")
    requestId = serializers.CharField(help_text="Names this answer in the log")
    field = serializers.CharField(required=False, help_text="The field at fault")


class TooSoonSerializer(ErrorSerializer):
    nextPossibleAt = serializers.DateTimeField(help_text="UTC")


# --- who may ----------------------------------------------------------------------------------------------------------


class MaySeeSettings(BasePermission):
    """Staff: those with the right to view for reading, with the right to change for everything."""

    message = "This takes the right to change the timetable's settings."

    def has_permission(self, request: Request, view: APIView) -> bool:
        reading = request.method in ("GET", "HEAD", "OPTIONS")
        return may_see_source(request.user) if reading else may_change_source(request.user)


# --- answers ----------------------------------------------------------------------------------------------------------

REFUSALS: dict[int, Any] = {403: ErrorSerializer, 409: ErrorSerializer}


class StaffView(APIView):
    permission_classes = [MaySeeSettings]
    parser_classes = [BoundedJSONParser]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer


class TimetableSettingsView(StaffView):
    @extend_schema(
        operation_id="timetable_settings",
        summary="The data source and its settings",
        request=None,
        responses={200: SettingsSerializer, **REFUSALS},
    )
    def get(self, request: Request) -> Response:
        return Response(settings_document(controls.standing(timezone.now())))

    @extend_schema(
        operation_id="change_timetable_settings",
        summary="Change the data source or its settings",
        description="The switch shows with the next request of the public page, and starts a sync of the chosen source.",
        request=SettingsChangeSerializer,
        responses={200: ChangedSettingsSerializer, 400: ErrorSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        change = _change(request.data)
        with transaction.atomic():
            _save(change, request, now)
            chosen = change.get("dataSource")
            run = sources.choose(chosen, user=_user(request), now=now) if chosen else None
        message = words.of_choice(chosen, run) if chosen else "The settings are saved and in force."
        document = settings_document(controls.standing(now))
        return Response({**document, "runId": run.pk if run else None, "message": message})


class TriggerSyncView(StaffView):
    @extend_schema(
        operation_id="trigger_sync",
        summary="Start a sync, or join the one under way",
        request=None,
        responses={
            202: StartedSerializer,
            429: OpenApiResponse(
                TooSoonSerializer, description="The provider asked to wait; Retry-After says how long"
            ),
            **REFUSALS,
        },
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        standing = controls.standing(now)
        if (refusal := words.why_no_sync(standing)) or standing.connection is None:
            raise Refused(409, "cannot_sync", refusal)
        try:
            run = sources.start(standing.connection, RunTrigger.MANUAL, user=_user(request), now=now)
        except TooSoon as refused:
            message = words.of_pause(refused, standing.booking_source)
            raise Refused(429, refused.code, message, retry_at=refused.until) from refused
        answer = {"runId": run.pk, "status": run.state, "joined": run.created_at < now}
        return Response(answer, status=202)


class RunView(StaffView):
    @extend_schema(
        operation_id="run",
        summary="One run, live while it works",
        request=None,
        parameters=[OpenApiParameter("run_id", int, OpenApiParameter.PATH)],
        responses={200: RunSerializer, 403: ErrorSerializer, 404: ErrorSerializer},
    )
    def get(self, request: Request, run_id: int) -> Response:
        return Response(run_document(get_object_or_404(Run, pk=run_id)))


def settings_document(standing: Standing) -> dict[str, Any]:
    values = {name: getattr(standing.controls, ours) for name, ours in FIELDS.items()}
    if standing.connection is None:
        values |= {name: None for name, ours in FIELDS.items() if ours in OF_CONNECTION}
    return {"dataSource": standing.chosen, "lastSync": instant(standing.last_sync), **values}


def run_document(run: Run) -> dict[str, Any]:
    return {
        "runId": run.pk,
        "status": run.state,
        "result": run.result,
        "source": run.source,
        "trigger": run.trigger,
        "progress": run.progress,
        "message": words.of_run(run),
        "timestamp": instant(run.created_at),
        "startedAt": instant(run.started_at),
        "completedAt": instant(run.completed_at),
        "duration": run.duration_seconds,
        "scheduleCount": run.total,
        "created": run.created,
        "changed": run.changed,
        "cancelled": run.cancelled,
        "removed": run.removed,
        "countsOnly": run.live_only,
        "unchanged": run.unchanged,
        "invalid": run.invalid,
        "calls": run.calls,
        "error": run.error or None,
        "errorCode": run.error_code or None,
        "findings": run.findings,
    }


def _user(request: Request) -> AbstractBaseUser:
    """Return the person who asks; the permissions let nobody else come here."""
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 - for the types
    return request.user


def instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _change(body: Any) -> dict[str, Any]:
    """Return the checked change. Raises a ValidationError that names the field."""
    if not isinstance(body, dict):
        raise exceptions.ValidationError('Send an object such as {"dataSource": "cms"}.')
    known = SettingsChangeSerializer().fields
    if unknown := next((name for name in body if name not in known and name not in READ_ONLY), None):
        raise FieldRefused(unknown, f"there is no such setting; there are {', '.join(known)}.")
    asked = {name: value for name, value in body.items() if name in known}
    if not asked:
        raise FieldRefused("dataSource", "this field is required.")
    serializer = SettingsChangeSerializer(data=asked)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _save(change: Mapping[str, Any], request: Request, now: datetime) -> None:
    wanted = {FIELDS[name]: value for name, value in change.items() if name in FIELDS}
    if not wanted:
        return
    standing = controls.standing(now)
    of_connection = next((name for name in change if FIELDS.get(name) in OF_CONNECTION), None)
    if of_connection and standing.connection is None:
        raise FieldRefused(of_connection, "there is no connection to a booking system yet.")
    if "fallback_order" in wanted:
        wanted["fallback_order"] = tuple(wanted["fallback_order"])
    try:
        controls.save(replace(standing.controls, **wanted), user=_user(request), now=now)
    except ValidationError as error:
        ours, reasons = next(iter(error.message_dict.items()))
        names = {ours: name for name, ours in FIELDS.items()}
        raise FieldRefused(names.get(ours, ours), reasons[0]) from error
