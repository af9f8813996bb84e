"""Edits between two calls, and how differences, validators and times tell them."""

from datetime import date
from typing import Any

import pytest

from integrations.sandbox import Sandbox
from integrations.sandbox.fitbox.schedule import Schedule
from tests.integrations.sandbox.caller import Caller

SINCE = "2026-03-02T09:30:00Z"
FIRST = "cls_101_20260302"


@pytest.fixture
def schedule(sandbox: Sandbox) -> Schedule:
    return sandbox.fitbox.schedule


def one(caller: Caller, key: str = FIRST, **query: Any) -> dict[str, Any]:
    (found,) = [item for item in caller.week(**query).classes if item["id"] == key]
    return dict(found)


def test_a_cancelled_class_can_be_restored(schedule: Schedule, caller: Caller) -> None:
    schedule.cancel(FIRST)
    assert one(caller)["status"] == "cancelled"
    schedule.restore(FIRST)
    assert one(caller)["status"] == "active"


def test_a_move_keeps_the_length(schedule: Schedule, caller: Caller) -> None:
    schedule.move(FIRST, start_time="06:45")
    assert (one(caller)["start_time"], one(caller)["end_time"]) == ("06:45", "07:45")


def test_a_move_into_the_asked_range_is_seen(schedule: Schedule, caller: Caller) -> None:
    schedule.move("cls_101_20260309", start_time="13:00", on=date(2026, 3, 5))
    moved = one(caller, "cls_101_20260309")
    assert (moved["date"], moved["day_of_week"]) == ("2026-03-05", "thursday")


def test_a_move_out_of_the_range_is_told_by_differences_only(schedule: Schedule, caller: Caller) -> None:
    schedule.move(FIRST, start_time="06:00", on=date(2026, 3, 16))
    assert FIRST not in {item["id"] for item in caller.week().classes}
    assert one(caller, updated_since=SINCE)["date"] == "2026-03-16"


def test_a_swapped_coach_is_another_person(schedule: Schedule, caller: Caller) -> None:
    before = one(caller)["instructor"]
    schedule.swap_coach(FIRST)
    assert one(caller)["instructor"]["name"] != before["name"]


def test_capacity_bookings_and_any_field_can_be_set(schedule: Schedule, caller: Caller) -> None:
    schedule.cut_capacity(FIRST, 4)
    schedule.set_bookings(FIRST, 3)
    schedule.set_fields(FIRST, special_notes="Changed")
    item = one(caller)
    assert (item["max_capacity"], item["current_bookings"], item["special_notes"]) == (4, 3, "Changed")


def test_a_removed_class_is_gone_and_named_in_differences(schedule: Schedule, caller: Caller) -> None:
    schedule.remove(FIRST)
    full, differences = caller.week().json, caller.week(updated_since=SINCE).json
    assert (full["total"], full["removed"]) == (44, [])
    assert differences["removed"] == [{"id": FIRST, "removed_at": "2026-03-02T09:30:00Z"}]


def test_a_removed_class_can_come_back(schedule: Schedule, caller: Caller) -> None:
    schedule.remove(FIRST)
    schedule.restore(FIRST)
    assert one(caller, updated_since=SINCE)["status"] == "active"


def test_differences_hold_only_what_changed_since(schedule: Schedule, caller: Caller) -> None:
    assert caller.week(updated_since=SINCE).classes == []
    schedule.set_bookings(FIRST, 1)
    assert [item["id"] for item in caller.week(updated_since=SINCE).classes] == [FIRST]
    assert caller.week(updated_since="2026-03-02T09:30:01Z").classes == []


def test_bookings_that_came_with_time_are_in_the_differences(sandbox: Sandbox, caller: Caller) -> None:
    before = {item["id"]: item for item in caller.week().classes}
    sandbox.clock.advance(4 * 3600)
    changed = {item["id"] for item in caller.week().classes if item != before[item["id"]]}
    differences = caller.week(updated_since=SINCE).classes
    assert {item["id"] for item in differences} == changed != set()


def test_each_edit_has_a_later_time_although_the_clock_stands(schedule: Schedule, caller: Caller) -> None:
    stamps = []
    for bookings in (1, 2, 3):
        schedule.set_bookings(FIRST, bookings)
        received = caller.week()
        stamps.append((one(caller)["updated_at"], received.json["generated_at"], received.headers["last-modified"]))
    assert [stamp[0] for stamp in stamps] == [f"2026-03-02T09:30:0{second}Z" for second in (0, 1, 2)]
    assert [stamp[1] for stamp in stamps] == [stamp[0] for stamp in stamps]
    assert [stamp[2][-6:-4] for stamp in stamps] == ["00", "01", "02"]


def test_an_added_class_appears_on_its_day(schedule: Schedule, caller: Caller) -> None:
    key = schedule.add(date(2026, 3, 4), "13:00", class_type="Mobility")
    assert (one(caller, key)["date"], one(caller, key)["class_type"]) == ("2026-03-04", "Mobility")
    schedule.add(date(2026, 3, 20), "13:00")
    assert caller.week().json["total"] == 46


def test_a_shift_moves_every_start(schedule: Schedule, caller: Caller) -> None:
    before = [item["start_time"] for item in caller.week().classes]
    schedule.shift(60)
    after = [item["start_time"] for item in caller.week().classes]
    assert after == [f"{int(text[:2]) + 1:02d}{text[2:]}" for text in before]


def test_a_shift_over_midnight_changes_the_day(schedule: Schedule, caller: Caller) -> None:
    schedule.shift(-7 * 60)
    item = one(caller)
    assert (item["date"], item["day_of_week"], item["start_time"]) == ("2026-03-01", "sunday", "23:00")


@pytest.mark.parametrize(("share", "left"), [(0.5, 23), (0.3, 32), (1.0, 0), (0.0, 45)])
def test_a_share_of_the_week_vanishes(schedule: Schedule, caller: Caller, share: float, left: int) -> None:
    schedule.vanish(share)
    assert caller.week().json["total"] == left
    assert len(caller.week(updated_since=SINCE).json["removed"]) == 45 - left


def test_undo_edits_brings_everything_back_as_changed(schedule: Schedule, caller: Caller) -> None:
    schedule.vanish(1)
    schedule.undo_edits()
    assert caller.week(updated_since=SINCE).json["total"] == 45
    assert caller.week(updated_since=SINCE).json["removed"] == []


def test_grown_bookings_fill_places_then_the_waitlist(schedule: Schedule, caller: Caller) -> None:
    before = one(caller)
    schedule.grow_bookings(30)
    item = one(caller)
    assert item["current_bookings"] == item["max_capacity"]
    assert item["waitlist_count"] == before["current_bookings"] + before["waitlist_count"] + 30 - item["max_capacity"]


def test_a_new_mode_names_what_it_lacks_as_removed(schedule: Schedule, caller: Caller) -> None:
    caller.week()
    schedule.set_mode("empty")
    removed = {entry["id"] for entry in caller.week(updated_since=SINCE).json["removed"]}
    assert FIRST in removed
    schedule.set_mode("ordinary")
    differences = caller.week(updated_since=SINCE).json
    assert (differences["total"], differences["removed"]) == (45, [])


def test_frozen_bookings_stand_still(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(bookings_frozen=True)
    before = caller.week()
    sandbox.clock.advance(20 * 3600)
    assert caller.week().body == before.body
    sandbox.fitbox.switch(bookings_frozen=False)
    assert caller.week().body != before.body


def test_generated_at_never_goes_back(sandbox: Sandbox, schedule: Schedule, caller: Caller) -> None:
    seen = [caller.week().json["generated_at"]]
    for mode in ("bulk", "ordinary", "empty", "mixed"):
        schedule.set_mode(mode)
        seen.append(caller.week().json["generated_at"])
        sandbox.clock.advance(3600)
        seen.append(caller.week().json["generated_at"])
    assert seen == sorted(seen)


def test_page_2_changes_while_page_1_is_read(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.change_while_paging("remove")
    first, second = (caller.week(page_size=30, page=page).json for page in (1, 2))
    read = len(first["classes"]) + len(second["classes"])
    assert (first["total"], second["total"], read) == (45, 44, 44)


def test_page_2_can_be_edited_while_page_1_is_read(sandbox: Sandbox, caller: Caller) -> None:
    before = caller.week(page_size=30, page=2).classes[0]
    sandbox.fitbox.change_while_paging("edit")
    first, second = (caller.week(page_size=30, page=page).json for page in (1, 2))
    assert second["classes"][0]["current_bookings"] == before["current_bookings"] + 1
    assert first["generated_at"] < second["generated_at"]


def test_an_edit_of_a_class_that_is_not_there_is_refused(schedule: Schedule) -> None:
    with pytest.raises(LookupError, match="There is no class 'cls_x'"):
        schedule.cancel("cls_x")
