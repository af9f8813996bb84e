"""The addresses of the staff's API."""

from django.urls import URLPattern

app_name = "sync"
urlpatterns: list[URLPattern] = []
