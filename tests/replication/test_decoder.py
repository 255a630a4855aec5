"""A stream after a decoder: offsets count decoded bytes, positions the bytes on the wire."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import pytest

from tap.replication import events
from tap.replication.events import Event
from tap.replication.memory import Memory
from tap.replication.stream import Stream

START, BASE = 1000, 50  # of the connection, and of the history
SELECT_3 = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"


class Frames:
    """A toy dialect: frames of a size in four digits and that many bytes of the stream, each inverted."""

    def __init__(self) -> None:
        self._rest = b""
        self._wire = [0]  # at the end of each frame
        self._stream = [0]

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        decoded = b""
        while len(self._rest) >= 4 and len(self._rest) >= 4 + (size := int(self._rest[:4])):
            decoded += bytes(255 - byte for byte in self._rest[4 : 4 + size])
            self._rest = self._rest[4 + size :]
            self._wire.append(self._wire[-1] + 4 + size)
            self._stream.append(self._stream[-1] + size)
        return decoded

    def wire_bytes(self, count: int) -> int:
        return self._wire[bisect_left(self._stream, count)]

    def stream_bytes(self, wire: int) -> int:
        return self._stream[bisect_right(self._wire, wire) - 1]


def frame(data: bytes) -> bytes:
    return b"%04d" % len(data) + bytes(255 - byte for byte in data)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[begin : begin + size] for begin in range(0, len(data), size))


def stream(told: list[Event]) -> Stream:
    return Stream(told.append, Memory(), START, replid="a" * 40, base=BASE, db=0, every_command=True, decoder=Frames())


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_commands_are_found_in_decoded_bytes_and_reported_at_their_place_on_the_wire(size: int) -> None:
    told: list[Event] = []
    one = stream(told)
    wire = frame(SELECT_3) + frame(SET[:10]) + frame(SET[10:])
    for piece in cut(wire, size):
        one.receive(piece, 0.0)
    one.begin()
    one.end()
    found = [(event.name, event.offset, event.db) for event in told if isinstance(event, events.Command)]
    ends = BASE + len(SELECT_3), BASE + len(SELECT_3 + SET)
    assert found == [("SELECT", ends[0], 3), ("SET", ends[1], 3)]
    batch = next(event for event in told if isinstance(event, events.Commands))
    assert (batch.start, batch.end, batch.bytes, batch.offset) == (START, START + len(wire), len(SELECT_3 + SET), ends[1])


def test_each_position_has_its_offset_and_the_other_way_round() -> None:
    one = stream([])
    first, second = frame(SELECT_3), frame(SET)
    one.receive(first + second, 0.0)
    whole = START + len(first + second)
    assert (one.begins_at, one.boundary, one.understood_to) == (START, whole, whole)
    assert one.offset == BASE + len(SELECT_3 + SET)
    assert [one.offset_at(position) for position in (0, START, START + len(first) - 1, START + len(first), whole)] == [
        BASE,
        BASE,
        BASE,
        BASE + len(SELECT_3),
        BASE + len(SELECT_3 + SET),
    ]
    assert one.position_at(BASE - 1) is None
    assert one.position_at(BASE) == START
    assert one.position_at(BASE + 1) == one.position_at(BASE + len(SELECT_3)) == START + len(first)


def test_an_acknowledgement_counts_decoded_bytes() -> None:
    told: list[Event] = []
    one = stream(told)
    one.receive(frame(SET), 0.0)
    one.acknowledge(BASE + len(SET), None, 0, 1, 0.0)
    ack = told[-1]
    assert isinstance(ack, events.Ack)
    assert ack.lag_bytes == 0


def test_nonsense_is_placed_on_the_wire() -> None:
    one = stream([])
    problem = one.receive(frame(SET) + frame(b"nonsense"), 0.0)
    assert problem is not None
    assert problem[0] == one.understood_to == START + len(frame(SET))


def test_a_sought_command_ends_at_its_place_on_the_wire() -> None:
    one = stream([])
    first = frame(SELECT_3)
    one.seek(START + len(first), outside=False)
    one.receive(first + frame(SET), 0.0)
    assert one.take_landed() == {(START + len(first), False): START + len(first)}
