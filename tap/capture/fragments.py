"""Reassembly of IP fragments: RFC 791, 3.2 and RFC 8200, 4.5.

Fragments that contradict one another are never mixed (RFC 5722): the newer one starts its packet again. IPv4's 16-bit
identification repeats within seconds on a busy link (RFC 4963), so a packet that has waited longer than copies and
reordering can explain is given up: the capture does not contain its missing fragments.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

MAX_WAIT = 1_000_000_000  # nanoseconds
MAX_BYTES = 2**24  # of fragments that wait
MAX_PIECES = 256  # fragments of one packet; an MTU of 576 bytes makes 120 at the most
MAX_PACKETS = 1024  # that wait; as many complete ones are remembered, so that a late copy does not start a new packet


@dataclass(slots=True)
class _Packet:
    began: int
    pieces: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # by place: the captured bytes, and the true size
    received: int = 0  # bytes, as sent on the wire
    size: int | None = None  # total, once the last fragment has come

    def fits(self, place: int, size: int, is_last: bool) -> bool:
        """Whether a fragment is new, and contradicts none of the others."""
        end = place + size
        if self.size is not None and (end > self.size or is_last):
            return False
        return all(
            (end <= begin and not is_last) or begin + length <= place for begin, (_, length) in self.pieces.items()
        )


class Fragments:
    """The packets being reassembled. lost: fragments of packets that were given up."""

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: dict[Hashable, _Packet] = {}  # oldest first
        self._waiting_bytes = 0
        self._complete: dict[Hashable, int] = {}  # with the time of completion, oldest first

    @property
    def waiting(self) -> int:
        """The number of fragments that wait for others."""
        return sum(len(packet.pieces) for packet in self._waiting.values())

    def add(
        self, key: Hashable, place: int, is_last: bool, data: bytes, size: int, time: int
    ) -> tuple[bytes, int] | None:
        """Take the next fragment. Returns the payload of its packet and its size once the packet is complete, else None.

        key: the packet's addresses, identification and protocol. place, size: of the fragment, in bytes on the wire.
        data: the captured bytes; if a fragment was cut, the returned payload ends there. time: nanoseconds.
        """
        self._forget(time)
        if key in self._complete:
            return None
        packet = self._waiting.get(key)
        if packet is not None and packet.pieces.get(place) == (data, size):
            return None
        if packet is None or not packet.fits(place, size, is_last):
            if packet is not None:
                self._give_up(key)
            packet = self._waiting[key] = _Packet(time)
        packet.pieces[place] = data, size
        packet.received += size
        self._waiting_bytes += len(data)
        if is_last:
            packet.size = place + size
        if packet.received == packet.size:
            self._remove(key)
            self._complete[key] = time
            return _joined(packet), packet.size
        if len(packet.pieces) > MAX_PIECES:
            self._give_up(key)
        while self._waiting_bytes > MAX_BYTES or len(self._waiting) > MAX_PACKETS:
            self._give_up(next(iter(self._waiting)))
        return None

    def _forget(self, time: int) -> None:
        while self._waiting and time - self._waiting[key := next(iter(self._waiting))].began > MAX_WAIT:
            self._give_up(key)
        while self._complete and (
            time - self._complete[key := next(iter(self._complete))] > MAX_WAIT or len(self._complete) > MAX_PACKETS
        ):
            del self._complete[key]

    def _give_up(self, key: Hashable) -> None:
        self.lost += len(self._remove(key).pieces)

    def _remove(self, key: Hashable) -> _Packet:
        packet = self._waiting.pop(key)
        self._waiting_bytes -= sum(len(data) for data, _ in packet.pieces.values())
        return packet


def _joined(packet: _Packet) -> bytes:
    """The payload up to the first byte that was not captured."""
    parts = []
    for place in sorted(packet.pieces):
        data, size = packet.pieces[place]
        parts.append(data)
        if len(data) < size:
            break
    return b"".join(parts)
