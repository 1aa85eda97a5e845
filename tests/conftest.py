"""Rules for every test run. With SALESFLOOR_TEST_NO_SKIP=1 a skipped test fails the run: a proof that does
not run proves nothing, and CI has everything a test could miss."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.strength import LONG, amount

# No test is timed: how long an example takes says more about the machine than about the code. The ordinary
# run gives the same verdict on the same commit, so its examples stay; the long form looks for new ones.
settings.register_profile(
    "untimed",
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=amount(100, long=1000),
)
settings.load_profile("untimed")

# aiokafka leaves its first connection open when it is cancelled while it asks for the brokers, as roles are
# that stop while they connect. The garbage collector meets it in a later test, which shall not fail of it.
_LEFT_OPEN = (
    "ignore:Exception ignored in. "
    "<(function (AIOKafkaConnection|_SelectorTransport|StreamWriter)|socket.socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(_LEFT_OPEN))


NO_SKIP = os.environ.get("SALESFLOOR_TEST_NO_SKIP", "") not in ("", "0")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not be skipped here (SALESFLOOR_TEST_NO_SKIP): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
