"""The admin site: Django's own, with Callboard's pages in it and what needs a person on its front page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from integrations.models import Connection, ConnectionStatus
from sync.models import HeldImport, HeldState
from sync.rights import may_see_source


class StaffSite(admin.AdminSite):
    site_title = "Callboard"
    site_header = "Callboard"
    index_title = "Today"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        from sync import views  # noqa: PLC0415 - the pages need the site that is being made

        pages = [
            path("timetable-source/", self.admin_view(views.timetable_source), name="timetable-source"),
            path("timetable-source/sync/", self.admin_view(views.sync_now), name="sync-now"),
            path("start-gym/", self.admin_view(views.start_gym), name="start-gym"),
        ]
        return [*pages, *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the admin's menu with the page of the data source in it."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "sync" and may_see_source(request.user):
                page = {"name": "Timetable Data Source", "object_name": "TimetableSource", "view_only": True}
                page |= {"admin_url": reverse("admin:timetable-source"), "add_url": None, "perms": {"view": True}}
                app["models"].insert(0, page)
        return apps

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from sync import views  # noqa: PLC0415 - as above

        attention = {
            "held_imports": _open_imports(request),
            "rejected_connections": _rejected_connections(request),
            "source": views.summary(request),
        }
        return super().index(request, {**attention, **(extra_context or {})})


def _open_imports(request: HttpRequest) -> list[HeldImport]:
    if not request.user.has_perm("sync.view_heldimport"):
        return []
    return list(HeldImport.objects.filter(state=HeldState.OPEN).select_related("connection").defer("data"))


def _rejected_connections(request: HttpRequest) -> list[Connection]:
    if not request.user.has_perm("integrations.view_connection"):
        return []
    return list(Connection.objects.filter(status=ConnectionStatus.REJECTED))
