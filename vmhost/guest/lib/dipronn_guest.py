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

What all instances of the session share (docs/shared-state.md): `put`, `get`, `compare_and_set`, `delete`,
`watch`, `barrier`.

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
HELD = 30.0  # seconds; a node that has nothing to tell answers after 20
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


def put(key, value):
    """Set a key of the session's shared state to at most 128 bytes; returns its version."""
    return int(ask(f"PUT {key} {_quoted(value)}").split(" ")[1])


def get(key):
    """(version, value) of a key of the session's shared state; (0, None) if there is none."""
    try:
        return _entry(ask(f"GET {key}"))
    except Refused as error:
        if error.code != 404:
            raise
        return 0, None


def compare_and_set(key, version, value):
    """Set a key if `version` is its version now (0: there is none); returns the new one, else None.

    Raises ConnectionError if nobody says whether it was set: get it to see.
    """
    try:
        return int(ask(f"CAS {key} {version} {_quoted(value)}", again=False).split(" ")[1])
    except Refused as error:
        if error.code != 409:
            raise
        return None


def delete(key):
    """Remove a key of the session's shared state; whether there was one."""
    try:
        ask(f"DELETE {key}")
    except Refused as error:
        if error.code != 404:
            raise
        return False
    return True


def watch(key, version=0):
    """Wait until a key's version is another (0: there is none): (version, value), (0, None) if it is gone."""
    version, value = _entry(_await(f"WATCH {key} {version}"))
    return (version, value) if version else (0, None)


def barrier(name, count):
    """Wait until `count` instances are here; again for the next round. Returns the round."""
    _rounds[name] = _rounds.get(name, 0) + 1
    _await(f"BARRIER {name} {count} {_rounds[name]}")
    return _rounds[name]


_rounds = {}  # of each barrier: how many this program has come to


def _await(line):
    """Ask until what is waited for happens."""
    while True:
        try:
            return ask(line, patience=HELD)
        except Refused as error:
            if error.code != 408:
                raise


def _quoted(value):
    plain = b"-._~/:,;@+*=" + bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))
    return "".join(chr(octet) if octet in plain else f"%{octet:02X}" for octet in bytes(value))


def _entry(answer):
    """Version and value of `OK <version> <value>`."""
    _, version, value = answer.split(" ")
    first, *rest = value.split("%")
    value = first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    return int(version), value


def ask(line, patience=5, again=True):
    """Send one line of the name protocol and return the answer, which starts with OK; raises Refused.

    `patience`: seconds for the answer. Without an answer it asks again, unless it may not be asked twice.
    """
    deadline = time.monotonic() + PATIENCE
    sent = False
    while True:
        try:
            # The source address tells the control module which program calls.
            with socket.create_connection((GATEWAY, NAME_PORT), 5, (ADDRESS, 0)) as connection:
                connection.settimeout(patience)
                sent = True
                connection.sendall(line.encode() + b"\n")
                answer = connection.makefile("r", encoding="utf-8").readline().rstrip("\r\n")
            if answer:
                break
        except OSError:
            pass
        if sent and not again:
            raise ConnectionError("nobody says whether it was done")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer from {GATEWAY} port {NAME_PORT}")
        time.sleep(0.1)
    if not answer.startswith("OK"):
        raise Refused(answer)
    return answer
