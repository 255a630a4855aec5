"""Whatever the disk loses: the rest of the recording is reported as it was live, with its offsets and dbs."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Bus, Told
from tap.capture.pcapng import Packet
from tap.capture.segments import ACK, SYN
from tap.recorder import recorder
from tap.recorder.filling import Filling
from tap.recorder.recorded_connection import RecordedConnection
from tap.recorder.recorder import Recorder
from tap.recording.copying import copy_streams
from tap.recording.history import index
from tap.recording.player import Player
from tap.redaction.grammars import Redact
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Command, Event, RecordingGap, Side
from tap.replication.memory import Memory
from tap.units import Limits
from tests.recording.support import connect, packets, segments
from tests.recording.wires import Wire, of, reading, told
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import Capture, captures

REPLID = "a" * 40
OFFSET = 100
MARK = b"0123456789" * 4
REDACTED: tuple[tuple[Redact, ...], ...] = ((), (), ("values",), ("keys", "values"))


class Stuck(Filling):
    """Its queue has no room while is_stuck."""

    is_stuck = False
    room = property(lambda self: -1, lambda self, value: None)

    def is_full(self, more: int) -> bool:
        return self.is_stuck


class Lossy(Recorder):
    """Its disk takes nothing while is_stuck."""

    def open(self) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(recorder, "Filling", Stuck)
            super().open()

    @property
    def is_stuck(self) -> bool:
        assert isinstance(self._filling, Stuck)
        return self._filling.is_stuck

    @is_stuck.setter
    def is_stuck(self, is_stuck: bool) -> None:
        assert isinstance(self._filling, Stuck)
        self._filling.is_stuck = is_stuck


class Story:
    """A replica, its master and the recording of them, drawn at random."""

    def __init__(self, dice: random.Random, path: Path) -> None:
        self.live: list[Command] = []
        self.acks: set[tuple[int, int]] = set()  # where they begin, and their offsets
        self.gaps: list[RecordingGap] = []
        self.stream = b""
        self.sent = {Side.REPLICA: b"", Side.MASTER: b""}
        self._dice = dice
        self.rotates = dice.random() < 0.5
        self.redact = dice.choice(REDACTED)
        self._bus = Bus()
        self._bus.subscribe(self._hear)
        self._recorder = Lossy(
            path,
            self._bus,
            sync="none",
            without_rdb=dice.random() < 0.3,
            redact=self.redact,
            rotate=Limits(size=10**9) if self.rotates else Limits(),
        )
        rdb = b"REDIS0011\xfe\x00" + b"\x00\x03key\x05value" * dice.randrange(0, 300, 10) + b"\xff" + bytes(8)
        granted = b"+FULLRESYNC %s %d\r\n" % (REPLID.encode(), OFFSET)
        self._head = dice.choice(
            (
                b"+CONTINUE %s\r\n" % REPLID.encode(),
                granted + b"$%d\r\n" % len(rdb) + rdb,
                granted + b"$EOF:%s\r\n" % MARK + rdb + MARK,
            )
        )
        self.begins = len(b"+OK\r\n" + self._head)  # the stream, in the master's bytes

    def _hear(self, one: Told) -> None:
        if isinstance(one.event, RecordingGap):
            self.gaps.append(one.event)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Command):
            self.live.append(event)
        self._bus.publish("link", 1, "", event)

    async def run(self) -> None:
        dice, writes = self._dice, self._recorder
        writes.open()
        conversation = Conversation(self._tell, connection=1, every_command=True)
        link = connect(self._bus, writes, 1, conversation)

        def replica(data: bytes) -> None:
            self.sent[Side.REPLICA] += data
            conversation.receive_from_replica(data, 1.0)
            link.received(Side.REPLICA, memoryview(data))

        def master(data: bytes) -> None:
            self.sent[Side.MASTER] += data
            conversation.receive_from_master(data, 1.0)
            link.received(Side.MASTER, memoryview(data))

        replica(command("REPLCONF", "capa", "eof", "capa", "psync2"))
        master(b"+OK\r\n")
        asked = (REPLID, str(OFFSET + 1)) if self._head.startswith(b"+CONTINUE") else ("?", "-1")
        replica(command("PSYNC", *asked))
        self.stream = b"".join(stream(dice))
        said = self._head + self.stream
        safe = dice.choice((0, len(self._head), len(self._head)))
        at, most = 0, dice.choice((10, 100, 1000))
        while at < len(said):
            if at >= safe and dice.random() < 0.2:
                writes.is_stuck = not writes.is_stuck
            end = min(at + dice.randrange(1, dice.choice((most, most, 2000))), len(said))
            if at < len(self._head) and self._head.endswith(MARK):  # after a diskless RDB a master waits
                end = min(end, len(self._head))
            master(said[at:end])
            at = end
            if at == len(self._head) or (at > len(self._head) and dice.random() < 0.2):
                offset = OFFSET + at - len(self._head)
                self.acks.add((conversation.from_replica, offset))
                ack = command("REPLCONF", "ACK", str(offset))
                cut = dice.choice((0, 0, 10))
                replica(ack[:cut])
                replica(ack[cut:])
            if dice.random() < 0.05:
                conversation.tick(2.0)
            if self.rotates and dice.random() < 0.02:
                writes._filling.next_file(time.time_ns())
            if self.rotates and dice.random() < 0.1:
                writes._filling.file_is_due()
            if dice.random() < 0.1:
                await asyncio.sleep(0)
        for side in (Side.REPLICA, Side.MASTER):
            link.ended(side, "fin")
        conversation.close()
        self._bus.publish("link", 1, "", closed(conversation))
        await writes.close()


def closed(conversation: Conversation) -> events.LinkClosed:
    return events.LinkClosed(
        by=Side.REPLICA,
        how="fin",
        text="",
        role=conversation.role,
        phase=conversation.phase.value,
        offset=conversation.offset,
        bytes_from_master=conversation.from_master,
        bytes_from_replica=conversation.from_replica,
    )


def stream(dice: random.Random) -> Iterator[bytes]:
    """Commands, some of which have others in their values."""
    for _ in range(dice.randrange(1, 40)):
        kind = dice.randrange(7)
        if kind == 0:
            yield command("SELECT", str(dice.randrange(16)))
        elif kind == 1:
            yield command("PING")
        elif kind == 2:
            yield command("MULTI")
            for number in range(dice.randrange(4)):
                yield command("SET", f"key:{number}", "v" * dice.randrange(30))
            yield command("EXEC")
        elif kind == 3:
            yield command("SET", "inside", (command("SELECT", "9") + command("SET", "a", "b")) * dice.randrange(30))
        else:
            yield command("SET", f"key:{dice.randrange(99)}", "v" * dice.randrange(200))


def recorded(seed: int) -> tuple[Story, list[list[Packet]]]:
    """With the packets of each file."""
    with tempfile.TemporaryDirectory() as directory:
        story = Story(random.Random(seed), Path(directory) / "one.pcapng")
        asyncio.run(story.run())
        return story, [packets(path) for path in sorted(Path(directory).iterdir())]


@given(st.integers(0, 2**32))
def test_recorded_bytes_are_reported_as_they_were(seed: int) -> None:
    assert_reported_as_it_was(*recorded(seed))


def assert_reported_as_it_was(story: Story, files: list[list[Packet]]) -> None:
    """Read from all files, and starting from each of them."""
    was = {one.start: one for one in story.live}
    missing = [(gap.start, gap.end) for gap in story.gaps if gap.side is Side.MASTER]
    for number in range(len(files)):
        heard = told([packet for file in files[number:] for packet in file], every_command=True)
        read: list[Command] = of(heard, Command)
        assert len({one.start for one in read}) == len(read)
        for one in read:
            then = was[one.start]
            assert (one.end, one.name) == (then.end, then.name)
            assert one.offset in (then.offset, None)
            assert one.db in (then.db, None)
            assert story.redact or one.args == then.args
        assert story.acks.issuperset((one.start, one.offset) for one in of(heard, events.Ack))
        assert len(of(heard, events.LinkClosed)) == 1
        assert not of(heard, events.AckAheadOfMaster)
        if number == 0:
            assert of(heard, RecordingGap) == story.gaps
        if number == 0 and all(begin >= story.begins for begin, _ in missing):
            there = [one for one in story.live if all(one.end <= begin or end <= one.start for begin, end in missing)]
            assert [(one.start, one.offset, one.db) for one in read] == [(one.start, one.offset, one.db) for one in there]


@given(st.integers(0, 2**32))
def test_exactly_what_is_not_reported_is_missing(seed: int) -> None:
    story, files = recorded(seed)
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for packet in itertools.chain.from_iterable(files):
        player.packet(packet)
    player.close()
    missing = [one for one in player.account.missing if one.may_hold_commands]
    read = {one.start for one in of(heard, Command)}
    for one in story.live:
        is_missing = any(gap.start <= one.start and one.end <= gap.end for gap in missing)
        assert (one.start in read) != is_missing, (one, missing)
    for gap in missing:
        if gap.from_offset is not None:
            assert gap.from_offset == OFFSET + max(0, gap.start - story.begins)
        if gap.to_offset is not None:
            assert gap.to_offset == OFFSET + gap.end - story.begins
    lost = sum(one.lost_bytes for one in player.account.missing if one.cause != "rdb_omitted")
    assert lost == sum(one.bytes for one in story.gaps)


def test_a_gap_in_the_handshake_ends_at_a_command_even_if_one_read_also_brings_the_rdb(tmp_path: Path) -> None:
    rdb = b"REDIS0011\xff" + bytes(8)
    head = b"+FULLRESYNC %s %d\r\n$%d\r\n" % (REPLID.encode(), OFFSET, len(rdb))
    ping = command("PING")

    async def record() -> None:
        bus = Bus()
        writes = Lossy(tmp_path / "one.pcapng", bus, without_rdb=True)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        asked = command("PSYNC", "?", "-1")
        conversation.receive_from_replica(asked)
        link.received(Side.REPLICA, memoryview(asked))
        for writes.is_stuck, piece in ((True, head[:10]), (False, head[10:] + rdb + ping), (False, ping)):
            conversation.receive_from_master(piece)
            link.received(Side.MASTER, memoryview(piece))
        await writes.close()

    asyncio.run(record())
    found = segments(tmp_path / "one.pcapng")
    begin = next(one.sequence for one in found if one.flags == SYN | ACK) + 1
    kept = [(one.sequence - begin, one.data) for one in found if one.source != found[0].source and one.data]
    stream = len(head + rdb)
    assert kept == [(stream + len(ping), ping)]
    heard = told(packets(tmp_path / "one.pcapng"), every_command=True)
    assert [one.offset for one in of(heard, Command)] == [OFFSET + 2 * len(ping)]


@given(st.integers(0, 2**32))
def test_copies_are_what_was_sent(seed: int) -> None:
    """From where a command begins, in the db in force there."""
    story, files = recorded(seed)
    begins = {one.offset - (one.end - one.start): one for one in story.live if one.offset is not None}

    def read(player: Player) -> None:
        for packet in itertools.chain.from_iterable(files):
            player.packet(packet)
        player.close()

    streams = index(read).streams()
    copies = [io.BytesIO() for _ in streams]
    copy_streams(read, list(zip(streams, copies, strict=True)))
    for stretches, copy in zip(streams, copies, strict=True):
        begin, end = stretches[0].offset, stretches[-1].end_offset
        assert begin == OFFSET + len(story.stream) or begin in begins
        before = [one.db for offset, one in begins.items() if offset < begin]
        assert stretches[0].db == (before[-1] if before else None)
        assert story.redact or copy.getvalue() == story.stream[begin - OFFSET : end - OFFSET]


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_every_capture_is_reported_as_it_was_with_gaps_anywhere(capture: Capture, tmp_path: Path) -> None:
    for seed in range(5):
        directory = tmp_path / str(seed)
        directory.mkdir()
        live = asyncio.run(recorded_with_gaps(capture, directory / "one.pcapng", random.Random(seed)))
        files = [packets(path) for path in sorted(directory.iterdir())]
        for number in range(len(files)):
            for one in told(list(itertools.chain.from_iterable(files[number:])), every_command=True):
                then = live.get((one.connection, one.event.start)) if isinstance(one.event, Command) else None
                if isinstance(one.event, Command) and one.event.offset is not None:
                    assert then is not None
                if isinstance(one.event, Command) and then is not None:
                    assert (one.event.end, one.event.name) == (then.end, then.name)
                    assert one.event.offset in (then.offset, None)
                    assert one.event.db in (then.db, None)


async def recorded_with_gaps(capture: Capture, path: Path, dice: random.Random) -> dict[tuple[int, int], Command]:
    """Its commands, by connection and start."""
    live: dict[tuple[int, int], Command] = {}
    bus, memory = Bus(), Memory("link", None)
    rotates = dice.random() < 0.5
    writes = Lossy(
        path,
        bus,
        sync="none",
        without_rdb=dice.random() < 0.5,
        redact=dice.choice(REDACTED),
        rotate=Limits(size=10**9) if rotates else Limits(),
    )
    writes.open()
    conversations: dict[int, Conversation] = {}
    links: dict[int, RecordedConnection] = {}

    def tell(number: int, event: Event) -> None:
        if isinstance(event, Command):
            live[number, event.start] = event
        bus.publish("link", number, "", event)

    for chunk in capture.chunks:
        number = chunk.connection
        if number not in links:
            conversations[number] = Conversation(
                partial(tell, number), memory=memory, connection=number, peer_host="10.0.0.1", every_command=True
            )
            links[number] = connect(bus, writes, number, conversations[number])
        conversation, link = conversations[number], links[number]
        size = dice.choice((len(chunk.data), len(chunk.data), 50)) or 1
        for at in range(0, len(chunk.data), size):
            if dice.random() < 0.1:
                writes.is_stuck = not writes.is_stuck
            piece = chunk.data[at : at + size]
            if chunk.side == "master":
                conversation.receive_from_master(piece, chunk.at)
                link.received(Side.MASTER, memoryview(piece))
            else:
                conversation.receive_from_replica(piece, chunk.at)
                link.received(Side.REPLICA, memoryview(piece))
            if rotates and dice.random() < 0.02:
                writes._filling.next_file(time.time_ns())
        for one in conversations.values():
            one.tick(chunk.at)
    for number, conversation in conversations.items():
        conversation.close()
        bus.publish("link", number, "", closed(conversation))
    await writes.close()
    return live


@pytest.mark.parametrize("every_command", [True, False])
def test_a_gap_right_after_a_grant_keeps_what_was_reported_of_it(tmp_path: Path, *, every_command: bool) -> None:
    """Catching up is reported some ticks after the grant, so its comment comes after the gap."""
    live: list[Event] = []
    grant, set_1 = b"+CONTINUE %s\r\n" % REPLID.encode(), command("SET", "a", "1")

    async def record() -> None:
        bus = Bus()
        writes = Lossy(tmp_path / "one.pcapng", bus)
        writes.open()

        def tell(event: Event) -> None:
            live.append(event)
            bus.publish("link", 1, "", event)

        conversation = Conversation(tell, connection=1)
        link = connect(bus, writes, 1, conversation)
        asked = command("PSYNC", REPLID, str(OFFSET + 1))
        conversation.receive_from_replica(asked, 1.0)
        link.received(Side.REPLICA, memoryview(asked))
        for writes.is_stuck, piece in ((False, grant), (True, set_1 * 3), (False, set_1 * 5), (False, set_1)):
            conversation.receive_from_master(piece, 1.0)
            link.received(Side.MASTER, memoryview(piece))
            await asyncio.sleep(0)
        for tick in range(5):
            conversation.tick(2.0 + tick / 10)
        await asyncio.sleep(0)
        conversation.receive_from_master(set_1, 3.0)
        link.received(Side.MASTER, memoryview(set_1))
        for side in (Side.REPLICA, Side.MASTER):
            link.ended(side, "fin")
        conversation.close()
        bus.publish("link", 1, "", closed(conversation))
        await writes.close()

    asyncio.run(record())
    heard = told(packets(tmp_path / "one.pcapng"), every_command=every_command)
    assert of(heard, events.PartialResync) == [one for one in live if isinstance(one, events.PartialResync)]
    kinds = [one.event.kind for one in heard if one.event.kind in ("partial_resync", "stream_started", "recording_gap")]
    assert kinds == ["partial_resync", "stream_started", "recording_gap", "stream_started"]
    assert of(heard, events.CaughtUp) == [one for one in live if isinstance(one, events.CaughtUp)] != []
    if every_command:
        assert of(heard, Command)[-1].offset == OFFSET + 10 * len(set_1)


@pytest.mark.parametrize("redact", [(), ("keys", "values")])
def test_forbidden_words_of_a_replica_are_reported_as_they_were(tmp_path: Path, redact: tuple[Redact, ...]) -> None:
    live: list[Event] = []
    ping = command("PING")

    async def record() -> None:
        bus = Bus()
        writes = Lossy(tmp_path / "one.pcapng", bus, redact=redact)
        writes.open()

        def tell(event: Event) -> None:
            live.append(event)
            bus.publish("link", 1, "", event)

        conversation = Conversation(tell, connection=1)
        link = connect(bus, writes, 1, conversation)

        def replica(data: bytes) -> None:
            conversation.receive_from_replica(data, 1.0)
            link.received(Side.REPLICA, memoryview(data))

        replica(command("PSYNC", REPLID, str(OFFSET + 1)))
        said = [b"+CONTINUE %s\r\n" % REPLID.encode() + ping, ping, ping]
        for number, data in enumerate(said):
            conversation.receive_from_master(data, 1.0)
            link.received(Side.MASTER, memoryview(data))
            replica((b"+OK 7\r\n", b"-ERR no secret\r\n", b"get key\r\n")[number])
            replica(command("REPLCONF", "ACK", str((OFFSET + len(ping), OFFSET + 1000, OFFSET + 2000)[number])))
        for side in (Side.REPLICA, Side.MASTER):
            link.ended(side, "fin")
        conversation.close()
        bus.publish("link", 1, "", closed(conversation))
        await writes.close()

    asyncio.run(record())
    heard = told(packets(tmp_path / "one.pcapng"), every_command=True)
    assert of(heard, events.AckAheadOfMaster) == [one for one in live if isinstance(one, events.AckAheadOfMaster)]
    acks = [(one.offset, one.lag_bytes) for one in live if isinstance(one, events.Ack)]
    assert [(one.offset, one.lag_bytes) for one in of(heard, events.Ack)] == acks
    talked: list[list[events.ReplicaTalkedBack]] = [
        [one for one in some if isinstance(one, events.ReplicaTalkedBack)]
        for some in (live, [one.event for one in heard])
    ]
    assert [(one.start, one.what, one.count) for one in talked[1]] == [
        (one.start, one.what, one.count) for one in talked[0]
    ]
    assert [one.what for one in talked[0]] == ["reply", "error", "command"]
    if not redact:
        assert talked[0] == talked[1]
    assert [one.offset for one in of(heard, Command)] == [OFFSET + len(ping), OFFSET + 2 * len(ping), None]
    assert b"secret" not in (tmp_path / "one.pcapng").read_bytes() or not redact


def test_a_recording_can_be_copied_although_an_ack_made_its_offsets_doubtful() -> None:
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.send(1, GRANT + command("PING"))
    wire.send(0, command("REPLCONF", "ACK", "999999"))
    wire.send(1, command("PING"))
    heard = told(wire.packets)
    assert [one.kind for one in of(heard, events.AckAheadOfMaster)] == ["ack_ahead_of_master"]
    ((stretch,),) = index(reading(wire.packets)).streams()
    assert (stretch.offset, stretch.end_offset) == (BASE, BASE + 2 * len(command("PING")))
