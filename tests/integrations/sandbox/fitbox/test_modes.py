"""What each data mode promises."""

import json
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from integrations.sandbox import Sandbox
from integrations.sandbox.fitbox.modes import HOSTILE_TEXTS, MODES
from integrations.sandbox.fitbox.week import DAYS
from tests.integrations.sandbox.caller import Caller


def served(sandbox: Sandbox, caller: Caller, mode: str) -> list[Any]:
    sandbox.fitbox.schedule.set_mode(mode)
    return caller.week().classes


def is_valid(item: dict[str, Any]) -> bool:
    """The hard rules of the contract, told anew."""
    try:
        starts = datetime.fromisoformat(f"{item['date']}T{item['start_time']}")
    except (KeyError, ValueError):
        return False
    told = DAYS[starts.weekday()] == item.get("day_of_week") and bool(item.get("class_type"))
    return told and item["max_capacity"] > 0 and item["current_bookings"] >= 0


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode_is_served_whole_and_the_same_again(sandbox: Sandbox, caller: Caller, mode: str) -> None:
    sandbox.fitbox.schedule.set_mode(mode)
    first = caller.week(page_size=500)
    assert first.status == 200
    assert len(first.classes) == min(first.json["total"], 500)
    assert caller.week(page_size=500).body == first.body


def test_weekly_slots_have_no_dates(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "weekly_only")
    assert len(classes) == 45
    assert not any("date" in item for item in classes)


def test_dated_only_has_no_series(sandbox: Sandbox, caller: Caller) -> None:
    assert {item["series_id"] for item in served(sandbox, caller, "dated_only")} == {None}


def test_mixed_has_slots_and_dated_records_with_and_without_series(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "mixed")
    dated = [item for item in classes if "date" in item]
    assert len(classes) - len(dated) == 45
    assert {item["series_id"] is None for item in dated} == {True, False}


def test_two_locations_can_be_asked_for_one_at_a_time(sandbox: Sandbox, caller: Caller) -> None:
    served(sandbox, caller, "two_locations")
    assert [caller.week(location_id=place).json["total"] for place in ("loc_1", "loc_2", "loc_3")] == [30, 15, 0]


def test_holiday_week_has_a_closed_and_an_open_day(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("holiday_week")
    holidays = caller.week().json["holidays"]
    assert [(day["date"], day["closed"]) for day in holidays] == [("2026-03-04", True), ("2026-03-06", False)]
    assert caller.get("/api/v1/schedule", {"from": "2026-03-05", "to": "2026-03-05"}).json["holidays"] == []


@pytest.mark.parametrize("sunday", ["2026-04-05", "2026-10-04"])
def test_dst_weeks_have_classes_in_the_odd_hour(sandbox: Sandbox, caller: Caller, sunday: str) -> None:
    sandbox.fitbox.schedule.set_mode("dst_weeks")
    classes = caller.get("/api/v1/schedule", {"from": sunday, "to": sunday}).classes
    assert {"01:30", "02:15", "02:45"} <= {item["start_time"] for item in classes}


def test_six_pages_hold_1200_classes(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("six_pages")
    pages = [caller.week(page=page).json for page in range(1, 7)]
    ids = {item["id"] for page in pages for item in page["classes"]}
    assert len(ids) == 1_200
    assert [page["next_page"] for page in pages] == [2, 3, 4, 5, 6, None]
    assert {(page["total"], page["page_size"]) for page in pages} == {(1_200, 200)}


def test_bulk_spreads_its_classes_over_the_asked_weeks(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("bulk", 10_000)
    query = {"from": "2026-03-02", "to": "2026-04-26", "page_size": 500}
    pages = [caller.get("/api/v1/schedule", {**query, "page": page}).json for page in range(1, 21)]
    days = Counter(item["date"] for page in pages for item in page["classes"])
    assert (pages[0]["total"], pages[-1]["next_page"], days.total(), len(days)) == (10_000, None, 10_000, 56)
    assert max(days.values()) - min(days.values()) <= 1


def test_bulk_does_not_change_by_itself(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("bulk")
    before = caller.week()
    sandbox.clock.advance(5 * 3600)
    assert caller.week().body == before.body


def test_empty_is_a_complete_answer(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("empty")
    body = caller.week().json
    assert (body["classes"], body["total"], body["next_page"]) == ([], 0, None)


@pytest.mark.parametrize("days", ["2026-03-02", "2026-03-08", "2026-03-12"])
def test_exactly_80_percent_are_valid(sandbox: Sandbox, caller: Caller, days: str) -> None:
    sandbox.fitbox.schedule.set_mode("exactly_80_percent_valid")
    classes = caller.week(to=days).classes
    assert sum(map(is_valid, classes)) * 5 == len(classes) * 4 > 0


def test_just_under_80_percent_are_valid(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "under_80_percent_valid")
    assert sum(map(is_valid, classes)) == len(classes) * 4 // 5 - 1


def test_ordinary_classes_are_all_valid(caller: Caller) -> None:
    assert all(map(is_valid, caller.week().classes))


def test_overbooked_means_more_bookings_than_places(sandbox: Sandbox, caller: Caller) -> None:
    assert all(item["current_bookings"] > item["max_capacity"] for item in served(sandbox, caller, "overbooked"))


@pytest.mark.parametrize(("mode", "field"), [("null_coach", "instructor"), ("null_capacity", "max_capacity")])
def test_a_field_is_null_in_all_classes(sandbox: Sandbox, caller: Caller, mode: str, field: str) -> None:
    assert {item[field] for item in served(sandbox, caller, mode)} == {None}


def test_duplicates_repeat_a_key_with_an_older_time(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "duplicates")
    pairs = [(a, b) for a, b in pairwise(classes) if a["id"] == b["id"]]
    assert len(pairs) == 5
    assert all(older["updated_at"] < newer["updated_at"] for newer, older in pairs)


def test_unknown_types_are_beside_known_ones(sandbox: Sandbox, caller: Caller) -> None:
    names = {item["class_type"] for item in served(sandbox, caller, "unknown_types")}
    assert {"Aqua Zumba", "  crossfit ", "CrossFit"} <= names


def test_odd_weekdays_have_every_form_and_one_zero(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "odd_weekdays")
    forms = {item["day_of_week"] for item in classes}
    assert {"MONDAY", "mon", "Mon", 1, " Monday "} <= forms
    assert [item["day_of_week"] for item in classes].count(0) == 1
    assert {"06:00", "07:00:00", "9:30 AM"} <= {item["start_time"] for item in classes}


def test_hostile_text_reaches_every_text_field(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "hostile_text")
    assert set(HOSTILE_TEXTS) <= {item["special_notes"] for item in classes}
    assert set(HOSTILE_TEXTS) & {item["class_type"] for item in classes}
    assert set(HOSTILE_TEXTS) & {item["instructor"]["name"] for item in classes}
    assert max(len(item["class_type"]) for item in classes) == 1_000_000


def test_strange_photos_are_mostly_not_https_of_the_vendor(sandbox: Sandbox, caller: Caller) -> None:
    urls = [item["instructor"]["photo_url"] for item in served(sandbox, caller, "strange_photos")]
    assert {"javascript:alert(1)", "//elsewhere.invalid/1.jpg", None, 42} <= set(urls)


def test_cancelled_has_every_word_for_it_and_an_unknown_status(sandbox: Sandbox, caller: Caller) -> None:
    statuses = {item["status"] for item in served(sandbox, caller, "cancelled")}
    assert {"active", "cancelled", "canceled", "deleted", "draft", "postponed"} <= statuses


def test_no_ids_has_neither_ids_nor_series(sandbox: Sandbox, caller: Caller) -> None:
    assert not any({"id", "series_id"} & item.keys() for item in served(sandbox, caller, "no_ids"))


def test_extreme_values_keep_most_of_the_week_valid(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "extreme_values")
    assert {"9999-12-31", "1970-01-01"} <= {item["date"] for item in classes}
    assert {0, 2**31} <= {item["max_capacity"] for item in classes}
    assert sum(map(is_valid, classes)) / len(classes) >= 0.8


def test_wrong_types_include_items_that_are_no_objects(sandbox: Sandbox, caller: Caller) -> None:
    classes = served(sandbox, caller, "wrong_types")
    assert {type(item) for item in classes} >= {dict, str}
    assert sum(1 for item in classes if not isinstance(item, dict) or "colour" in item) == len(classes)
    assert json.dumps(classes)
