"""Which requirement is covered by which tests: writes docs/coverage.md from ``@pytest.mark.req`` marks.

python -m tests.coverage_report          writes it
python -m tests.coverage_report --check  exits 1 if it is not what would be written
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "docs" / "requirements.md"
REPORT = ROOT / "docs" / "coverage.md"
HEAD = """# Coverage of the requirements

Generated from the tests' marks by `make coverage`; do not edit. The requirements are those of
[requirements.md](requirements.md). A requirement without a test does not work yet. What runs on the fake
switch only, where no packet is steered, stands apart and counts for nothing.

"""


class _Marks:
    """A pytest plug-in that notes which test file claims which requirement; on the fake switch apart."""

    def __init__(self) -> None:
        self.files: defaultdict[str, set[str]] = defaultdict(set)
        self.fake: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            files = self.fake if item.get_closest_marker("fake_switch") else self.files
            for mark in item.iter_markers("req"):
                for requirement in mark.args:
                    files[requirement].add(item.path.relative_to(ROOT).as_posix())


def collect() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Requirement to test files, and to those on the fake switch, by collecting every test.

    Raises RuntimeError if that fails.
    """
    marks, output = _Marks(), io.StringIO()
    with redirect_stdout(output):
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", str(ROOT / "tests")], [marks])
    if status != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected:\n{output.getvalue()[-3000:]}")
    return dict(marks.files), dict(marks.fake)


def report(requirements: str, files: dict[str, set[str]], fake: dict[str, set[str]]) -> str:
    """The text of docs/coverage.md. Raises ValueError for a mark that names no requirement."""
    known = re.findall(r"^- ([A-Z]\d+): ", requirements, re.MULTILINE)
    unknown = sorted((files.keys() | fake.keys()) - set(known))
    if unknown:
        raise ValueError(
            f"marks name requirements that docs/requirements.md does not have: {', '.join(unknown)}"
        )
    lines = [f"{len(files)} of {len(known)} requirements have tests.", ""]
    for line in requirements.splitlines():
        if line.startswith("## "):
            lines += ["", line, "", "| requirement | | tests |", "|---|---|---|"]
        elif found := re.match(r"- ([A-Z]\d+): (.*)", line):
            lines.append(f"| {found[1]} | {found[2]} | {_tests(found[1], files, fake)} |")
    return HEAD + "\n".join(lines) + "\n"


def _tests(requirement: str, files: dict[str, set[str]], fake: dict[str, set[str]]) -> str:
    apart = _links(fake.get(requirement, ()))
    parts = [_links(files.get(requirement, ())), f"on the fake switch: {apart}" if apart else ""]
    return "; ".join(part for part in parts if part)


def _links(files: Iterable[str]) -> str:
    return ", ".join(f"[{file.removeprefix('tests/')}](../{file})" for file in sorted(files))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = report(REQUIREMENTS.read_text(), *collect())
    if not arguments.check:
        REPORT.write_text(text)
        return 0
    if REPORT.exists() and REPORT.read_text() == text:
        return 0
    sys.stderr.write("docs/coverage.md is not what the tests' marks say: run `make coverage`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
