"""The control API over a real socket."""

from typing import Any

import pytest

from integrations.sandbox import Sandbox
from integrations.sandbox.client import ControlClient, ControlRefused
from tests.integrations.sandbox.caller import Caller


@pytest.fixture
def control(sandbox: Sandbox) -> ControlClient:
    return ControlClient(sandbox.url)


def test_overview_names_providers_modes_and_clock(control: ControlClient) -> None:
    overview = control.get("")
    assert (overview["now"], overview["real"]) == ("2026-03-02T09:30:00+00:00", False)
    assert overview["providers"]["fitbox"]["mode"] == "ordinary"
    assert "hostile_text" in overview["providers"]["fitbox"]["modes"]


def test_mode_changes_what_fitbox_holds(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/mode", {"mode": "bulk", "count": 321})
    assert caller.week().json["total"] == 321


def test_classes_are_served_as_sent(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/classes", {"classes": [{"id": "x"}, None, 7]})
    assert caller.week().classes == [{"id": "x"}, None, 7]


def test_holidays_are_served_as_sent(control: ControlClient, caller: Caller) -> None:
    day = {"date": "2026-03-04", "name": "Regatta", "closed": True}
    control.post("fitbox/holidays", {"holidays": [day]})
    assert caller.week().json["holidays"] == [day]


def test_faults_are_added_listed_and_cleared(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/faults", [{"kind": "status", "status": 502, "calls": 1}, {"kind": "null"}])
    assert caller.week().status == 502
    assert [fault["kind"] for fault in control.get("fitbox/faults")["pending"]] == ["null"]
    control.delete("fitbox/faults")
    assert caller.week().status == 200


def test_an_outage_follows_the_clock(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/outage", {"phases": [{"seconds": 60, "fault": {"kind": "status", "status": 503}}]})
    assert caller.week().status == 503
    control.post("clock", {"advance_seconds": 60})
    assert caller.week().status == 200


def test_the_standard_outage_ends_when_deleted(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/outage", {"standard": True, "fault": {"kind": "null"}})
    control.post("clock", {"advance_seconds": 601})
    assert caller.week().body == b"null"
    control.delete("fitbox/outage")
    assert caller.week().status == 200


def test_edits_change_one_class(control: ControlClient, caller: Caller) -> None:
    chosen = caller.week().classes[0]["id"]
    control.post("fitbox/edit", {"action": "cancel", "id": chosen})
    assert caller.week().classes[0]["status"] == "cancelled"


def test_an_added_class_is_named(control: ControlClient, caller: Caller) -> None:
    edit = {"action": "add", "date": "2026-03-03", "start_time": "13:00", "fields": {"class_type": "Mobility"}}
    added = control.post("fitbox/edit", edit)["id"]
    found = [item for item in caller.week().classes if item["id"] == added]
    assert [(item["class_type"], item["start_time"]) for item in found] == [("Mobility", "13:00")]


def test_switches_change_behaviour(control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/switches", {"no_validators": True, "rate_limit": 1})
    assert "etag" not in caller.week().headers
    assert caller.week().status == 429


def test_requests_and_counters_are_told(control: ControlClient, caller: Caller) -> None:
    caller.week()
    caller.get("/nowhere")
    (last,) = control.get("requests?provider=fitbox&limit=1")
    assert (last["path"], last["status"]) == ("/nowhere", 404)
    assert control.get("counters")["fitbox"]["by_status"] == {"200": 1, "404": 1}
    control.post("counters/reset", {})
    assert control.get("counters")["fitbox"]["requests"] == 0


def test_its_own_requests_are_not_counted(sandbox: Sandbox, control: ControlClient) -> None:
    control.get("fitbox")
    assert sandbox.fitbox.traffic.counters.requests == 0


def test_reset_goes_back_to_the_start(sandbox: Sandbox, control: ControlClient, caller: Caller) -> None:
    control.post("fitbox/mode", {"mode": "empty"})
    control.post("fitbox/faults", {"kind": "null"})
    control.post("fitbox/switches", {"no_validators": True})
    caller.week()
    control.post("reset", {})
    assert sandbox.clock.is_real
    assert sandbox.fitbox.traffic.counters.requests == 0
    received = caller.week()
    assert (received.json["total"], "etag" in received.headers) == (45, True)


def test_the_clock_is_set_with_an_offset(sandbox: Sandbox, control: ControlClient) -> None:
    assert control.post("clock", {"now": "2026-10-04T02:00:00+10:00"})["now"] == "2026-10-03T16:00:00+00:00"
    assert control.post("clock", {"real": True})["real"] is True


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("fitbox/mode", {"mode": "nothing"}, "There is no mode 'nothing'"),
        ("fitbox/mode", {}, 'Send {"mode": name}'),
        ("fitbox/faults", {"kind": "status", "colour": 1}, "A fault has no field 'colour'"),
        ("fitbox/faults", {"kind": "null", "calls": "two"}, "calls is a whole number, not 'two'"),
        ("fitbox/edit", {"action": "dance"}, "action is one of add, cancel"),
        ("fitbox/edit", {"action": "cancel"}, "missing 1 required positional argument: 'id'"),
        ("fitbox/edit", {"action": "cancel", "id": "cls_none"}, "There is no class 'cls_none'"),
        ("fitbox/edit", {"action": "vanish", "share": 2}, "share is between 0 and 1"),
        ("fitbox/switches", {"rate_limit": "many"}, "rate_limit is a whole number"),
        ("fitbox/switches", {"timezone": "Mars/Olympus"}, "There is no time zone 'Mars/Olympus'"),
        ("fitbox/switches", {"sound": True}, "There is no switch 'sound'"),
        ("fitbox/outage", {"phases": [{"fault": None}]}, "A phase needs seconds"),
        ("clock", {"now": "2026-03-02T09:00:00"}, "has no offset"),
        ("clock", {"now": "soon"}, "'soon' is no instant"),
        ("nowhere", {}, "The control API has no POST /nowhere"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(control: ControlClient, path: str, body: Any, sentence: str) -> None:
    with pytest.raises(ControlRefused) as raised:
        control.post(path, body)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json", "Host": "rebound.example:80"}, 403),
    ],
)
def test_a_web_page_of_another_origin_cannot_use_it(caller: Caller, headers: dict[str, str], status: int) -> None:
    assert caller.send("POST", "/_control/reset", headers, "{}").status == status


def test_body_that_is_not_json_is_a_400(caller: Caller) -> None:
    assert caller.send("POST", "/_control/fitbox/mode", {"Content-Type": "application/json"}, "{mode").status == 400


def test_the_cms_baseline_is_the_same_week(control: ControlClient, caller: Caller) -> None:
    slots = control.get("fitbox/cms-baseline")["slots"]
    assert len(slots) == 45
    assert sorted(map(slot_key, slots)) == sorted(map(slot_key, caller.week().classes))


def slot_key(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["day_of_week"], item["start_time"], item["class_type"]
