"""Random programs over random packets: what the interpreter does, the kernel does (BPF_PROG_RUN)."""

from __future__ import annotations

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
@given(source=programs(), seed=seeds)
def test_xdp_does_what_the_interpreter_does(source: str, seed: int) -> None:
    check_agreement(compile_source(source), packets(seed, SHORTEST))


@settings(max_examples=_examples(60), suppress_health_check=_quiet)
@given(source=programs(Features(statements=8, depth=4)), seed=seeds, optimize=st.booleans())
def test_so_does_the_form_that_is_never_too_entangled(source: str, seed: int, optimize: bool) -> None:
    check_agreement(compile_source(source, optimize=optimize), packets(seed, SHORTEST), memory=True)


@settings(max_examples=_examples(40), suppress_health_check=_quiet)
@given(source=programs(Features(statements=8)), seed=seeds)
def test_packets_in_several_pieces(source: str, seed: int) -> None:
    check_agreement(compile_source(source), packets(seed, SHORTEST, 9000), frags=True)
