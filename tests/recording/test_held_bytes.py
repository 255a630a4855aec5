"""The bytes of a connection are withheld until it replicates, and then passed on from the first one."""

from __future__ import annotations

from typing import Any

from tap.capture.pcapng import Packet
from tap.recording.held_bytes import MAX_HELD, MAX_ORDINARY
from tap.recording.player import Player
from tap.replication.events import Side
from tests.recording.wires import STREAM, Wire, streamed
from tests.relay.wire import BASE, GRANT, asks, command


class Sink:
    """Notes what it is given."""

    def __init__(self, opened: int | None) -> None:
        self.opened = opened
        self.bytes = {Side.REPLICA: bytearray(), Side.MASTER: bytearray()}
        self.first: dict[Side, int] = {}
        self.times: list[int | None] = []
        self.calls: list[str] = []

    def begin(self) -> None:
        self.calls.append("begin")

    def read(self, side: Side, begin: int, data: bytes, at: int | None) -> None:
        self.first.setdefault(side, begin)
        assert begin == self.first[side] + len(self.bytes[side])
        self.bytes[side] += data
        self.times.append(at)

    def note(self, name: bytes, position: int, words: int) -> None:
        self.calls.append(f"note {name.decode()} {words}")

    def goes_on(self, conversation: Any) -> None:
        self.calls.append("goes on")

    def end(self, side: Side, how: str) -> None:
        self.calls.append(f"{side.value} {how}")

    def close(self, from_master: int, from_replica: int) -> None:
        self.calls.append(f"close {from_master} {from_replica}")


def played(wire: Wire, first: int = 0) -> list[Sink]:
    sinks: list[Sink] = []

    def sink(link: object, opened: int | None) -> Sink:
        sinks.append(Sink(opened))
        return sinks[-1]

    player = Player(lambda told: None, sinks=sink)
    for at, data in wire.packets[first:]:
        player.packet(Packet(at, 101, data, len(data)))
    player.close()
    return sinks


def wire_after(requests: list[bytes]) -> Wire:
    """A replica whose connection begins with other requests, each of which is answered."""
    wire = Wire()
    wire.open()
    for request in requests:
        wire.send(0, request)
        wire.send(1, b"+PONG\r\n")
    wire.send(0, asks(BASE))
    wire.send(1, GRANT)
    wire.send(1, STREAM[0])
    wire.send(1, command("ACL", "SETUSER", "bob", ">secret"))
    return wire


def test_everything_is_passed_on_from_the_first_byte() -> None:
    wire = wire_after([command("PING")])
    (sink,) = played(wire)
    assert sink.opened == wire.packets[0][0]
    assert bytes(sink.bytes[Side.REPLICA]) == command("PING") + asks(BASE)
    assert sink.bytes[Side.MASTER].startswith(b"+PONG\r\n" + GRANT)
    assert sink.times[0] == wire.packets[3][0]
    assert sink.times[-1] is None
    assert sink.calls[0] == "begin"
    assert "note SETUSER 2" in sink.calls or "note ACL 3" in sink.calls
    assert sink.calls[-1].startswith("close ")


def test_what_is_too_long_is_dropped() -> None:
    for most, name in ((MAX_ORDINARY, "GET"), (MAX_HELD, "AUTH")):
        (few,) = played(wire_after([command(name, "x")] * 2))
        assert few.opened is not None
        (many,) = played(wire_after([command(name, "x" * 100)] * (most // 100 + 1)))
        assert many.opened is None
        assert many.first[Side.MASTER] > 0


def test_another_client_has_no_sink() -> None:
    wire = Wire()
    wire.open()
    for _ in range(10):
        wire.send(0, command("SET", "a", "b"))
        wire.send(1, b"+OK\r\n")
    assert played(wire) == []


def test_a_stream_that_began_earlier_goes_on_at_a_command() -> None:
    (sink,) = played(streamed(STREAM), first=30)
    assert sink.opened is None
    assert sink.calls[:2] == ["begin", "goes on"]
    assert sink.bytes[Side.MASTER].startswith(b"*")
