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
    text = coverage_report.report(REQUIREMENTS, {"D2": {"tests/b.py", "tests/a.py"}}, {})
    assert "1 of 2 requirements have tests." in text
    assert "| D1 | one thing |  |" in text
    assert "| D2 | another | [a.py](../tests/a.py), [b.py](../tests/b.py) |" in text


def test_what_ran_on_the_fake_switch_stands_apart_and_does_not_count() -> None:
    text = coverage_report.report(
        REQUIREMENTS, {"D2": {"tests/a.py"}}, {name: {"tests/b.py"} for name in ("D1", "D2")}
    )
    assert "1 of 2 requirements have tests." in text
    assert "| D1 | one thing | on the fake switch: [b.py](../tests/b.py) |" in text
    assert "| D2 | another | [a.py](../tests/a.py); on the fake switch: [b.py](../tests/b.py) |" in text


def test_a_mark_for_a_requirement_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="D3"):
        coverage_report.report(REQUIREMENTS, {"D3": {"tests/a.py"}}, {})


def test_the_report_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.coverage_report", "--check"],
        cwd=coverage_report.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
