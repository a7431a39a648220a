"""The one Thrift call to bmv2, against what its own client sends and bmv2 1.15 answered."""

from __future__ import annotations

import socket
import threading

import pytest

from dipronn.node.switch_queues import request, set_depths

ANSWER = bytes.fromhex("80010002 0000001b") + b"set_all_egress_queue_depths" + bytes(4) + b"\x08" + bytes(7)


def answered(answer: bytes) -> tuple[int, list[bytes]]:
    """A listener that answers one call so; its port, and what it received."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            received.append(connection.recv(4096))
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], received


def test_the_call_is_thrift_of_the_switch_service() -> None:
    port, received = answered(ANSWER)
    set_depths(port, 1000)
    (call,) = received
    assert call == request(1000)
    name = b"simple_switch:set_all_egress_queue_depths"
    assert call == b"\x80\x01\0\1" + len(name).to_bytes(4) + name + bytes(4) + b"\x08\0\1\0\0\x03\xe8\0"


def test_a_refusal_is_told() -> None:
    port, _ = answered(b"\x80\x01\0\3" + bytes(20))
    with pytest.raises(OSError, match="its queues keep 64 packets"):
        set_depths(port, 1000)
