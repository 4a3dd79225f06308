"""The plugin costs nothing where it is not used, and gets on with the plugins that run async tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HEAVY = ("anyio", "attrs", "apsched.clock", "apsched.engine", "apsched.run", "apsched.testing.clock", "sqlalchemy")

WITHOUT_ASYNC = ("-p", "no:anyio", "-p", "no:asyncio")

ASYNC_TESTS = """
import pytest
from apsched import AsyncScheduler

pytestmark = pytest.mark.{mark}

async def test_a_scheduler_of_its_own(apsched_options, apsched_clock, assert_fired):
    async with AsyncScheduler(**apsched_options) as scheduler:
        await scheduler.add_job(print, "interval", seconds=1, id="job")
        await apsched_clock.advance(3)
    assert_fired("job", times=3)

async def test_a_cluster(apsched_cluster):
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        await one.kill()
        assert two.scheduler.running
"""

TEST_OF_THE_SCHEDULER = """
async def test_a_scheduler(apsched_scheduler, apsched_clock, assert_fired):
    await apsched_scheduler.add_job(print, "interval", seconds=1, id="job")
    await apsched_clock.advance(3)
    assert_fired("job", times=3)
"""

PLAIN_TESTS = """
def fail():
    raise ConnectionError("nobody answers")

def test_that_passes(apsched_background, apsched_background_clock, assert_fired):
    apsched_background.add_job(print, "interval", seconds=1, id="job")
    apsched_background_clock.advance(3)
    assert_fired("job", times=3)

def test_that_fails(apsched_background, apsched_background_clock, assert_fired):
    apsched_background.add_job(fail, "interval", minutes=1, id="job")
    apsched_background_clock.advance(minutes=2)
    assert_fired("job", times=3)
"""

pytestmark = pytest.mark.slow


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-W", "error", *arguments
    )


def run_with_asyncio(pytester: pytest.Pytester, mode: str) -> pytest.RunResult:
    return run(pytester, "-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")


def test_it_imports_nothing_heavy_until_a_fixture_is_used(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""
        import sys

        def pytest_unconfigure(config):
            assert config.pluginmanager.has_plugin("apsched")
            print("imported:", [name for name in {HEAVY} if name in sys.modules])
        """
    )
    pytester.makepyfile("def test_nothing(): pass")

    result = run(pytester, *WITHOUT_ASYNC, "-s")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["imported: []*"])


def test_it_serves_tests_without_async_where_no_plugin_for_async_is_on(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLAIN_TESTS)

    result = run(pytester, *WITHOUT_ASYNC)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*assert_fired("job", times=3)',
            "E*AssertionError: job 'job' fired 2 times, not 3 times; what became of it:",
            "E*2026-01-01 00:01:00+00:00  failed  ConnectionError: nobody answers",
            "E*2026-01-01 00:02:00+00:00  failed  ConnectionError: nobody answers",
        ]
    )
    result.stdout.no_fnmatch_line("*fired.py*")


def test_it_serves_tests_of_anyio_beside_those_of_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_anyio=ASYNC_TESTS.format(mark="anyio") + TEST_OF_THE_SCHEDULER,
        test_asyncio=ASYNC_TESTS.format(mark="asyncio"),
    )

    result = run_with_asyncio(pytester, "strict")

    result.assert_outcomes(passed=8)  # those of anyio on asyncio and on trio


def test_it_serves_tests_of_pytest_asyncio_in_auto_mode_and_says_which_fixture_cannot(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(ASYNC_TESTS.format(mark="asyncio") + TEST_OF_THE_SCHEDULER)

    result = run_with_asyncio(pytester, "auto")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["apsched_scheduler is for tests that anyio runs; mark the test with*"])


def test_the_examples_of_the_documentation_pass(pytester: pytest.Pytester) -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    fences = re.findall(r"(<!-- no-run -->\n)?^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    tests = [code for left_out, code in fences if not left_out and "(apsched_" in code]
    pytester.makepyfile(**{f"test_example_{number}": code for number, code in enumerate(tests)})
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")

    run(pytester, "-p", "no:asyncio").assert_outcomes(passed=len(tests))
    assert len(tests) >= 5
