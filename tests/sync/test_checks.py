"""When a whole import is believed."""

import pytest

from sync import checks
from sync.errors import TooManyInvalid


@pytest.mark.req("TT-11")
@pytest.mark.parametrize(("total", "invalid"), [(100, 20), (100, 19), (5, 1), (1, 0)])
def test_eighty_percent_valid_is_enough(total: int, invalid: int) -> None:
    checks.require_enough_valid(total=total, invalid=invalid)


@pytest.mark.req("TT-11")
@pytest.mark.parametrize(("total", "invalid"), [(100, 21), (5, 2), (1, 1)])
def test_less_is_refused_whole(total: int, invalid: int) -> None:
    with pytest.raises(TooManyInvalid):
        checks.require_enough_valid(total=total, invalid=invalid)
