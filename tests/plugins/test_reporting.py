"""The last lines of a run tell what was left out; each test runs a small suite of its own in another process."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
    import pytest

    @pytest.mark.postgresql_only
    def test_row_locks(): pass

    @pytest.mark.embedded_only
    def test_immediate(): pass

    @pytest.mark.req("TT-07")
    def test_everywhere(): pass
"""
SKIPPING_SUITE = """
    import pytest

    def test_browser():
        pytest.skip("no Chromium here")
"""


@pytest.fixture
def run_suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    def run(suite: str, *arguments: str, database_url: str = "", ci: str = "") -> pytest.RunResult:
        pytester.makepyfile(suite)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("DATABASE_URL", database_url)
        monkeypatch.setenv("CI", ci)
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
            monkeypatch.delenv(name, raising=False)
        plugins = ("-p", "tests.plugins.reporting", "-p", "no:django", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*plugins, "--strict-markers", *arguments)

    return run


def test_tests_of_the_other_database_are_counted_on_sqlite(run_suite):
    result = run_suite(SUITE)
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["1 test concerns the other database, to run in `make test`.", "0 skipped."])


def test_tests_of_the_other_database_are_counted_on_postgresql(run_suite):
    result = run_suite(SUITE, database_url="postgresql://postgres@127.0.0.1/callboard")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["1 test concerns the other database, to run in `make test-embedded`."])


def test_the_count_comes_through_from_parallel_workers(run_suite):
    result = run_suite(SUITE, "-n", "2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["1 test concerns the other database, to run in `make test`."])


def test_a_skip_is_listed_with_its_reason(run_suite):
    result = run_suite(SKIPPING_SUITE)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["skipped: *::test_browser: no Chromium here", "1 skipped, for the reasons above."])


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "parallel"])
def test_a_skip_fails_the_run_in_ci(run_suite, arguments):
    result = run_suite(SKIPPING_SUITE, *arguments, ci="true")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["CI=true: 1 skipped, and a skip is a failure here."])


def test_a_whole_file_that_is_skipped_counts_once(run_suite):
    result = run_suite("import pytest\npytest.skip('no Redis', allow_module_level=True)\n", "-n", "2", ci="true")
    result.stdout.fnmatch_lines(["skipped: *.py: no Redis"])
    assert result.ret != pytest.ExitCode.OK
