"""Random programs over random packets: what the interpreter does, the kernel does (BPF_PROG_RUN)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonepl.compiler import compile_source
from phonepl.targets.xdp.limits import SHORTEST
from tests.fuzz.phonepl.programs import Features, packets, programs, seeds
from tests.fuzz.phonepl_xdp.agreement import check_agreement

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

_quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _examples(bounded: int) -> int:
    """Programs of a bounded run; a soak takes the number of its profile."""
    soak = settings().max_examples
    return soak if soak > 60 else bounded


@pytest.mark.req("P62", "P66")
@settings(max_examples=_examples(220), suppress_health_check=_quiet)
@given(source=programs(), seed=seeds, optimize=st.sampled_from([True, True, True, False]))
def test_xdp_does_what_the_interpreter_does(source: str, seed: int, optimize: bool) -> None:
    check_agreement(compile_source(source, optimize=optimize), packets(seed, SHORTEST))


@settings(max_examples=_examples(60), suppress_health_check=_quiet)
@given(source=programs(Features(statements=8, depth=4)), seed=seeds, optimize=st.booleans())
def test_so_does_the_form_that_is_never_too_entangled(source: str, seed: int, optimize: bool) -> None:
    check_agreement(compile_source(source, optimize=optimize), packets(seed, SHORTEST), memory=True)


@settings(max_examples=_examples(40), suppress_health_check=_quiet)
@given(source=programs(Features(statements=8)), seed=seeds)
def test_packets_in_several_pieces(source: str, seed: int) -> None:
    check_agreement(compile_source(source), packets(seed, SHORTEST, 9000), frags=True)


REGRESSIONS = sorted(Path(__file__).parent.parent.glob("phonepl*/regressions/*.phonepl"))


@pytest.mark.parametrize("memory", [False, True], ids=["fast", "memory"])
@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed_anywhere(path: Path, optimize: bool, memory: bool) -> None:
    compiled = compile_source(path.read_text(encoding="utf-8"), optimize=optimize)
    for seed in range(4):
        check_agreement(compiled, packets(seed, SHORTEST), memory=memory)
