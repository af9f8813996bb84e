"""The one writer: what it writes, what it leaves alone, and how it refuses to overwrite what moved."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection as database

from schedule import store
from schedule.differences import Changes, ClosureValues, SourceRead, compare
from schedule.models import Change, ClassType, Closure, Counter, Event, Organization, SourceState
from schedule.values import EventValues, Incoming, Live, canonical, from_canonical

NOW = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def gym() -> Organization:
    return Organization.objects.create(name="Harbour Street Gym", timezone="Australia/Melbourne", is_installation=True)


def values(**changed: object) -> EventValues:
    starts_at = NOW + timedelta(hours=10)
    said = EventValues(
        title="HIIT", starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), timezone="UTC", capacity=10, room="1"
    )
    return replace(said, **changed)  # type: ignore[arg-type]  # names of its fields


def write(
    *incoming: Incoming, source: str = "fitbox", cause: str = "run:1", read: SourceRead | None = None
) -> store.Applied:
    world = store.known(source, "1", since=NOW - timedelta(days=30))
    changes = compare(
        world.rows, incoming, source=source, connection="1", based_on=world.revision, removable=lambda row: True
    )
    return store.apply(replace(changes, read=read), cause=cause, now=NOW)


def the_event() -> Event:
    return Event.objects.get()


def test_a_row_has_every_column_of_the_table() -> None:
    columns = {field.column for field in Event._meta.concrete_fields}
    assert {field.name for field in fields(store.Row)} == columns


def test_a_new_event_is_stored_with_its_text_and_history() -> None:
    applied = write(Incoming.of("c1", values(), Live(3, 1), b'{"id":"c1"}'))
    event = the_event()
    assert (applied.revision, applied.created) == (1, 1)
    assert (event.title, event.booked, event.waitlist, event.payload, event.revision) == ("HIIT", 3, 1, {"id": "c1"}, 1)
    assert event.uid == f"{event.id}@callboard"
    assert f"UID:{event.uid}\r\n" in event.vevent
    change = Change.objects.get()
    assert (change.kind, change.cause, change.before, change.after) == ("created", "run:1", None, event.provider_values)


@pytest.mark.req("TT-34")
def test_equal_data_write_nothing() -> None:
    write(Incoming.of("c1", values(), Live(3)))
    before = list(Event.objects.values())
    applied = write(Incoming.of("c1", values(), Live(3)))
    assert applied == store.Applied(None)
    assert list(Event.objects.values()) == before
    assert Change.objects.count() == 1
    assert (store.revision(), store.revision(Counter.PUBLICATION)) == (1, 1)


def test_a_booking_count_changes_the_row_and_the_publication_only() -> None:
    write(Incoming.of("c1", values(), Live(3)))
    was = the_event()
    write(Incoming.of("c1", values(), Live(4)))
    event = the_event()
    assert event.booked == 4
    assert (event.revision, event.sequence, event.vevent, event.revised_at) == (
        was.revision, was.sequence, was.vevent, was.revised_at,
    )  # fmt: skip
    assert Change.objects.count() == 1
    assert (store.revision(), store.revision(Counter.PUBLICATION)) == (1, 2)


@pytest.mark.parametrize(
    ("changed", "sequence"),
    [({"room": "2"}, 1), ({"status": "cancelled"}, 1), ({"title": "Yoga"}, 0), ({"capacity": 12}, 0)],
)
def test_sequence_rises_when_time_place_or_status_change(changed: dict[str, object], sequence: int) -> None:
    write(Incoming.of("c1", values()))
    uid = the_event().uid
    write(Incoming.of("c1", values(**changed)))
    event = the_event()
    assert (event.sequence, event.uid, event.revision) == (sequence, uid, 2)


def test_a_change_tells_what_was_shown_before_and_after() -> None:
    write(Incoming.of("c1", values()))
    write(Incoming.of("c1", values(instructor_name="Sam", room="2")), cause="run:2")
    change = Change.objects.latest("pk")
    assert (change.kind, change.cause) == ("changed", "run:2")
    assert change.effect == {"instructor_name": ["", "Sam"], "room": ["1", "2"]}


def test_a_removed_event_becomes_a_tombstone_that_says_cancelled() -> None:
    write(Incoming.of("c1", values()))
    write()
    event = the_event()
    assert (event.deleted_at, event.status, event.sequence) == (NOW, "cancelled", 1)
    assert "STATUS:CANCELLED" in event.vevent
    assert not Event.objects.live().exists()
    assert Change.objects.latest("pk").kind == "removed"


def test_a_removed_event_that_comes_back_keeps_its_uid() -> None:
    write(Incoming.of("c1", values()))
    uid = the_event().uid
    write()
    write(Incoming.of("c1", values()))
    event = the_event()
    assert (event.uid, event.deleted_at, event.status, event.sequence) == (uid, None, "confirmed", 2)
    assert Change.objects.latest("pk").kind == "restored"


@pytest.mark.req("TT-16")
def test_nothing_is_written_when_one_row_moved_meanwhile() -> None:
    write(Incoming.of("c1", values()), Incoming.of("c2", values()))
    world = store.known("fitbox", "1", since=NOW)
    write(Incoming.of("c1", values(title="Newer")), Incoming.of("c2", values()))
    late = [Incoming.of("c1", values(title="Older")), Incoming.of("c3", values())]
    changes = compare(
        world.rows, late, source="fitbox", connection="1", based_on=world.revision, removable=lambda row: True
    )
    with pytest.raises(store.Moved):
        store.apply(changes, cause="run:9", now=NOW)
    assert sorted(Event.objects.values_list("external_id", "title")) == [("c1", "Newer"), ("c2", "HIIT")]
    assert store.revision() == 2


def test_settle_plans_again_when_a_row_moved() -> None:
    write(Incoming.of("c1", values()))
    stale = store.known("fitbox", "1", since=NOW)
    write(Incoming.of("c1", values(room="7")))
    worlds = [store.known("fitbox", "1", since=NOW), stale]

    def plan() -> Changes:
        world = worlds.pop()
        return compare(
            world.rows, [Incoming.of("c1", values(title="Yoga"))], source="fitbox", connection="1",
            based_on=world.revision, removable=lambda row: True,
        )  # fmt: skip

    store.settle(plan, cause="run:3", now=NOW)
    assert the_event().title == "Yoga"


def test_the_source_state_is_written_with_the_rows() -> None:
    read = SourceRead(NOW, date(2026, 11, 23), date(2027, 1, 17), 15, "1")
    write(Incoming.of("c1", values()), read=read)
    write(Incoming.of("c1", values()), read=replace(read, completed_at=NOW + timedelta(minutes=15), run="2"))
    state = SourceState.objects.get()
    assert (state.last_complete_at, state.last_run) == (NOW + timedelta(minutes=15), "2")


@pytest.mark.req("TT-15")
@pytest.mark.parametrize("source", ["fitbox", "cms", "manual"])
def test_a_class_on_a_closed_day_is_cancelled_with_the_closures_name(gym: Organization, source: str) -> None:
    write(Incoming.of("c1", values()), source=source)
    closure = Closure.objects.create(
        organization=gym, name="Melbourne Cup", first_on=date(2026, 11, 23), last_on=date(2026, 11, 23)
    )
    store.reconsider(closure.first_on, closure.last_on, cause="user:1", now=NOW)
    event = the_event()
    assert (event.status, event.status_reason, event.provider_values["status"]) == (
        "cancelled",
        "Melbourne Cup",
        "confirmed",
    )
    closure.delete()
    store.reconsider(date(2026, 11, 23), date(2026, 11, 23), cause="user:1", now=NOW)
    event = the_event()
    assert (event.status, event.status_reason, event.sequence) == ("confirmed", "", 2)


def test_a_closed_day_is_shown_although_the_class_type_was_deleted_since(gym: Organization) -> None:
    kind = ClassType.objects.create(organization=gym, name="HIIT")
    write(Incoming.of("c1", values(class_type_id=kind.pk)))
    kind.delete()
    Closure.objects.create(organization=gym, name="Cup", first_on=date(2026, 11, 23), last_on=date(2026, 11, 23))
    store.reconsider(date(2026, 11, 23), date(2026, 11, 23), cause="user:1", now=NOW)
    assert (the_event().status_reason, the_event().class_type) == ("Cup", None)


def test_a_new_class_on_a_closed_day_arrives_cancelled(gym: Organization) -> None:
    Closure.objects.create(
        organization=gym, name="Floor works", first_on=date(2026, 11, 23), last_on=date(2026, 11, 24)
    )
    write(Incoming.of("c1", values()))
    assert the_event().status_reason == "Floor works"


def test_a_providers_holiday_closes_the_day_for_every_source_and_opens_it_again() -> None:
    write(Incoming.of("slot", values()), source="cms")
    day = date(2026, 11, 23)
    for closures, status in [((ClosureValues(day, day, "Cup"),), "cancelled"), ((), "confirmed")]:
        store.settle(
            lambda closures=closures: Changes("fitbox", "1", based_on=store.revision(), closures=closures),  # type: ignore[misc]
            cause="run:1",
            now=NOW,
        )
        assert the_event().status == status
    assert not Closure.objects.exists()


def test_equal_closures_raise_no_revision() -> None:
    day = date(2026, 11, 23)
    again: Callable[[], Changes] = lambda: Changes(  # noqa: E731 - the same changes twice
        "fitbox", "1", based_on=store.revision(), closures=(ClosureValues(day, day, "Cup"),)
    )
    store.settle(again, cause="run:1", now=NOW)
    first = store.revision(Counter.PUBLICATION)
    store.settle(again, cause="run:2", now=NOW)
    assert store.revision(Counter.PUBLICATION) == first


def test_personal_events_leave_the_publication_alone() -> None:
    write(Incoming.of("g1", values()), source="google")
    assert (store.revision(), store.revision(Counter.PUBLICATION)) == (1, 0)


def test_values_read_back_from_the_table_are_the_ones_that_went_in() -> None:
    said = values(original_start=NOW, description="Bring a towel; and 💪", is_private=True)
    write(Incoming.of("c1", said))
    assert from_canonical(the_event().provider_values) == said
    assert canonical(from_canonical(the_event().provider_values)) == canonical(said)


def test_the_number_of_statements_does_not_grow_with_the_rows(django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    week = [Incoming.of(f"c{i}", values()) for i in range(300)]
    with django_assert_max_num_queries(14):
        write(*week)
    assert Event.objects.count() == 300
    assert database.vendor in ("sqlite", "postgresql")
