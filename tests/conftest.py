"""Where CONNFORENSICS_NO_SKIP=1 stands, a skipped test is a failed run: continuous integration must see everything.

The corpus of other people's logs is no part of this repository; tests that need it may skip anywhere.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

FORBIDDEN = os.environ.get("CONNFORENSICS_NO_SKIP") == "1"


settings.register_profile("reproducible", derandomize=True)
if FORBIDDEN:
    # What continuous integration finds, the next run finds again; other runs look for what nobody has seen yet.
    settings.load_profile("reproducible")


def forbidden(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    skipped: list[pytest.TestReport] = reporter.stats.get("skipped", [])
    return [report for report in skipped if FORBIDDEN and "corpus" not in str(report.longrepr)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in forbidden(terminalreporter):
        terminalreporter.line(f"not allowed to skip: {report.nodeid}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter is not None and forbidden(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
