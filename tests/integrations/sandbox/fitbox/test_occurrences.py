"""The second profile."""

from datetime import UTC, datetime
from typing import Any

from integrations.sandbox import Sandbox
from tests.integrations.sandbox.caller import Caller

WEEK = {"start": "2026-03-02", "end": "2026-03-08"}


def occurrences(caller: Caller, **query: str) -> list[dict[str, Any]]:
    body = caller.get("/api/v1/schedulelist", {**WEEK, **query}).json
    assert (body["message"], body["error"]) == ("OK", False)
    return list(body["data"])


def test_the_list_holds_the_active_classes_of_the_same_week(caller: Caller) -> None:
    active = [item for item in caller.week().classes if item["status"] == "active"]
    assert [entry["class"]["name"] for entry in occurrences(caller)] == [item["class_type"] for item in active]


def test_instants_agree_in_three_forms(caller: Caller) -> None:
    for entry in occurrences(caller):
        offset = datetime.fromisoformat(entry["start"])
        assert offset.astimezone(UTC) == datetime.fromisoformat(entry["start_utc"])
        assert offset.strftime("%Y-%m-%d %H:%M:%S") == entry["start_local"]
        assert entry["event_timezone"] == "Australia/Melbourne"


def test_offsets_follow_daylight_saving(caller: Caller) -> None:
    days = occurrences(caller, start="2026-04-04", end="2026-04-05")
    assert {entry["start_local"][:10]: entry["start"][-6:] for entry in days} == {
        "2026-04-04": "+11:00",
        "2026-04-05": "+10:00",
    }


def test_booleans_come_in_mixed_forms(caller: Caller) -> None:
    forms = {repr(entry[flag]) for entry in occurrences(caller) for flag in ("is_full", "is_active")}
    assert {"True", "1", "'1'", "None"} <= forms


def test_open_gym_has_no_limit(caller: Caller) -> None:
    limits = {entry["class"]["name"]: entry["attendance_limit"] for entry in occurrences(caller)}
    assert (limits["Open Gym"], limits["CrossFit"]) == (None, 16)


def test_attendances_are_as_many_as_bookings_and_name_people(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_bookings("cls_101_20260302", 5)
    first = occurrences(caller)[0]
    assert len(first["attendances"]) == 5
    assert all(person["member"]["email"].endswith("@example.org") for person in first["attendances"])


def test_the_detail_names_coaches_as_pairs(caller: Caller) -> None:
    first = occurrences(caller)[0]
    detail = caller.get("/api/v1/schedule-detail", {"id": first["id"]}).json["data"]
    coach = caller.week().classes[0]["instructor"]
    assert detail["coaches"] == [{"id": int(coach["id"][4:]), "name": coach["name"]}]
    assert "coaches" not in first


def test_weekly_slots_become_dated_occurrences(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("weekly_only")
    assert len(occurrences(caller)) == 45


def test_a_removed_class_is_simply_not_listed(sandbox: Sandbox, caller: Caller) -> None:
    before = len(occurrences(caller))
    sandbox.fitbox.schedule.remove("cls_101_20260302")
    assert len(occurrences(caller)) == before - 1


def test_venues_are_the_places_of_the_list(caller: Caller) -> None:
    venues = caller.get("/api/v1/gym/venues").json["data"]
    assert venues == [{"id": occurrences(caller)[0]["venue_id"], "name": "Riverside"}]


def test_a_failure_is_error_true_with_200(caller: Caller) -> None:
    received = caller.get("/api/v1/schedulelist", {"start": "2026-03-02"})
    assert (received.status, received.json) == (200, {"data": None, "message": "end is missing.", "error": True})
    assert caller.get("/api/v1/schedule-detail", {"id": "1"}).json["error"] is True


def test_the_list_has_validators_too(caller: Caller) -> None:
    etag = caller.get("/api/v1/schedulelist", WEEK).headers["etag"]
    assert caller.get("/api/v1/schedulelist", WEEK, If_None_Match=etag).status == 304


def test_the_list_needs_the_key(caller: Caller) -> None:
    assert caller.get("/api/v1/schedulelist", WEEK, key=None).status == 401
