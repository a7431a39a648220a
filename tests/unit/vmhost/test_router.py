"""Router advertisements as Scapy reads them, and what is taken for a solicitation."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
)

from vmhost.router import Router, advertisement, is_solicitation

ROUTER = Router(bytes.fromhex("026469700001"), IPv6Address("fd64:6970:726f::1"), 1400)


@pytest.mark.req("D5")
def test_it_says_that_the_unit_is_the_router_and_that_nobody_else_is_on_the_link() -> None:
    read = ICMPv6ND_RA(advertisement(ROUTER))
    assert (read.type, read.code, read.routerlifetime, read.M, read.O) == (134, 0, 9000, 1, 0)
    assert read[ICMPv6NDOptSrcLLAddr].lladdr == "02:64:69:70:00:01"
    assert read[ICMPv6NDOptMTU].mtu == 1400
    prefix = read[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == ("fd64:6970:726f::", 64, 0, 0)


def test_only_solicitations_from_the_link_itself_are_answered() -> None:
    asked = bytes(ICMPv6ND_RS())
    assert is_solicitation(asked, 255)
    assert not is_solicitation(asked, 254) and not is_solicitation(asked, None)
    assert not is_solicitation(asked[:7], 255) and not is_solicitation(b"", 255)
    assert not is_solicitation(bytes([133, 1]) + bytes(6), 255)
    assert not is_solicitation(bytes([134]) + bytes(7), 255)
