"""Shows times in the gym's own zone wherever staff work."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from schedule.models import Organization


class GymZoneMiddleware:
    """Activate the gym's zone for the admin; public pages say theirs explicitly, and the API speaks UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(reverse("admin:index")):
            return self.get_response(request)
        gym = Organization.objects.filter(is_installation=True).first()
        with timezone.override(gym.zone if gym else None):
            return self.get_response(request)
