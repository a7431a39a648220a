"""What P4 programs of ours can do at most; `docs/phonepl/targets.md` tells users."""

from __future__ import annotations

HEAD = 256
"""Bytes at the front of an arriving packet that may be parsed; what lies behind is payload."""
REACH = 64
"""Bytes among which a place that is known at run time only may lie."""
MAXIMUM_FRONT = 512
"""Bytes that a packet may have in front of its part of the arrived one: what bmv2 reserves for them."""
WIDEST = 256
"""Bytes of the widest field: p4c computes with at most 2048 bits."""
STATEMENTS = 2_000
"""Statements of a method once its loops are unrolled and its paths are parted."""
COPIED = 400
"""Statements of a method up to which what is jumped to is copied instead."""
MAXIMUM_PUTS = 16
"""Puts of one packet."""
LONGEST = 65_535
"""Bytes of the longest packet that arrives."""
