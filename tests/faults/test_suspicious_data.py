"""Complete answers that should not be believed: rows A15, A16, A25 and A26 of the catalogue of faults, and never-wipe."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from integrations.sandbox import Fault
from schedule import store
from schedule.models import Closure, Event
from sync import held, ingest, leases
from sync.models import HeldImport, HeldState, Run, RunResult, RunState, RunTrigger
from tests.faults.conftest import House, coming, row_of, vevents

pytestmark = [pytest.mark.django_db]
Item = dict[str, Any]


def items_of(house: House) -> list[Item]:
    first, last = house.sandbox.fitbox.schedule.whole_range()
    return list(house.sandbox.fitbox.schedule.listing(first, last).items)


def waiting(run: Run) -> HeldImport:
    return HeldImport.objects.get(run=run, state=HeldState.OPEN)


def manual_run(house: House) -> Run:
    leases.request(house.connection, RunTrigger.MANUAL, now=house.now, user=house.manager)
    run = ingest.run(house.connection.pk)
    assert run is not None
    return run


# --- A15: nothing at all ----------------------------------------------------------------------------------------------


@pytest.mark.req("BY-01", "TT-11")
def test_a_complete_answer_without_any_class_is_held_and_the_old_week_stays(house: House) -> None:
    """A15."""
    house.sandbox.fitbox.schedule.set_mode("empty")
    shown, stored, revision = house.shown(), house.stored(), store.revision()
    for run in (house.scheduled_run(), manual_run(house)):
        assert (run.state, run.result, run.error_code) == (RunState.COMPLETED, RunResult.HELD, "held")
        assert "waits for a person" in run.error
        house.assert_no_secret(run)
        assert (house.stored(), store.revision(), house.shown()) == (stored, revision, shown)
    house.sandbox.fitbox.schedule.set_mode("ordinary")
    house.assert_mends()
    assert HeldImport.objects.get().state == HeldState.SUPERSEDED


@pytest.mark.req("BY-01")
def test_even_the_empty_week_can_be_let_through_by_a_person(house: House) -> None:
    house.sandbox.fitbox.schedule.set_mode("empty")
    run = house.scheduled_run()
    held.release(waiting(run), user=house.manager, now=house.now)
    assert coming(house.stored(), house.now) == []


# --- A16: items that cannot be read -----------------------------------------------------------------------------------


@pytest.mark.req("BY-01")
def test_a_held_import_keeps_waiting_though_polls_cannot_see_what_is_missing(house: House) -> None:
    """A15. A server without `removed[]` tells by absence only, so a difference must not settle the question."""
    house.sandbox.fitbox.switch(ignore_parameters=True)
    house.sandbox.fitbox.schedule.set_mode("empty")
    held_import = waiting(manual_run(house))
    for _ in range(3):
        assert house.scheduled_run().result == RunResult.HELD
    held_import.refresh_from_db()
    assert (held_import.state, held_import.times_seen) == (HeldState.OPEN, 4)


def spoilt(items: list[Item], count: int) -> list[Any]:
    """Return the items with so many of them unreadable, in each way in turn, and unknown fields in all others."""
    ways: list[Callable[[Item], Any]] = [
        lambda item: {**item, "start_time": None},
        lambda item: {**item, "max_capacity": 0},
        lambda item: {**item, "current_bookings": -1},
        lambda item: {name: value for name, value in item.items() if name != "class_type"},
        lambda item: {**item, "day_of_week": "someday"},
        lambda item: {**item, "max_capacity": {"of": 3}},
    ]
    bad = [ways[n % len(ways)](item) for n, item in enumerate(items[:count])]
    return bad + [{**item, "colour": "teal", "extra": {"nested": [1, None]}} for item in items[count:]]


@pytest.fixture
def hundred(house: House) -> list[Item]:
    """The gym's Fitbox has exactly 100 classes, all of them to come, and they were imported."""
    # The raw items below keep their times of change, so a difference would not name them.
    house.use(settings={"differences": False})
    items = [item for item in items_of(house) if row_of(item)[1] > house.now + timedelta(days=2)][:100]
    house.sandbox.fitbox.schedule.set_classes(items)
    run = house.scheduled_run()
    held.release(waiting(run), user=house.manager, now=house.now)
    house.assert_equal()
    return items


@pytest.mark.req("TT-10", "TT-11")
@pytest.mark.parametrize("bad", [19, 20])
def test_up_to_a_fifth_of_bad_items_are_named_and_left_as_they_were(
    house: House, hundred: list[Item], bad: int
) -> None:
    """A16 at 81 and 80 %: what can be read is taken over; a class whose item cannot be read stays as last known."""
    stored = house.stored()
    changed = [{**item, "special_notes": "Bring a towel."} for item in hundred]
    house.sandbox.fitbox.schedule.set_classes(spoilt(changed, bad))
    run = house.scheduled_run()
    assert (run.state, run.result, run.error) == (RunState.COMPLETED, RunResult.PARTIAL, "")
    assert (run.total, run.invalid) == (100, bad)
    hard = {finding["record"] for finding in run.findings if finding["hard"]}
    assert hard == {item["id"] for item in hundred[:bad]}
    assert house.stored() == stored
    noted = Event.objects.live().filter(source="fitbox", description="Bring a towel.")
    assert set(noted.values_list("external_id", flat=True)) == {item["id"] for item in hundred[bad:]}
    assert house.shown()
    house.assert_no_secret(run)
    house.sandbox.fitbox.schedule.set_classes(hundred)
    house.assert_mends()


@pytest.mark.req("TT-11")
def test_more_than_a_fifth_of_bad_items_refuse_the_import_whole(house: House, hundred: list[Item]) -> None:
    """A16 at 79 %."""
    stored, shown, revision = house.stored(), house.shown(), store.revision()
    changed = [{**item, "special_notes": "Bring a towel."} for item in hundred]
    house.sandbox.fitbox.schedule.set_classes(spoilt(changed, 21))
    run = house.scheduled_run()
    house.assert_failed(run, "too_many_invalid", "only 79 of 100 classes could be read")
    assert (house.stored(), house.shown(), store.revision()) == (stored, shown, revision)
    house.sandbox.fitbox.schedule.set_classes(hundred)
    house.assert_mends()


def test_wrong_types_and_unknown_fields_spoil_no_other_class(house: House) -> None:
    """A16, as the sandbox's mode has it: every seventh item is of the wrong form, all have fields nobody knows."""
    # A difference would name those that lost their id as removed, and rightly so.
    house.use(settings={"differences": False})
    stored = house.stored()
    house.sandbox.fitbox.schedule.set_mode("wrong_types")
    run = house.scheduled_run()
    assert (run.state, run.result) == (RunState.COMPLETED, RunResult.PARTIAL)
    assert 0 < run.invalid * 5 <= run.total
    assert all(finding["message"].endswith(".") for finding in run.findings)
    assert set(coming(house.stored(), house.now)) == set(coming(stored, house.now))
    assert house.shown()
    house.sandbox.fitbox.schedule.set_mode("ordinary")
    house.assert_mends()


# --- A25: extreme values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["extreme_values", "hostile_text", "overbooked", "strange_photos", "odd_weekdays"])
def test_extreme_values_leave_page_and_feed_in_order(house: House, mode: str) -> None:
    """A25."""
    house.sandbox.fitbox.schedule.set_mode(mode)
    stored = house.stored()
    run = house.scheduled_run()
    assert (run.state, run.error) == (RunState.COMPLETED, "")
    assert run.result in (RunResult.SUCCESS, RunResult.PARTIAL)
    assert len(house.stored()) == len(stored)
    events = vevents(house.members.get("/calendar/timetable.ics").content)
    assert len({str(event["UID"]) for event in events}) == len(events)
    assert all(event["DTEND"].dt > event["DTSTART"].dt for event in events)
    assert {event["DTSTART"].dt.year for event in events} <= {2026, 2027}
    assert not any(str(event["SUMMARY"]) == "injected" for event in events)
    page = house.members.get("/timetable/").text
    assert "<script>alert" not in page
    assert "onerror=alert(1)>" not in page.replace("&gt;", ">") or "&quot;&gt;&lt;img" in page
    assert "javascript:" not in page
    assert house.shown()
    house.assert_no_secret(run)
    house.sandbox.fitbox.schedule.set_mode("ordinary")
    house.assert_mends()


# --- A26: too much at once --------------------------------------------------------------------------------------------


def half_vanishes(house: House) -> None:
    house.sandbox.fitbox.schedule.vanish(0.5)


def a_third_vanishes(house: House) -> None:
    house.sandbox.fitbox.schedule.vanish(0.3)


def everything_shifts(house: House) -> None:
    house.sandbox.fitbox.schedule.shift(60)


def a_third_is_cancelled(house: House) -> None:
    for item in items_of(house)[::3]:
        house.sandbox.fitbox.schedule.cancel(item["id"])


def the_gym_closes_for_weeks(house: House) -> None:
    first, _ = house.sandbox.fitbox.schedule.whole_range()
    days = [(first + timedelta(days=n)).isoformat() for n in range(40)]
    house.sandbox.fitbox.schedule.set_holidays([{"date": day, "name": "Closed", "closed": True} for day in days])


def a_third_leaves_the_shown_weeks(house: House) -> None:
    """Each by another length, so that no shift is common to many."""
    for n, item in enumerate(coming_items(house)[::3]):
        on = row_of(item)[1].date() + timedelta(days=70, weeks=n % 3)
        house.sandbox.fitbox.schedule.move(item["id"], start_time=f"{6 + n % 14:02d}:{n % 60:02d}", on=on)


def coming_items(house: House) -> list[Item]:
    return [item for item in items_of(house) if row_of(item)[1] > house.now]


SUSPICIOUS = [half_vanishes, a_third_vanishes, everything_shifts, a_third_is_cancelled, a_third_leaves_the_shown_weeks]


@pytest.mark.req("BY-01", "TT-16")
@pytest.mark.parametrize("change", [*SUSPICIOUS, the_gym_closes_for_weeks])
def test_what_takes_too_much_away_is_held_and_applied_when_a_person_releases_it(
    house: House, change: Callable[[House], None]
) -> None:
    """A26: held, named with numbers, old data in view; released, it is exactly what the provider has."""
    shown, stored, revision = house.shown(), house.stored(), store.revision()
    change(house)
    run = house.scheduled_run()
    assert (run.state, run.result, run.error_code) == (RunState.COMPLETED, RunResult.HELD, "held")
    assert "coming classes would" in run.error
    assert "waits for a person" in run.error
    assert run.error.endswith("the timetable keeps showing the last good data.")
    assert (house.stored(), house.shown(), store.revision()) == (stored, shown, revision)
    house.assert_no_secret(run)
    assert timedelta(0) < house.job.due_at - house.now <= timedelta(minutes=15)
    assert waiting(run).reason in house.staff_see(reverse("admin:index"))
    assert run.error in house.staff_see(reverse("admin:timetable-source"))

    again = house.scheduled_run()
    assert again.result == RunResult.HELD
    assert HeldImport.objects.get().times_seen == 2
    assert house.stored() == stored

    released = held.release(HeldImport.objects.get(), user=house.manager, now=house.now)
    assert (released.state, released.result) == (RunState.COMPLETED, RunResult.SUCCESS)
    if change is the_gym_closes_for_weeks:
        assert Closure.objects.filter(source="fitbox").count() == 40
    elif change is not a_third_leaves_the_shown_weeks:
        house.assert_equal()
    seen = live(house)
    after = house.scheduled_run()
    assert (after.result, after.created, after.removed) == (RunResult.SUCCESS, 0, 0)
    assert live(house) == {key: at for key, at in seen.items() if at >= house.now}


@pytest.mark.req("BY-01")
@pytest.mark.parametrize("change", [half_vanishes, everything_shifts, a_third_is_cancelled])
def test_what_a_person_discarded_is_not_asked_again_however_it_is_read(
    house: House, change: Callable[[House], None]
) -> None:
    """A26: the same data stay out, in a difference and in a full answer; other data are a new question."""
    shown, stored = house.shown(), house.stored()
    change(house)
    held.discard(waiting(house.scheduled_run()), user=house.manager, now=house.now)
    assert (house.stored(), house.shown()) == (stored, shown)
    for run in (house.scheduled_run(), manual_run(house), house.scheduled_run()):
        assert (run.state, run.result) == (RunState.COMPLETED, RunResult.DISCARDED)
        assert "A person discarded the same data before" in run.error
        assert (house.stored(), house.shown()) == (stored, shown)
    assert not HeldImport.objects.filter(state=HeldState.OPEN).exists()
    house.sandbox.fitbox.schedule.vanish(0.8)
    assert house.scheduled_run().result == RunResult.HELD
    house.sandbox.fitbox.schedule.undo_edits()
    house.assert_mends()


# --- BY-01: whatever comes --------------------------------------------------------------------------------------------


JUNK = st.one_of(
    st.none(), st.integers(-5, 5), st.text(max_size=5), st.floats(), st.sampled_from(["cancelled", "deleted", "active"])
)
FIELDS = ["id", "date", "day_of_week", "start_time", "class_type", "max_capacity", "status", "current_bookings"]
FAULTS = ["cut_json", "truncated_body", "wrong_total", "endless_pages", "html", "reset_mid_body"]


@st.composite
def corruption(draw: st.DrawFn) -> Callable[[list[Item]], list[Any]]:
    """Draw what goes wrong with a good answer: an order, a part of it, and fields of some items."""
    seed = draw(st.integers(0, 2**16))
    first, last = draw(st.floats(0, 1)), draw(st.floats(0, 1))
    missing = draw(st.floats(0, 1))
    share = draw(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
    name, junk = draw(st.sampled_from(FIELDS)), draw(JUNK)

    def corrupt(items: list[Item]) -> list[Any]:
        chance = random.Random(seed)
        low, high = sorted((int(first * len(items)), int(last * len(items))))
        part = items[low:high] if seed % 3 == 0 else items
        part = [item for item in part if chance.random() >= missing] if seed % 3 == 1 else list(part)
        chance.shuffle(part)
        return [{**item, name: junk} if chance.random() < share else item for item in part]

    return corrupt


@pytest.mark.req("BY-01", "TT-11")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corrupt=corruption(), fault=st.sampled_from([None, None, None, *FAULTS]))
@example(corrupt=lambda items: [], fault=None)
@example(corrupt=lambda items: items[: len(items) * 3 // 4], fault=None)
@example(corrupt=lambda items: items[::-1], fault=None)
def test_no_answer_takes_away_more_than_the_cap_unasked(
    house: House, corrupt: Callable[[list[Item]], list[Any]], fault: str | None
) -> None:
    schedule, faults = house.sandbox.fitbox.schedule, house.sandbox.fitbox.faults
    schedule.restore_start()
    good = items_of(house)
    house.use(retries=0)
    with transaction.atomic():
        before = live(house)
        schedule.set_classes(corrupt(good))
        if fault:
            faults.add(Fault(fault))
        run = manual_run(house)
        after = live(house)
        gone = before.keys() - after.keys()
        moved = [key for key in before.keys() & after.keys() if before[key] != after[key]]
        if run.result in (RunResult.SUCCESS, RunResult.PARTIAL):
            assert len(gone) < 3 or len(gone) * 100 <= 25 * len(before)
        else:
            assert run.result in (RunResult.HELD, RunResult.FAILED)
            assert not gone
            assert not moved
            assert len(after) == len(before)
        assert house.shown()
        transaction.set_rollback(True)
    faults.clear()


def live(house: House) -> dict[str, Any]:
    """Return the coming classes that members can go to, in the weeks that are shown: id and start."""
    _, last = house.sandbox.fitbox.schedule.whole_range()
    return {
        key: starts_at
        for key, starts_at, status in coming(house.stored(), house.now)
        if status == "confirmed" and starts_at.date() <= last
    }
