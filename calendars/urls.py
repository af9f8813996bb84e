"""The addresses of the feeds."""

from django.urls import path

from calendars import views

app_name = "calendars"
urlpatterns = [path("timetable.ics", views.timetable, name="timetable")]
