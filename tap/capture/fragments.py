"""IP fragments into the packets that they were: RFC 791, 3.2 and RFC 8200, 4.5.

Fragments that contradict one another are never mixed (RFC 5722): whichever packet the newer one is of begins anew. The
16 bits that number IPv4's packets come round within seconds on a busy link (RFC 4963), so that what waits longer than
copies and reordering take is given up: its missing fragments are not in the capture.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

MAX_WAIT = 1_000_000_000  # nanoseconds
MAX_BYTES = 2**24  # that wait
MAX_PIECES = 256  # of a packet; with those that an MTU of 576 bytes makes there are 120
MAX_PACKETS = 1024  # that wait; as many complete ones are remembered, so that a copy of a fragment begins no packet


@dataclass(slots=True)
class _Packet:
    began: int
    pieces: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # by place: what was captured of it, and its size
    received: int = 0  # bytes on the wire
    size: int | None = None  # in all, once the last fragment has come

    def fits(self, place: int, size: int, is_last: bool) -> bool:
        """Whether a fragment is of this packet, and new."""
        end = place + size
        if self.size is not None and (end > self.size or is_last):
            return False
        return all(
            (end <= begin and not is_last) or begin + length <= place for begin, (_, length) in self.pieces.items()
        )


class Fragments:
    """lost: fragments of packets that did not become whole."""

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: dict[Hashable, _Packet] = {}  # oldest first
        self._waiting_bytes = 0
        self._complete: dict[Hashable, int] = {}  # with the times they were, oldest first

    @property
    def waiting(self) -> int:
        """Fragments."""
        return sum(len(packet.pieces) for packet in self._waiting.values())

    def add(
        self, key: Hashable, place: int, is_last: bool, data: bytes, size: int, time: int
    ) -> tuple[bytes, int] | None:
        """The next fragment. Returns what its packet holds once that is whole, and its size; until then None.

        key: the packet's addresses, number and protocol. place, size: of the fragment, in bytes on the wire; data: what
        was captured of it. Where that is less, what is returned ends there. time: nanoseconds.
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
    """What was captured from the beginning on, up to the first byte that was not."""
    parts = []
    for place in sorted(packet.pieces):
        data, size = packet.pieces[place]
        parts.append(data)
        if len(data) < size:
            break
    return b"".join(parts)
