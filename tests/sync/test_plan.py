"""What an answer does to the stored week, and when a person must look first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedule.differences import Known
from schedule.values import EventValues, Incoming, Live
from sync.plan import Answer, Guard, Part, Plan, plan

NOW = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
WEEK = Part(NOW, NOW + timedelta(days=7))
GUARD = Guard()


def event(
    key: str, hours: float = 10, *, title: str = "HIIT", status: str = "confirmed", coach: str = "Alex"
) -> Incoming:
    starts_at = NOW + timedelta(hours=hours)
    values = EventValues(
        title=title,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1),
        timezone="UTC",
        status=status,
        class_type_name=title,
        instructor_name=coach,
    )
    return Incoming.of(key, values, Live(3, 0))


def stored(item: Incoming, *, deleted: bool = False, id: UUID | None = None) -> Known:
    values = item.values
    return Known(
        id or uuid4(),
        item.external_id,
        item.fingerprint,
        values.starts_at,
        deleted,
        values.status == "cancelled",
        item.live.booked,
        item.live.waitlist,
        values.class_type_name,
        values.location,
        values.instructor_name,
    )


def planned(
    known: list[Known],
    incoming: list[Incoming],
    *,
    covered: Part | None = WEEK,
    asked: Part | None = None,
    removed: tuple[str, ...] = (),
    unreadable: tuple[str, ...] = (),
    closed: Callable[[datetime], bool] = lambda at: False,
    first: bool = False,
    guard: Guard | None = GUARD,
) -> Plan:
    always = Part(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    answer = Answer("fitbox", "1", incoming, asked or always, covered, removed, unreadable, closed)
    rows = {row.external_id: row for row in known}
    return plan(rows, answer, based_on=0, now=NOW, first=first, guard=guard)


@pytest.mark.req("TT-34")
def test_an_equal_answer_changes_nothing() -> None:
    week = [event(f"c{i}", i) for i in range(20)]
    result = planned([stored(item) for item in week], week)
    changes = result.changes
    assert (list(changes.creates), list(changes.updates), list(changes.lives), list(changes.removals)) == (
        [],
        [],
        [],
        [],
    )
    assert changes.unchanged == 20
    assert result.hold is None


def test_only_a_booking_count_is_a_live_change() -> None:
    was = event("c1")
    now = Incoming.of("c1", was.values, Live(9, 1))
    changes = planned([stored(was)], [now]).changes
    assert [live.live for live in changes.lives] == [Live(9, 1)]
    assert not changes.updates


def test_a_moved_class_is_one_update() -> None:
    was, now = event("c1", 10), event("c1", 11)
    changes = planned([stored(was)], [now]).changes
    assert [update.incoming for update in changes.updates] == [now]
    assert not changes.removals and not changes.creates


def test_a_missing_class_inside_the_covered_days_is_removed() -> None:
    kept, gone = event("c1", 10), event("c2", 20)
    assert [row.external_id for row in planned([stored(kept), stored(gone)], [kept]).changes.removals] == ["c2"]


def test_a_missing_class_beyond_the_covered_days_stays() -> None:
    kept, later = event("c1", 10), event("c2", 24 * 8)
    assert not planned([stored(kept), stored(later)], [kept]).changes.removals


def test_a_missing_class_that_already_began_stays_as_history() -> None:
    kept, past = event("c1", 10), event("c2", -1)
    assert not planned([stored(kept), stored(past)], [kept]).changes.removals


def test_a_difference_removes_only_what_it_names() -> None:
    week = [event(f"c{i}", i + 1) for i in range(10)]
    changes = planned([stored(item) for item in week], [], covered=None, removed=("c4",)).changes
    assert [row.external_id for row in changes.removals] == ["c4"]


def test_a_difference_that_names_a_weekly_record_removes_its_occurrences() -> None:
    rows = [stored(event("slot/2026-11-24", 30)), stored(event("slot/2026-12-01", 200)), stored(event("other", 40))]
    changes = planned(rows, [], covered=None, removed=("slot",), guard=None).changes
    assert sorted(row.external_id for row in changes.removals) == ["slot/2026-11-24", "slot/2026-12-01"]


def test_a_class_that_comes_back_is_the_same_row() -> None:
    item = event("c1")
    row = stored(item, deleted=True)
    changes = planned([row], [item]).changes
    assert [update.known.id for update in changes.updates] == [row.id]


def test_without_an_id_a_new_start_within_90_minutes_is_the_same_row() -> None:
    was, now = event("key:a", 10), event("key:b", 11.5)
    row = stored(was)
    changes = planned([row], [now]).changes
    assert [(update.known.id, update.incoming.external_id) for update in changes.updates] == [(row.id, "key:b")]
    assert not changes.removals and not changes.creates


def test_without_an_id_a_new_start_later_than_90_minutes_is_another_class() -> None:
    changes = planned([stored(event("key:a", 10))], [event("key:b", 11.6)], guard=None).changes
    assert (len(changes.removals), len(changes.creates)) == (1, 1)


def test_ambiguous_pairs_are_not_paired() -> None:
    changes = planned([stored(event("key:a", 10))], [event("key:b", 10.5), event("key:c", 11)], guard=None).changes
    assert (len(changes.removals), len(changes.creates), len(changes.updates)) == (1, 2, 0)


def test_records_with_ids_of_their_own_are_never_paired() -> None:
    changes = planned([stored(event("c1", 10))], [event("c2", 10.5)], guard=None).changes
    assert (len(changes.removals), len(changes.creates)) == (1, 1)


@pytest.mark.req("BY-01")
@pytest.mark.parametrize(
    ("rows", "gone", "held"), [(20, 5, False), (20, 6, True), (2, 1, False), (8, 2, False), (8, 3, True)]
)
def test_losing_three_rows_and_more_than_a_quarter_is_held(rows: int, gone: int, held: bool) -> None:
    week = [event(f"c{i}", i + 1) for i in range(rows)]
    assert (planned([stored(item) for item in week], week[gone:]).hold is not None) is held


@pytest.mark.req("BY-01")
def test_an_empty_answer_where_some_stood_is_held() -> None:
    result = planned([stored(event("c1"))], [])
    assert result.hold is not None
    assert result.hold.reason == "The answer is complete but holds no classes at all."


@pytest.mark.req("TT-11")
def test_an_empty_answer_of_a_source_never_read_is_held() -> None:
    assert planned([], [], first=True).hold is not None


def test_an_empty_answer_after_an_accepted_empty_one_passes() -> None:
    assert planned([], []).hold is None


@pytest.mark.req("BY-01")
def test_cancelling_most_of_the_week_is_held_like_removing_it() -> None:
    week = [event(f"c{i}", i + 1) for i in range(10)]
    cancelled = [event(f"c{i}", i + 1, status="cancelled") for i in range(10)]
    result = planned([stored(item) for item in week], cancelled[:4] + week[4:])
    assert result.hold is not None and result.hold.going == 4


@pytest.mark.req("BY-01")
def test_a_week_that_moves_by_one_hour_is_held() -> None:
    week = [event(f"c{i}", i + 1) for i in range(10)]
    moved = [event(f"c{i}", i + 2) for i in range(10)]
    result = planned([stored(item) for item in week], moved)
    assert result.hold is not None
    assert result.hold.reason == "10 of 10 coming classes would move by +60 minutes."


def test_a_released_import_is_not_held_again() -> None:
    week = [event(f"c{i}", i + 1) for i in range(10)]
    result = planned([stored(item) for item in week], [], guard=None)
    assert result.hold is None
    assert len(result.changes.removals) == 10


def test_half_a_week_replaced_by_new_ids_is_held() -> None:
    week = [event(f"c{i}", i + 1) for i in range(10)]
    renumbered = [event(f"n{i}", i + 1) for i in range(10)]
    assert planned([stored(item) for item in week], renumbered).hold is not None


@pytest.mark.req("BY-01")
@given(st.lists(st.integers(0, 39), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_no_part_of_a_good_answer_ever_removes_more_than_the_cap(kept: list[int], random) -> None:  # type: ignore[no-untyped-def]
    """BY-01: for any subset and order of a good answer, what is applied without a person removes at most a quarter."""
    week = [event(f"c{i}", i + 1) for i in range(40)]
    answer = [week[i] for i in kept]
    random.shuffle(answer)
    result = planned([stored(item) for item in week], answer)
    if result.hold is None:
        assert len(result.changes.removals) * 100 <= 25 * len(week)


# --- what came but could not be read, and what goes without being missing


def test_what_came_but_could_not_be_read_is_not_missing() -> None:
    known = [stored(event("a")), stored(event("slot/2026-11-24")), stored(event("b"))]
    removals = planned(known, [], unreadable=("a", "slot"), guard=None).changes.removals
    assert [row.external_id for row in removals] == ["b"]


@pytest.mark.parametrize(("unreadable", "gone"), [(("#4",), 2), (("#4", "#9"), 0)])
def test_items_that_nobody_can_tell_apart_may_be_the_missing_ones(unreadable: tuple[str, ...], gone: int) -> None:
    known = [stored(event("a")), stored(event("b"))]
    assert len(planned(known, [], unreadable=unreadable, guard=None).changes.removals) == gone


def test_what_a_difference_removes_by_name_goes_although_it_cannot_be_read() -> None:
    changes = planned([stored(event("a"))], [], covered=None, removed=("a",), unreadable=("a",), guard=None).changes
    assert len(changes.removals) == 1


@pytest.mark.req("BY-01")
@pytest.mark.parametrize("days", [-20, 20])
def test_classes_that_move_out_of_sight_count_as_gone(days: int) -> None:
    week = [event(f"e{n}", 10 + n) for n in range(8)]
    moved = [event(f"e{n}", days * (24 + n)) for n in range(3)]
    assert planned([stored(item) for item in week], moved + week[3:], asked=WEEK).hold is not None


@pytest.mark.req("BY-01")
def test_closed_days_that_take_too_much_are_held() -> None:
    week = [event(f"e{n}", 10 + 24 * (n % 6)) for n in range(12)]
    known = [stored(item) for item in week]
    days = {NOW.date() + timedelta(days=n) for n in range(2)}
    assert planned(known, week, closed=lambda at: at.date() in days).hold is not None
    assert planned(known, week, closed=lambda at: at.date() == NOW.date()).hold is None
