"""What can go wrong with ARTP. Nothing else is raised by this package but OSError of the sockets."""


class ArtpError(Exception):
    """Base of all."""


class Malformed(ArtpError):
    """A packet that breaks the format; ``fault`` is its name in docs/artp.md, sections 2 and 4."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"malformed ARTP packet: {fault}")
        self.fault = fault


class UnknownOption(ArtpError):
    """A critical option that this program does not understand."""

    def __init__(self, type: int) -> None:
        super().__init__(f"critical option {type:#04x} is not understood")
        self.type = type


class TooLarge(ArtpError, ValueError):
    """A datagram, its options or its destinations exceed what the format can carry."""


class Closed(ArtpError, ConnectionError):
    """The connection is over, by either side's wish."""


class Reset(ArtpError, ConnectionResetError):
    """The other side ended the connection; ``reason`` is the number of docs/artp.md, section 5."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(f"the other side reset the connection: {text or 'no text'} (reason {reason})")
        self.reason = reason


class TimedOut(ArtpError, TimeoutError):
    """The other side did not answer for too long."""
