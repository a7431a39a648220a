"""What XDP programs of ours can do at most; `docs/phonepl/targets.md` tells users."""

from __future__ import annotations

SHORTEST = 14
"""Bytes of the shortest packet, arriving or leaving: the kernel's ETH_HLEN."""
LONGEST = 65_535
"""Bytes of the longest packet: the kernel's helpers address no more."""
LINEAR = 3_400
"""Bytes of the longest packet in one piece (a page, less head and tail room); beyond it come fragments."""
MAXIMUM_FRONT = 512
"""Bytes that a packet may have in front of its part of the arrived packet (a power of two)."""
HEADROOM = 192
"""Bytes by which a packet can surely grow at its front."""
MAXIMUM_PUTS = 32
"""Puts of one packet (a power of two)."""
