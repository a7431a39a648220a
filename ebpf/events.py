"""The ring buffer of sampled events, read without blocking (Documentation/bpf/ringbuf.rst)."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

from ebpf.bpf import Map

_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER = 8


class RingBuffer:
    """One consumer at a time: it owns the consumer's position."""

    def __init__(self, ring: Map) -> None:
        page = mmap.PAGESIZE
        self.fd = ring.fd
        self._size = ring.info.max_entries
        self._consumer = mmap.mmap(ring.fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # The kernel maps the data twice in a row, so that a record never wraps.
        self._data = mmap.mmap(ring.fd, page + 2 * self._size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._start = page

    def records(self) -> Iterator[bytes]:
        """Those that are complete now."""
        (position,) = struct.unpack_from("<Q", self._consumer)
        while True:
            (produced,) = struct.unpack_from("<Q", self._data)
            if position >= produced:
                return
            at = self._start + position % self._size
            (header,) = struct.unpack_from("<I", self._data, at)
            if header & _BUSY:
                return
            length = header & ~_DISCARD
            record = self._data[at + _HEADER : at + _HEADER + length]
            position += (_HEADER + length + 7) & ~7
            struct.pack_into("<Q", self._consumer, 0, position)
            if not header & _DISCARD:
                yield record

    def close(self) -> None:
        self._consumer.close()
        self._data.close()
