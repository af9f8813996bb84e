"""Fixtures of the tests of what members see."""

from collections.abc import Iterator

import pytest
import time_machine

from tests.schedule.making import NOW


@pytest.fixture
def at_ten() -> Iterator[None]:
    """Let it be Wednesday, 18 November 2026, 10:00 in Melbourne."""
    with time_machine.travel(NOW, tick=False):
        yield
