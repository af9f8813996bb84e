"""The demo gym: there at once, whole, and gone without a trace."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from schedule import demo
from schedule.models import (
    ClassType,
    Closure,
    Event,
    EventStatus,
    Organization,
    SourceState,
    SpecialEvent,
    WeeklySlot,
)
from tests.schedule.making import NOW, ZONE, read

pytestmark = pytest.mark.django_db


def command(*options: str) -> str:
    out = StringIO()
    with time_machine.travel(NOW, tick=False):
        call_command("demo_gym", *options, stdout=out)
    return out.getvalue()


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.req("TT-18")
def test_the_demo_shows_a_full_manual_week_with_no_provider() -> None:
    gym = demo.make(NOW)
    assert (gym.is_installation, gym.is_demo, gym.timezone) == (True, True, ZONE.key)
    assert (gym.class_types.count(), gym.people.count(), gym.places.count()) == (5, 6, 2)
    assert (WeeklySlot.objects.count(), Event.objects.filter(source="cms").count()) == (35, 35 * 8)


@pytest.mark.req("TT-15")
def test_the_demo_has_a_closed_day_and_a_special_event_ahead() -> None:
    demo.make(NOW)
    assert Closure.objects.get().first_on > NOW.date()
    assert SpecialEvent.objects.get().date > NOW.date()
    assert Event.objects.filter(source="manual").count() == 1
    reasons = set(Event.objects.filter(status=EventStatus.CANCELLED).values_list("status_reason", flat=True))
    assert reasons == {"Closed for floor repairs"}


def test_no_coach_of_the_demo_has_two_classes_at_a_time() -> None:
    demo.make(NOW)
    events = list(Event.objects.exclude(instructor=None))
    clashes = [
        (one, other)
        for one in events
        for other in events
        if one != other
        and one.instructor_id == other.instructor_id
        and one.starts_at < other.ends_at
        and other.starts_at < one.ends_at
    ]
    assert clashes == []


def test_its_colours_stand_out_from_light_and_dark_pages() -> None:
    demo.make(NOW)
    for colour in ClassType.objects.values_list("colour", flat=True):
        assert contrast(colour, "#ffffff") >= 4.5, colour
        assert contrast(colour, "#161513") >= 3, colour


def test_the_manager_may_change_everything_and_the_front_desk_only_look() -> None:
    demo.make(NOW)
    users = {user.get_username(): user for user in get_user_model().objects.all()}
    for name, password, _ in demo.logins():
        assert users[name].check_password(password)
        assert users[name].is_staff
    assert users["manager"].has_perm("schedule.change_weeklyslot")
    frontdesk = users["frontdesk"]
    assert frontdesk.has_perm("schedule.view_weeklyslot")
    assert {permission.split(".")[1].split("_")[0] for permission in frontdesk.get_all_permissions()} == {"view"}


def test_the_command_makes_it_once_and_prints_its_logins() -> None:
    out = command("--if-empty")
    assert "manager / tidewater-manager" in out
    before = (Organization.objects.get().pk, Event.objects.count())
    assert command("--if-empty") == ""
    assert command().startswith("Tidewater Gym is this installation's gym.")
    assert (Organization.objects.get().pk, Event.objects.count()) == before
    assert command("--print-logins").splitlines() == [
        "  manager / tidewater-manager   may change everything",
        "  frontdesk / tidewater-frontdesk   may look at everything",
    ]


def test_it_does_not_take_the_place_of_a_real_gym() -> None:
    Organization.objects.create(name="Real Gym", timezone=ZONE.key, is_installation=True)
    assert command("--if-empty") == ""
    with pytest.raises(CommandError, match="has a gym already"):
        command()
    assert command("--print-logins") == ""
    assert Organization.objects.get().name == "Real Gym"


def test_production_makes_no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", type("Environment", (), {"production": True}))
    with pytest.raises(CommandError, match="production"):
        command("--if-empty")
    assert not Organization.objects.exists()


def test_removing_it_leaves_nothing_of_it() -> None:
    demo.make(NOW)
    read("fitbox", datetime(2026, 11, 18, tzinfo=UTC))
    mine = get_user_model().objects.create_user("owner", password="correct horse")
    assert demo.remove()
    for model in (Organization, Event, ClassType, WeeklySlot, Closure, SpecialEvent, SourceState, Group):
        assert model._default_manager.count() == 0, model
    assert [WeeklySlot.history.count(), Closure.history.count(), SpecialEvent.history.count()] == [0, 0, 0]
    assert list(get_user_model().objects.all()) == [mine]
    assert demo.logins() == []
    assert demo.remove() is False


def test_removing_it_leaves_a_real_gym_alone() -> None:
    real = Organization.objects.create(name="Real Gym", timezone=ZONE.key, is_installation=True)
    read("fitbox", NOW - timedelta(minutes=1))
    assert demo.remove() is False
    assert (Organization.objects.get(), SourceState.objects.count()) == (real, 1)
