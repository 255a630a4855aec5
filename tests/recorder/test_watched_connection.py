"""What is recorded of a capture reads as the capture does, wherever it began and whatever it lacks; no password does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.capture.content import GoesOn
from tap.capture.pcapng import Packet
from tap.capture.segments import FIN
from tap.operate.watching.onlooker import Onlooker
from tap.recorder.master_secrets import MasterSecrets
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tests.operate.watching.watched import Given, configured, packets_of
from tests.recording.wires import STREAM, Wire, as_packets, files, of, same, streamed, told
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import WITHIN, Capture, captures, thinned

SECRET = b"s3cr3t-pa55"
Raw = list[tuple[int, bytes]]


class Ending(Given):
    """Packets that come to an end."""

    def packets(self, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        yield from self._packets


def record(packets: Raw, path: Path, **options: Any) -> list[Told]:
    """Watch these packets, and record them. Returns what was reported meanwhile."""
    heard: list[Told] = []

    async def watch() -> None:
        onlooker = Onlooker(Ending(packets_of(packets)), configured(record_to=path, every_command=True, **options))
        onlooker.bus.subscribe(heard.append)
        async with onlooker, asyncio.timeout(WITHIN):
            await onlooker.ended()
        assert onlooker.recorder is not None
        assert onlooker.recorder.trouble == ""

    asyncio.run(watch())
    return heard


def replayed(*paths: Path) -> tuple[list[Told], Player]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for _ in read(list(paths), player):
        pass
    return heard, player


def commands(heard: list[Told]) -> list[tuple[Any, ...]]:
    return [
        (one.link, one.connection, one.event.start, one.event.offset, one.event.name, one.event.args)
        for one in heard
        if isinstance(one.event, events.Command)
    ]


@pytest.mark.parametrize("size", [7, 1448])
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: capture.name)
def test_a_whole_capture_reads_the_same(capture: Capture, size: int, tmp_path: Path) -> None:
    packets = as_packets(capture, size, random.Random(size))
    live = told(packets, every_command=True)
    record(packets, tmp_path / "one.pcapng")
    heard, player = replayed(tmp_path / "one.pcapng")
    replicating = {one.connection for one in live if isinstance(one.event, events.Identified)}
    assert replicating
    same(live, heard)
    assert not player.account.problems


@pytest.mark.parametrize("seed", range(12))
def test_one_that_begins_anywhere_reads_the_same_from_the_first_command_on(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    packets = streamed(STREAM).packets[dice.randrange(3, 80) :]
    live = told(packets, every_command=True)
    record(packets, tmp_path / "one.pcapng")
    heard, _ = replayed(tmp_path / "one.pcapng")
    assert len(commands(live)) > 10
    assert commands(heard) == commands(live)
    acks = [[(one.start, one.offset, one.lag_bytes) for one in of(some, events.Ack)] for some in (heard, live)]
    assert acks[0] == acks[1][-len(acks[0]) :]
    assert len(acks[0]) >= len(acks[1]) - 4  # those that came before three commands had proved the first one


@pytest.mark.parametrize("seed", range(25))
def test_one_with_holes_lacks_what_the_capture_lacks(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    wire = streamed(STREAM)
    wire.send(0, flags=FIN)
    wire.send(1, flags=FIN)
    first = 3 if seed % 2 else dice.randrange(0, 40)
    packets = [one for one in wire.packets[first * (seed % 2 == 0) :] if dice.random() > 0.04]
    live = told(packets, every_command=True)
    record(packets, tmp_path / "one.pcapng")
    heard, _ = replayed(tmp_path / "one.pcapng")
    assert commands(heard) == commands(live)
    lost = sum(one.bytes for one in of(live, events.RecordingGap) if one.side == "master")
    said = [one for one in of(heard, events.RecordingGap) if one.side == "master"]
    assert sum(one.bytes for one in said) >= lost
    assert all(one.to_offset - one.from_offset == one.bytes for one in said if one.from_offset is not None)
    assert [one.how for one in of(heard, events.LinkClosed)] == [one.how for one in of(live, events.LinkClosed)]


def secretive(dice: random.Random) -> Wire:
    """A replica that authenticates, and a master whose stream carries passwords; split anywhere."""
    wire = Wire()
    wire.open()
    stream = [command("SELECT", "0")]
    for number in range(60):
        stream.append(command("SET", f"key:{number}", "v" * dice.randrange(40)))
        if dice.random() < 0.4:
            stream.append(command("ACL", "SETUSER", "bob", "on", f">{SECRET.decode()}{number}", "~*"))
    offset = BASE
    for side, data in [
        (0, command("AUTH", "bob", SECRET.decode())),
        (1, b"+OK\r\n"),
        (0, asks(BASE)),
        (1, GRANT),
    ]:
        for at in range(0, len(data), size := dice.choice((5, 1000))):
            wire.send(side, data[at : at + size])
    data = b"".join(stream)
    while data:
        size = dice.randrange(1, 90)
        wire.send(1, data[:size])
        offset += len(data[:size])
        data = data[size:]
        if dice.random() < 0.3:
            wire.send(0, command("REPLCONF", "ACK", str(offset)))
    return wire


@pytest.mark.parametrize("seed", thinned(range(60), 4))
@pytest.mark.parametrize("options", [{}, {"record_redact": ("values",)}], ids=["", "redacted"])
def test_no_password_is_recorded(options: dict[str, Any], seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    packets = secretive(dice).packets
    first = dice.choice((0, dice.randrange(len(packets))))
    lost = dice.choice((0, 0.02, 0.2))
    packets = [one for one in packets[first:] if dice.random() >= lost]
    if seed % 4 == 0:  # of the replica's bytes none was captured, so recording begins where the state is known
        packets = [one for one in packets if one[1][20:22] != (50000).to_bytes(2, "big") or len(one[1]) <= 44]
    live = told(packets, every_command=True)
    record(packets, tmp_path / "one.pcapng", **options)
    held = (tmp_path / "one.pcapng").read_bytes()
    for size in range(4, len(SECRET) + 1):  # of a password that is split over packets
        assert SECRET[:size] not in held
        assert SECRET[-size:] not in held
    heard, _ = replayed(tmp_path / "one.pcapng")
    seen, found = ([one[:5] for one in commands(some)] for some in (live, heard))
    assert found == seen[len(seen) - len(found) :]
    assert len(found) >= len(seen) - 5  # those of the packet in which the state became known


def test_only_commands_before_the_end_of_a_gap_are_forgotten() -> None:
    secrets = MasterSecrets(Conversation(lambda event: None))
    secrets.note(b"ACL", 100, 3)
    secrets.note(b"ACL", 200, 3)
    secrets.forget_commands(150)
    rest = command("ACL", "SETUSER", "bob", f">{SECRET.decode()}").partition(b"ACL\r\n")[2]
    assert SECRET not in secrets.mask(memoryview(rest), 200)


@pytest.mark.parametrize("seed", thinned(range(30), 4))
@pytest.mark.parametrize("options", [{}, {"record_without_rdb": True}, {"record_rotate": ("5kb",)}], ids=str)
def test_nothing_is_read_that_was_not_in_the_capture(options: dict[str, Any], seed: int, tmp_path: Path) -> None:
    """Of real pairs, with RDBs, from anywhere on and with holes; what is lost besides is the beginning."""
    dice = random.Random(seed)
    capture = dice.choice([one for one in captures() if sum(len(chunk.data) for chunk in one.chunks) < 60_000])
    packets = as_packets(capture, dice.choice((50, 1448)), dice)
    packets = [one for one in packets[dice.choice((0, dice.randrange(len(packets)))) :] if dice.random() > 0.01]
    live = told(packets, every_command=True)
    record(packets, tmp_path / "one.pcapng", **options)
    heard, _ = replayed(*sorted(tmp_path.iterdir()))
    assert set(commands(heard)) <= set(commands(live))
    assert len(commands(heard)) >= len(commands(live)) - 3  # those of the packet in which the state became known


def test_bytes_of_other_clients_are_not_recorded(tmp_path: Path) -> None:
    other, pair = Wire(50001), streamed(STREAM[:10])
    other.open()
    for _ in range(50):
        other.send(0, command("SET", "private", "of a client"))
        other.send(1, b"+OK\r\n")
    record(sorted(other.packets + pair.packets), tmp_path / "one.pcapng")
    assert b"private" not in (tmp_path / "one.pcapng").read_bytes()
    assert len(commands(replayed(tmp_path / "one.pcapng")[0])) == 10


def test_each_file_of_a_rotation_can_be_read_alone(tmp_path: Path) -> None:
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.send(1, GRANT)
    stream = [command("SELECT", "3"), *(command("SET", f"k{number}", "v" * 500) for number in range(60))]
    for one in stream:
        wire.send(1, one)
    live = told(wire.packets, every_command=True)
    record(wire.packets, tmp_path / "one.pcapng", record_rotate=("5kb",))
    paths = files(tmp_path)
    assert len(paths) > 4
    assert commands(replayed(*paths)[0]) == commands(live)
    for number, path in enumerate(paths[1:], 1):
        found = commands(replayed(*paths[number:])[0])
        assert found == commands(live)[-len(found) :]
        assert commands(replayed(path)[0])


def test_packets_have_the_times_of_the_capture(tmp_path: Path) -> None:
    packets = streamed(STREAM[:10]).packets
    record(packets, tmp_path / "one.pcapng")
    heard, player = replayed(tmp_path / "one.pcapng")
    assert (player.account.first, player.account.last) == (packets[0][0], packets[-1][0])
    (opened,) = [one for one in heard if isinstance(one.event, events.LinkOpened)]
    assert (opened.link, opened.time) == ("127.0.0.1:6379", packets[0][0] / 1e9)


def test_the_offset_that_an_acknowledgement_shows_later_is_recorded(tmp_path: Path) -> None:
    wire = streamed(STREAM[:20])
    wire.now += 3 * 10**9
    end = BASE + sum(map(len, STREAM[:20]))
    for _ in range(3):
        wire.now += 10**9
        wire.send(0, command("REPLCONF", "ACK", str(end)))
    wire.send(1, command("SET", "a", "b"))
    packets = wire.packets[10:]
    live = told(packets, every_command=True)
    assert commands(live)[-1][3] is not None
    record(packets, tmp_path / "one.pcapng")
    heard, _ = replayed(tmp_path / "one.pcapng")
    assert commands(heard)[-1] == commands(live)[-1]


def test_what_was_captured_before_recording_could_begin_is_reported(tmp_path: Path) -> None:
    wire = Wire()
    wire.open()
    wire.send(1, b"v" * 10 + b"\r\n" + b"".join(STREAM[:20]))  # the end of a command, and others
    wire.send(0, command("REPLCONF", "ACK", "5000"))
    for one in STREAM[20:]:
        wire.send(1, one)
    said = record(wire.packets[3:], tmp_path / "one.pcapng")
    heard, player = replayed(tmp_path / "one.pcapng")
    gaps = [(one.side, one.start, one.end) for one in of(heard, events.RecordingGap)]
    assert gaps == [(Side.MASTER, 0, 12)]
    assert gaps == [(one.side, one.start, one.end) for one in of(said, events.RecordingGap)]
    assert commands(heard) == commands(said)
    assert not player.account.problems
