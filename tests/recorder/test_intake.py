"""An ordinary read becomes a packet in one call, and no other read does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Bus, Told
from tap.capture.packets import TcpFlow
from tap.capture.pcapng import PcapngReader, heading
from tap.capture.segments import MAX_DATA, PUSH, Endpoint
from tap.recorder import filling
from tap.recorder.filling import MASTER, REPLICA
from tap.recorder.intake import Gathering, Intake
from tap.recorder.recorded_connection import RecordedConnection
from tap.recorder.recorder import Recorder
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tests.recording.support import connect, hang, next_packets, packets, segments
from tests.relay.wire import command
from tests.support import WITHIN

ACK = command("REPLCONF", "ACK", "1234")
PLENTY = 2**20


class Careful(Intake):
    """taken: what needed a decision: side, bytes, position."""

    def __init__(self, gathering: Gathering) -> None:
        super().__init__(gathering)
        self.tcp = flow()
        self.taken: list[tuple[int, bytes, int]] = []

    def take(self, number: int, data: memoryview, begin: int) -> None:
        self.taken.append((number, bytes(data), begin))


def flow() -> TcpFlow:
    return TcpFlow(Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6379), (1000, 2000))


def gathered(gathering: Gathering) -> list[bytes]:
    return [packet.data for packet in PcapngReader().feed(heading("test") + bytes(gathering.blocks.view()))]


def nobody() -> None:
    raise AssertionError("the writer wants nothing")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2 * MAX_DATA + 9)), max_size=5))
def test_ordinary_bytes_become_the_packets_of_a_flow(reads: list[tuple[bool, int]]) -> None:
    gathering = Gathering(nobody)
    gathering.limit = PLENTY
    intake, other, expected = Careful(gathering), flow(), []
    for number in (REPLICA, MASTER):
        intake.go_on(number, True)
    for of_master, size in reads:
        data = bytes(range(256)) * (size // 256 + 1) if of_master else ACK * (size % 9 + 1)
        intake.received(Side.MASTER if of_master else Side.REPLICA, memoryview(data))
        expected += next_packets(other, MASTER if of_master else REPLICA, PUSH, data)
    assert gathered(gathering) == expected
    assert not intake.taken
    assert [intake.position(number) for number in (REPLICA, MASTER)] == [
        len(ACK) * sum(size % 9 + 1 for of_master, size in reads if not of_master),
        sum((size // 256 + 1) * 256 for of_master, size in reads if of_master),
    ]


def test_at_first_and_after_ask_everything_needs_a_decision() -> None:
    gathering = Gathering(nobody)
    gathering.limit = PLENTY
    intake = Careful(gathering)
    intake.received(Side.MASTER, memoryview(b"first"))
    intake.go_on(MASTER, True)
    intake.received(Side.MASTER, memoryview(b"second"))
    intake.received(Side.REPLICA, memoryview(ACK))
    intake.ask()
    intake.received(Side.MASTER, memoryview(b"third"))
    assert intake.taken == [(MASTER, b"first", 0), (REPLICA, ACK, 0), (MASTER, b"third", 11)]
    assert len(gathered(gathering)) == 1


@pytest.mark.parametrize("said", [command("AUTH", "secret"), ACK[:-1], ACK + b"\n", b"AUTH secret\r\n", b""])
def test_a_replicas_bytes_need_a_decision_unless_they_acknowledge(said: bytes) -> None:
    gathering = Gathering(nobody)
    gathering.limit = PLENTY
    intake = Careful(gathering)
    intake.go_on(REPLICA, True)
    intake.received(Side.REPLICA, memoryview(ACK + ACK))
    intake.received(Side.REPLICA, memoryview(said))
    assert intake.taken == [(REPLICA, said, 2 * len(ACK))]


@given(st.integers(0, 3 * MAX_DATA), st.integers(0, 3 * MAX_DATA))
def test_the_limit_is_never_exceeded(limit: int, size: int) -> None:
    gathering = Gathering(nobody)
    gathering.limit = limit
    intake = Careful(gathering)
    intake.go_on(MASTER, True)
    intake.received(Side.MASTER, memoryview(bytes(size)))
    assert gathering.blocks.size <= limit
    assert bool(intake.taken) == (gathering.blocks.size == 0)


@pytest.mark.parametrize("size", [1, MAX_DATA - 1, MAX_DATA, 2 * MAX_DATA + 5])
def test_bytes_that_just_fit_with_their_headers_need_no_decision(size: int) -> None:
    around = 128 * (size // MAX_DATA + 1)  # more than a packet takes beside its data
    for missing in (0, 1):
        gathering = Gathering(nobody)
        gathering.limit = size + around - missing
        intake = Careful(gathering)
        intake.go_on(MASTER, True)
        intake.received(Side.MASTER, memoryview(bytes(size)))
        assert len(intake.taken) == missing


def test_an_idle_writer_gets_what_has_gathered() -> None:
    calls: list[int] = []
    gathering = Gathering(lambda: calls.append(gathering.blocks.size))
    gathering.limit = PLENTY
    intake = Careful(gathering)
    intake.go_on(MASTER, True)
    intake.received(Side.MASTER, memoryview(b"x"))
    gathering.wants = True
    intake.received(Side.MASTER, memoryview(b"y"))
    assert calls == [gathering.blocks.size]


def test_a_password_that_reads_as_an_acknowledgement_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "link.pcapng"

    async def record() -> None:
        writes, link = await recording(path, Bus())
        secret = command("AUTH", ACK)
        begin = secret.index(ACK)
        for piece in (ACK, ACK, secret[:begin], secret[begin : begin + len(ACK)], secret[begin + len(ACK) :]):
            link.received(Side.REPLICA, memoryview(piece))
        for _ in range(2):
            link.received(Side.REPLICA, memoryview(command("AUTH", "s3cr3t")))
        await writes.close()

    asyncio.run(record())
    assert b"s3cr3t" not in path.read_bytes()
    assert path.read_bytes().count(ACK) == 2


def test_a_comment_of_the_tap_goes_on_the_next_packet(tmp_path: Path) -> None:
    path = tmp_path / "link.pcapng"

    async def record() -> None:
        bus = Bus()
        writes, link = await recording(path, bus)
        for piece in (b"first", b"before"):
            link.received(Side.MASTER, memoryview(piece))
        bus.publish("", 0, "", events.FaultArmed(fault="cut", spec="cut", seed=1))
        for piece in (b"next", b"last"):
            link.received(Side.MASTER, memoryview(piece))
        await writes.close()

    asyncio.run(record())
    (said,) = [one for one in packets(path) if any("fault_armed" in comment for comment in one.comments)]
    assert said.data.endswith(b"next")


@pytest.mark.parametrize("without_rdb", [False, True])
def test_an_omitted_rdb_begins_and_ends_at_its_bytes(tmp_path: Path, without_rdb: bool) -> None:
    """However the reads lie to it: each byte, and all at once."""
    rdb = b"REDIS0011\xff" + bytes(8)
    head = b"+FULLRESYNC " + b"a" * 40 + b" 0\r\n$%d\r\n" % len(rdb)
    stream = command("PING") * 3
    kept = b"" if without_rdb else rdb

    async def record(path: Path, size: int) -> None:
        bus = Bus()
        writes = Recorder(path, bus, without_rdb=without_rdb)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        asks = command("PSYNC", "?", "-1")
        conversation.receive_from_replica(asks)
        link.received(Side.REPLICA, memoryview(asks))
        said = head + rdb + stream
        for at in range(0, len(said), size):
            piece = said[at : at + size]
            conversation.receive_from_master(piece)
            link.received(Side.MASTER, memoryview(piece))
        await writes.close()

    for size in (1, 7, len(head), len(rdb), len(head + rdb), 1000):
        path = tmp_path / f"{size}.pcapng"
        asyncio.run(record(path, size))
        found = segments(path)
        assert b"".join(one.data for one in found if one.source != found[0].source) == head + kept + stream


def test_a_gap_is_reported_although_others_have_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk hangs until one link's bytes are left out; another link first feels that it works again."""
    monkeypatch.setattr(filling, "QUEUE_BYTES", 1_000_000)
    monkeypatch.setattr(filling, "GATHER_BYTES", 100_000)

    async def record() -> list[events.RecordingGap]:
        bus, told = Bus(), list[Told]()
        bus.subscribe(told.append)
        writes = Recorder(tmp_path / "link.pcapng", bus)
        writes.open()
        goes_on = hang(monkeypatch)
        conversations = [Conversation(lambda event: None, connection=number) for number in (1, 2)]
        for conversation in conversations:
            conversation.lost(Side.MASTER, "nobody knows it")
        links = [connect(bus, writes, one.connection, one) for one in conversations]
        piece = memoryview(bytes(10_000))
        while not writes.trouble:
            links[0].received(Side.MASTER, piece)
        links[0].received(Side.MASTER, piece)
        goes_on.set()
        async with asyncio.timeout(WITHIN):
            while writes.waiting > 200_000:
                await asyncio.sleep(0.001)
        for _ in range(50):
            links[1].received(Side.MASTER, piece)
        links[0].received(Side.MASTER, piece[:1])
        gaps = [one.event for one in told if isinstance(one.event, events.RecordingGap)]
        await writes.close()
        return gaps

    (gap,) = asyncio.run(record())
    assert (gap.side, gap.bytes) == (Side.MASTER, 20_001)  # with the read in which there is room again


async def recording(path: Path, bus: Bus) -> tuple[Recorder, RecordedConnection]:
    """A recording of one link, in which there is room for more of it."""
    writes = Recorder(path, bus)
    writes.open()
    link = connect(bus, writes, 1)
    async with asyncio.timeout(WITHIN):
        while writes.waiting:
            await asyncio.sleep(0.001)
    return writes, link
