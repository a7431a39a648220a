"""ARTP: reliable, unordered datagrams for parallel programs (docs/artp.md)."""

from artp.endpoint import Connection, Listener, connect, listen, open_group
from artp.errors import ArtpError, Closed, Malformed, Reset, TimedOut, TooLarge, UnknownOption
from artp.receiver import Datagram
from artp.wire import Destination, Option

__all__ = [
    "ArtpError",
    "Closed",
    "Connection",
    "Datagram",
    "Destination",
    "Listener",
    "Malformed",
    "Option",
    "Reset",
    "TimedOut",
    "TooLarge",
    "UnknownOption",
    "connect",
    "listen",
    "open_group",
]
