"""The sandbox's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations.sandbox import Clock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_set_clock_stands_still_until_it_is_advanced() -> None:
    clock = Clock()
    clock.set(NOON)
    assert (clock.now(), clock.now(), clock.advance(90)) == (NOON, NOON, NOON + timedelta(seconds=90))


def test_a_ticking_clock_goes_on_from_where_it_was_set() -> None:
    clock = Clock()
    clock.set(NOON, ticking=True)
    first = clock.now()
    assert NOON < first < clock.now() < NOON + timedelta(seconds=5)


def test_an_advanced_real_clock_keeps_ticking() -> None:
    clock = Clock()
    clock.advance(3600)
    assert timedelta(minutes=59) < clock.now() - datetime.now(UTC) < timedelta(minutes=61)
    assert not clock.is_real


def test_an_instant_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        Clock().set(datetime(2026, 3, 2))
