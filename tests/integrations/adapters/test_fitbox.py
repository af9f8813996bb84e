"""The Fitbox contract at the wire: what is asked, what each answer means, and what becomes of each item."""

import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import adapters, errors
from integrations.adapters.fitbox.answers import Page, read_pages
from integrations.adapters.fitbox.items import Reading
from integrations.adapters.fitbox.profiles import PROFILES
from integrations.models import Connection
from integrations.records import (
    ClosureRecord,
    EventRecord,
    Fetched,
    Instant,
    ItemFinding,
    PersonRecord,
    PlaceRecord,
    RecordStatus,
    Validator,
    WallTime,
)
from integrations.sandbox import Sandbox
from integrations.sandbox.faults import Fault
from integrations.sandbox.fitbox import EXPIRED_KEY, FORBIDDEN_KEY
from tests.integrations.adapters.conftest import Read

GOOD: dict[str, Any] = {
    "id": "cls_1042",
    "series_id": "ser_77",
    "day_of_week": "monday",
    "date": "2025-09-15",
    "start_time": "06:00",
    "end_time": "07:00",
    "duration_minutes": 60,
    "class_type": "CrossFit",
    "instructor": {"id": "ins_3", "name": "Sam Example", "photo_url": "https://photos.fitbox.example/3.jpg"},
    "max_capacity": 16,
    "current_bookings": 12,
    "waitlist_count": 2,
    "special_notes": "Bring a towel.",
    "status": "active",
    "location": {"id": "loc_1", "name": "Main floor", "room": None},
    "updated_at": "2025-09-14T22:10:00Z",
}


def serve(sandbox: Sandbox, *items: object) -> None:
    sandbox.fitbox.schedule.set_classes(list(items))


def one(sandbox: Sandbox, read: Read, **changes: object) -> tuple[EventRecord, list[ItemFinding]]:
    """Read the good item with some fields changed; it must be kept."""
    serve(sandbox, {**GOOD, **changes})
    fetched = read()
    assert (len(fetched.records), fetched.total) == (1, 1)
    return fetched.records[0], list(fetched.findings)


def refused(sandbox: Sandbox, read: Read, item: object) -> ItemFinding:
    """Read an item that must be left out, beside a good one that must not."""
    serve(sandbox, {**GOOD, "id": "good"}, item)
    fetched = read()
    assert [record.external_id for record in fetched.records] == ["good"]
    assert fetched.total == 2
    (finding,) = fetched.findings
    assert finding.hard
    return finding


def rules(findings: list[ItemFinding]) -> list[str]:
    assert not any(finding.hard for finding in findings)
    return [finding.rule for finding in findings]


# --- the request


@pytest.mark.req("TT-01", "TT-02")
def test_the_request_is_the_contracts_and_only_reads(sandbox: Sandbox, read: Read, span: tuple[date, date]) -> None:
    read()
    (request,) = sandbox.fitbox.traffic.records
    assert (request.method, request.path, request.body) == ("GET", "/api/v1/schedule", b"")
    assert request.header("authorization") == "Bearer sandbox-fitbox-key"
    assert request.header("content-type") == "application/json"
    assert request.header("accept") == "application/json"
    assert request.query == {"from": str(span[0]), "to": str(span[1]), "page": "1", "page_size": "500"}
    assert sandbox.fitbox.traffic.counters.violations == {}


@pytest.mark.req("TT-01")
def test_the_user_agent_is_a_setting(sandbox: Sandbox, read: Read, settings: Any) -> None:
    settings.FITBOX_USER_AGENT = "GeelongMovement/1.0"
    read()
    assert sandbox.fitbox.traffic.records[0].header("user-agent") == "GeelongMovement/1.0"


# --- one item, all fields


@pytest.mark.req("TT-04")
def test_every_field_arrives(sandbox: Sandbox, read: Read) -> None:
    record, findings = one(sandbox, read)
    assert findings == []
    assert record == EventRecord(
        external_id="cls_1042",
        when=WallTime(time(6), date(2025, 9, 15), 1, time(7), 60),
        title="CrossFit",
        class_type="CrossFit",
        series_id="ser_77",
        instructor=PersonRecord("ins_3", "Sam Example", "https://photos.fitbox.example/3.jpg"),
        place=PlaceRecord("loc_1", "Main floor"),
        capacity=16,
        booked=12,
        waitlist=2,
        notes="Bring a towel.",
        updated_at=datetime(2025, 9, 14, 22, 10, tzinfo=UTC),
        payload=GOOD,
    )


@pytest.mark.req("TT-10")
@pytest.mark.parametrize("missing", ["day_of_week", "start_time", "class_type"])
def test_an_item_without_day_time_or_type_is_left_out_and_named(sandbox: Sandbox, read: Read, missing: str) -> None:
    for item in ({**GOOD, missing: None}, {key: value for key, value in GOOD.items() if key != missing}):
        finding = refused(sandbox, read, item)
        assert (finding.rule, finding.field, finding.record) == (missing, missing, "cls_1042")


@pytest.mark.req("TT-10")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("day_of_week", 0),
        ("day_of_week", "someday"),
        ("day_of_week", "tuesday"),
        ("day_of_week", True),
        ("day_of_week", ["monday"]),
        ("start_time", "25:61"),
        ("start_time", 600),
        ("start_time", {}),
        ("class_type", 7),
        ("class_type", "   "),
        ("class_type", ["CrossFit"]),
        ("date", "15/09/2025"),
        ("date", 20250915),
        ("max_capacity", "sixteen"),
        ("max_capacity", True),
        ("max_capacity", 2**31),
        ("max_capacity", 10**18),
        ("current_bookings", {"count": 3}),
        ("current_bookings", 1.5),
        ("id", "x" * 201),
        ("id", True),
        ("series_id", []),
    ],
)
def test_an_unreadable_needed_field_leaves_the_item_out(
    sandbox: Sandbox, read: Read, field: str, value: object
) -> None:
    refused(sandbox, read, {**GOOD, field: value})


@pytest.mark.parametrize("item", ["cls_1", None, 7, [], True])
def test_an_item_that_is_no_object_is_left_out(sandbox: Sandbox, read: Read, item: object) -> None:
    assert refused(sandbox, read, item).record == "#2"


@pytest.mark.req("TT-06")
def test_weekday_and_time_are_read_in_odd_forms(sandbox: Sandbox, read: Read) -> None:
    record, findings = one(sandbox, read, day_of_week=" MON ", start_time="6:00 am", end_time="07:00:00")
    assert (record.when, findings) == (WallTime(time(6), date(2025, 9, 15), 1, time(7), 60), [])


def test_without_a_date_it_repeats_weekly(sandbox: Sandbox, read: Read) -> None:
    record, _ = one(sandbox, read, date=None)
    assert record.when == WallTime(time(6), None, 1, time(7), 60)


@pytest.mark.parametrize(
    ("changes", "when", "found"),
    [
        ({"end_time": None}, (None, 60), []),
        ({"duration_minutes": None}, (time(7), None), []),
        ({"end_time": None, "duration_minutes": None}, (None, None), []),
        ({"duration_minutes": 45}, (time(7), 45), ["end"]),
        ({"start_time": "23:30", "end_time": "00:30"}, (time(0, 30), 60), []),
        ({"end_time": "late"}, (None, 60), ["end"]),
        ({"end_time": None, "duration_minutes": "an hour"}, (None, None), ["duration"]),
        ({"end_time": None, "duration_minutes": -5}, (None, None), ["duration"]),
        ({"end_time": None, "duration_minutes": 10**12}, (None, None), ["duration"]),
    ],
)
def test_end_and_duration(
    sandbox: Sandbox, read: Read, changes: dict[str, object], when: tuple[object, object], found: list[str]
) -> None:
    record, findings = one(sandbox, read, **changes)
    assert isinstance(record.when, WallTime)
    assert ((record.when.end, record.when.minutes), rules(findings)) == (when, found)


@pytest.mark.parametrize(
    ("status", "expected", "found"),
    [
        ("active", RecordStatus.ACTIVE, []),
        (" Active ", RecordStatus.ACTIVE, []),
        ("cancelled", RecordStatus.CANCELLED, []),
        ("CANCELED", RecordStatus.CANCELLED, []),
        ("deleted", RecordStatus.HIDDEN, []),
        ("draft", RecordStatus.HIDDEN, []),
        ("postponed", RecordStatus.HIDDEN, ["status"]),
        (1, RecordStatus.HIDDEN, ["status"]),
        (None, RecordStatus.ACTIVE, ["status"]),
    ],
)
@pytest.mark.req("TT-04")
def test_only_active_is_active(
    sandbox: Sandbox, read: Read, status: object, expected: RecordStatus, found: list[str]
) -> None:
    record, findings = one(sandbox, read, status=status)
    assert (record.status, rules(findings)) == (expected, found)


@pytest.mark.parametrize(
    ("said", "person", "found"),
    [
        (None, None, []),
        ({"id": 3, "name": "  Sam   Example "}, PersonRecord("3", "Sam Example"), []),
        ({"id": "ins_3", "name": None}, PersonRecord("ins_3", ""), []),
        ({}, None, []),
        ("Sam Example", None, ["instructor"]),
        ({"id": [], "name": "x"}, None, ["instructor"]),
        ({"id": "1", "name": "n" * 500}, PersonRecord("1", "n" * 200), ["length"]),
    ],
)
@pytest.mark.req("TT-06")
def test_the_instructor_is_kept_when_readable(
    sandbox: Sandbox, read: Read, said: object, person: PersonRecord | None, found: list[str]
) -> None:
    record, findings = one(sandbox, read, instructor=said)
    assert (record.instructor, rules(findings)) == (person, found)


@pytest.mark.parametrize(
    "url",
    [
        "http://photos.fitbox.example/1.jpg",
        "https://elsewhere.invalid/1.jpg",
        "https://fitbox.example.elsewhere.invalid/1.jpg",
        "https://notfitbox.example/1.jpg",
        "https://photos.fitbox.example@elsewhere.invalid/1.jpg",
        "https://photos.fitbox.example:8443/1.jpg",
        "https://127.0.0.1/1.jpg",
        "javascript:alert(1)",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "//photos.fitbox.example/1.jpg",
        "https://photos.fitbox.example/" + "x" * 5000,
        'https://photos.fitbox.example/"onerror=1',
        "not a url",
        42,
    ],
)
def test_a_photo_from_elsewhere_is_left_out_and_reported(sandbox: Sandbox, read: Read, url: object) -> None:
    record, findings = one(sandbox, read, instructor={"id": "1", "name": "Sam Example", "photo_url": url})
    assert (record.instructor, rules(findings)) == (PersonRecord("1", "Sam Example"), ["photo"])


def test_a_connection_may_allow_other_photo_hosts(sandbox: Sandbox, connection: Connection, read: Read) -> None:
    connection.settings = {"photo_hosts": ["Pictures.Example"]}
    url = "https://pictures.example/1.jpg"
    record, findings = one(sandbox, read, instructor={"id": "1", "name": "Sam", "photo_url": url})
    assert (record.instructor, findings) == (PersonRecord("1", "Sam", url), [])


@pytest.mark.parametrize(
    ("said", "place", "found"),
    [
        (None, None, []),
        ({"id": "l", "name": " Main  floor ", "room": "R"}, PlaceRecord("l", "Main floor", "R"), []),
        (["Main floor"], None, ["location"]),
        ({"id": "l", "name": 5}, None, ["location"]),
        ({"id": "l", "name": "n", "room": "r" * 500}, PlaceRecord("l", "n", "r" * 100), ["length"]),
    ],
)
def test_the_place_is_kept_when_readable(
    sandbox: Sandbox, read: Read, said: object, place: PlaceRecord | None, found: list[str]
) -> None:
    record, findings = one(sandbox, read, location=said)
    assert (record.place, rules(findings)) == (place, found)


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected", "found"),
    [
        ("max_capacity", None, "capacity", None, []),
        ("max_capacity", 16.0, "capacity", 16, []),
        ("max_capacity", 0, "capacity", 0, []),
        ("current_bookings", None, "booked", None, []),
        ("current_bookings", 999, "booked", 999, []),
        ("current_bookings", -1, "booked", -1, []),
        ("waitlist_count", None, "waitlist", None, []),
        ("waitlist_count", 10**12, "waitlist", None, ["waitlist"]),
        ("waitlist_count", "many", "waitlist", None, ["waitlist"]),
        ("special_notes", None, "notes", "", []),
        ("special_notes", "<p>Bring <b>shoes</b></p>", "notes", "Bring shoes", []),
        ("special_notes", ["x"], "notes", "", ["notes"]),
        ("special_notes", "n" * 3000, "notes", "n" * 2000, ["notes"]),
        ("class_type", "  open   gym ", "class_type", "open gym", []),
        ("class_type", "Aqua Zumba", "class_type", "Aqua Zumba", []),
        ("class_type", "A" * 1_000_000, "title", "A" * 300, ["length"]),
        ("class_type", "A" * 1_000_000, "class_type", "A" * 100, ["length"]),
        ("updated_at", None, "updated_at", None, []),
        ("updated_at", "2025-09-14T22:10:00", "updated_at", None, ["updated_at"]),
        ("updated_at", "9998-12-31T23:59:59Z", "updated_at", None, ["updated_at"]),
        ("updated_at", 5, "updated_at", None, ["updated_at"]),
        ("id", 1042, "external_id", "1042", []),
        ("id", None, "external_id", "", []),
        ("series_id", None, "series_id", "", []),
    ],
)
def test_what_may_be_missing_or_odd_is_shown_and_reported(
    sandbox: Sandbox, read: Read, field: str, value: object, attribute: str, expected: object, found: list[str]
) -> None:
    record, findings = one(sandbox, read, **{field: value})
    assert (getattr(record, attribute), rules(findings)) == (expected, found)


def test_a_class_may_name_its_own_zone(sandbox: Sandbox, read: Read) -> None:
    record, findings = one(sandbox, read, timezone="Australia/Perth")
    assert (record.when.zone, findings) == ("Australia/Perth", [])
    record, findings = one(sandbox, read, timezone="Mars/Olympus")
    assert (record.when.zone, rules(findings)) == ("", ["timezone"])


def test_unknown_fields_are_ignored_and_only_plain_values_are_kept(sandbox: Sandbox, read: Read) -> None:
    deep: object = "x"
    for _ in range(200):
        deep = [deep]
    extra = {"colour": "teal", "members": [{"name": "Somebody"}], "deep": deep, "nul": "a\0b", "long": "x" * 9999}
    record, findings = one(sandbox, read, **extra)
    assert (record.payload, findings) == ({**GOOD, "colour": "teal"}, [])


def test_an_item_of_ten_thousand_fields_keeps_the_known_ones(sandbox: Sandbox, read: Read) -> None:
    record, _ = one(sandbox, read, **{f"field_{number}": number for number in range(10_000)})
    assert record.payload == GOOD


def test_hostile_text_is_text(sandbox: Sandbox, read: Read) -> None:
    sandbox.fitbox.schedule.set_mode("hostile_text")
    fetched = read()
    assert not any(finding.hard for finding in fetched.findings)
    for record in fetched.records:
        for text in (record.title, record.notes, record.class_type):
            assert not any(ord(character) < 32 and character != "\n" for character in text)
            assert "<script" not in record.notes and "<img" not in record.notes
        assert len(record.title) <= 300 and "\n" not in record.title


# --- duplicates


def test_of_two_versions_the_newest_is_used_and_reported(sandbox: Sandbox, read: Read) -> None:
    older = {**GOOD, "special_notes": "older", "updated_at": "2025-09-01T00:00:00Z"}
    newer = {**GOOD, "special_notes": "newer", "updated_at": "2025-09-13T09:00:00+10:00"}
    for items in ((older, newer), (newer, older), (newer, older, newer)):
        serve(sandbox, *items)
        fetched = read()
        assert [record.notes for record in fetched.records] == ["newer"]
        assert {finding.rule for finding in fetched.findings} == {"duplicate"}
        assert fetched.total == 1


def test_a_slot_and_the_dated_class_that_replaces_it_may_share_an_id(sandbox: Sandbox, read: Read) -> None:
    serve(sandbox, {**GOOD, "date": None}, GOOD)
    assert len(read().records) == 2


def test_equal_items_without_an_id_are_each_kept(sandbox: Sandbox, read: Read) -> None:
    serve(sandbox, {**GOOD, "id": None}, {**GOOD, "id": None})
    assert len(read().records) == 2


# --- whole answers


@pytest.mark.parametrize(
    "kind", ["html", "empty", "empty_object", "empty_list", "null", "error_true", "cut_json", "broken_gzip"]
)
def test_what_is_not_data_is_an_error_and_never_no_classes(sandbox: Sandbox, read: Read, kind: str) -> None:
    sandbox.fitbox.faults.add(Fault(kind))
    with pytest.raises(errors.InvalidPayload):
        read()


@pytest.mark.parametrize("kind", ["wrong_content_type", "gzip"])
def test_data_under_another_label_are_data(sandbox: Sandbox, read: Read, kind: str) -> None:
    sandbox.fitbox.faults.add(Fault(kind))
    assert len(read().records) > 100


def test_an_empty_schedule_is_a_complete_answer(sandbox: Sandbox, read: Read, span: tuple[date, date]) -> None:
    sandbox.fitbox.schedule.set_mode("empty")
    fetched = read()
    assert (fetched.records, fetched.total, fetched.covered, fetched.unchanged) == ([], 0, span, False)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("wrong", errors.CredentialRejected),
        (EXPIRED_KEY, errors.CredentialRejected),
        (FORBIDDEN_KEY, errors.AccessDenied),
    ],
)
def test_a_key_that_is_not_let_in(
    connection: Connection, read: Read, key: str, error: type[errors.IntegrationError]
) -> None:
    connection.credentials = {"api_key": key}
    connection.save()
    with pytest.raises(error):
        read()


def test_holidays_that_are_closed_become_closures(sandbox: Sandbox, read: Read, span: tuple[date, date]) -> None:
    sandbox.fitbox.schedule.set_mode("holiday_week")
    wednesday = span[0] + timedelta(days=2)
    assert read().closures == [ClosureRecord(wednesday, wednesday, "Founders' Day")]


def test_an_odd_holiday_is_reported_and_the_others_stay(sandbox: Sandbox, read: Read, span: tuple[date, date]) -> None:
    day = span[0].isoformat()
    sandbox.fitbox.schedule.set_holidays(
        [{"date": day, "name": 5, "closed": True}, {"date": day, "name": "A", "closed": "1"}]
    )
    fetched = read()
    assert fetched.closures == [ClosureRecord(span[0], span[0], "A")]
    assert rules(list(fetched.findings)) == ["holiday"]


def test_the_answer_names_its_zone_and_time(sandbox: Sandbox, read: Read) -> None:
    sandbox.fitbox.switch(timezone="Europe/London")
    fetched = read()
    assert fetched.zone == "Europe/London"
    assert fetched.generated_at == sandbox.fitbox.schedule.generated_at().replace(microsecond=0)


@pytest.mark.req("TT-34")
def test_a_server_that_ignores_every_parameter_still_works(sandbox: Sandbox, read: Read) -> None:
    sandbox.fitbox.switch(ignore_parameters=True)
    fetched = read()
    assert (len(fetched.records), len(sandbox.fitbox.traffic.records)) == (360, 1)


# --- pages


def bulk(sandbox: Sandbox, count: int) -> None:
    sandbox.fitbox.schedule.set_mode("bulk", count)


@pytest.mark.req("TT-34")
def test_pages_are_read_in_one_pass_as_one_unit(sandbox: Sandbox, read: Read) -> None:
    bulk(sandbox, 1200)
    fetched = read()
    assert (len(fetched.records), fetched.total, fetched.calls) == (1200, 1200, 3)
    assert [record.query["page"] for record in sandbox.fitbox.traffic.records] == ["1", "2", "3"]
    assert sandbox.fitbox.traffic.counters.max_parallel == 1


def test_twenty_pages_are_read(sandbox: Sandbox, read: Read) -> None:
    bulk(sandbox, 10_000)
    assert len(read().records) == 10_000


@pytest.mark.parametrize(
    ("kind", "text", "requests"),
    [
        ("wrong_total", "announced 1207 classes and sent 1200", 3),
        ("looping_page", "leads back to itself", 1),
        ("duplicate_page", "announced 1200 classes and sent 1000", 3),
        ("endless_pages", "more than 20 pages", 20),
    ],
)
def test_pages_that_do_not_add_up_are_refused(
    sandbox: Sandbox, read: Read, kind: str, text: str, requests: int
) -> None:
    bulk(sandbox, 1200)
    sandbox.fitbox.faults.add(Fault(kind))
    with pytest.raises(errors.IncompletePayload, match=text):
        read()
    assert len(sandbox.fitbox.traffic.records) == requests


@pytest.mark.parametrize("kind", ["html", "empty_list", "reset_mid_body", "status", "cut_json"])
def test_one_failing_page_fails_the_whole(sandbox: Sandbox, read: Read, kind: str) -> None:
    bulk(sandbox, 1200)
    sandbox.fitbox.faults.add(Fault(kind, match="page=2"))
    with pytest.raises(errors.IntegrationError):
        read()


def test_items_that_move_between_pages_are_not_lost(sandbox: Sandbox, read: Read) -> None:
    bulk(sandbox, 1200)
    sandbox.fitbox.change_while_paging("remove")
    with pytest.raises(errors.IncompletePayload, match="changed while"):
        read()
    assert len(read().records) == 1199


def test_an_item_doubled_on_its_page_is_one_row(sandbox: Sandbox, read: Read) -> None:
    sandbox.fitbox.schedule.set_mode("duplicates")
    fetched = read()
    assert len({record.external_id for record in fetched.records}) == len(fetched.records) == fetched.total == 360
    assert {record.notes for record in fetched.records}.isdisjoint({"An older version."})


# --- unchanged and differences


@pytest.mark.req("TT-34")
def test_all_pages_unchanged_is_one_word(sandbox: Sandbox, read: Read, span: tuple[date, date]) -> None:
    bulk(sandbox, 1200)
    first = read()
    again = read(validators=first.validators)
    assert again == Fetched(covered=span, unchanged=True, cursor="", validators=first.validators, calls=3)
    assert sandbox.fitbox.traffic.counters.not_modified == 3


def test_one_changed_page_brings_all_of_them_in_full(sandbox: Sandbox, read: Read) -> None:
    bulk(sandbox, 1200)
    first = read()
    sandbox.fitbox.schedule.set_bookings(first.records[600].external_id, 3)
    sandbox.fitbox.traffic.clear()
    again = read(validators=first.validators)
    assert (len(again.records), again.unchanged) == (1200, False)
    assert read(validators=again.validators).unchanged


def test_a_page_that_alone_changed_leaves_the_others_to_be_read_once_more(sandbox: Sandbox, read: Read) -> None:
    """Here only page 2 is new to the server; pages 1 and 3 answer 304 first and are then asked for in full."""
    bulk(sandbox, 1200)
    first = read()
    kept = {address: known for address, known in first.validators.items() if "page=2&" not in address}
    sandbox.fitbox.traffic.clear()
    again = read(validators=kept)
    assert len(again.records) == 1200
    assert again.validators == first.validators
    assert Counter(record.status for record in sandbox.fitbox.traffic.records) == {200: 3, 304: 2}


def test_without_validators_nothing_is_remembered(sandbox: Sandbox, read: Read) -> None:
    sandbox.fitbox.switch(no_validators=True)
    assert read().validators == {}


@pytest.mark.req("TT-34")
def test_a_cursor_asks_for_changes_only_and_covers_nothing(sandbox: Sandbox, read: Read) -> None:
    first = read()
    gone, changed = first.records[5].external_id, first.records[9].external_id
    sandbox.clock.advance(600)
    sandbox.fitbox.schedule.remove(gone)
    sandbox.fitbox.schedule.set_bookings(changed, 1)
    fetched = read(first.cursor)
    assert fetched.covered is None
    assert list(fetched.removed) == [gone]
    assert changed in {record.external_id for record in fetched.records}
    assert len(fetched.records) < len(first.records)
    assert fetched.cursor > first.cursor


def test_the_cursor_is_five_minutes_before_the_newest_change(sandbox: Sandbox, read: Read) -> None:
    times = ("2025-09-14T22:10:00Z", "2025-09-15T09:00:30+10:00", None, "9998-01-01T00:00:00Z")
    serve(sandbox, *({**GOOD, "id": str(n), "updated_at": each} for n, each in enumerate(times)))
    assert read().cursor == "2025-09-14T22:55:30Z"


def test_without_any_change_the_cursor_stays(sandbox: Sandbox, read: Read) -> None:
    serve(sandbox, {**GOOD, "updated_at": None})
    assert (read().cursor, read("2025-01-01T00:00:00Z").cursor) == ("", "2025-01-01T00:00:00Z")


def test_removed_means_nothing_in_a_full_answer(sandbox: Sandbox, read: Read) -> None:
    first = read()
    sandbox.fitbox.schedule.remove(first.records[0].external_id)
    assert read().removed == ()


# --- anything at all

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["a" * 5000, "\0", "06:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ITEMS = st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, ANYTHING)).map(lambda odd: {**GOOD, **odd}) | ANYTHING


@pytest.mark.req("TT-10", "TT-06")
@given(
    items=st.lists(ITEMS, max_size=4),
    extra=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("removed", "holidays", "timezone", "generated_at"), ANYTHING)
    ),
)
def test_whatever_is_sent_each_item_is_a_bounded_record_or_one_named_finding(
    items: list[object], extra: dict[str, object]
) -> None:
    state = Reading(PROFILES[""].fields, (), datetime.now(UTC))
    page = Page(1, "", {"classes": items, **extra}, items, None, Validator())
    fetched = read_pages([page], PROFILES[""], state, "2025-01-01T00:00:00Z")
    hard = [finding for finding in fetched.findings if finding.hard]
    assert len(fetched.records) + len(hard) == fetched.total <= len(items)
    for record in fetched.records:
        assert 0 < len(record.title) <= 300 and len(record.class_type) <= 100 and len(record.notes) <= 2000
        assert len(record.external_id) <= 200 and len(record.series_id) <= 200
        assert "\0" not in json.dumps(record.payload) + record.title + record.notes
        assert len(json.dumps(record.payload)) < 30_000
        for number in (record.capacity, record.booked, record.waitlist):
            assert number is None or abs(number) < 2**31
    assert all(len(finding.message) < 200 and finding.rule for finding in fetched.findings)


# --- the second profile


@pytest.fixture
def occurrences(connection: Connection) -> None:
    connection.profile = "occurrences"


@pytest.mark.usefixtures("occurrences")
def test_the_occurrence_list_gives_instants_and_drops_who_attends(
    sandbox: Sandbox, read: Read, span: tuple[date, date]
) -> None:
    fetched = read()
    record = fetched.records[0]
    assert sandbox.fitbox.traffic.records[0].path == "/api/v1/schedulelist"
    assert sandbox.fitbox.traffic.records[0].query == {"start": str(span[0]), "end": str(span[1])}
    assert isinstance(record.when, Instant) and record.when.ends_at is not None
    assert record.when.ends_at - record.when.starts_at == timedelta(hours=1)
    assert (record.when.zone, record.class_type, record.place) == (
        "Australia/Melbourne",
        "CrossFit",
        PlaceRecord(record.place.external_id if record.place else "", "Riverside", "Main floor"),
    )
    assert record.booked == record.payload["attendances"]
    assert not any("@example.org" in repr(each) or "checked_in" in repr(each) for each in fetched.records)
    assert (fetched.covered, fetched.cursor, fetched.closures, fetched.findings) == (span, "", None, [])
    assert any(each.capacity is None for each in fetched.records)


@pytest.mark.usefixtures("occurrences")
def test_the_occurrence_list_is_unchanged_by_its_validators(read: Read) -> None:
    first = read()
    assert read(validators=first.validators).unchanged


@pytest.mark.usefixtures("occurrences")
@pytest.mark.parametrize("kind", ["error_true", "html", "empty_object", "null", "empty_list"])
def test_a_failure_inside_a_200_is_a_failure(sandbox: Sandbox, read: Read, kind: str) -> None:
    sandbox.fitbox.faults.add(Fault(kind))
    with pytest.raises(errors.InvalidPayload):
        read()


def occurrence(**changes: object) -> EventRecord:
    """Translate one occurrence as the sandbox never sends it."""
    item = {
        "id": 7,
        "class": {"id": 1, "name": "CrossFit"},
        "start": "2026-03-02T06:00:00+11:00",
        "end": "2026-03-02T07:00:00+11:00",
        "event_timezone": "Australia/Melbourne",
        "attendances": [{"member": {"name": "Somebody"}}],
        **changes,
    }
    profile = PROFILES["occurrences"]
    record = profile.read(Reading(profile.fields, (), datetime.max.replace(tzinfo=UTC)), item, "7")
    assert "Somebody" not in repr((record, item))
    return record


SIX = datetime(2026, 3, 1, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start": None, "start_utc": "2026-03-01T19:00:00Z"},
        {"start": "soon", "start_local": "2026-03-02 06:00:00"},
    ],
)
def test_an_occurrence_starts_at_whichever_form_can_be_read(changes: dict[str, object]) -> None:
    when = occurrence(**changes).when
    assert isinstance(when, Instant) and when.starts_at == SIX


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, RecordStatus.ACTIVE),
        ({"is_active": True}, RecordStatus.ACTIVE),
        ({"is_active": 1}, RecordStatus.ACTIVE),
        ({"is_active": "1"}, RecordStatus.ACTIVE),
        ({"is_active": False}, RecordStatus.HIDDEN),
        ({"is_active": "0"}, RecordStatus.HIDDEN),
        ({"is_active": None}, RecordStatus.HIDDEN),
        ({"deleted_at": "2026-03-01T00:00:00Z"}, RecordStatus.HIDDEN),
    ],
)
def test_an_occurrence_is_shown_by_its_flags(changes: dict[str, object], status: RecordStatus) -> None:
    assert occurrence(**changes).status is status


def test_an_end_before_the_start_is_left_out() -> None:
    when = occurrence(end="2026-03-02T05:00:00+11:00").when
    assert when == Instant(SIX, zone="Australia/Melbourne")


# --- verify


def test_verify_answers_in_words(connection: Connection, sandbox: Sandbox) -> None:
    with adapters.open_source(connection, actor="test", purpose="test") as source:
        good = source.verify()
        sandbox.fitbox.faults.add(Fault("html"))
        bad = source.verify()
    assert (good.ok, bad.ok) == (True, False)
    assert good.text.startswith("Fitbox answers and accepts the key. It lists ")
    assert bad.text.startswith("Fitbox sent something that is not a schedule: a web page instead of data.")
