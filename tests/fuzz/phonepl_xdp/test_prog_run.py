"""Random programs over random packets: what the interpreter does, the kernel does (BPF_PROG_RUN)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonepl.compiler import compile_source
from phonepl.diagnostics import PhoneplError
from phonepl.targets.xdp.limits import LINEAR, SHORTEST
from tests.fuzz.phonepl.programs import Features, packets, program_from_seed, programs, seeds
from tests.fuzz.phonepl_xdp.agreement import check_agreement

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

_quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _examples(bounded: int) -> int:
    """Programs of a bounded run; a soak takes the number of its profile."""
    soak = settings().max_examples
    return soak if soak > 60 else bounded


def _check_all(seeds: range, longest: int = 400, memory: bool | None = None) -> None:
    """The programs of these seeds, some at once: most of the time is the C compiler's, in its own process."""

    def check(seed: int) -> str | None:
        compiled = compile_source(program_from_seed(seed), optimize=seed % 4 != 3)
        try:
            check_agreement(compiled, packets(seed, SHORTEST, longest), frags=longest > LINEAR, memory=memory)
        except (AssertionError, PhoneplError) as wrong:
            return f"program_from_seed({seed}): {wrong}"
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [said for said in pool.map(check, seeds) if said is not None]
    assert not wrong, "\n".join(wrong)


@pytest.mark.req("P62", "P66")
@pytest.mark.parametrize("start", range(0, 220, 20))
def test_twenty_programs(start: int) -> None:
    _check_all(range(start, start + 20))


@pytest.mark.parametrize("start", range(220, 280, 20))
def test_twenty_programs_in_the_form_that_is_never_too_entangled(start: int) -> None:
    _check_all(range(start, start + 20), memory=True)


@pytest.mark.parametrize("start", range(280, 320, 20))
def test_twenty_programs_over_packets_in_several_pieces(start: int) -> None:
    _check_all(range(start, start + 20), longest=9000)


@settings(max_examples=_examples(25), suppress_health_check=_quiet)
@given(source=programs(), seed=seeds, optimize=st.booleans(), memory=st.sampled_from([None, True]))
def test_programs_that_shrink(source: str, seed: int, optimize: bool, memory: bool | None) -> None:
    check_agreement(compile_source(source, optimize=optimize), packets(seed, SHORTEST), memory=memory)


@settings(max_examples=_examples(15), suppress_health_check=_quiet)
@given(source=programs(Features(statements=8)), seed=seeds)
def test_programs_over_packets_in_several_pieces_that_shrink(source: str, seed: int) -> None:
    check_agreement(compile_source(source), packets(seed, SHORTEST, 9000), frags=True)


REGRESSIONS = sorted(Path(__file__).parent.parent.glob("phonepl*/regressions/*.phonepl"))


@pytest.mark.parametrize("memory", [False, True], ids=["fast", "memory"])
@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed_anywhere(path: Path, optimize: bool, memory: bool) -> None:
    compiled = compile_source(path.read_text(encoding="utf-8"), optimize=optimize)
    for seed in range(4):
        check_agreement(compiled, packets(seed, SHORTEST), memory=memory)
