"""From records to dated events: value rules, identity, weekly expansion, names and times."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from integrations.records import (
    EventRecord,
    Fetched,
    Instant,
    ItemFinding,
    PersonRecord,
    PlaceRecord,
    RecordStatus,
    WallTime,
)
from schedule.names import Named, NamedType, Names
from sync.reading import Import, read_import

MELBOURNE = ZoneInfo("Australia/Melbourne")
ASKED = (date(2026, 11, 23), date(2026, 12, 6))
TUESDAY = date(2026, 11, 24)
GYM = Names(
    class_types={
        "crossfit": NamedType(1, "CrossFit", 60),
        "wod": NamedType(1, "CrossFit", 60),
        "mobility": NamedType(2, "Mobility", 45),
    },
    coaches={"sam example": Named(7, "Sam Example")},
    places={"main floor": Named(3, "Main floor")},
)


def dated(**changed: object) -> EventRecord:
    record = EventRecord(
        external_id="cls_1",
        when=WallTime(time(6, 0), on=TUESDAY, end=time(7, 0)),
        title="CrossFit",
        class_type="CrossFit",
        instructor=PersonRecord("ins_3", "Sam Example", "https://photos.example/3.jpg"),
        place=PlaceRecord("loc_1", "Main floor", "Studio 1"),
        capacity=16,
        booked=12,
        waitlist=0,
        payload={"id": "cls_1"},
    )
    return replace(record, **changed)  # type: ignore[arg-type]  # names of its fields


def weekly(**changed: object) -> EventRecord:
    return dated(**({"external_id": "slot_1", "when": WallTime(time(6, 0), weekday=2, end=time(7, 0))} | changed))


def read(*records: EventRecord, findings: Sequence[ItemFinding] = (), zone: str = "") -> Import:
    answer = Fetched(records=records, findings=findings, total=len(records), covered=ASKED, zone=zone)
    return read_import(answer, GYM, MELBOURNE, ASKED)


def rules(result: Import) -> list[str]:
    return [finding.rule for finding in result.findings]


def ids(result: Import) -> list[str]:
    return [item.external_id for item in result.incoming]


@pytest.mark.req("TT-04", "TT-07")
def test_a_dated_record_becomes_an_event_in_the_gyms_zone() -> None:
    (item,) = read(dated()).incoming
    said = item.values
    assert item.external_id == "cls_1"
    assert said.starts_at == datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
    assert said.ends_at == datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
    assert (said.timezone, said.capacity, item.live.booked) == ("Australia/Melbourne", 16, 12)
    assert (said.instructor_id, said.instructor_name, said.instructor_key) == (7, "Sam Example", "ins_3")
    assert (said.place_id, said.location, said.room) == (3, "Main floor", "Studio 1")
    assert item.payload == b'{"id":"cls_1"}'


@pytest.mark.req("TT-06")
@pytest.mark.parametrize("name", ["CrossFit", "crossfit", " CROSS FIT ", "cross-fit", "WOD"])
def test_class_types_are_known_by_any_of_their_names(name: str) -> None:
    (item,) = read(dated(class_type=name, title="")).incoming
    assert (item.values.class_type_id, item.values.class_type_name, item.values.title) == (1, "CrossFit", "CrossFit")


@pytest.mark.req("TT-06")
def test_an_unknown_class_type_is_shown_as_it_came_and_reported() -> None:
    result = read(dated(class_type="Aerial Hoop", title="Aerial Hoop"))
    assert result.incoming[0].values.class_type_name == "Aerial Hoop"
    assert (rules(result), result.invalid) == (["unknown_class_type"], 0)


@pytest.mark.req("TT-10")
@pytest.mark.parametrize(
    ("changed", "rule"), [({"capacity": 0}, "capacity"), ({"capacity": -3}, "capacity"), ({"booked": -1}, "bookings")]
)
def test_impossible_numbers_leave_the_record_out(changed: dict[str, object], rule: str) -> None:
    result = read(dated(**changed), dated(external_id="cls_2"))
    assert (ids(result), rules(result), result.invalid) == (["cls_2"], [rule], 1)


@pytest.mark.req("TT-10")
def test_an_overbooked_class_is_kept_and_reported() -> None:
    result = read(dated(capacity=10, booked=12))
    assert (ids(result), rules(result), result.invalid) == (["cls_1"], ["overbooked"], 0)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"capacity": 51}, "capacity_high"),
        ({"when": WallTime(time(6), on=TUESDAY, minutes=5)}, "duration"),
        ({"when": WallTime(time(6), on=TUESDAY, minutes=481)}, "duration"),
        ({"when": WallTime(time(6), on=date(2026, 12, 8), minutes=60)}, "range"),
        ({"when": WallTime(time(6), on=TUESDAY)}, "assumed_length"),
    ],
)
def test_odd_values_are_shown_and_reported(changed: dict[str, object], rule: str) -> None:
    result = read(dated(**changed))
    assert (ids(result), rules(result), result.invalid) == (["cls_1"], [rule], 0)


@pytest.mark.parametrize("capacity", [None, 50])
def test_no_limit_and_fifty_places_are_fine(capacity: int | None) -> None:
    assert rules(read(dated(capacity=capacity))) == []


def test_a_record_far_outside_the_asked_days_is_not_stored() -> None:
    assert ids(read(dated(when=WallTime(time(6), on=date(9999, 1, 1), minutes=60)))) == []


def test_the_class_types_own_length_is_assumed_when_none_is_given() -> None:
    (item,) = read(dated(class_type="Mobility", when=WallTime(time(6), on=TUESDAY))).incoming
    assert (item.values.ends_at - item.values.starts_at).total_seconds() == 45 * 60


def test_an_end_before_the_start_is_on_the_next_day() -> None:
    (item,) = read(dated(when=WallTime(time(23, 0), on=TUESDAY, end=time(0, 30)))).incoming
    assert (item.values.ends_at - item.values.starts_at).total_seconds() == 90 * 60


def test_a_weekly_record_becomes_one_event_for_each_week_asked_for() -> None:
    assert ids(read(weekly())) == ["slot_1/2026-11-24", "slot_1/2026-12-01"]


@pytest.mark.req("TT-07")
def test_a_weekly_record_keeps_its_wall_clock_time_over_the_clock_change() -> None:
    asked = (date(2026, 9, 28), date(2026, 10, 11))  # clocks go forward on 4 October
    answer = Fetched(records=[weekly()], total=1, covered=asked)
    starts = [
        item.values.starts_at.astimezone(MELBOURNE) for item in read_import(answer, GYM, MELBOURNE, asked).incoming
    ]
    assert [start.strftime("%d %H:%M %z") for start in starts] == ["29 06:00 +1000", "06 06:00 +1100"]


def test_a_dated_record_of_the_same_series_replaces_the_weekly_occurrence_and_keeps_its_row() -> None:
    moved = dated(external_id="x9", series_id="s", when=WallTime(time(8), on=TUESDAY, minutes=60))
    result = read(weekly(series_id="s"), moved)
    assert sorted(ids(result)) == ["slot_1/2026-11-24", "slot_1/2026-12-01"]
    starts = {item.external_id: item.values.starts_at for item in result.incoming}
    assert starts["slot_1/2026-11-24"] == datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def test_a_dated_record_without_series_replaces_the_slot_of_same_day_start_type_and_place() -> None:
    result = read(weekly(), dated(external_id="x9", capacity=5))
    assert {item.external_id: item.values.capacity for item in result.incoming} == {
        "slot_1/2026-11-24": 5,
        "slot_1/2026-12-01": 16,
    }


def test_of_doubles_the_newest_is_kept() -> None:
    old = dated(updated_at=datetime(2026, 11, 1, tzinfo=UTC), capacity=15)
    new = dated(updated_at=datetime(2026, 11, 2, tzinfo=UTC), capacity=16)
    for pair in ((old, new), (new, old)):
        result = read(*pair)
        assert [item.values.capacity for item in result.incoming] == [16]
        assert rules(result) == ["duplicate"]


def test_records_without_id_get_a_key_of_what_they_say_and_equal_ones_a_number() -> None:
    again = ids(read(dated(external_id=""), dated(external_id="")))
    assert again == ids(read(dated(external_id="", capacity=4), dated(external_id="", instructor=None)))
    assert again[1] == f"{again[0]}.2"
    assert again[0].startswith("key:")


def test_a_cancelled_record_is_a_cancelled_event() -> None:
    assert read(dated(status=RecordStatus.CANCELLED)).incoming[0].values.status == "cancelled"


def test_a_deleted_or_draft_record_is_not_shown_and_not_invalid() -> None:
    result = read(dated(status=RecordStatus.HIDDEN))
    assert (ids(result), result.invalid, result.hidden) == ([], 0, {"cls_1"})


def test_an_instant_stays_what_it_is() -> None:
    at = datetime(2026, 11, 24, 9, 0, tzinfo=ZoneInfo("Europe/London"))
    (item,) = read(dated(when=Instant(at, minutes=30, zone="Europe/London"))).incoming
    assert (item.values.starts_at, item.values.timezone) == (datetime(2026, 11, 24, 9, 0, tzinfo=UTC), "Europe/London")


def test_the_answers_own_zone_is_used_and_a_records_zone_wins() -> None:
    perth = WallTime(time(6), on=TUESDAY, minutes=60, zone="Australia/Perth")
    first, second = read(dated(), dated(external_id="p", when=perth), zone="Australia/Brisbane").incoming
    assert first.values.starts_at == datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
    assert second.values.starts_at == datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def test_a_time_that_the_clock_change_skips_moves_forward_and_is_reported() -> None:
    asked = (date(2026, 10, 4), date(2026, 10, 4))
    skipped = dated(when=WallTime(time(2, 30), on=asked[0], minutes=60))
    result = read_import(Fetched(records=[skipped], total=1, covered=asked), GYM, MELBOURNE, asked)
    assert result.incoming[0].values.starts_at.astimezone(MELBOURNE).strftime("%H:%M") == "03:30"
    assert rules(result) == ["clock_change"]
