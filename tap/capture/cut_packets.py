"""Packets whose ends a capture lacks: how many, and how to capture them whole."""

from __future__ import annotations

from tap.capture.pcapng import Packet


class CutPackets:
    """A count of cut packets. True if there are any; str() gives a sentence for people."""

    def __init__(self) -> None:
        self._captured = 0  # packets cut by the snaplen of the capture
        self._longest = 0  # the largest number of bytes left of one of them
        self._before = 0  # packets cut inside a tunnel, before they were captured

    def __bool__(self) -> bool:
        return bool(self._captured or self._before)

    def add(self, packet: Packet) -> None:
        """Count a packet that is not whole."""
        if packet.size > len(packet.data):
            self._captured += 1
            self._longest = max(self._longest, len(packet.data))
        else:
            self._before += 1

    def __str__(self) -> str:
        said = []
        if self._captured:
            packets = _packets(self._captured)
            said.append(f"{packets} cut to {self._longest} bytes: capture with -s 0 (tcpdump, dumpcap, tshark)")
        if self._before:
            said.append(f"{_packets(self._before)} cut by the device that mirrored them: set it to send whole packets")
        return "; ".join(said)


def _packets(count: int) -> str:
    return "1 packet was" if count == 1 else f"{count} packets were"
