from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.utils import rdpcap

from dipronn.demo.capture import BadCapture, CaptureWriter, Datagram, read_capture

addresses = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535))
datagrams = st.builds(
    Datagram, st.integers(0, 2**32 * 10**9 - 1), addresses, addresses, st.binary(max_size=2000)
)


@given(st.lists(datagrams, max_size=10))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, written: list[Datagram]) -> None:
    path = tmp_path_factory.mktemp("capture") / "some.pcap"
    with CaptureWriter(path) as capture:
        for datagram in written:
            capture.write(datagram)
    assert read_capture(path) == written


def test_other_tools_read_it(tmp_path: Path) -> None:
    path = tmp_path / "some.pcap"
    with CaptureWriter(path) as capture:
        capture.write(
            Datagram(1_700_000_000_123_456_789, ("192.0.2.10", 4000), ("192.0.2.1", 5004), b"hello")
        )
    (packet,) = rdpcap(str(path))
    assert float(packet.time) == pytest.approx(1_700_000_000.123456789)
    assert (packet[IP].src, packet[UDP].sport) == ("192.0.2.10", 4000)
    assert (packet[IP].dst, packet[UDP].dport) == ("192.0.2.1", 5004)
    assert bytes(packet[UDP].payload) == b"hello"
    written = packet[IP].chksum
    del packet[IP].chksum
    assert IP(bytes(packet[IP])).chksum == written


@pytest.mark.parametrize("cut", [0, 10, 30, 60])
def test_a_file_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "some.pcap"
    with CaptureWriter(path) as capture:
        capture.write(Datagram(1, (str(IPv4Address(1)), 1), (str(IPv4Address(2)), 2), b"hello"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadCapture, match=r"some\.pcap"):
        read_capture(path)
