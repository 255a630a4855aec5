"""Packets that a capture holds without their ends: how many, and what would have kept them whole."""

from __future__ import annotations

from tap.capture.pcapng import Packet


class Cuts:
    """True when there are any; as a string, a sentence for people."""

    def __init__(self) -> None:
        self._captured = 0  # with a snaplen
        self._longest = 0  # bytes that are left of one of them
        self._before = 0  # cut inside a tunnel, by what sent it

    def __bool__(self) -> bool:
        return bool(self._captured or self._before)

    def add(self, packet: Packet) -> None:
        """Of this one not everything is there."""
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
            said.append(f"{_packets(self._before)} cut by what mirrored them: let it send them whole")
        return "; ".join(said)


def _packets(count: int) -> str:
    return "1 packet was" if count == 1 else f"{count} packets were"
