"""A sender before a real server: the server's data afterwards, and how far the sender says it came."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tap.recording.history import Read, index
from tap.recording.player import Player
from tap.recording.reader import play
from tap.replay.client_commands import Choice
from tap.replay.sender import Interrupted, Sender
from tap.replay.stream_parts import copied, streams_of
from tap.servers.embedded import Server
from tap.servers.target import Target
from tests.recording.wires import file, streamed
from tests.relay.wire import command
from tests.replay.commands import SELECT, counted, executed, offset, recorded, url
from tests.support import (
    client,
    wait_inside,
)


@pytest.fixture
def files() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        yield stack


def reading(path: Path) -> Read:
    def read(player: Player) -> None:
        assert play(path, player) == []
        player.close()

    return read


def sender(path: Path, to: Server | int, files: Any, speed: float = math.inf, **options: Any) -> Sender:
    read = reading(path)
    parts = copied(read, streams_of(index(read), []), options.pop("begin", None), options.pop("end", None), files)
    return Sender(Target(url(to)), parts, options.pop("choice", Choice()), speed, **options)


def test_from_and_until_never_cut_a_transaction(tmp_path: Path, target: Server, files: Any) -> None:
    pair = [command("MULTI"), command("INCR", "x"), command("INCR", "y"), command("EXEC")]
    stream = [SELECT, *pair * 5]
    path = recorded(tmp_path, *stream)
    for begin, end, expected in (
        (offset(stream, 6), offset(stream, 16), 2),  # in the second one, which is sent; in the fourth, which is not
        (offset(stream, 5), offset(stream, 5), 1),
        (offset(stream, 5) + 1, offset(stream, 13), 2),
        (offset(stream, 5) + 1, None, 4),
        (None, offset(stream, 20), 4),
    ):
        client(target).flushall()
        asyncio.run(sender(path, target, files, begin=begin, end=end).run())
        assert client(target).mget("x", "y") == [b"%d" % expected] * 2


def test_from_and_until_may_be_times(tmp_path: Path, target: Server, files: Any) -> None:
    stream = counted(20)
    wire = streamed(stream)
    path = file(tmp_path / "recording.pcapng", wire.packets, "pcapng")
    # Packets are a millisecond apart: three of the handshake, two for the request, then each piece and its ACK.
    began = datetime.fromtimestamp(10**9, UTC) + timedelta(milliseconds=6)

    def at(number: int) -> datetime:
        return began + timedelta(milliseconds=2 * number)

    one = sender(path, target, files, begin=at(3), end=at(7))
    asyncio.run(one.run())
    assert one.acknowledged == offset(stream, 8)
    assert one.replies == 5


def test_a_transaction_is_executed_as_one(tmp_path: Path, target: Server, files: Any) -> None:
    many = [command("INCR", "x") for _ in range(30_000)]  # more than are sent at once
    pieces = [b"".join(many[at : at + 1000]) for at in range(0, 30_000, 1000)]
    path = recorded(tmp_path, SELECT, command("MULTI"), *pieces, command("EXEC"))
    seen: set[Any] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(client(target).get("x"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    asyncio.run(sender(path, target, files).run())
    done.set()
    watcher.join()
    assert client(target).get("x") == b"30000"
    assert seen <= {None, b"30000"}


def test_an_end_on_request_waits_for_the_replies(tmp_path: Path, target: Server, files: Any) -> None:
    stream = counted(50_000)
    path = recorded(tmp_path, SELECT, *[b"".join(stream[at : at + 500]) for at in range(1, len(stream), 500)])
    one = sender(path, target, files, speed=1.0)

    async def end() -> None:
        await wait_inside(lambda: one.replies)
        one.stop()

    async def run() -> None:
        await asyncio.gather(one.run(), end())

    with pytest.raises(Interrupted):
        asyncio.run(run())
    assert one.commands == one.replies
    assert one.acknowledged == offset(stream, executed(target) + 1)
    assert one.acknowledged is not None
    asyncio.run(sender(path, target, files, begin=one.acknowledged + 1).run())
    assert client(target).get("key:3") == b"5000"
