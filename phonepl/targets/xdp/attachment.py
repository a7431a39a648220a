"""A program between devices: a stream's packets come in by its device, what is put to it goes out there."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ebpf import devices
from phonepl.targets.xdp.program import XdpProgram


class Attachment:
    """`bindings`: the device of each imported stream, in the calling thread's network namespace.

    Native XDP, so it survives the process unless it is undone by `close`. What is put to a stream without a
    device is gone. Raises dipronn's Unavailable where a device is missing, or would lose what is sent to it.
    """

    def __init__(self, loaded: XdpProgram, bindings: Mapping[str, str], mtu: int = 1500) -> None:
        self._attached: list[int] = []
        streams = loaded.manifest.streams
        indices = {stream: devices.index_of(device) for stream, device in bindings.items()}
        for stream, index in indices.items():
            devices.require_ready(index, mtu)
            loaded.maps["tx"].update(_number(streams.index(stream)), struct.pack("=II", index, 0))
        if loaded.copy is not None:
            self._bind_copies(loaded, indices)
        try:
            for stream, function in loaded.functions.items():
                if stream in indices:
                    devices.attach_xdp(indices[stream], function)
                    self._attached.append(indices[stream])
        except BaseException:
            self.close()
            raise

    def _bind_copies(self, loaded: XdpProgram, indices: Mapping[str, int]) -> None:
        """As many copies to each device as one packet can be put there; surplus ones end in front of it."""
        assert loaded.copy is not None
        entry = 0
        for number, stream in enumerate(loaded.manifest.streams):
            index = indices.get(stream, 0)
            loaded.maps["device"].update(_number(number), _number(index))
            for _ in range(loaded.manifest.puts[stream] if index else 0):
                loaded.maps["copies"].update(_number(entry), struct.pack("=Ii", index, loaded.copy))
                entry += 1

    def close(self) -> None:
        """Detach."""
        while self._attached:
            devices.attach_xdp(self._attached.pop(), -1)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
