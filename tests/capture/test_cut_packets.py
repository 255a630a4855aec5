"""Packets that were cut short, counted by what cut them."""

from __future__ import annotations

import pytest

from tap.capture.cut_packets import CutPackets
from tap.capture.pcapng import RAW_IP, Packet


def packet(captured: int, size: int) -> Packet:
    return Packet(0, RAW_IP, bytes(captured), size)


def test_without_cut_packets_there_is_no_sentence() -> None:
    assert not CutPackets()
    assert str(CutPackets()) == ""


@pytest.mark.parametrize(
    ("packets", "said"),
    [
        ([packet(96, 100)], "1 packet was cut to 96 bytes: capture with -s 0 (tcpdump, dumpcap, tshark)"),
        ([packet(64, 100), packet(96, 97), packet(8, 9)], "3 packets were cut to 96 bytes: capture with -s 0"),
        ([packet(100, 100)], "1 packet was cut by the device that mirrored them: set it to send whole packets"),
        (
            [packet(9, 9), packet(9, 9), packet(8, 9)],
            "bytes: capture with -s 0 (tcpdump, dumpcap, tshark); 2 packets were",
        ),
    ],
)
def test_each_kind_is_counted_with_its_remedy(packets: list[Packet], said: str) -> None:
    cuts = CutPackets()
    for one in packets:
        cuts.add(one)
    assert cuts
    assert said in str(cuts)
