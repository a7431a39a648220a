"""Random programs over random packets: a real bmv2 does what the interpreter does, or P4 refuses them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phonepl.compiler import compile_source
from phonepl.diagnostics import PhoneplError
from phonepl.targets import NotExpressible
from phonepl.targets.interpreter import TARGET as INTERPRETER
from phonepl.targets.p4 import TARGET, p4c
from phonepl.targets.p4.source import generate
from tests.fuzz.phonepl.programs import Features, packets, program_from_seed
from tests.system.phonepl_p4.agreement import by_stream

pytestmark = [
    pytest.mark.bmv2,
    pytest.mark.skipif(not p4c.is_here(), reason="needs p4c-bm2-ss"),
    pytest.mark.timeout(900),
]

SMALL = Features(statements=3, depth=1)
FIXED = Features(statements=3, variable_slices=False)
"""Strings and packets of constant length: nearly all of these can be expressed."""


def _difference(name: str, source: str, seed: int, optimize: bool) -> str | None:
    """What differs, or None; "refused" where P4 cannot express the program."""
    compiled, arrivals = compile_source(source, optimize=optimize), packets(seed)
    expected = by_stream(INTERPRETER.run(compiled, arrivals))
    try:
        found = by_stream(TARGET.run(compiled, arrivals))
    except NotExpressible:
        return "refused"
    except PhoneplError as wrong:
        return f"{name}: {wrong}"
    return None if found == expected else f"{name}: {found} instead of {expected}"


def _check(seeds: range, features: Features) -> int:
    """How many of the programs of these seeds bmv2 has run, all as the interpreter does."""

    def one(seed: int) -> str | None:
        source = program_from_seed(seed, features)
        return _difference(f"program_from_seed({seed}, {features})", source, seed, seed % 4 != 3)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(one, seeds))
    wrong = [text for text in said if text not in (None, "refused")]
    assert not wrong, "\n".join(map(str, wrong))
    return said.count(None)


@pytest.mark.req("P62")
def test_programs_of_fixed_lengths() -> None:
    assert _check(range(8), FIXED) >= 6


@pytest.mark.req("P62")
def test_programs_of_all_kinds() -> None:
    assert _check(range(10), SMALL) >= 3


REGRESSIONS = sorted(Path(__file__).parent.parent.glob("phonepl*/regressions/*.phonepl"))


@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed_anywhere(path: Path, optimize: bool) -> None:
    assert _difference(path.stem, path.read_text(encoding="utf-8"), 1, optimize) in (None, "refused")


def test_what_is_refused_is_refused_by_name_only() -> None:
    """Every generated program becomes P4 or a refusal, and nothing else happens; no switch is needed."""
    refused = 0
    for seed in range(2000, 2100):
        try:
            generate(compile_source(program_from_seed(seed)))
        except NotExpressible as wrong:
            assert all(d.span.line > 0 and d.advice for d in wrong.diagnostics)
            refused += 1
    assert 0 < refused < 80


@pytest.mark.soak
@pytest.mark.parametrize("start", range(10_000, 10_400, 100))
def test_many_more_programs(start: int) -> None:
    _check(range(start, start + 50), FIXED)
    _check(range(start + 50, start + 100), Features())
