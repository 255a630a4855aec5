"""A capture made by hand, packet by packet, with a tap's comments, and everything that a player says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording.comments import told_json
from tap.recording.link import Link
from tap.recording.missing import Missing
from tap.recording.player import Player
from tap.replication import events
from tap.replication.events import Event, Side
from tests.recording.wires import Wire

OPENED = told_json(Told(1.0, "main", 1, "", events.LinkOpened(peer="a:1", master="b:2")))


class Story:
    """One connection, played as it is written. ends: of the links that were reported."""

    def __init__(
        self,
        *,
        is_ours: bool = False,
        port: int = 50000,
        beside: Story | None = None,
        every_command: bool = True,
        **options: Any,
    ) -> None:
        """is_ours: a tap recorded it, from its beginning. beside: another connection of the same capture."""
        self.wire = Wire(port)
        if beside is None:
            self.heard: list[Told] = []
            self.ends: list[Link] = []
            self.player = Player(self.heard.append, every_command=every_command, ended=self.ends.append, **options)
        else:
            self.heard, self.ends, self.player = beside.heard, beside.ends, beside.player
            self.wire.now = beside.wire.now
        if is_ours:
            self.send(0, flags=2, said=[OPENED])
            self.send(1, flags=2)
            self.send(0, flags=0)

    def open(self, *, is_seen: bool = True) -> None:
        """is_seen: the capture holds it; otherwise it begins after that."""
        self.wire.open()
        if not is_seen:
            self.wire.packets.clear()
        self.play()

    def play(self, said: Sequence[str] = (), size: int | None = None) -> None:
        """Play the packets written so far. said: the comments on the first. size: of which so much was captured."""
        for number, (at, data) in enumerate(self.wire.packets):
            kept = data[: len(data) if size is None else size]
            self.player.packet(Packet(at, 101, kept, len(data), () if number else tuple(said)))
        self.wire.packets.clear()

    def send(self, side: int, data: bytes = b"", *, said: Sequence[str] = (), after: float = 0.001, **wire: Any) -> None:
        """after: seconds since the packet before."""
        self.wire.send(side, data, at=self.wire.now + int(after * 1e9), **wire)
        self.play(said)

    def lose(self, side: int, size: int) -> None:
        self.wire.flow.skip(side, size)

    def of(self, kind: type[Event]) -> list[Any]:
        return [one.event for one in self.heard if isinstance(one.event, kind)]

    @property
    def places(self) -> list[tuple[int, int | None, int | None]]:
        """Position, offset and db of each command."""
        return [(one.start, one.offset, one.db) for one in self.of(events.Command)]

    @property
    def missing(self) -> list[tuple[str, Side, int, int, int, int | None, int | None, str]]:
        """Cause, side, start, end, lost bytes, offsets and reason of each stretch."""
        return [brief(one) for one in self.player.account.missing]


def brief(one: Missing) -> tuple[str, Side, int, int, int, int | None, int | None, str]:
    return one.cause, one.side, one.start, one.end, one.lost_bytes, one.from_offset, one.to_offset, one.reason
