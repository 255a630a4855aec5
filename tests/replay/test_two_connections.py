"""Full resyncs of two connections: recorded together, read back as one, replayed to a replica."""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap.bus import Told
from tap.recording.history import index
from tap.recording.player import Player
from tap.recording.reader import play
from tap.replication import events
from tap.replication.events import Channel, Role
from tap.servers.embedded import Server
from tests.conftest import need
from tests.recording.support import config
from tests.recording.wires import as_live_from_any_file, copied, files, reading_file, replayed, same
from tests.replay.support import Playing
from tests.support import WITHIN, Servers, TapThread, client, digest, follow, is_up, level, wait_until

DUAL = ("redis-8.0", "redis-newest", "valkey-8.1", "valkey-newest")


@pytest.fixture(params=DUAL)
def dual(request: pytest.FixtureRequest) -> str:
    """Each server that uses two connections for a full resync."""
    return need(request.param)


def start(servers: Servers, name: str) -> Server:
    option = "dual-channel-replication-enabled" if name.startswith("valkey") else "repl-rdb-channel"
    return servers.start(name, option, "yes", "repl-diskless-sync", "yes")


@contextlib.contextmanager
def writing(master: Server) -> Iterator[None]:
    """Small commands in two dbs, all the time."""
    stop = threading.Event()

    def write() -> None:
        clients = [client(master), client(master)]
        clients[1].select(1)
        number = 0
        while not stop.wait(0.002):
            number += 1
            clients[number % 2].set(f"beside:{number}", "y" * 50)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join(WITHIN)


def sync_slowly(master: Server, replica: Server, tap: TapThread) -> None:
    """A full resync that takes about half a second, while the master is written to."""
    with client(master).pipeline() as pipeline:
        for number in range(2000):
            pipeline.set(f"before:{number}", random.Random(number).randbytes(100))
        pipeline.execute()
    client(master).config_set("rdb-key-save-delay", "250")
    with writing(master):
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        tap.wait_for(events.Ack, 2)
    level(master, replica)


def test_both_connections_are_recorded_and_replayed_as_one_sync(tmp_path: Path, servers: Servers, dual: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica, fresh = (start(servers, dual) for _ in range(3))
    client(master).set("first", "of the stream")
    with TapThread(config(master.port, path, every_command=True)) as tap:
        sync_slowly(master, replica, tap)
        end, expected = level(master, replica), digest(master)
        assert tap.offset() == end
    (full,) = tap.events(events.FullResync)
    (began,) = tap.events(events.StreamStarted)
    assert (full.channel, began.offset) == (Channel.RDB, full.offset)
    assert began.buffered > 0
    assert not tap.events(events.PartialResync)
    same(tap.told, replayed(path, every_command=True))

    read = reading_file(path)
    (chapter,) = index(read).chapters()
    roles = {one.connection: one.event.role for one in tap.told if isinstance(one.event, events.Identified)}
    assert roles == {chapter.rdb.connection: Role.RDB_CHANNEL, chapter.stretches[0].connection: Role.REPLICA}
    assert (chapter.offset, chapter.end) == (full.offset, end)
    snapshot, stream, _ = copied(read, chapter)
    (rdb,) = tap.events(events.RdbFinished)
    assert (len(snapshot), rdb.checksum, rdb.channel) == (rdb.bytes, "ok", Channel.RDB)
    assert len(stream) == end - chapter.offset
    with Playing(path, speed=math.inf) as playing:
        follow(fresh, playing.port)
        playing.wait(playing.master.acknowledged())
        assert digest(fresh) == expected


def test_a_sync_of_two_connections_can_be_read_from_any_file_on(tmp_path: Path, servers: Servers, dual: str) -> None:
    master, replica = start(servers, dual), start(servers, dual)
    wanted = config(master.port, tmp_path / "day.pcapng", every_command=True, record_rotate=("16kb",))
    with TapThread(wanted) as tap:
        sync_slowly(master, replica, tap)
    found = files(tmp_path)
    assert len(found) > 10
    as_live_from_any_file(tap.told, found)


@pytest.mark.parametrize("name", ["redis-8.0", "valkey-8.1"])
def test_a_capture_of_both_connections_reports_one_sync(tmp_path: Path, servers: Servers, name: str) -> None:
    program = shutil.which("tcpdump")
    if program is None or os.geteuid():
        pytest.skip("tcpdump is missing, or not for this user")
    master, replica = start(servers, need(name)), start(servers, name)
    path = tmp_path / "theirs.pcap"
    arguments = f"-i lo -s 0 -B 65536 --immediate-mode -U -Z root -w {path} tcp port {master.port}".split()
    with subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True) as tcpdump:
        assert tcpdump.stderr is not None
        while "listening" not in (line := tcpdump.stderr.readline()):
            assert line
        with TapThread(config(master.port, tmp_path / "ours.pcapng", every_command=True)) as tap:
            sync_slowly(master, replica, tap)
        last = tap.events(events.Command)[-1]
        wait_until(lambda: commands(path)[-1:] == [(last.offset, last.name, last.args)], what="all is in the capture")
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.wait(WITHIN)
    assert commands(path) == [(one.offset, one.name, one.args) for one in tap.events(events.Command)]
    heard = [one.event for one in replayed(path)]
    (full,) = (one for one in heard if isinstance(one, events.FullResync))
    assert full == tap.events(events.FullResync)[0]
    assert [one.role for one in heard if isinstance(one, events.Identified)] == [Role.REPLICA, Role.RDB_CHANNEL]
    (chapter,) = index(reading_file(path)).chapters()
    assert (chapter.offset, chapter.end) == (full.offset, last.offset)


def commands(path: Path) -> list[tuple[int | None, str, tuple[bytes, ...]]]:
    """The commands of a capture that may still be written."""
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    play(path, player)
    player.close()
    found = (one.event for one in heard)
    return [(one.offset, one.name, one.args) for one in found if isinstance(one, events.Command)]
