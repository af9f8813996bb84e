"""The floors of coverage, judged from coverage's own figures."""

import pytest

from tests.plugins.floors import judge

pytestmark = pytest.mark.req("X-36")


def summary(lines: int, branches: int) -> dict[str, int]:
    return {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 100}


def test_both_floors_reached():
    assert judge({"sync/plan.py": summary(90, 80), "schedule/cms.py": summary(70, 0)}) == [
        ("Coverage, lines: 80.0 % (floor 80 %)", True),
        ("Coverage, branches of sync/ and integrations/adapters/: 80.0 % (floor 80 %)", True),
    ]


def test_branches_count_only_where_data_could_be_lost():
    files = {"integrations/adapters/fitbox.py": summary(100, 79), "schedule/cms.py": summary(100, 100)}
    assert [reached for _, reached in judge(files)] == [True, False]


def test_too_few_lines():
    assert [reached for _, reached in judge({"sync/plan.py": summary(79, 100)})] == [False, True]
