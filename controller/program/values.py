"""Words of a session's text as values: quantities, addresses, names; a word that says nothing is reported."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from decimal import Decimal

from lark import Token, Tree

from controller.program.check import MAX_AMOUNT
from controller.program.diagnostics import Diagnostic, Place, Severity
from controller.program.parsed import Parsed
from dipronn.v1 import session_pb2 as pb

Node = Tree[Token]

RATES = {"bps": 1, "kbps": 10**3, "Mbps": 10**6, "Gbps": 10**9}
SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TIMES = {"us": 1, "ms": 10**3, "s": 10**6}
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
"""What a letter behind a backslash stands for in a string; any other character stands for itself."""


class Values:
    """Reads words of one text into ``parsed``."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.program = parsed.program
        self.once: dict[str, Place] = {}

    # helpers

    def error(self, at: Node | Token, message: str, hint: str = "") -> None:
        self.parsed.diagnostics.append(Diagnostic(Severity.ERROR, message, place=place_of(at), hint=hint))

    def mark(self, path: str, at: Node | Token) -> None:
        self.parsed.places[path] = place_of(at)

    def single(self, what: str, at: Node) -> None:
        """Report a statement that may stand only once."""
        if what in self.once:
            self.error(at, f"{what} stands twice", f"it stands first in line {self.once[what].line}")
        else:
            self.once[what] = place_of(at)

    def quantity(self, node: Node, units: dict[str, int], what: str) -> int:
        """A number with a unit of ``units``, rounded to the nearest whole; 0 after an error."""
        number, unit = number_and_unit(node)
        if unit not in units:
            written = f"unknown unit `{unit}`" if unit else "a unit is missing"
            self.error(
                node, f"{written} in {what}", f"write {_either(units)}, for example `5{min(units, key=len)}`"
            )
            return 0
        value = int((number * units[unit]).to_integral_value())
        if not 0 < value <= MAX_AMOUNT:
            self.error(node, f"{what} is {'zero' if value <= 0 else 'too large'}")
            return 0
        return value

    def whole(self, token: Token, what: str, largest: int) -> int:
        """A whole number; 0 after an error, which is reported (a zero is for check.py to judge)."""
        if "." in token or len(token) > 18 or int(token) > largest:
            self.error(token, f"{what} must be a whole number up to {largest}, not {token[:30]}")
            return 0
        return int(token)

    def socket(self, node: Node, what: str) -> pb.SocketAddress:
        token = first_token(node)
        hint = "write 192.0.2.1:6000 or [2001:db8::7]:6001"
        match = re.fullmatch(r"\[(.*)\]:(\d{1,5})|([\d.]+):(\d{1,5})", token)
        try:
            if match is None:
                raise ValueError("it has no port, or one of more than 5 digits")
            if match[1] is not None:
                address, port = str(ipaddress.IPv6Address(match[1])), int(match[2])
            else:
                address, port = str(ipaddress.IPv4Address(match[3])), int(match[4])
            if "%" in address:
                raise ValueError("a zone has no place here")
            if not 0 < port < 65536:
                raise ValueError(f"port {port} is not in 1..65535")
        except ValueError as error:
            self.error(node, f"bad address `{token}` of {what}: {error}", hint)
            return pb.SocketAddress()
        return pb.SocketAddress(address=address, port=port)

    def prefix(self, node: Node, what: str) -> str:
        token = first_token(node)
        try:
            return str(ipaddress.ip_network(str(token)))
        except ValueError as error:
            self.error(
                token, f"bad prefix `{token}` of {what}: {error}", "write 192.0.2.0/24 or 2001:db8::/32"
            )
            return ""


def tree_of(child: object) -> Node:
    assert isinstance(child, Tree)
    return child


def token_of(child: object) -> Token:
    assert isinstance(child, Token)
    return child


def token_at(node: Node, index: int) -> Token:
    return token_of(node.children[index])


def first_token(node: Node) -> Token:
    return token_at(node, 0)


def word(child: object) -> str:
    return str(first_token(tree_of(child)))


def split(token: Token, separator: str) -> list[Token]:
    """The parts of a token on one line, each in its place."""
    parts, column = [], token.column or 1
    for part in token.split(separator):
        parts.append(Token(token.type, part, line=token.line, column=column))
        column += len(part) + len(separator)
    return parts


def place_of(at: Node | Token) -> Place:
    if isinstance(at, Token):
        return Place(at.line or 1, at.column or 1)
    return Place(at.meta.line, at.meta.column)


def string(token: Token) -> str:
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), token[1:-1])


def number_and_unit(node: Node) -> tuple[Decimal, str]:
    first = str(node.children[0])
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", first)
    assert match is not None
    unit = match[2]
    if len(node.children) > 1 and node.children[1] is not None:
        unit += str(node.children[1])
    return Decimal(match[1]), unit


def _either(words: dict[str, int]) -> str:
    names = list(words)
    return f"{', '.join(names[:-1])} or {names[-1]}"


def duration(microseconds: int) -> timedelta:
    return timedelta(microseconds=min(microseconds, 10**15))
