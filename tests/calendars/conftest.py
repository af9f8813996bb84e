"""Fixtures of the tests of the feeds."""

from tests.schedule.conftest import at_ten

__all__ = ["at_ten"]
