"""What all tests share: bounded or soaking runs, skips with their reasons, and nothing left behind."""

from __future__ import annotations

import gc
import math
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

from tests import residue

FAILURES = Path(__file__).parent.parent / "build" / "hypothesis"
"""Examples that failed, tried first in the next run."""

# A bounded run says the same twice on one commit; a soak tries new examples each round.
hypothesis.settings.register_profile("bounded", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.register_profile(
    "soak",
    deadline=None,
    max_examples=500,
    database=DirectoryBasedExampleDatabase(FAILURES),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak",
        nargs="?",
        type=float,
        const=math.inf,
        metavar="SECONDS",
        help="round after round with many new examples, until interrupted or until SECONDS have passed",
    )


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("bounded" if config.getoption("--soak") is None else "soak")
    if config.getoption("--soak") is not None:
        config.option.timeout = 0  # many examples take long


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With --soak: the whole suite, again and again."""
    seconds: float | None = session.config.getoption("--soak")
    if seconds is None or session.config.option.collectonly or session.testsfailed:
        return None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for i, item in enumerate(session.items):
            following = session.items[i + 1] if i + 1 < len(session.items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            if time.monotonic() >= end:
                return True
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this host or this run cannot do."""
    missing = {
        "root": "needs root (namespaces, XDP)" if os.geteuid() else None,
        "vm": None if shutil.which("qemu-system-x86_64") else "needs qemu-system-x86_64",
        "bmv2": None if shutil.which("simple_switch_grpc") else "needs bmv2's simple_switch_grpc",
        "soak": "only with --soak" if config.getoption("--soak") is None else None,
    }
    for item in items:
        for marker, reason in missing.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a failure without collecting garbage meanwhile.

    CPython 3.11's parser is not re-entrant: a collected task that logs a traceback while pytest parses the
    source of another breaks the run (SystemError: AST constructor recursion depth mismatch)."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what ran on which switch, and which capabilities this run did not cover, and why."""
    _switches(terminalreporter)
    reasons: defaultdict[str, set[str]] = defaultdict(set)
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")].add(report.nodeid.split("[")[0])
    if not reasons:
        return
    terminalreporter.section("not covered here")
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{reason}: {len(tests)} tests, in {', '.join(_files(tests))}")


def _switches(terminalreporter: pytest.TerminalReporter) -> None:
    """The fake switch stores entries and steers nothing: what it passes says nothing of a real one."""
    counts = {"bmv2": Counter[str](), "fake_switch": Counter[str]()}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for marker, count in counts.items():
                count[outcome] += marker in report.keywords
    for marker, name in (("bmv2", "on a real bmv2"), ("fake_switch", "on the fake switch")):
        if counted := +counts[marker]:
            terminalreporter.write_line(f"{name}: {', '.join(f'{n} {what}' for what, n in counted.items())}")


def _files(tests: set[str]) -> list[str]:
    return sorted({test.split("::")[0] for test in tests})


@pytest.fixture(scope="session")
def prefix() -> Iterator[str]:
    """At most 8 characters that every namespace, link, pin, process and temporary folder of this run has in
    its name.  At the end of the run nothing with it may be left."""
    prefix = f"dt{os.getpid():x}x"
    yield prefix
    left = residue.find(prefix)
    assert not left, "the tests left behind:\n" + "\n".join(left)
