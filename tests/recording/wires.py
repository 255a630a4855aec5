"""Captures and recordings for tests: made-up ones, and what is reported of each."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
import struct
from pathlib import Path
from typing import Any

from tap.bus import Told
from tap.capture import pcapng
from tap.capture.packets import TcpFlow
from tap.capture.pcapng import Packet
from tap.capture.segments import FIN, PUSH, SYN, Endpoint
from tap.recording.copying import Marks, copy_chapter
from tap.recording.history import Chapter, Read
from tap.recording.player import Player
from tap.recording.reader import play
from tap.replication import events
from tap.replication.events import Command, Event
from tests.recording.packed import state_of
from tests.recording.support import block, comments, next_packets, packets
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import Capture

STREAM = [command("SELECT", "3"), *(command("SET", f"key:{number}", "v" * (number * 7)) for number in range(60))]


# ---- making captures ----


class Wire:
    """One connection, as packets of raw IP; a millisecond passes with each."""

    def __init__(self, port: int = 50000, hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1")) -> None:
        self.flow = TcpFlow(Endpoint(hosts[0], port), Endpoint(hosts[1], 6379), (5, 2**32 - 10))
        self.packets: list[tuple[int, bytes]] = []
        self.now = 10**18

    def send(self, side: int, data: bytes = b"", flags: int = PUSH, at: int | None = None) -> None:
        self.now = self.now + 1_000_000 if at is None else at
        self.packets += [(self.now, packet) for packet in next_packets(self.flow, side, flags, data)]

    def open(self) -> None:
        self.send(0, flags=SYN)
        self.send(1, flags=SYN)
        self.send(0, flags=0)


def as_packets(capture: Capture, size: int, dice: random.Random) -> list[tuple[int, bytes]]:
    """A fixture as a capture, in segments of about that size, neighbours swapped and some sent twice."""
    wires: dict[int, Wire] = {}
    packets: list[tuple[int, bytes]] = []
    for chunk in capture.chunks:
        if chunk.connection not in wires:
            wires[chunk.connection] = wire = Wire(50000 + chunk.connection)
            wire.now = 10**18 + int(chunk.at * 1e9) - 3_000_000
            wire.open()
            packets += wire.packets
        wire = wires[chunk.connection]
        wire.packets.clear()
        side, at = int(chunk.side == "master"), 10**18 + int(chunk.at * 1e9)
        if not chunk.data:
            wire.send(side, flags=FIN, at=at)
        begin = 0
        while begin < len(chunk.data):
            end = begin + dice.randint(1, size)
            wire.send(side, chunk.data[begin:end], at=at)
            begin = end
        sent = list(wire.packets)
        for number in range(len(sent) - 1):
            if dice.random() < 0.2:
                sent[number], sent[number + 1] = sent[number + 1], sent[number]
        packets += [copy for one in sent for copy in ([one, one] if dice.random() < 0.1 else [one])]
    return packets


def streamed(pieces: list[bytes], hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1")) -> Wire:
    wire = Wire(hosts=hosts)
    wire.open()
    wire.send(0, asks(BASE))
    wire.send(1, GRANT)
    offset = BASE
    for piece in pieces:
        wire.send(1, piece)
        offset += len(piece)
        wire.send(0, command("REPLCONF", "ACK", str(offset)))
    return wire


def file(path: Path, packets: list[tuple[int, bytes]], kind: str) -> Path:
    if kind == "pcapng":
        blocks = [block(at, data) for at, data in packets]
        path.write_bytes(pcapng.heading("test") + b"".join(blocks))
        return path
    order, unit = kind[0], 1000 if kind.endswith("us") else 1
    magic = 0xA1B2C3D4 if unit == 1000 else 0xA1B23C4D
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 101)]
    for at, data in packets:
        out += [struct.pack(order + "4I", at // 10**9, at % 10**9 // unit, len(data), len(data)), data]
    path.write_bytes(b"".join(out))
    return path


# ---- reading captures ----

SAME = (
    events.LinkOpened,
    events.LinkClosed,
    events.Handshake,
    events.PsyncRequested,
    events.FullResync,
    events.PartialResync,
    events.StreamStarted,
    events.Command,
    events.Identified,
    events.FaultFired,
)


def told(packets: list[Packet] | list[tuple[int, bytes]], **options: Any) -> list[Told]:
    heard: list[Told] = []
    player = Player(heard.append, **options)
    for one in packets:
        player.packet(one if isinstance(one, Packet) else Packet(one[0], 101, one[1], len(one[1])))
    player.close()
    return heard


def of(heard: list[Told], kind: type[Event]) -> list[Any]:
    return [one.event for one in heard if isinstance(one.event, kind)]


def replayed(path: Path, **options: Any) -> list[Told]:
    heard: list[Told] = []
    player = Player(heard.append, **options)
    assert play(path, player) == []
    player.close()
    return heard


def same(live: list[Told], read: list[Told]) -> None:
    """On each connection: live, one whose share of a turn is used up goes on after the others, and may be told later."""
    for kind in SAME:
        then, now = (
            sorted(
                ((one.link, one.connection, one.event) for one in heard if isinstance(one.event, kind)),
                key=lambda one: one[:2],
            )
            for heard in (live, read)
        )
        differing = [(old, new) for old, new in itertools.zip_longest(then, now) if old != new]
        assert not differing, differing[:2]  # the whole lists would fill screens


# ---- copying from captures ----


def reading(packets: list[tuple[int, bytes]]) -> Read:
    def read(player: Player) -> None:
        for time, data in packets:
            player.packet(Packet(time, 101, data, len(data)))
        player.close()

    return read


def reading_file(path: Path) -> Read:
    def read(player: Player) -> None:
        assert play(path, player) == []
        player.close()

    return read


def copied(read: Read, chapter: Chapter) -> tuple[bytes, bytes, Marks]:
    snapshot, stream = io.BytesIO(), io.BytesIO()
    marks = copy_chapter(read, chapter, snapshot, stream)
    return snapshot.getvalue(), stream.getvalue(), marks


# ---- in many files ----


def files(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if re.search(r"_\d{5}_\d{8}T\d{6}Z\.", one.name))


def plays(paths: list[Path], player: Player) -> None:
    for path in paths:
        for packet in packets(path):
            player.packet(packet)
    player.close()


def shown(paths: list[Path]) -> list[Told]:
    heard: list[Told] = []
    plays(paths, Player(heard.append, every_command=True))
    return heard


Line = tuple[str, int, str, int | None, int | None, str, tuple[bytes, ...], bool]


def lines(told: list[Told]) -> dict[int, list[Line]]:
    """By connection."""
    found: dict[int, list[Line]] = {}
    for one in told:
        event = one.event
        if isinstance(event, Command):
            found.setdefault(one.connection, []).append(
                (one.link, event.start, one.replica, event.offset, event.db, event.name, event.args, event.in_transaction)
            )
    return found


def as_live_from_any_file(live: list[Told], paths: list[Path]) -> None:
    """All files together report what was reported live; those from any one on report its last commands exactly."""
    same(live, shown(paths))
    whole = lines(live)
    firsts = random.Random(len(paths)).sample(range(1, len(paths)), min(3, len(paths) - 1))
    for first in sorted({*firsts, 1, len(paths) - 1}):
        heard = shown(paths[first:])
        assert not [one for one in heard if isinstance(one.event, events.Opaque)]
        said = map(state_of, [json.dumps(one) for one in comments(paths[first])])
        states = {one.connection: one.from_master for one in said if one is not None}
        opened = {one.connection for one in heard if isinstance(one.event, events.LinkOpened)}
        expected = {number: [one for one in whole.get(number, []) if one[1] >= at] for number, at in states.items()}
        expected |= {number: whole.get(number, []) for number in opened}
        assert lines(heard) == {number: some for number, some in expected.items() if some}
