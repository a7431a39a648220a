"""``python -m dipronn.node.switch_queues PORT DEPTH``: deeper egress queues for a bmv2 in this namespace.

bmv2 holds 64 packets a port and drops what is more without counting it anywhere, which a burst of a video
stream's key frames is on a busy machine. The depth is set by its Thrift service alone: one call, so written
here in Thrift's binary protocol (multiplexed; ``simple_switch.thrift``, ``set_all_egress_queue_depths``).
"""

from __future__ import annotations

import socket
import struct
import sys
import time

DEPTH = 4096
"""Packets a port: some seconds of the demonstration's stream."""
_PATIENCE = 30.0
_METHOD = b"simple_switch:set_all_egress_queue_depths"
_VERSION, _CALL, _REPLY = 0x80010000, 1, 2
_I32 = 8


def request(depth: int) -> bytes:
    """The call as it is sent."""
    head = struct.pack(f"!II{len(_METHOD)}sI", _VERSION | _CALL, len(_METHOD), _METHOD, 0)
    return head + struct.pack("!bhib", _I32, 1, depth, 0)


def set_depths(port: int, depth: int) -> None:
    """Wait until the switch listens, and set its queues. OSError: it does not, or refuses."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    with connection:
        connection.sendall(request(depth))
        answer = connection.recv(4096)
    if len(answer) < 4 or struct.unpack_from("!I", answer)[0] != _VERSION | _REPLY:
        raise OSError(f"the switch at port {port} answers {answer!r}; its queues keep 64 packets")


if __name__ == "__main__":
    set_depths(int(sys.argv[1]), int(sys.argv[2]))
