"""Connections with their work, runs, and imports that wait for a person."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from integrations.admin import ConnectionAdmin, ConnectionForm
from integrations.models import Connection
from schedule.store import Moved
from sync import connections, gym, held, inspection, sources, words
from sync.errors import StaleDecision, SyncAlreadyRunning
from sync.models import HeldImport, HeldState, Run
from sync.rights import may_see_source

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class SyncedConnectionForm(ConnectionForm):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        provider = cleaned.get("provider")
        others = Connection.objects.filter(provider=provider).exclude(pk=self.instance.pk)
        if provider in sources.names() and (other := others.first()) is not None:
            # Two would put every class on the timetable twice.
            self.add_error("provider", f"There is a connection already: {other.name}. Change that one instead.")
        return cleaned


@admin.register(Connection)
class SyncedConnectionAdmin(ConnectionAdmin):
    """A saved connection is read at once where that matters, and a deleted one takes its classes with it."""

    form = SyncedConnectionForm

    def get_readonly_fields(self, request: HttpRequest, obj: Connection | None = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "update_interval"]

    def get_fieldsets(self, request: HttpRequest, obj: Connection | None = None) -> Any:
        """Lead those who may go there to the interval, which is set beside the stale limit that it bounds."""
        sections = super().get_fieldsets(request, obj)
        if obj is None or obj.provider not in sources.names() or not may_see_source(request.user):
            return sections
        return [
            (title, {**options, "fields": [*options["fields"], "update_interval"]})
            if title == "Sync"
            else (title, options)
            for title, options in sections
        ]

    @admin.display(description="update interval")
    def update_interval(self, connection: Connection) -> str:
        address = f"{reverse('admin:timetable-source')}#settings"
        return format_html('Set on the page <a href="{}">Timetable Data Source</a>.', address)

    def save_model(self, request: HttpRequest, obj: Connection, form: ConnectionForm, change: bool) -> None:
        if form.has_new_key:
            gym.own(obj, form.cleaned_data["key"])
        super().save_model(request, obj, form, change)
        now = timezone.now()
        if form.has_new_key:
            connections.key_was_entered(obj, now=now)
        elif not change or {"base_url", "profile"} & set(form.changed_data):
            connections.start_over(obj, now=now)
        elif "is_enabled" in form.changed_data and obj.is_enabled:
            connections.make_due(obj, now=now)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().delete_view(request, object_id, extra_context)
        except SyncAlreadyRunning as refused:
            messages.error(request, f"Nothing was deleted: {refused}.")
            return redirect("admin:integrations_connection_change", object_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Ask for no further rights: runs, jobs and held imports are the connection's own."""
        to_delete, counts, _, protected = super().get_deleted_objects(objs, request)
        return to_delete[:1], counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Connection) -> None:
        connections.remove(obj, user=request.user, now=timezone.now())  # type: ignore[arg-type]  # staff are no strangers


class ReadOnlyAdmin(_ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "outcome", "result", "trigger", "created_at", "took", "total"]
    list_filter = ["state", "result", "trigger", "connection"]
    list_select_related = ["connection"]
    date_hierarchy = "created_at"
    change_form_template = "admin/sync/run/change_form.html"
    fields = ["connection", "trigger", "requested_by", "state", "result", "created_at", "started_at", "completed_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        return super().get_queryset(request).select_related("connection", "requested_by")

    @admin.display(description="seconds")
    def took(self, run: Run) -> str:
        return "" if run.duration_seconds is None else f"{run.duration_seconds:.1f}"

    @admin.display(description="what happened")
    def outcome(self, run: Run) -> str:
        return words.of_run(run)


@admin.register(HeldImport)
class HeldImportAdmin(ReadOnlyAdmin):
    """Imports that would take too much away: looked at, then released or discarded by one click."""

    list_display = ["__str__", "reason", "state", "first_seen_at", "decided_by", "decided_at"]
    list_filter = ["state"]
    list_select_related = ["connection", "decided_by"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[HeldImport]:
        return super().get_queryset(request).defer("data").select_related("connection", "run", "decided_by")

    def get_urls(self) -> list[URLPattern]:
        decisions = [
            path("<uuid:number>/release/", self.admin_site.admin_view(self.release), name="sync_heldimport_release"),
            path("<uuid:number>/discard/", self.admin_site.admin_view(self.discard), name="sync_heldimport_discard"),
        ]
        return [*decisions, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        waiting = self._found(request, object_id)
        context = self.admin_site.each_context(request) | {
            "title": str(waiting)[:1].upper() + str(waiting)[1:],
            "held": waiting,
            "outcome": inspection.outcome(waiting, timezone.now()),
            "is_open": waiting.state == HeldState.OPEN,
            "may_decide": self._may_decide(request),
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/sync/heldimport/held.html", context)

    def release(self, request: HttpRequest, number: str) -> HttpResponse:
        return self._decide(request, number, "release")

    def discard(self, request: HttpRequest, number: str) -> HttpResponse:
        return self._decide(request, number, "discard")

    def _decide(self, request: HttpRequest, number: str, decision: str) -> HttpResponse:
        return require_POST(self._decided)(request, number, decision)

    def _decided(self, request: HttpRequest, number: str, decision: str) -> HttpResponse:
        if not self._may_decide(request):
            raise PermissionDenied
        waiting = self._found(request, number)
        user: Any = request.user
        try:
            if decision == "release":
                run = held.release(waiting, user=user, now=timezone.now())
                messages.success(request, f"The import was released; members see it now. {words.of_run(run)}")
            else:
                held.discard(waiting, user=user, now=timezone.now())
                messages.success(request, "The import was discarded; the timetable stays as it is.")
        except StaleDecision as stale:
            messages.warning(request, f"{str(stale)[:1].upper()}{str(stale)[1:]}.")
        except Moved:
            messages.warning(request, "The timetable is changing just now, so nothing was done. Try again in a moment.")
        return redirect("admin:sync_heldimport_change", number)

    def _may_decide(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("sync.change_heldimport"))

    def _found(self, request: HttpRequest, number: str) -> HeldImport:
        found = self.get_object(request, str(number))
        if not isinstance(found, HeldImport):
            raise Http404("There is no such held import.")
        return found
