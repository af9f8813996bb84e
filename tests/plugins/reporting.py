"""Nothing is left out silently: what did not run here, and why, stands in the last lines.

- `postgresql_only` and `embedded_only` tests are deselected on the other database and counted;
- skips and expected failures are listed with their reasons, and with `CI=true` a skip is a failure;
- `req("TT-07")` names the requirement rows that a test shows.
"""

import os
from collections.abc import Iterable

import pytest

OTHER_DATABASE = pytest.StashKey[int]()


def on_postgresql() -> bool:
    return os.environ.get("DATABASE_URL", "").startswith("postgres")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "req(*rows): the requirement rows that fail here when the feature is removed")
    config.addinivalue_line("markers", "postgresql_only: concerns PostgreSQL and Redis; runs in `make test`")
    config.addinivalue_line("markers", "embedded_only: concerns SQLite and no server; runs in `make test-embedded`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unfit = "embedded_only" if on_postgresql() else "postgresql_only"
    other = [item for item in items if item.get_closest_marker(unfit)]
    config.stash[OTHER_DATABASE] = len(other)
    if other:
        items[:] = [item for item in items if not item.get_closest_marker(unfit)]
        config.hook.pytest_deselected(items=other)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Take the count from a worker of pytest-xdist; every worker collects the same tests."""
    output = getattr(node, "workeroutput", {})
    if "other_database" in output:
        node.config.stash[OTHER_DATABASE] = output["other_database"]  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["other_database"] = session.config.stash.get(OTHER_DATABASE, 0)
        return
    if in_ci() and skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    write = terminalreporter.write_line
    terminalreporter.section("left out")
    other = config.stash.get(OTHER_DATABASE, 0)
    target = "make test-embedded" if on_postgresql() else "make test"
    write(f"{other} {'test concerns' if other == 1 else 'tests concern'} the other database, to run in `{target}`.")
    reasons = skipped(config)
    for reason in reasons:
        write(f"skipped: {reason}", red=in_ci(), yellow=not in_ci())
    if not reasons:
        write("0 skipped.")
    elif in_ci():
        write(f"CI=true: {len(reasons)} skipped, and a skip is a failure here.", red=True)
    else:
        write(f"{len(reasons)} skipped, for the reasons above.")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def skipped(config: pytest.Config) -> list[str]:
    """Return one sentence for each test or file that was skipped or is expected to fail."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:
        return []
    reports = [*reporter.stats.get("skipped", []), *reporter.stats.get("xfailed", [])]
    return list(_sentences(reports))


def _sentences(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> Iterable[str]:
    told = set()
    for report in reports:
        # Each worker of pytest-xdist reports a skipped file; it is one skip.
        if report.nodeid not in told:
            told.add(report.nodeid)
            yield f"{report.nodeid}: {_reason(report)}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return getattr(report, "wasxfail", "") or "no reason given"
