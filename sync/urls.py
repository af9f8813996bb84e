"""The addresses of the staff's API; the staff pages are in the admin (`sync.site`)."""

from django.urls import path

from sync import api

app_name = "sync"
urlpatterns = [
    path("api/v1/admin/timetable-settings", api.TimetableSettingsView.as_view(), name="timetable-settings"),
    path("api/v1/admin/trigger-sync", api.TriggerSyncView.as_view(), name="trigger-sync"),
    path("api/v1/admin/runs/<int:run_id>", api.RunView.as_view(), name="run"),
]
