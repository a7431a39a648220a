"""How a group of 2^k slots is filled (R2): members are numbered from 0."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

_PER_MEMBER = 32
"""Slots per member, where a power of two is no multiple of their number: shares differ by 1/32 at most."""
_MAGLEV_PER_MEMBER = 64
_LARGEST = 1 << 12


def cyclic(members: int) -> list[int]:
    """Round robin: each in its turn."""
    size = _power_of_two(members, _PER_MEMBER)
    return [index % members for index in range(size)]


def weighted(weights: Sequence[int]) -> list[int]:
    """Smooth weighted round robin: shares by weight, and no member twice in a row where it can be helped."""
    total = sum(weights)
    size = _power_of_two(total, max(1, _PER_MEMBER * len(weights) // total))
    current = [0] * len(weights)
    slots = []
    for _ in range(size):
        for member, weight in enumerate(weights):
            current[member] += weight
        chosen = max(range(len(weights)), key=lambda member: current[member])
        current[chosen] -= total
        slots.append(chosen)
    return slots


def maglev(names: Sequence[str]) -> list[int]:
    """Maglev hashing (Eisenbud et al., NSDI 2016) over a table of 2^k: an odd step visits every slot.

    When a member goes, almost only its own slots change hands.
    """
    if len(names) == 1:
        return [0]
    size = _power_of_two(len(names) * _MAGLEV_PER_MEMBER, 1)
    next_slot, steps = [], []
    for name in names:
        digest = blake2b(name.encode(), digest_size=16).digest()
        next_slot.append(int.from_bytes(digest[:8], "big") % size)
        steps.append(int.from_bytes(digest[8:], "big") % size | 1)
    slots = [-1] * size
    filled = 0
    while True:
        for member in range(len(names)):
            while slots[next_slot[member]] >= 0:
                next_slot[member] = (next_slot[member] + steps[member]) % size
            slots[next_slot[member]] = member
            filled += 1
            if filled == size:
                return slots


def _power_of_two(members: int, per_member: int) -> int:
    """``members`` if that is a power of two, else one that holds each ``per_member`` times, within bounds."""
    if members & (members - 1) == 0:
        return members
    return min(1 << (members * per_member - 1).bit_length(), max(_LARGEST, 1 << members.bit_length()))
