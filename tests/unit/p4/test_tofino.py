"""The pipeline for Tofino has v1model's tables, actions and sizes.  Whether it fits: ``p4/fit.sh``."""

from __future__ import annotations

import re

from controller.drivers.p4runtime.pipeline import P4


def test_tables_actions_and_sizes_are_shared() -> None:
    """One text: a table or an action that a target had of its own would be another pipeline."""
    shared = (P4 / "shared" / "tables.p4").read_text()
    names = set(re.findall(r"^(?:table|action) (\w+)", shared, re.M))
    assert {"flow", "endpoint", "unit", "set_endpoint"} <= names
    for target in ("v1model", "tna"):
        source = "".join(path.read_text() for path in (P4 / target).glob("*.p4"))
        assert '#include "../shared/tables.p4"' in source
        assert '#include "../shared/sizes.p4"' in source
        assert not names & set(re.findall(r"^ +(?:table|action) (\w+)", source, re.M)), target
