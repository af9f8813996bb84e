"""The public addresses of the timetable."""

from django.urls import path

from schedule import api, views

app_name = "schedule"
urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("timetable/", views.timetable, name="timetable"),
    path("timetable/types.css", views.type_colours, name="type-colours"),
    path("api/v1/timetable", api.TimetableView.as_view(), name="api-timetable"),
]
