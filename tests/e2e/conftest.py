"""What the processes of a house said last stands in the report of a test that failed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e.house import OPEN


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the logs."""
    report = yield
    if report.failed:
        report.sections += [(f"logs in {home.folder}", home.logs()) for home in OPEN]
    return report
