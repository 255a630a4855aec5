"""What replicas get of a recording, byte for byte, through sockets and with real servers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import math
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap import Address, Config, LinkConfig
from tap.bus import Told
from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.recording.copying import copy_chapter
from tap.recording.history import index
from tap.replay import ReplayMaster, master
from tap.replay import replica as replica_module
from tap.replay.chapter_copy import choose
from tap.replay.client_commands import whole_until
from tap.replication import events
from tap.replication.phase import Phase
from tap.servers.embedded import Server
from tests.conftest import need
from tests.recording.support import config, listening
from tests.recording.wires import STREAM, file, reading_file, streamed
from tests.relay.wire import LOCALHOST, REPLID, command
from tests.replay.support import Playing, captured, peer, recorded
from tests.support import (
    FIXTURES,
    WITHIN,
    Capture,
    Servers,
    TapThread,
    captures,
    client,
    digest,
    follow,
    is_up,
    level,
    wait_until,
)

NEVER = 1e-9  # a speed at which nothing comes while a test runs


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return captured("redis-7.0-diskless", tmp_path / "one.pcapng")


def held(path: Path) -> tuple[bytes, bytes]:
    """The RDB and the stream of the first chapter in a file, up to the last whole command."""
    read = reading_file(path)
    snapshot, stream = io.BytesIO(), io.BytesIO()
    copy_chapter(read, choose(index(read), (), None, None)[0], snapshot, stream)
    return snapshot.getvalue(), whole(stream.getvalue())


def whole(stream: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(stream)
        file.flush()
        return stream[: whole_until(file.fileno(), len(stream))[0]]


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_a_replica_gets_the_rdb_and_the_stream_of_every_capture(capture: Capture, tmp_path: Path) -> None:
    path = recorded(capture, tmp_path / "one.pcapng")
    if "cli" in capture.name:
        # redis-cli --replica asks for an RDB without any data, which is nothing to begin with.
        says = "no whole RDB" if capture.name.endswith("cli-replica") else "asked for with SYNC"
        with pytest.raises(RecordingError, match=says), Playing(path):
            pass
        return
    snapshot, stream = held(path)
    with Playing(path, speed=math.inf) as playing, peer(playing.port) as replica:
        assert replica.ask("PING") == b"+PONG\r\n"
        assert replica.ask("REPLCONF", "capa", "eof", "capa", "psync2") == b"+OK\r\n"
        part = playing.master.part
        assert replica.ask("PSYNC", "?", "-1") == f"+FULLRESYNC {part.replid} {part.offset}\r\n".encode()
        assert replica.rdb() == snapshot
        assert replica.read(len(stream)) == stream
        assert playing.wait_for(events.FullResync).reason.code == "first_sync"
        replica.acknowledge(part.end)
        assert playing.wait_for(events.Ack).lag_bytes == 0


def test_a_partial_resync_may_begin_at_any_recorded_offset(one: Path) -> None:
    _, stream = held(one)
    with Playing(one, speed=NEVER) as playing:  # before the clock starts all of it counts as played
        part = playing.master.part
    for size in (0, 1, len(stream) // 2, len(stream)):
        with Playing(one, speed=math.inf) as playing, peer(playing.port) as replica:
            replica.ask("REPLCONF", "capa", "psync2")
            said = replica.ask("PSYNC", part.replid, str(part.offset + size + 1))
            assert said == f"+CONTINUE {part.replid}\r\n".encode()
            assert replica.read(len(stream) - size) == stream[size:]
            assert playing.wait_for(events.PartialResync).offset == part.offset + size
    with Playing(one) as playing, peer(playing.port) as replica:
        assert replica.ask("PSYNC", part.replid, str(part.offset + 1)) == b"+CONTINUE\r\n"


def test_other_offsets_are_refused_as_by_redis(one: Path) -> None:
    with Playing(one, speed=math.inf) as playing:
        part = playing.master.part
        asked = {
            (REPLID, part.offset + 1): "replication_id_unknown",
            (part.replid, part.end + 2): "offset_ahead_of_master",
            (part.replid, part.offset): "offset_out_of_backlog",
        }
        for number, ((replid, wanted), code) in enumerate(asked.items(), 1):
            with peer(playing.port) as replica:
                said = replica.ask("PSYNC", replid, str(wanted))
                assert said == f"+FULLRESYNC {part.replid} {part.offset}\r\n".encode()
                assert playing.wait_for(events.FullResync, number).reason.code == code


def test_a_replica_may_come_with_the_id_from_before_a_promotion(tmp_path: Path) -> None:
    path = captured("redis-7.0-promotion", tmp_path / "one.pcapng")
    with Playing(path, speed=math.inf) as playing:
        part = playing.master.part
        (before,) = (replid for replid in part.histories if replid != part.replid)
        known = part.histories[before]
        assert known < part.end
        for wanted, reply in ((known + 1, "+CONTINUE"), (known + 2, "+FULLRESYNC")):
            with peer(playing.port) as replica:
                replica.ask("REPLCONF", "capa", "psync2")
                assert replica.ask("PSYNC", before, str(wanted)).startswith(f"{reply} {part.replid}".encode())


def test_nothing_is_sent_before_it_is_due_and_a_replica_with_more_is_ahead(one: Path) -> None:
    snapshot, _ = held(one)
    with Playing(one, speed=NEVER) as playing, peer(playing.port) as replica, peer(playing.port) as other:
        part = playing.master.part
        replica.ask("PSYNC", "?", "-1")
        assert replica.rdb() == snapshot
        wait_until(lambda: playing.master.seconds_left is not None, what="the clock has started")
        assert replica.is_silent
        assert playing.master.offset == part.offset
        # The same request would have been granted before the clock started.
        assert other.ask("PSYNC", part.replid, str(part.end + 1)).startswith(b"+FULLRESYNC")
        assert playing.wait_for(events.FullResync, 2).reason.code == "offset_ahead_of_master"


def test_with_from_earlier_bytes_are_sent_at_once(one: Path) -> None:
    _, stream = held(one)
    with Playing(one, speed=NEVER) as playing:
        part = playing.master.part
    (first, *_) = part.marks.offsets
    with Playing(one, speed=NEVER, begin=first) as playing, peer(playing.port) as replica:
        replica.ask("PSYNC", "?", "-1")
        replica.rdb()
        assert replica.read(first - part.offset) == stream[: first - part.offset]


def test_until_ends_after_the_last_whole_command(one: Path) -> None:
    _, stream = held(one)
    with Playing(one, speed=math.inf) as playing:
        part = playing.master.part
    with Playing(one, speed=math.inf, end=part.end - 1) as playing:
        end = playing.master.part.end
        assert part.offset < end < part.end
        assert len(whole(stream[:-1])) == end - part.offset


def test_a_replica_that_connects_at_the_end_is_hung_up_on(one: Path) -> None:
    """Whether the connection is not accepted yet, or not served yet. An open socket is a warning."""
    for turns in range(6):

        async def story(turns: int = turns) -> None:
            async with ReplayMaster(one, listen=f"{LOCALHOST}:0", speed=math.inf) as playing:
                sock = socket.create_connection(("127.0.0.1", playing.port), WITHIN)
                for _ in range(turns):
                    await asyncio.sleep(0)
            with sock, contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""

        asyncio.run(story())
        gc.collect()


def test_a_replica_that_leaves_at_the_end_is_let_go(one: Path) -> None:
    """Whatever has been noticed of that. An open socket is a warning."""
    for turns in range(8):
        told: list[Told] = []

        async def story(turns: int = turns, told: list[Told] = told) -> None:
            async with ReplayMaster(one, listen=f"{LOCALHOST}:0", speed=math.inf) as playing:
                playing.bus.subscribe(told.append)
                with socket.create_connection(("127.0.0.1", playing.port), WITHIN) as sock:
                    sock.sendall(command("PSYNC", playing.part.replid, str(playing.part.end + 1)))
                    while not (playing.replicas and playing.replicas[0].sent):
                        await playing.change()
                for _ in range(turns):
                    await asyncio.sleep(0)

        asyncio.run(story())
        gc.collect()
        assert isinstance(told[-1].event, events.LinkClosed)


def test_after_the_end_there_are_pings_that_count(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "PING_SECONDS", 0.01)
    with Playing(one, speed=math.inf) as playing, peer(playing.port) as replica:
        part = playing.master.part
        replica.ask("PSYNC", part.replid, str(part.end + 1))
        assert replica.read(28) == 2 * b"*1\r\n$4\r\nping\r\n"
        with peer(playing.port) as other:
            assert other.ask("PSYNC", part.replid, str(part.end + 15)) == b"+CONTINUE\r\n"
            assert other.read(14) == b"*1\r\n$4\r\nping\r\n"


def test_sync_and_a_client_that_wants_only_the_rdb_are_served(one: Path) -> None:
    snapshot, stream = held(one)
    with Playing(one, speed=math.inf) as playing:
        with peer(playing.port) as old:
            old.send(b"SYNC\r\n")
            assert old.rdb() == snapshot
            assert old.read(len(stream)) == stream
        playing.wait_for(events.LinkClosed)
        with peer(playing.port) as cli:
            cli.ask("REPLCONF", "rdb-only", "1")
            cli.send(b"SYNC\r\n")
            assert cli.rdb() == snapshot
            assert cli.read(1) == b""
        assert playing.wait_for(events.LinkClosed, 2).phase == "done"


def test_a_replica_that_leaves_before_loading_the_rdb_is_reported_and_waits_next_time(
    one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "AGAIN_SECONDS", 0.01)
    with Playing(one, speed=math.inf) as playing:
        with peer(playing.port) as replica:
            replica.ask("PSYNC", "?", "-1")
            replica.rdb()
            wait_until(lambda: playing.master.replicas[0].phase is Phase.LOADING)
        closed = playing.wait_for(events.LinkClosed)
        assert playing.master.not_loaded == {(LOCALHOST, 0)}
        with peer(playing.port) as replica:
            assert replica.ask("PSYNC", "?", "-1").startswith(b"+FULLRESYNC")
            assert not playing.master.not_loaded
    assert (closed.by, closed.phase) == (events.Side.REPLICA, "loading")
    assert closed.text == "before it had loaded the RDB (REDIS0010): its log says why"


def test_nonsense_ends_its_own_connection_alone(one: Path) -> None:
    with Playing(one) as playing, peer(playing.port) as replica:
        with peer(playing.port) as other:
            other.send(b"*x\r\n")
            assert other.line() == b"-ERR Protocol error\r\n"
            assert other.read(1) == b""
        assert replica.ask("PING") == b"+PONG\r\n"


def test_impossible_excerpts_are_refused(one: Path, tmp_path: Path) -> None:
    with listening() as taken, pytest.raises(EnvironmentFailure, match=r"cannot listen on 127\.0\.0\.1:\d+: Address"):
        with Playing(one, listen=f"{LOCALHOST}:{taken.getsockname()[1]}"):
            pass
    with pytest.raises(ConfigError, match="replicas connect over TCP"):
        ReplayMaster(one, listen="unix:/tmp/socket")
    with pytest.raises(ConfigError, match="more than 0"):
        ReplayMaster(one, speed=0)
    stream = file(tmp_path / "stream.pcapng", streamed(STREAM).packets, "pcapng")
    with pytest.raises(RecordingError, match="no whole RDB in the recording"), Playing(stream):
        pass


def test_what_the_recording_lacks_is_reported() -> None:
    with Playing(FIXTURES / "captures" / "one-command-lost.pcap") as playing:
        (missing,) = playing.master.missing
        assert (missing.from_offset, missing.to_offset, playing.master.part.end) == (2485, 2577, 2485)
        assert playing.master.problems == []
    for options in ({"end": 2485}, {"end": 2000, "links": ["10.0.0.1:6379"]}):
        with Playing(FIXTURES / "captures" / "one-command-lost.pcap", **options) as playing:
            assert playing.master.missing == []
    with Playing(FIXTURES / "captures" / "replica-whole.pcap") as playing:
        assert playing.master.missing == []


def test_a_stop_during_the_reading_waits_for_one_read(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_reading, is_cancelled = threading.Event(), threading.Event()

    def packets(*_: object) -> Iterator[None]:
        is_reading.set()
        assert is_cancelled.wait(WITHIN)
        yield None

    monkeypatch.setattr(master, "read", packets)

    async def run() -> None:
        entering = asyncio.ensure_future(ReplayMaster(one).__aenter__())
        await asyncio.to_thread(is_reading.wait, WITHIN)
        entering.cancel()
        asyncio.get_running_loop().call_later(0.01, is_cancelled.set)
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(run())


# ---- real servers ----


def record(servers: Servers, name: str, path: Path) -> bytes:
    """A recording with resyncs and data of many kinds; the master's digest at its end."""
    master, replica = servers.start(name), servers.start(name)
    client(master).set("before", "the RDB")
    with TapThread(config(master.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        for round_ in range(3):
            write(master, round_)
            level(master, replica)
            tap.cut()
            tap.wait_for(events.PartialResync, round_ + 1)
        write(master, 3)
        level(master, replica)
    return digest(master)


def write(server: Server, round_: int) -> None:
    pipe = client(server).pipeline(transaction=False)
    for number in range(200):
        pipe.set(f"key:{round_}:{number}", "v" * number)
    pipe.execute()
    transaction = client(server).pipeline(transaction=True)
    transaction.incr("counter")
    transaction.lpush("list", round_, "b")
    transaction.hset("hash", f"field:{round_}", "value")
    transaction.execute()
    client(server).execute_command("SELECT", round_)
    client(server).xadd("stream", {"a": round_})


def test_a_replica_of_the_recording_has_the_masters_data_and_may_be_cut(
    tmp_path: Path, servers: Servers, server_name: str
) -> None:
    expected = record(servers, server_name, tmp_path / "one.pcapng")
    replica = servers.start(server_name)
    with Playing(tmp_path / "one.pcapng", speed=math.inf) as playing:
        part = playing.master.part
        middle = (part.offset + part.end) // 2
        between = Config(
            links=(LinkConfig(master=Address(LOCALHOST, playing.port)),), faults=(f"cut at=offset:{middle} times=1",)
        )
        with TapThread(between) as tap:
            follow(replica, tap.port)
            went_on = playing.wait_for(events.PartialResync)
            assert went_on.offset is not None
            assert part.offset < went_on.offset <= middle
            playing.wait(playing.master.acknowledged())
            assert digest(replica) == expected
            client(replica).execute_command("CLIENT", "KILL", "TYPE", "master")
            again = playing.wait_for(events.PartialResync, 2)
            assert again.offset is not None
            assert again.offset >= part.end
            assert len(playing.events(events.FullResync)) == 1
            assert client(playing.port).info("replication")["master_repl_offset"] == playing.master.offset


def test_after_a_hole_the_replica_gets_the_next_rdb(tmp_path: Path, servers: Servers) -> None:
    name = need("redis-7.0")
    path = tmp_path / "one.pcapng"
    source, replica = servers.start(name, "repl-backlog-size", "16kb"), servers.start(name)
    with TapThread(config(source.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(source, 0)
        level(source, replica)
        client(replica).replicaof("no", "one")
        tap.wait_for(events.LinkClosed)
        wait_until(lambda: client(source).info("replication")["connected_slaves"] == 0)
        client(source).set("large", "x" * 100_000)
        follow(replica, tap.port)
        tap.wait_for(events.FullResync, 2)
        wait_until(lambda: is_up(replica))
        write(source, 1)
        level(source, replica)
    expected = digest(source)
    fresh = servers.start(name)
    with Playing(path, speed=math.inf) as playing:
        assert len(playing.master.parts) == 2
        follow(fresh, playing.port)
        playing.wait(playing.master.acknowledged())
        assert digest(fresh) == expected
        assert [one.offset for one in playing.events(events.FullResync)] == [one.offset for one in playing.master.parts]


def test_several_replicas_share_it_and_a_late_one_catches_up(tmp_path: Path, servers: Servers, any_server: str) -> None:
    expected = record(servers, any_server, tmp_path / "one.pcapng")
    with Playing(tmp_path / "one.pcapng", speed=math.inf) as playing:
        replicas = [servers.start(any_server) for _ in range(2)]
        for replica in replicas:
            follow(replica, playing.port)
            playing.wait(playing.master.acknowledged())
        wait_until(lambda: all(is_up(replica) for replica in replicas))
        playing.wait(playing.master.acknowledged())
        assert [digest(replica) for replica in replicas] == [expected] * 2
        assert client(playing.port).info("replication")["connected_slaves"] == 2
