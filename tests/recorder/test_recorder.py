"""What a tap records of its links, read back: every byte, as it was received, and what the disk did to it."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import signal
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tap import Address, Config, LinkConfig, Tap, recording
from tap.bus import Bus
from tap.capture.output import DROP_BYTES, Output
from tap.capture.packets import Blocks
from tap.capture.pcapng import PcapngReader
from tap.capture.rotation import Rotation
from tap.capture.segments import ACK, FIN, PUSH, RST, SYN
from tap.config.config import recording_path
from tap.errors import ConfigError, EnvironmentFailure
from tap.recorder import filling, writer
from tap.recorder.recorded_connection import RecordedConnection
from tap.recorder.recorder import Recorder
from tap.relay.listener import Listener
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.units import Limits
from tests.recording.support import (
    Segment,
    comments,
    config,
    connect,
    exchange,
    followed,
    hang,
    kill_while_it_records,
    linked,
    listening,
    packets,
    segment,
    segments,
    sides,
    tap_process,
    tshark,
)
from tests.recording.wires import STREAM, of, told
from tests.relay.wire import BASE, BLOCK, GRANT, asks, command, receive
from tests.support import (
    WITHIN,
    Servers,
    TapThread,
    client,
    expect_reset,
    follow,
    is_up,
    level,
    thinned,
    wait_inside,
    wait_until,
)


@pytest.mark.parametrize("seed", range(3))
def test_every_byte_of_both_directions_is_in_the_file(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "one.pcapng"
    pieces = [(dice.randrange(2), dice.randbytes(dice.choice((1, 30, 5000, 300_000)))) for _ in range(30)]
    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as tap:
        sent = exchange(tap, listener, pieces)
    assert sides(path) == sent
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = segments(path)
    assert [one.flags for one in found[:3]] == [SYN, SYN | ACK, ACK]
    assert sum(bool(one.flags & FIN) for one in found) == 2
    assert found[0].target == listener_address(found, tap)
    said = [said["event"] for said in comments(path)]
    assert (said[0], said[-1]) == ("link_opened", "link_closed")


def listener_address(found: list[Segment], tap: TapThread) -> tuple[str, int]:
    master = tap.tap.config.links[0].master
    assert master is not None
    return master.host, master.port


def test_tshark_finds_no_error_and_follows_the_stream_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    stream = b"".join(command("SET", f"key:{number}", "v" * number) for number in range(500))
    pieces = [
        (0, asks(BASE)),
        (1, GRANT),
        (1, stream[:5000]),
        (0, command("REPLCONF", "ACK", "1200")),
        (1, stream[5000:]),
    ]
    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as tap:
        sent = exchange(tap, listener, pieces)
        port = listener.getsockname()[1]
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-d", f"tcp.port=={port},resp"]
    wrong = "_ws.malformed || tcp.checksum.status==0 || ip.checksum.status==0 || tcp.analysis.flags"
    assert tshark(path, *checks, "-Y", f"({wrong}) && tcp.len > 0") == ""
    assert followed(path) == sent
    assert tshark(path, *checks, "-Y", "resp", "-T", "fields", "-e", "resp.bulk_string.value").count("key:") > 0 or (
        "resp" in tshark(path, *checks, "-Y", "resp", "-T", "fields", "-e", "frame.protocols")
    )
    said = tshark(path, "-Y", 'frame.comment contains "partial_resync"', "-T", "fields", "-e", "frame.comment")
    assert '"event":"partial_resync"' in said


def test_a_reset_is_a_reset_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as tap:
        with linked(tap, listener) as (replica, master):
            replica.sendall(command("PING"))
            assert master.recv(100)
            replica.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            replica.close()
            tap.wait_for(events.LinkClosed)
    found = segments(path)
    assert [one.source == found[0].source for one in found if one.flags & RST] == [True]
    assert not any(one.flags & FIN for one in found)


def test_an_unreachable_master_leaves_an_attempt(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        port = listener.getsockname()[1]
    with TapThread(config(port, path)) as tap:
        expect_reset(tap.port)
        tap.wait_for(events.LinkClosed)
    assert [one.flags for one in segments(path)] == [SYN, RST | ACK]
    assert [said["event"] for said in comments(path)] == ["link_opened", "link_closed"]


def test_faults_are_commented_and_the_bytes_are_those_received(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        wants = config(listener.getsockname()[1], path, faults=("drop command=SET key=b times=1",))
        with TapThread(wants) as tap:
            stream = command("SET", "a", "1") + command("SET", "b", "2") + command("SET", "c", "3")
            sent = exchange(tap, listener, [(0, asks(BASE)), (1, GRANT + stream)])
            tap.wait_for(events.FaultFired)
    assert sides(path) == sent
    assert "fault_fired" in [said["event"] for said in comments(path)]


def test_passwords_are_not_in_the_file(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master = servers.start(any_server, "requirepass", "open-sesame")
    replica = servers.start(any_server, "masterauth", "open-sesame")
    with TapThread(config(master.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
    data = path.read_bytes()
    assert b"AUTH" in data
    assert b"*" * len("open-sesame") in data
    assert b"open-sesame" not in data


def test_without_rdb_all_else_is_in_the_file(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(any_server), servers.start(any_server)
    client(master).set("in-the-snapshot", "x" * 300_000)
    with TapThread(config(master.port, path, record_without_rdb=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        client(master).set("in-the-stream", "y")
        level(master, replica)
        rdb = tap.wait_for(events.RdbFinished)
    assert b"in-the-snapshot" not in path.read_bytes()
    assert b"in-the-stream" in path.read_bytes()
    (said,) = [said for said in comments(path) if said["event"] == "rdb_omitted"]
    assert (said["start"], said["end"] >= rdb.end) == (rdb.start, True)


# ---- the disk ----


async def start(wanted: Config) -> None:
    async with Tap(wanted):
        pass


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        asyncio.run(start(config(1, path)))
    assert path.read_text() == "mine"


def test_a_file_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="No such file"):
        asyncio.run(start(config(1, tmp_path / "no" / "one.pcapng")))


def test_a_tap_that_cannot_listen_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        taken = Address("127.0.0.1", listener.getsockname()[1])
        link = LinkConfig(master=Address("127.0.0.1", 1), listen=taken)
        with pytest.raises(EnvironmentFailure, match="cannot listen"):
            asyncio.run(start(Config(links=(link,), record_to=path)))
    assert not path.exists()


def test_a_slow_disk_delays_no_link_and_the_gap_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.pcapng"
    monkeypatch.setattr(filling, "QUEUE_BYTES", 200_000)
    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as tap:
        may_write = hang(monkeypatch)
        with linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            master.sendall(GRANT)
            for _ in range(5):
                master.sendall(BLOCK)
            left = len(GRANT) + 5 * len(BLOCK)
            while left:  # all of it comes through, while nothing can be written
                left -= len(replica.recv(2**16))
            assert tap.wait_for(events.RecordingStopped).text == "the disk is slower than the links"
            may_write.set()
            wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting == 0)
            master.sendall(BLOCK)
            left = len(BLOCK)
            while left:  # what has not come through when the tap ends is neither recorded nor missing
                left -= len(replica.recv(2**16))
            gap = tap.wait_for(events.RecordingGap)
    assert gap.side is events.Side.MASTER
    assert gap.from_offset is not None
    assert (gap.from_offset, gap.to_offset) == (BASE + gap.start - len(GRANT), BASE + gap.end - len(GRANT))
    everything = GRANT + 6 * BLOCK
    found = segments(path)
    first = next(one.sequence for one in found if one.flags == SYN | ACK) + 1
    kept = [(one.sequence - first, one.data) for one in found if one.source != found[0].source and one.data]
    assert all(everything[at : at + len(data)] == data for at, data in kept)
    assert sum(len(data) for _, data in kept) == len(everything) - sum(
        one.bytes for one in tap.events(events.RecordingGap)
    )
    told = [one.start for one in tap.events(events.RecordingGap)]
    assert [said["start"] for said in comments(path) if said["event"] == "recording_gap"] == told


@pytest.mark.parametrize("redact", [(), ("keys", "values")], ids=["plain", "redacted"])
@pytest.mark.parametrize("cut", [0, 10, 700_000], ids=["between", "in a head", "in a value"])
@pytest.mark.parametrize("rotates", thinned([True, False], 2), ids=["two files", "one file"])
def test_after_a_gap_the_commands_have_their_offsets_and_dbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotates: bool, cut: int, redact: tuple[str, ...]
) -> None:
    """cut: this much of a long command comes before there is room again, and maybe the next file; the rest after it."""
    monkeypatch.setattr(filling, "QUEUE_BYTES", 200_000)
    long = command("SET", "long", command("SELECT", "9") * 50_000)
    first = command("SELECT", "3") + 4 * BLOCK + command("SELECT", "5") + long[:cut]
    behind = [long[cut:], command("SET", "a", "1"), command("MULTI") + command("SET", "b", "2")]
    behind += [command("SET", "c", "3") + command("EXEC"), command("SELECT", "7"), command("SET", "d", "4")]
    ack = command("REPLCONF", "ACK", str(BASE))
    options = {"record_redact": redact, "record_rotate": ("1gb",) if rotates else ()}
    with listening() as listener:
        wanted = config(listener.getsockname()[1], tmp_path / "one.pcapng", every_command=True, **options)
        with TapThread(wanted) as tap:
            kept = tap.tap.recorder
            assert kept is not None
            may_write = hang(monkeypatch)
            with linked(tap, listener) as (replica, master):
                replica.sendall(asks(BASE))
                assert master.recv(1000)
                master.sendall(GRANT + first)
                receive(replica, len(GRANT + first))
                assert tap.wait_for(events.RecordingStopped).text == "the disk is slower than the links"
                if rotates:
                    tap.call(lambda: kept._filling.next_file(time.time_ns()))
                may_write.set()
                for piece in behind:
                    for at in range(0, len(piece), 20_000):
                        wait_until(lambda: kept.waiting < 50_000)
                        master.sendall(piece[at : at + 20_000])
                        receive(replica, len(piece[at : at + 20_000]))
                    replica.sendall(ack)
                    receive(master, len(ack))
    files = sorted(tmp_path.iterdir())
    gaps = tap.events(events.RecordingGap)
    assert len(files) == 1 + rotates
    live = [one for one in tap.events(events.Command) if one.end > gaps[-1].end]
    assert [one.db for one in live][-6:] == [5, 5, 5, 5, 7, 7]
    everything = [packet for path in files for packet in packets(path)]
    for there in (everything, packets(files[-1])):
        heard = told(there, every_command=True)
        read = [one for one in of(heard, events.Command) if one.end > gaps[-1].end]
        assert [(one.name, one.offset, one.db, one.start) for one in read] == [
            (one.name, one.offset, one.db, one.start) for one in live
        ]
        assert redact or read == live
        assert len(of(heard, events.Ack)) == len(behind)
    assert of(told(everything, every_command=True), events.RecordingGap) == gaps
    assert all(before.end <= gap.start for before, gap in itertools.pairwise(gaps))


def test_a_gap_ends_with_an_acknowledgement_if_the_master_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.pcapng"
    monkeypatch.setattr(filling, "QUEUE_BYTES", 200_000)
    with listening() as listener, TapThread(config(listener.getsockname()[1], path, every_command=True)) as tap:
        may_write = hang(monkeypatch)
        with linked(tap, listener) as (replica, master):
            replica.sendall(asks(BASE))
            assert master.recv(1000)
            master.sendall(GRANT + 3 * BLOCK)
            receive(replica, len(GRANT + 3 * BLOCK))
            tap.wait_for(events.RecordingStopped)
            may_write.set()
            wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting == 0)
            replica.sendall(command("REPLCONF", "ACK", str(BASE)))
            gap = tap.wait_for(events.RecordingGap)
            master.sendall(command("SET", "a", "1"))
            receive(replica, len(command("SET", "a", "1")))
    assert (gap.side, gap.end) == (events.Side.MASTER, len(GRANT + 3 * BLOCK))
    heard = told(packets(path), every_command=True)
    last = of(heard, events.Command)[-1]
    assert (last.args, last.offset) == ((b"a", b"1"), BASE + len(3 * BLOCK + command("SET", "a", "1")))
    assert of(heard, events.RecordingGap) == [gap]


MARK = b"0123456789" * 4


@pytest.mark.parametrize("mark", [b"", MARK], ids=["disk", "diskless"])
def test_after_a_gap_in_an_rdb_the_recording_has_the_offsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes
) -> None:
    path = tmp_path / "one.pcapng"
    monkeypatch.setattr(filling, "QUEUE_BYTES", 200_000)
    value = b"\x80" + (400_000).to_bytes(4, "big") + bytes(400_000)  # a string whose length takes 32 bits
    rdb = b"REDIS0011\xfe\x00\x00\x01k" + value + b"\xff" + bytes(8)
    head = b"+FULLRESYNC %s %d\r\n" % (b"a" * 40, BASE) + (b"$EOF:%s\r\n" % mark if mark else b"$%d\r\n" % len(rdb))
    payload, ack = rdb + mark, command("REPLCONF", "ACK", str(BASE))
    with listening() as listener, TapThread(config(listener.getsockname()[1], path, every_command=True)) as tap:
        may_write = hang(monkeypatch)
        with linked(tap, listener) as (replica, master):
            replica.sendall(command("REPLCONF", "listening-port", "7777"))
            assert master.recv(1000)
            master.sendall(b"+OK\r\n")
            assert replica.recv(1000)
            replica.sendall(command("PSYNC", "?", "-1"))
            assert master.recv(1000)
            master.sendall(head + payload[:300_000])
            receive(replica, len(head) + 300_000)
            tap.wait_for(events.RecordingStopped)
            may_write.set()
            wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting < 50_000)
            for at in range(300_000, len(payload), 20_000):
                master.sendall(payload[at : at + 20_000])
                receive(replica, len(payload[at : at + 20_000]))
            replica.sendall(ack)
            receive(master, len(ack))
            master.sendall(b"".join(STREAM))
            receive(replica, len(b"".join(STREAM)))
    (gap,) = tap.events(events.RecordingGap)
    assert gap.to_offset is None  # in the RDB there are no offsets
    live = tap.events(events.Command)
    assert live[0].offset == BASE + len(command(live[0].name, *live[0].args))
    assert of(told(packets(path), every_command=True), events.Command) == live


CLOSED = events.LinkClosed(
    by=events.Side.REPLICA,
    how="fin",
    text="",
    role=None,
    phase="connect",
    offset=None,
    bytes_from_master=0,
    bytes_from_replica=0,
)


def opened(recorder: Recorder, number: int) -> RecordedConnection:
    link = recorder.opened(
        "link", Conversation(lambda _: None, connection=number), ("127.0.0.1", 1024 + number), ("127.0.0.1", 1)
    )
    assert link is not None
    link.dialled(None)
    return link


def links(recorder: Recorder, count: int) -> list[RecordedConnection]:
    """Links of a recorder that no relay feeds."""
    made = []
    for number in range(count):
        made.append(opened(recorder, number))
    return made


def test_comments_of_many_links_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"

    async def say() -> None:
        recorder = Recorder(path, Bus())
        recorder.open()
        for number, link in enumerate(links(recorder, 1000)):
            recorder._filling.say(link, str(number))
        await recorder.close()

    asyncio.run(say())
    said = {packet.comments[0]: segment(packet.data).source[1] for packet in packets(path) if packet.comments}
    assert said == {str(number): 1024 + number for number in range(1000)}


def test_a_disk_that_hangs_costs_no_memory_per_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment at its own time has no block of memory of its own."""
    path = tmp_path / "one.pcapng"
    made: list[Blocks] = []

    def make() -> Blocks:
        made.append(Blocks())
        return made[-1]

    async def say() -> None:
        recorder = Recorder(path, Bus())
        recorder.open()
        (link,) = links(recorder, 1)
        may_write = hang(monkeypatch)
        for number in range(100):
            recorder._filling.say(link, str(number))
            await asyncio.sleep(0)
        may_write.set()
        await recorder.close()

    monkeypatch.setattr(writer, "Blocks", make)
    asyncio.run(say())
    assert [comment for packet in packets(path) for comment in packet.comments] == [str(number) for number in range(100)]
    assert len(made) < 10


def test_endless_connections_cost_bounded_memory_while_a_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.pcapng"
    stopped: list[str] = []

    def come_and_go(bus: Bus, number: int, link: RecordedConnection | None) -> None:
        bus.publish("link", number, "", events.LinkOpened(peer=f"10.0.0.7:{number}", master="10.0.0.5:6379"))
        if link is not None:
            link.dialled(None)
        bus.publish("link", number, "", CLOSED)

    async def record() -> tuple[int, int]:
        bus = Bus()
        bus.subscribe(
            lambda told: stopped.append(told.event.text) if isinstance(told.event, events.RecordingStopped) else None
        )
        recorder = Recorder(path, bus)
        recorder.open()
        may_write = hang(monkeypatch)
        waiting = []
        for number in range(1, 1000):
            conversation = Conversation(lambda _: None, connection=number)
            come_and_go(bus, number, recorder.opened("link", conversation, ("127.0.0.1", 1024), ("127.0.0.1", 1)))
            waiting.append(recorder.waiting)
        assert recorder.lost_links > 900
        assert waiting[-1] == waiting[-recorder.lost_links]
        assert f"0 bytes and {recorder.lost_links} connections are not in the recording" in recorder.trouble_so_far
        may_write.set()
        await recorder.close()
        return recorder.lost_links, recorder.waiting

    monkeypatch.setattr(filling, "QUEUE_BYTES", 20_000)
    lost, waiting = asyncio.run(record())
    assert waiting == 0
    assert stopped == ["the disk takes nothing, and connections that come now are not recorded"]
    assert sum(one.flags == SYN for one in segments(path)) == 999 - lost


def test_a_full_disk_ends_with_exit_code_3_and_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    limited = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh"]  # blocks of 512 or 1024 bytes
    with tap_process("-w", str(path), wrapper=limited) as (process, replica, master):
        wait_until(lambda: len(packets(path)) > 3)
        master.sendall(GRANT + BLOCK)
        assert receive(replica, len(GRANT + BLOCK)) == GRANT + BLOCK
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=WITHIN)
    assert process.returncode == 3
    assert "File too large" in complaint
    assert "RECORDING HELD UP" in said
    assert len(packets(path)) > 3


@pytest.mark.parametrize("name", ["one.pcapng", "one.pcapng.zst"])
def test_bytes_that_the_disk_never_takes_are_a_gap_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    append: Callable[[Output, bytes], None] = Output.append

    def with_little_room(self: Output, encoded: bytes) -> None:
        if len(encoded) > 20_000:
            raise OSError(28, "No space left on device")
        append(self, encoded)

    monkeypatch.setattr(Output, "append", with_little_room)
    monkeypatch.setattr(filling, "GATHER_BYTES", 100_000)
    stream = b"".join(command("SET", f"key:{number}", random.Random(number).randbytes(50_000)) for number in range(8))

    def pieces(tap: TapThread) -> Iterator[tuple[int, bytes]]:
        yield from [(0, asks(BASE)), (1, GRANT)]
        tap.wait_for(events.PartialResync)
        wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting == 0)
        yield 1, stream

    with listening() as listener, TapThread(config(listener.getsockname()[1], path)) as tap:
        exchange(tap, listener, pieces(tap))
    (gap,) = tap.events(events.RecordingGap)  # and not one for each read
    assert (gap.to_offset, gap.bytes) == (BASE + len(stream), gap.end - gap.start)
    assert tap.tap.recorder is not None
    assert tap.tap.recorder.lost_bytes == gap.bytes
    with recording.open(path) as read:
        told = [told.event for told in read.events()]
        assert read.problems == []
    assert [event for event in told if isinstance(event, events.RecordingGap)] == [gap]
    # The disk may refuse before the link closes, or after that.
    assert {type(event) for event in told[-2:]} <= {events.LinkClosed, events.RecordingStopped, events.RecordingGap}
    assert sum(isinstance(event, events.LinkClosed) for event in told) == 1


def test_a_link_of_which_nothing_was_written_opens_before_its_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.pcapng"
    refused: list[bytes] = []

    def gives_up(self: Output, data: bytes) -> bytes:
        monkeypatch.setattr(Output, "append", append)
        return data

    def refuse(self: Output, encoded: bytes) -> None:
        refused.append(encoded)
        raise OSError(28, "No space left on device")

    async def record() -> None:
        recorder = Recorder(path, Bus())
        recorder.open()
        monkeypatch.setattr(Output, "append", refuse)
        (link,) = links(recorder, 1)
        link.received(events.Side.MASTER, memoryview(bytes(1000)))
        link.ended(events.Side.MASTER, "fin")
        await recorder.close()

    append = Output.append
    monkeypatch.setattr(Output, "encode_anew", gives_up)
    monkeypatch.setattr(writer, "CLOSE_SECONDS", 0.1)
    asyncio.run(record())
    assert refused
    found = segments(path)
    assert [one.flags for one in found] == [SYN, SYN | ACK, ACK, FIN | ACK]
    assert found[1].acknowledged == found[0].sequence + 1
    assert [(said["start"], said["end"]) for said in comments(path)] == [(0, 1000)]


def test_bytes_that_a_slow_disk_never_takes_are_a_gap_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.pcapng"
    append: Callable[[Output, bytes], None] = Output.append
    gaps: list[events.RecordingGap] = []

    def slowly(self: Output, encoded: bytes) -> None:
        time.sleep(0.02)
        append(self, encoded)

    async def record() -> None:
        bus = Bus()
        bus.subscribe(lambda told: gaps.append(told.event) if isinstance(told.event, events.RecordingGap) else None)
        recorder = Recorder(path, bus)
        recorder.open()
        (link,) = links(recorder, 1)
        monkeypatch.setattr(Output, "append", slowly)
        for _ in range(100):
            link.received(events.Side.MASTER, memoryview(bytes(1000)))
        await recorder.close()
        await recorder.close()

    monkeypatch.setattr(filling, "GATHER_BYTES", 1000)
    monkeypatch.setattr(writer, "CLOSE_SECONDS", 0.1)
    asyncio.run(record())
    (gap,) = gaps
    assert (gap.start, gap.end) == (len(sides(path)[1]), 100_000)
    assert [said["start"] for said in comments(path) if said["event"] == "recording_gap"] == [gap.start]


@pytest.mark.parametrize("rest", [0.0, 0.01, 0.05, 0.2])
def test_bytes_before_a_silence_are_written_during_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: float
) -> None:
    """Whatever the thread is doing: it has yet to begin, polls, or sleeps."""
    begins = threading.Event()
    monkeypatch.setattr(writer, "sync_directory", lambda directory: begins.wait(WITHIN))
    monkeypatch.setattr(writer, "SYNC_SECONDS", 10 * WITHIN)  # it does not wake up on its own

    async def is_written(recorder: Recorder) -> None:
        async with asyncio.timeout(WITHIN):
            while recorder.waiting:
                await asyncio.sleep(0.001)

    async def record() -> None:
        recorder = Recorder(tmp_path / "one.pcapng", Bus())
        recorder.open()
        (link,) = links(recorder, 1)
        link.received(events.Side.MASTER, memoryview(bytes(10)))
        begins.set()
        await is_written(recorder)
        for _ in range(3):
            await asyncio.sleep(rest)
            for size in (10, 2**18, 10):
                link.received(events.Side.MASTER, memoryview(bytes(size)))
            await is_written(recorder)
        await recorder.close()

    asyncio.run(record())


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system does not drop what it holds of a file")
def test_bytes_on_the_disk_leave_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(("fsync", 0, os.fstat(file).st_size)))
    monkeypatch.setattr(os, "posix_fadvise", lambda file, at, size, advice: calls.append(("drop", at, at + size)))
    monkeypatch.setattr(writer, "SYNC_SECONDS", 10**6)  # however long a busy machine takes, only bytes count
    path = tmp_path / "one.pcapng"

    async def record() -> None:
        recorder = Recorder(path, Bus())
        recorder.open()
        (link,) = links(recorder, 1)
        for _ in range(3 * writer.SYNC_BYTES // 2**18):
            link.received(events.Side.MASTER, memoryview(bytes(2**18)))
            while recorder.waiting > 2**20:
                await asyncio.sleep(0.001)
        await recorder.close()

    asyncio.run(record())
    dropped = [(begin, end) for what, begin, end in calls if what == "drop"]
    synced = [end for what, _, end in calls if what == "fsync"]
    assert len(dropped) == 3
    assert dropped[0][0] == 0
    for (_, end), (begin, _) in itertools.pairwise(dropped):
        assert end - DROP_BYTES < begin <= end  # the last page was not whole
    for begin, end in dropped:
        assert calls[calls.index(("drop", begin, end)) - 1] == ("fsync", 0, end)
    assert max(synced) == path.stat().st_size


def test_a_close_that_is_cancelled_leaves_a_whole_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.pcapng"
    is_closing = asyncio.Event()

    async def hang(self: Listener, within: float) -> None:
        is_closing.set()
        await asyncio.Event().wait()

    async def record() -> None:
        tap = Tap(Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),), record_to=path))
        await tap.__aenter__()
        assert tap.recorder is not None
        links(tap.recorder, 1)
        monkeypatch.setattr(Listener, "close", hang)
        closing = asyncio.ensure_future(tap.close())
        await is_closing.wait()
        closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled()
        monkeypatch.undo()
        await tap.listeners[0].close(1.0)

    asyncio.run(record())
    assert [one.flags for one in segments(path)] == [SYN, SYN | ACK, ACK]
    assert not any(thread.name == "recorder" for thread in threading.enumerate())


def test_events_after_the_last_packet_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, faults=("delay 1ms name=late",))) as tap:
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT)])
    assert [said["event"] for said in comments(path)][-1] == "fault_expired"
    with recording.open(path) as read:
        assert [told.event for told in read.events()][-1] == tap.events(events.FaultExpired)[-1]


def test_a_killed_tap_leaves_a_readable_file(tmp_path: Path) -> None:
    dice = random.Random(7)
    for number in range(4):
        path = tmp_path / f"{number}.pcapng"
        kill_while_it_records(["-w", str(path)], partial(holds, path, GRANT + BLOCK), dice.random() * 0.1)
        reader = PcapngReader()
        read = [*reader.feed(path.read_bytes()), *reader.close()]
        data = b"".join(one.data for one in map(segment, (packet.data for packet in read)) if one.flags & PUSH)
        assert GRANT + BLOCK in data
        assert all("cut off" in problem for problem in reader.problems)
        os.unlink(path)


def holds(path: Path, data: bytes) -> bool:
    written = PcapngReader().feed(path.read_bytes())  # the last block may be incomplete: it is being written
    return data in b"".join(segment(packet.data).data for packet in written)


def test_a_name_that_promises_another_compression_is_refused() -> None:
    with pytest.raises(ConfigError, match="zstd only: day.pcapng.zst".replace(".", r"\.")):
        recording_path("day.pcapng.gz")


def test_refused_connections_leave_nothing_to_be_recorded(tmp_path: Path) -> None:
    """A transparent tap reports them, and has none of their bytes."""

    async def story() -> list[str]:
        bus = Bus()
        writes = Recorder(tmp_path / "x.pcapng", bus)
        writes.open()
        for number in range(1, 1000):
            bus.publish("link", number, "", events.LinkOpened(peer="10.0.0.1:1", master=""))
            bus.publish("link", number, "", closed_astray())
        left = list(writes._filling._comments)
        await writes.close()
        return left

    assert asyncio.run(story()) == []


def closed_astray() -> events.LinkClosed:
    return events.LinkClosed(
        by=events.Side.TAP,
        how="error",
        text="it was not redirected by this machine",
        role=None,
        phase="connect",
        offset=None,
        bytes_from_master=0,
        bytes_from_replica=0,
    )


# ---- without a relay ----


def recording_of(path: Path, story: Callable[[Bus, Recorder], None], **options: Any) -> list[str]:
    """Tell the story to a recorder. Returns the troubles that it reported."""
    troubles: list[str] = []

    async def run() -> None:
        bus = Bus()
        bus.subscribe(
            lambda told: troubles.append(told.event.text) if isinstance(told.event, events.RecordingStopped) else None
        )
        writes = Recorder(path, bus, sync="none", **options)
        writes.open()
        story(bus, writes)
        await writes.close()

    asyncio.run(run())
    return troubles


def handshake(sent: tuple[str, ...] | None) -> events.Handshake:
    return events.Handshake(start=3, end=9, request=("PING",), reply="+PONG", sent=sent)


def refused(number: int) -> events.ResyncRefused:
    return events.ResyncRefused(start=number, end=number + 1, reply=f"-ERR {number}")


def test_before_it_is_open_and_after_it_is_closed_a_recorder_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"

    async def story() -> None:
        writes = Recorder(path, Bus(), sync="none")
        writes.rotate()
        await writes.close()
        assert (writes.path, writes.waiting, writes.trouble_so_far) == (path, 0, "")
        assert not path.exists()
        writes.open()
        await writes.close()
        before = path.read_bytes()
        writes.rotate()
        await writes.close()
        assert path.read_bytes() == before
        assert writes.path == path
        writes.discard()
        writes.discard()
        assert not path.exists()

    asyncio.run(story())


def test_events_that_the_bytes_do_not_show_become_comments(tmp_path: Path) -> None:
    def story(bus: Bus, writes: Recorder) -> None:
        opened(writes, 1)
        bus.publish("link", 1, "", handshake(None))
        bus.publish("link", 1, "", handshake(("PSYNC", "?", "-1")))
        bus.publish("link", 1, "", events.PsyncRequested(start=1, end=2, replid="?", offset=-1))
        bus.publish("link", 2, "", refused(2))  # of a connection that was refused
        bus.publish("link", 1, "", refused(1))
        bus.publish("", 0, "", events.FaultArmed(fault="cut", spec="cut key=secret", seed=1))

    path = tmp_path / "one.pcapng"
    assert recording_of(path, story) == []
    said = comments(path)
    assert [(one["event"], one.get("sent"), one.get("spec")) for one in said] == [
        ("fault_armed", None, "cut key=secret"), ("handshake", ["PSYNC", "?", "-1"], None), ("resync_refused", None, None)
    ]  # fmt: skip
    path = tmp_path / "redacted.pcapng"
    recording_of(path, story, redact=["keys"])
    assert b"fault_armed" in path.read_bytes()
    assert b"secret" not in path.read_bytes()


def test_a_closed_connection_is_recorded_no_more(tmp_path: Path) -> None:
    def story(bus: Bus, writes: Recorder) -> None:
        opened(writes, 1)
        bus.publish("link", 1, "", CLOSED)
        bus.publish("link", 1, "", refused(1))

    path = tmp_path / "one.pcapng"
    recording_of(path, story)
    assert [said["event"] for said in comments(path)] == ["link_closed"]
    assert [one.flags & (SYN | FIN) for one in segments(path)] == [SYN, SYN, 0, FIN, FIN]


def test_lost_bytes_are_counted_and_the_first_trouble_is_kept(tmp_path: Path) -> None:
    def story(bus: Bus, writes: Recorder) -> None:
        assert writes.trouble_so_far == ""
        writes._trouble("first")
        writes._trouble("second")
        assert writes.trouble_so_far == "first; 0 bytes are not in the recording"
        writes._lost(5)
        writes._lost(2)
        assert (writes.lost_bytes, writes.trouble_so_far) == (7, "first; 7 bytes are not in the recording")
        writes.lost_links = 1
        assert writes.trouble_so_far == "first; 7 bytes and 1 connections are not in the recording"

    assert recording_of(tmp_path / "one.pcapng", story) == ["first", "second"]


def test_an_unrecorded_connection_is_forgotten_when_it_closes(tmp_path: Path) -> None:
    def story(bus: Bus, writes: Recorder) -> None:
        assert writes._writer is not None
        writes._writer.taken = -(2**40)
        one = Conversation(lambda event: None, connection=7)
        for _ in range(2):
            assert writes.opened("link", one, ("127.0.0.1", 1), ("127.0.0.1", 2)) is None
        assert (writes.lost_links, writes._unrecorded) == (2, {7})
        bus.publish("link", 7, "", refused(1))
        assert writes._unrecorded == {7}
        bus.publish("link", 7, "", CLOSED)
        assert writes._unrecorded == set()
        writes._writer.taken = 0

    troubles = recording_of(tmp_path / "one.pcapng", story)
    assert troubles == ["the disk takes nothing, and connections that come now are not recorded"]


def test_on_request_a_single_file_continues_in_a_numbered_one_or_in_its_name_if_it_was_moved(tmp_path: Path) -> None:
    path, moved = tmp_path / "one.pcapng", tmp_path / "moved.pcapng"
    earlier = tmp_path / "one_00041_20200101T000000Z.pcapng"
    earlier.write_bytes(b"")

    async def story() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none")
        writes.open()
        connect(bus, writes, 1)
        assert writes._timer is None
        path.rename(moved)
        writes.rotate()
        await wait_inside(path.exists)
        writes.rotate()
        await wait_inside(lambda: writes.path != path)
        assert re.fullmatch(r"one_00042_\d{8}T\d{6}Z\.pcapng", writes.path.name)
        writes._time_is_up()  # of a next file that could not be made: it is tried again
        await wait_inside(lambda: "_00043_" in writes.path.name)
        await writes.close()

    asyncio.run(story())
    assert earlier.read_bytes() == b""
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(("rotate", "looks"), [(Limits(), [0, 1, 1]), (Limits(size=10**6), [1, 1, 1])])
def test_existing_files_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotate: Limits, looks: list[int]
) -> None:
    """Counted twice, each would take twice its share of the limit."""
    calls: list[Rotation] = []
    monkeypatch.setattr(Rotation, "look", lambda rotation: calls.append(rotation))

    async def story() -> None:
        found = []
        writes = Recorder(tmp_path / "one.pcapng", Bus(), sync="none", rotate=rotate)
        writes.open()
        for _ in looks:
            found.append(len(calls))
            writes.rotate()
        await writes.close()
        assert found == looks

    asyncio.run(story())


def test_a_connection_that_has_no_master_yet_is_not_in_the_next_file(tmp_path: Path) -> None:
    def story(bus: Bus, writes: Recorder) -> None:
        conversation = Conversation(lambda event: None, connection=1)
        link = writes.opened("link", conversation, ("127.0.0.1", 1025), ("127.0.0.1", 1))
        assert link is not None
        bus.publish("link", 1, "", events.LinkOpened(peer="", master=""))
        writes.rotate()
        assert link.tcp is None
        link.dialled(None)

    recording_of(tmp_path / "one.pcapng", story, rotate=Limits(size=10**6))
    first, second = sorted(tmp_path.iterdir())
    assert packets(first) == []
    assert [one.flags for one in segments(second)] == [SYN, SYN | ACK, ACK]
    assert [said["event"] for said in comments(second)] == ["link_opened"]


def test_a_retried_next_file_is_not_due_again(tmp_path: Path) -> None:
    async def story() -> None:
        writes = Recorder(tmp_path / "one.pcapng", Bus(), sync="none")
        writes.open()
        writes._time_is_up()
        assert not writes._filling.is_file_full(10**9)
        await writes.close()

    asyncio.run(story())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_rotation_continues_with_the_next_bytes_when_its_time_is_up(tmp_path: Path) -> None:
    async def story() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "one.pcapng", bus, sync="none", rotate=Limits(seconds=3600))
        writes.open()
        first, timer = writes.path, writes._timer
        assert timer is not None
        assert 3590 < timer.when() - asyncio.get_running_loop().time() <= 3600
        link = connect(bus, writes, 1)
        writes._time_is_up()
        assert writes.path == first
        link.received(events.Side.MASTER, memoryview(b"x"))
        await wait_inside(lambda: writes.path != first)
        assert timer.cancelled()
        following = writes._timer
        assert following is not None
        await writes.close()
        assert following.cancelled()
        assert b"link_state" in writes.path.read_bytes()
        assert b"link_state" not in first.read_bytes()

    asyncio.run(story())


def test_a_next_file_that_cannot_be_made_is_tried_again_later(tmp_path: Path) -> None:
    async def story() -> None:
        writes = Recorder(tmp_path / "one.pcapng", Bus(), sync="none", rotate=Limits(size=10**6))
        writes.open()
        assert writes._timer is None
        writes._filling.file_is_due()
        writes._no_next("it cannot be made")
        assert not writes._filling.is_file_full(0)
        assert writes.trouble == "it cannot be made"
        assert writes._timer is not None
        assert 9 < writes._timer.when() - asyncio.get_running_loop().time() <= 10
        await writes.close()

    asyncio.run(story())


def test_a_file_spoiled_by_another_process_is_reported_and_left(tmp_path: Path) -> None:
    async def story() -> None:
        writes = Recorder(tmp_path / "one.pcapng", Bus(), sync="none")
        writes.open()
        first = writes.path
        writes._spoiled("one.pcapng was replaced")
        assert writes.trouble == "one.pcapng was replaced; what it held is lost"
        await wait_inside(lambda: writes.path != first)
        await writes.close()

    asyncio.run(story())
