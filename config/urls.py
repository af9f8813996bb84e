"""The addresses of Callboard. Each app names its own."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("calendar/", include("calendars.urls")),
    path("", include("schedule.urls")),
    path("", include("sync.urls")),
]
