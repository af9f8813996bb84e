"""The ordinary week: whole, the same on every start, and alike from week to week."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from integrations.sandbox import Sandbox
from integrations.sandbox.fitbox.week import dated_classes, weekly_series
from tests.integrations.sandbox.caller import Caller

MELBOURNE = ZoneInfo("Australia/Melbourne")
MONDAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def week(monday: date, at: datetime = AT, seed: int = 1) -> list[dict[str, Any]]:
    return dated_classes(seed, MELBOURNE, monday, monday + timedelta(days=6), at)


def test_a_week_has_45_classes_of_5_types_with_6_coaches(caller: Caller) -> None:
    classes = caller.week().classes
    assert len(classes) == 45
    assert {item["class_type"] for item in classes} == {"CrossFit", "Foundations", "Open Gym", "PT", "Mobility"}
    assert len({item["instructor"]["name"] for item in classes}) == 6


def test_two_starts_serve_the_same_week(caller: Caller, sandbox: Sandbox) -> None:
    with Sandbox.serve(seed=1) as other:
        other.clock.set(sandbox.clock.now())
        assert Caller(other).week().body == caller.week().body


def test_another_seed_is_another_gym() -> None:
    assert {item["id"] for item in week(MONDAY, seed=2)}.isdisjoint(item["id"] for item in week(MONDAY))


@pytest.mark.parametrize("weeks", [1, 30, 200])
def test_ids_of_a_week_do_not_depend_on_when_it_is_asked(weeks: int) -> None:
    monday = MONDAY + timedelta(weeks=weeks)
    early, late = week(monday), week(monday, AT + timedelta(weeks=weeks))
    assert [item["id"] for item in early] == [item["id"] for item in late]
    assert len({item["id"] for item in late}) == 45


@pytest.mark.parametrize("seed", range(1, 30))
def test_no_coach_and_no_room_is_used_twice_at_a_time(seed: int) -> None:
    for number in range(4):
        used: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        monday = MONDAY + timedelta(weeks=number)
        for item in week(monday, AT + timedelta(weeks=number), seed):
            for user in (item["instructor"]["name"], item["location"]["room"]):
                used[item["date"], user].append((item["start_time"], item["end_time"]))
        for spans in used.values():
            spans.sort()
            assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize("number", range(10))
def test_each_week_has_one_or_two_cancellations_and_two_covers(number: int) -> None:
    monday = MONDAY + timedelta(weeks=number)
    usual = {series.id: series.coach.name for series in weekly_series(1)}
    classes = week(monday, AT + timedelta(weeks=number))
    assert Counter(item["status"] for item in classes)["cancelled"] in (1, 2)
    assert sum(item["instructor"]["name"] != usual[item["series_id"]] for item in classes) == 2


def test_bookings_grow_until_the_class_and_never_exceed_the_places() -> None:
    history = [week(MONDAY, AT + timedelta(days=days)) for days in (-30, -5, 0, 7)]
    totals = [sum(item["current_bookings"] + item["waitlist_count"] for item in classes) for classes in history]
    assert totals == sorted(totals)
    assert totals[0] == 0 < totals[1] < totals[3]
    assert all(0 <= item["current_bookings"] <= item["max_capacity"] for classes in history for item in classes)
    assert any(item["waitlist_count"] for item in history[-1])


def test_updated_at_is_the_time_of_the_last_change_and_never_later_than_now() -> None:
    now = "2026-03-02T09:00:00Z"
    before = {item["id"]: item for item in week(MONDAY, AT - timedelta(hours=6))}
    for item in week(MONDAY):
        assert item["updated_at"] <= now
        changed = item != before[item["id"]]
        assert changed == (item["updated_at"] > "2026-03-02T03:00:00Z")


def test_within_an_hour_a_poll_is_unchanged_and_the_next_hours_bring_bookings(sandbox: Sandbox, caller: Caller) -> None:
    first = caller.week()
    sandbox.clock.advance(29 * 60)
    assert caller.week().headers["etag"] == first.headers["etag"]
    sandbox.clock.advance(6 * 3600)
    later = caller.week()
    assert later.classes != first.classes
    assert later.json["generated_at"] == "2026-03-02T15:00:00Z"


def test_end_and_duration_agree() -> None:
    for item in week(MONDAY):
        starts, ends = (datetime.fromisoformat(f"{item['date']}T{item[name]}") for name in ("start_time", "end_time"))
        assert ends - starts == timedelta(minutes=item["duration_minutes"])
