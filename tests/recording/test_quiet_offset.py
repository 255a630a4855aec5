"""A stream whose beginning was not captured gets its offset from acknowledgements, while the master is silent."""

from __future__ import annotations

from typing import Any

import pytest

from tap.recording.player import Player
from tap.recording.quiet_offset import QUIET_SECONDS, QuietOffset
from tap.replication import events
from tests.operate.watching.watched import packets_of
from tests.recording.wires import STREAM, Wire, of
from tests.relay.wire import command

SECOND = 10**9
OFFSET = 5000  # of the byte before the first one that is captured


def test_the_same_offset_twice_with_nothing_in_between() -> None:
    one = QuietOffset()
    assert [one.acknowledged(*words) for words in ((50, 7, 1.0), (50, 7, 1.0 + QUIET_SECONDS / 2), (50, 7, 2.0))] == [
        False,
        False,
        True,
    ]
    assert not one.acknowledged(50, 8, 4.0)
    assert not one.acknowledged(51, 8, 6.0)
    assert one.acknowledged(51, 8, 7.0)


class Story:
    """A connection from the middle: what each side sends, and what is reported."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.heard: list[Any] = []
        self.player = Player(self.heard.append, every_command=True)
        self.acked = OFFSET

    def _play(self) -> None:
        for packet in packets_of(self.wire.packets):
            self.player.packet(packet)
        self.wire.packets.clear()

    def ack(self, more: int = 0, after: float = 1.0) -> None:
        self.acked += more
        self.wire.send(0, command("REPLCONF", "ACK", str(self.acked)), at=self.wire.now + int(after * SECOND))
        self._play()

    def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.wire.send(1, piece)
        self._play()

    @property
    def offset(self) -> int | None:
        (link,) = self.player.links
        return link.conversation.offset

    def offsets(self) -> list[int | None]:
        self.player.close()
        return [one.offset for one in of(self.heard, events.Command)]


def ends(pieces: list[bytes], base: int = OFFSET) -> list[int]:
    found = []
    for piece in pieces:
        base += len(piece)
        found.append(base)
    return found


def test_a_pair_that_rests_first_has_offsets_from_its_first_command_on() -> None:
    story = Story()
    for _ in range(3):
        story.ack()
    story.write(*STREAM[:5])
    story.ack(sum(map(len, STREAM[:5])))
    assert story.offsets() == ends(STREAM[:5])
    assert not of(story.heard, events.AckAheadOfMaster)


def test_a_busy_pair_has_offsets_from_its_first_rest_on() -> None:
    story = Story()
    story.ack()
    story.write(*STREAM[:5])
    size = sum(map(len, STREAM[:5]))
    story.ack(size, 0.2)
    assert story.player.links[0].conversation.stream is not None
    story.ack(0, 0.5)
    story.write(STREAM[5])
    story.ack(len(STREAM[5]), 0.2)
    story.ack()
    assert story.offset == OFFSET + size + len(STREAM[5])
    story.write(*STREAM[6:9])
    story.ack(sum(map(len, STREAM[6:9])))
    (status,) = story.player.links
    stream = status.conversation.stream
    assert stream is not None
    assert stream.lag(story.player.now / 1e9).bytes == 0
    assert story.offsets() == [None] * 6 + ends(STREAM[6:9], OFFSET + size + len(STREAM[5]))
    assert [one.db for one in of(story.heard, events.Command)] == [3] * 9
    assert not of(story.heard, events.AckAheadOfMaster)


@pytest.mark.parametrize("half", [STREAM[5][:9], b"*1\r\n$5\r\nMULTI\r\n"])
def test_a_rest_within_a_command_or_a_transaction_shows_nothing(half: bytes) -> None:
    story = Story()
    story.ack()
    story.write(*STREAM[:5])
    story.ack(sum(map(len, STREAM[:5])), 0.2)
    story.write(half)
    for _ in range(3):
        story.ack()
    assert story.offset is None


def test_a_capture_that_begins_within_a_command_shows_nothing() -> None:
    story = Story()
    for _ in range(3):
        story.ack()
    story.write(STREAM[7][11:], *STREAM[8:12])
    assert story.offsets() == [None] * 4
