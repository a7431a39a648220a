"""docs/coverage.md says what the tests' marks say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import coverage_report

REQUIREMENTS = """# Requirements
## D. Things
- D1: one thing
- D2: another
"""


def test_each_requirement_is_listed_with_the_files_that_claim_it() -> None:
    text = coverage_report.report(REQUIREMENTS, {"D2": {"tests/b.py", "tests/a.py"}})
    assert "1 of 2 requirements have tests." in text
    assert "| D1 | one thing |  |" in text
    assert "| D2 | another | [a.py](../tests/a.py), [b.py](../tests/b.py) |" in text


def test_a_mark_for_a_requirement_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="D3"):
        coverage_report.report(REQUIREMENTS, {"D3": {"tests/a.py"}})


def test_the_report_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.coverage_report", "--check"],
        cwd=coverage_report.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
