"""Query, paging and validators of the schedule."""

from typing import Any

import pytest

from integrations.sandbox import Fault, Sandbox
from tests.integrations.sandbox.caller import THIS_WEEK, Caller

ETAG = "If_None_Match"


def conditional(caller: Caller, **headers: str) -> int:
    return caller.get("/api/v1/schedule", THIS_WEEK, **headers).status


def test_the_range_is_two_weeks_from_today_unless_asked(caller: Caller) -> None:
    days = sorted({item["date"] for item in caller.get("/api/v1/schedule").classes})
    assert (days[0], days[-1], len(days)) == ("2026-03-02", "2026-03-15", 14)


def test_today_is_the_gyms_day(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.clock.advance(4 * 3600)
    assert caller.get("/api/v1/schedule").classes[0]["date"] == "2026-03-03"


def test_the_body_has_the_keys_of_the_contract(caller: Caller) -> None:
    body = caller.week().json
    assert list(body) == [
        *("generated_at", "timezone", "classes", "removed", "holidays", "page", "page_size", "total", "next_page")
    ]
    assert body["timezone"] == "Australia/Melbourne"


def test_pages_hold_every_class_once(caller: Caller) -> None:
    pages = [caller.week(page=page, page_size=20).json for page in (1, 2, 3)]
    assert [len(page["classes"]) for page in pages] == [20, 20, 5]
    assert [page["next_page"] for page in pages] == [2, 3, None]
    assert len({item["id"] for page in pages for item in page["classes"]}) == 45


@pytest.mark.parametrize(
    "query",
    [
        {"from": "soon"},
        {"from": "2026-03-08", "to": "2026-03-02"},
        {"from": "2026-01-01", "to": "2028-01-01"},
        {"page": 0},
        {"page": 9},
        {"page": "one"},
        {"page_size": 501},
        {"updated_since": "2026-03-02T09:00:00"},
        {"updated_since": "yesterday"},
    ],
)
def test_a_bad_range_or_page_is_a_400(caller: Caller, query: dict[str, Any]) -> None:
    received = caller.get("/api/v1/schedule", query)
    assert (received.status, received.json["error"]["code"]) == (400, "bad_request")


def test_an_unknown_path_is_a_404(caller: Caller) -> None:
    assert caller.get("/api/v2/schedule").status == 404


def test_a_known_etag_is_answered_with_304_and_no_body(sandbox: Sandbox, caller: Caller) -> None:
    first = caller.week()
    second = caller.get("/api/v1/schedule", THIS_WEEK, If_None_Match=first.headers["etag"])
    assert (second.status, second.body, second.headers["etag"]) == (304, b"", first.headers["etag"])
    assert sandbox.fitbox.traffic.counters.not_modified == 1


def test_if_none_match_may_be_a_list_a_weak_tag_or_a_star(caller: Caller) -> None:
    etag = caller.week().headers["etag"]
    assert conditional(caller, If_None_Match=f'"other", {etag}') == 304
    assert conditional(caller, If_None_Match=f"W/{etag}") == 304
    assert conditional(caller, If_None_Match="*") == 304
    assert conditional(caller, If_None_Match='"other"') == 200


def test_if_modified_since_is_compared_with_the_newest_change(sandbox: Sandbox, caller: Caller) -> None:
    modified = caller.week().headers["last-modified"]
    assert conditional(caller, If_Modified_Since=modified) == 304
    assert conditional(caller, If_Modified_Since="Mon, 02 Feb 2026 00:00:00 GMT") == 200
    assert conditional(caller, If_Modified_Since="whenever") == 200
    sandbox.fitbox.schedule.cancel("cls_101_20260302")
    assert conditional(caller, If_Modified_Since=modified) == 200


def test_last_modified_is_the_newest_updated_at(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.cancel("cls_101_20260302")
    received = caller.week()
    assert max(item["updated_at"] for item in received.classes) == "2026-03-02T09:30:00Z"
    assert received.headers["last-modified"] == "Mon, 02 Mar 2026 09:30:00 GMT"


def test_if_none_match_counts_more_than_if_modified_since(caller: Caller) -> None:
    modified = caller.week().headers["last-modified"]
    assert conditional(caller, If_None_Match='"other"', If_Modified_Since=modified) == 200


def test_an_edit_changes_the_etag(sandbox: Sandbox, caller: Caller) -> None:
    etag = caller.week().headers["etag"]
    sandbox.fitbox.schedule.cancel("cls_101_20260302")
    assert conditional(caller, If_None_Match=etag) == 200


def test_pages_have_etags_of_their_own(caller: Caller) -> None:
    assert caller.week(page_size=20).headers["etag"] != caller.week(page_size=20, page=2).headers["etag"]


def test_without_validators_nothing_is_conditional(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(no_validators=True)
    received = caller.week()
    assert not {"etag", "last-modified"} & received.headers.keys()
    assert conditional(caller, If_None_Match="*") == 200


def test_a_frozen_etag_hides_changes(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(frozen_etag=True)
    etag = caller.week().headers["etag"]
    sandbox.fitbox.schedule.vanish(1)
    assert conditional(caller, If_None_Match=etag) == 304
    assert (caller.week().headers["etag"], caller.week().json["total"]) == (etag, 0)


def test_a_server_that_ignores_parameters_returns_everything(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(ignore_parameters=True)
    body = caller.week(page=7, page_size=10, updated_since="2026-03-02T09:30:00Z").json
    assert (body["page"], body["total"], len(body["classes"]), body["next_page"]) == (1, 360, 360, None)


def test_endless_pages_never_end(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("endless_pages"))
    page, read = 1, 0
    for _ in range(8):
        body = caller.week(page=page, page_size=30).json
        page, read = body["next_page"], read + len(body["classes"])
    assert (page, read) == (9, 180)


def test_a_looping_page_names_itself(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("looping_page"))
    assert caller.week(page=2, page_size=20).json["next_page"] == 2


def test_a_duplicate_page_repeats_the_one_before(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("duplicate_page"))
    first, second = (caller.week(page=page, page_size=20).json for page in (1, 2))
    assert (second["classes"], second["page"]) == (first["classes"], 2)


def test_a_wrong_total_does_not_match_the_items(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("wrong_total", calls=1))
    assert [caller.week().json["total"] for _ in range(2)] == [52, 45]
