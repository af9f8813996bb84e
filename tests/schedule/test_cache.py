"""The publication cache: lives by the caller's clock, saved copies, and a shared cache that fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache as shared

from schedule import cache
from schedule.cache import Entry, Name
from tests.schedule.making import no_redis

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
ENTRY = Entry("v1", NOW, NOW, NOW - timedelta(minutes=7), "Australia/Melbourne", "Körper\nund Geist".encode())


@pytest.mark.req("TT-28")
@pytest.mark.parametrize(("name", "seconds"), [(Name.SCHEDULE, 900), (Name.CURRENT, 900), (Name.BACKUP, 3600)])
def test_each_name_has_its_life(name: Name, seconds: int) -> None:
    cache.put(name, "key", ENTRY)
    assert cache.get(name, "key", NOW + timedelta(seconds=seconds - 1)) == ENTRY
    assert cache.get(name, "key", NOW + timedelta(seconds=seconds)) is None


@pytest.mark.req("TT-28")
def test_names_are_those_that_were_asked_for() -> None:
    assert [str(name) for name in Name] == ["timetable:schedule", "timetable:current", "timetable:backup"]


@pytest.mark.req("TT-28")
def test_an_entry_taken_from_the_shared_cache_does_not_begin_to_live_anew() -> None:
    cache.put(Name.SCHEDULE, "key", ENTRY)
    cache.forget()
    assert cache.get(Name.SCHEDULE, "key", NOW + timedelta(seconds=800)) == ENTRY
    assert cache.get(Name.SCHEDULE, "key", NOW + timedelta(seconds=901)) is None


def test_what_callboard_did_not_write_is_no_entry() -> None:
    for value in (b"", b"\n", b"{}\nbody", b'["v",1,2,3,4]\nbody', "text", {"a": 1}, b'["v","2026","x","y","z"]\n'):
        shared.set("timetable:schedule:key", value)
        cache.forget()
        assert cache.get(Name.SCHEDULE, "key", NOW) is None


@pytest.mark.req("TT-27")
def test_a_shared_cache_that_refuses_is_reported_once_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with no_redis():
        cache.put(Name.SCHEDULE, "key", ENTRY)
        assert cache.get(Name.SCHEDULE, "other", NOW) is None
        assert cache.get(Name.SCHEDULE, "key", NOW) == ENTRY
    warnings = [record for record in caplog.records if "shared cache does not answer" in record.message]
    assert len(warnings) == 1


def test_the_newest_saved_copy_is_taken() -> None:
    cache.confirm(["page:"], ENTRY, NOW)
    newer = replace(ENTRY, version="v2", checked_at=NOW + timedelta(minutes=5))
    shared.set("timetable:backup:page:", cache._encode(newer))
    assert cache.saved("page:", NOW + timedelta(minutes=6)) == newer


def test_a_confirmed_copy_lives_on_from_when_it_was_last_true() -> None:
    cache.confirm(["page:"], ENTRY, NOW)
    later = NOW + timedelta(minutes=50)
    cache.confirm(["page:"], ENTRY, later)
    copy = cache.saved("page:", later + timedelta(minutes=59))
    assert copy == replace(ENTRY, checked_at=later)
    assert cache.saved("page:", later + timedelta(minutes=60)) is None


def test_memory_keeps_the_entries_used_last() -> None:
    memory = cache._Memory()
    for number in range(cache.MEMORY_ENTRIES + 1):
        memory.put(str(number), ENTRY)
        memory.get("0")
    assert memory.get("0") == ENTRY
    assert memory.get("1") is None


def test_memory_is_bounded_in_bytes() -> None:
    memory = cache._Memory()
    big = replace(ENTRY, body=b"x" * (cache.MEMORY_BYTES // 2))
    for place in ("a", "b", "c"):
        memory.put(place, big)
    assert [memory.get(place) is not None for place in ("a", "b", "c")] == [False, True, True]
