"""What a program in a DiProNN guest needs to receive and send, over the name protocol.

    import dipronn_guest as dipronn

    video = dipronn.register("video")        # an input: receive from it
    low = dipronn.register("low")            # an output: send to it
    while True:
        data, source = dipronn.receive(video)
        dipronn.send(low, data)

Over ARTP, with asyncio (docs/artp.md):

    video = await dipronn.artp_input("video")
    low = await dipronn.artp_output("low")
    while True:
        datagram, _ = await video.receive()
        await low.send(datagram.data, order=datagram.order)

A program knows its ports' names and its gateway, nothing else. To answer whoever sent to an input, send
from the input's own socket: `video.sendto(answer, source)`. Standard library only; guests have it installed.
"""

import os
import socket
import time

PROGRAM = os.environ.get("DIPRONN_PROGRAM", "")
GATEWAY = os.environ.get("DIPRONN_GATEWAY", "")
ADDRESS = os.environ.get("DIPRONN_ADDRESS", "")
NAME_PORT = 7070
OUTPUT_PORT = 9  # any but NAME_PORT: the node looks at where a packet comes from
MAX_DATAGRAM = 65535
PATIENCE = 30.0  # seconds to wait for a control module that does not answer, as while it restarts


class Refused(Exception):
    """The control module answered `ERR <code> <text>`."""

    def __init__(self, answer):
        super().__init__(answer)
        self.code = int(answer.split()[1])


def register(port, transport="udp"):
    """Open a UDP socket for one of this program's ports and register it; returns the socket."""
    return _register(port, transport)[0]


def _register(port, transport):
    """The socket, and the key if the transport has one."""
    family = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
    endpoint = socket.socket(family, socket.SOCK_DGRAM)
    endpoint.bind((ADDRESS, 0))
    answer = ask(f"REGISTER {PROGRAM}/{port} {transport} {endpoint.getsockname()[1]}")
    _, _, key = answer.partition(" key=")
    return endpoint, bytes.fromhex(key)


async def artp_input(port):
    """An `artp.Listener` for one of this program's inputs: receive from it, or accept its connections."""
    endpoint, key = _register(port, "artp")
    import artp  # after registering, since it takes a small guest a while

    return await artp.listen(endpoint, key=key, group_key=_group_key(key))


async def artp_output(port):
    """An `artp.Connection` to send to one of this program's outputs, acknowledged by all who must have it."""
    endpoint, key = _register(port, "artp")
    import artp  # after registering, since it takes a small guest a while

    copies = resolve(port)[2]
    return await artp.open_group((GATEWAY, OUTPUT_PORT), _group_key(key), copies=copies, udp=endpoint)


def _group_key(key):
    """The session's parameter `artp_key`, which its owner shares with the receivers, else the port's own."""
    return bytes.fromhex(param("artp_key", key.hex()))


def receive(endpoint):
    """Wait for the next datagram of an input: (data, source)."""
    return endpoint.recvfrom(MAX_DATAGRAM)


def send(endpoint, data):
    """Send a datagram to an output; where it goes is the node's affair."""
    return endpoint.sendto(data, (GATEWAY, OUTPUT_PORT))


def resolve(port):
    """What the node knows of one of this program's ports: (transport, real port, copies, {param: value})."""
    from urllib.parse import unquote  # slow to import, and few programs ask

    transport, real_port, copies, *params = ask(f"RESOLVE {PROGRAM}/{port}").split(" ")[1:]
    pairs = (param.split("=", 1) for param in params)
    return transport, int(real_port), int(copies), {key: unquote(value) for key, value in pairs}


def param(name, default=None):
    """A parameter of the program or its session, as text."""
    return os.environ.get(f"DIPRONN_PARAM_{name}", default)


def ask(line):
    """Send one line of the name protocol and return the answer, which starts with OK; raises Refused."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # The source address tells the control module which program calls.
            with socket.create_connection((GATEWAY, NAME_PORT), 5, (ADDRESS, 0)) as connection:
                connection.sendall(line.encode() + b"\n")
                answer = connection.makefile("r", encoding="utf-8").readline().rstrip("\r\n")
            if answer:
                break
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer from {GATEWAY} port {NAME_PORT}")
        time.sleep(0.1)
    if not answer.startswith("OK"):
        raise Refused(answer)
    return answer
