"""Coverage has floors: lines everywhere, and branches where a missed case loses people's data (sync, the adapters).

Only with `--cov`, so that a run of a few tests is judged by its tests alone.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import coverage
import pytest

LINES_PERCENT = 80
BRANCHES_PERCENT = 80
BRANCHES_OF = ("sync/", "integrations/adapters/")
VERDICT = pytest.StashKey[list[tuple[str, bool]]]()


# Last: pytest-cov has combined what the workers measured by then.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workerinput") or not getattr(config.option, "cov_source", None) or config.option.no_cov:
        return
    verdict = judge(measured_files())
    config.stash[VERDICT] = verdict
    if session.exitstatus == pytest.ExitCode.OK and not all(reached for _, reached in verdict):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for sentence, reached in config.stash.get(VERDICT, []):
        terminalreporter.write_line(sentence, red=not reached)


def measured_files() -> dict[str, dict[str, Any]]:
    """Return coverage's summary of each file, by its path in the repository."""
    measured = coverage.Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(report))
        files = json.loads(report.read_text())["files"]
    return {path: entry["summary"] for path, entry in files.items()}


def judge(files: dict[str, dict[str, Any]]) -> list[tuple[str, bool]]:
    """Return a sentence and whether the floor is reached, for lines and for branches."""
    strict = [summary for path, summary in files.items() if path.startswith(BRANCHES_OF)]
    where = " and ".join(BRANCHES_OF)
    return [
        _floor("lines", files.values(), "covered_lines", "num_statements", LINES_PERCENT),
        _floor(f"branches of {where}", strict, "covered_branches", "num_branches", BRANCHES_PERCENT),
    ]


def _floor(what: str, summaries: Any, covered: str, total: str, floor: int) -> tuple[str, bool]:
    whole = sum(summary[total] for summary in summaries)
    part = sum(summary[covered] for summary in summaries)
    percent = 100 * part / whole if whole else 100.0
    return f"Coverage, {what}: {percent:.1f} % (floor {floor} %)", percent >= floor
