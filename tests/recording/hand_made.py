"""A capture made by hand, packet by packet, with a tap's comments, and everything that a player says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording.comments import LinkState, state_json, told_json
from tap.recording.link import Link
from tap.recording.missing import Missing
from tap.recording.player import Player
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, RecordingGap, Side
from tests.recording.wires import Wire
from tests.relay.wire import BASE, REPLID, asks, command

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


# ---- what is sent and said ----

SET = command("SET", "a", "1")
SIZE = len(SET)
PARTIAL = f"+CONTINUE {REPLID}\r\n".encode()
FULL = f"+FULLRESYNC {REPLID} {BASE}\r\n".encode()
RDB = b"REDIS0011\xfe\x00" + b"\x00\x03key\x05value" * 30 + b"\xff" + bytes(8)
MASTER, REPLICA = Side.MASTER, Side.REPLICA


CHANNEL = (
    (0, command("REPLCONF", "rdb-channel", "1", "main-ch-client-id", "7")),
    (1, b"+OK\r\n"),
    (0, command("PSYNC", "?", "-1")),
    (1, FULL + b"$%d\r\n" % len(RDB) + RDB[:100]),
)
MAIN = (
    (0, command("REPLCONF", "capa", "rdb-channel-repl")),
    (1, b"+OK\r\n"),
    (0, command("PSYNC", "?", "-1")),
    (1, b"+RDBCHANNELSYNC 7\r\n"),
)


def ack(offset: int) -> bytes:
    return command("REPLCONF", "ACK", str(offset))


def state(
    position: int,
    offset: int | None,
    *,
    before: bytes = b"",
    number: int = 1,
    replica: int = 50,
    held: int = 0,
    **standing: Any,
) -> LinkState:
    """A tap's state in a stream of db 3. before: bytes of the master between position and offset and the state.

    replica: the position of the replica's next byte. standing: other fields of it.
    """
    conversation = Conversation(lambda event: None, connection=number)
    conversation.join(position, replica, REPLID, offset)
    conversation.receive_from_master(before)
    stands = dataclasses.replace(conversation.standing(), **{"db": 3} | standing)
    return LinkState(
        time=1.5, link="main", connection=number, replica="r", peer="a:1", master="b:2", standing=stands, begins=False,
        said=(), held=held,
    )  # fmt: skip


def gap(start: int, end: int, *offsets: int | None, side: Side = MASTER) -> str:
    first, last = offsets or (None, None)
    event = RecordingGap(start=start, end=end, side=side, bytes=end - start, from_offset=first, to_offset=last)
    return told_json(Told(1.0, "main", 1, "", event))


def resumed(first: LinkState, **options: Any) -> Story:
    """A recording whose first packet states how a connection stands."""
    story = Story(**options)
    story.open(is_seen=False)
    story.send(0, said=[state_json(first)])
    return story


def partial(**options: Any) -> Story:
    """A stream, captured from its connection's beginning, with one command in it."""
    story = Story(**options)
    if not options.get("is_ours"):
        story.open()
    story.send(0, asks(BASE))
    story.send(1, PARTIAL + SET)
    return story
