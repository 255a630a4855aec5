"""One connection to a recording's master: what it is sent, and what is reported about it, to the byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from tap.replay import replica as replica_module
from tap.replay.replica import Replica
from tap.replication import events
from tap.replication.events import Event, Role, Side
from tap.replication.reasons import FIRST_SYNC
from tests.jumping import acted
from tests.relay.wire import asks, command
from tests.replay.support import BEFORE, RDB, REPLID, STREAM_BYTES, Stage, part
from tests.support import WITHIN

PORT = command("REPLCONF", "listening-port", "6380")
PSYNC = command("PSYNC", "?", "-1")
GRANTED = f"+FULLRESYNC {REPLID} 1000\r\n".encode()
SIZE = b"$%d\r\n" % len(RDB)


def ack(offset: int, *more: str) -> bytes:
    return command("REPLCONF", "ACK", str(offset), *more)


def closed(**other: Any) -> Event:
    said: dict[str, Any] = {
        "by": Side.REPLICA, "how": "fin", "text": "", "role": Role.REPLICA, "phase": "stream", "offset": 1000,
        "bytes_from_master": 0, "bytes_from_replica": 0, **other,
    }  # fmt: skip
    return events.LinkClosed(**said)


async def until(one: Stage, kind: type[Event], count: int = 1) -> None:
    """Until that many events of the kind have been reported."""
    async with asyncio.timeout(WITHIN):
        while sum(isinstance(event, kind) for event in one.events) < count:
            await asyncio.sleep(0)


def test_a_full_resync_is_reported_from_its_first_word_to_its_end(tmp_path: Path) -> None:
    async def story() -> tuple[Stage, int]:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            assert await actor.ask("REPLCONF", "listening-port", "6380") == b"+OK\r\n"
            assert await actor.ask("PSYNC", "?", "-1") == GRANTED
            assert await actor.rdb() == RDB
            one.master._advance(1040)
            assert await actor.read(40) == STREAM_BYTES[:40]
            actor.send(ack(1030, "FACK", "1020"))
            await until(one, events.Ack)
            (replica,) = one.master.replicas
            assert (replica.sent, replica.acknowledged, replica.rdb_sent) == (1040, 1030, len(RDB))
            one.master._advance(1100)
            assert await actor.read(60) == STREAM_BYTES[40:]
            actor.send(ack(1100))
            await until(one, events.Ack, 2)
        assert one.master.replicas == []
        assert not one.master.not_loaded
        return one, len(PORT)

    one, begin = acted(story())
    end, reply = begin + len(PSYNC), len(b"+OK\r\n")
    acked = end + len(ack(1030, "FACK", "1020"))
    assert one.events == [
        events.Handshake(start=0, end=begin, request=("REPLCONF", "listening-port", "6380"), reply="+OK"),
        events.PsyncRequested(start=begin, end=end, replid=None, offset=-1),
        events.FullResync(start=reply, end=reply + len(GRANTED), replid=REPLID, offset=1000, reason=FIRST_SYNC),
        events.Ack(start=end, end=acked, offset=1030, fsynced=1020, lag_bytes=10, lag_seconds=None),
        events.Ack(start=acked, end=acked + len(ack(1100)), offset=1100, fsynced=None, lag_bytes=0, lag_seconds=None),
        closed(
            offset=1100, bytes_from_master=reply + len(GRANTED + SIZE + RDB) + 100,
            bytes_from_replica=acked + len(ack(1100)),
        ),
    ]  # fmt: skip
    assert {(told.link, told.connection, told.replica) for told in one.told} == {("main", 1, "10.0.0.7:6380")}


@pytest.mark.parametrize(
    ("replid", "capa", "line", "previous"),
    [
        (REPLID, "psync2", f"+CONTINUE {REPLID}\r\n", None),
        (BEFORE, "psync2", f"+CONTINUE {REPLID}\r\n", BEFORE),
        (REPLID, "eof", "+CONTINUE\r\n", None),
    ],
)
def test_a_partial_resync_is_reported_from_its_first_word_to_its_end(
    tmp_path: Path, replid: str, capa: str, line: str, previous: str | None
) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        one.master.start_clock(1030)
        async with one.actor() as actor:
            await actor.ask("REPLCONF", "capa", capa)
            assert await actor.ask("PSYNC", replid, "1021") == line.encode()
            assert await actor.read(10) == STREAM_BYTES[20:30]
            assert one.master.replicas[0].rdb_sent == 0
        return one

    one = acted(story())
    begin, reply = len(command("REPLCONF", "capa", capa)), len(b"+OK\r\n")
    end = begin + len(asks(1020, replid))
    assert one.events[1:] == [
        events.PsyncRequested(start=begin, end=end, replid=replid, offset=1021),
        events.PartialResync(
            start=reply, end=reply + len(line), replid=REPLID, previous_replid=previous, offset=1020, bytes_behind=10
        ),
        closed(offset=1030, bytes_from_master=reply + len(line) + 10, bytes_from_replica=end),
    ]


def test_a_replica_that_asks_for_the_next_byte_is_behind_by_nothing_and_starts_the_clock_there(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PSYNC", REPLID, "1041")
            await until(one, events.PartialResync)
            await asyncio.sleep(0)
            assert one.master.offset == 1040
            one.master._advance(1050)
            assert await actor.read(10) == STREAM_BYTES[40:50]
        return one

    (resync,) = (event for event in acted(story()).events if isinstance(event, events.PartialResync))
    assert (resync.offset, resync.bytes_behind) == (1040, 0)


@pytest.mark.parametrize("inline", [True, False])
def test_sync_gets_the_rdb_and_the_stream_without_a_line_before_them(tmp_path: Path, inline: bool) -> None:
    asked = b"SYNC\r\n" if inline else command("SYNC")

    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            actor.send(asked)
            assert await actor.rdb() == RDB
            one.master._advance(1020)
            assert await actor.read(20) == STREAM_BYTES[:20]
            assert not one.master.replicas[0].is_follower
        assert not one.master.not_loaded
        return one

    requested, granted, end = acted(story()).events
    assert requested == events.SyncRequested(start=0, end=len(asked), inline=inline)
    assert isinstance(granted, events.FullResync)
    assert (granted.start, granted.end, granted.replid, granted.offset) == (0, 0, None, None)
    assert end == closed(offset=1020, bytes_from_master=len(SIZE + RDB) + 20, bytes_from_replica=len(asked))


@pytest.mark.parametrize("word", ["PSYNC", "SYNC"])
def test_a_client_that_wants_only_the_rdb_is_sent_no_more(tmp_path: Path, word: str) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("REPLCONF", "rdb-only", "1")
            actor.send(PSYNC if word == "PSYNC" else command("SYNC"))
            if word == "PSYNC":
                assert await actor.line() == GRANTED
            assert await actor.rest() == SIZE + RDB
            assert not one.master.replicas[0].is_follower
            assert one.master.seconds_left is None  # for it no clock is started
        assert not one.master.not_loaded
        return one

    assert (acted(story()).last.phase, acted(story()).last.offset) == ("done", None)


def test_a_client_that_only_asks_is_not_a_replica(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            assert await actor.ask("ROLE") == b"*3\r\n"
            assert await actor.read(len(b"$6\r\nmaster\r\n:1000\r\n*0\r\n")) == b"$6\r\nmaster\r\n:1000\r\n*0\r\n"
            assert not one.master.replicas[0].is_follower
            assert await actor.ask("INFO") == b"$%d\r\n" % len(one.master.info())
            assert await actor.read(len(one.master.info())) == one.master.info()
            assert await actor.ask("PING", "\r\n") == b"\r\n"
            assert (one.master.replicas[0].sent, one.master.replicas[0].acknowledged) == (None, None)
            await actor.ask("QUIT")
        return one

    one = acted(story())
    assert [(event.request, event.reply) for event in one.events if isinstance(event, events.Handshake)] == [
        (("ROLE",), "*3"), (("INFO",), f"${len(one.master.info())}"), (("PING", "\\r\\n"), "$2"),
    ]  # fmt: skip
    assert (one.last.by, one.last.how, one.last.role, one.last.phase) == (Side.TAP, "fin", Role.ORDINARY, "handshake")
    assert {told.replica for told in one.told} == {"10.0.0.7:50123"}


@pytest.mark.parametrize(
    ("sent", "answer", "by", "how", "text"),
    [
        (b"QUIT\r\n", b"+OK\r\n", Side.TAP, "fin", ""),
        (b"*x\r\n", b"-ERR Protocol error\r\n", Side.TAP, "error", "'*x' is not"),
        (PSYNC + command("SET", "a", "b"), b"", Side.TAP, "error", "SET on a connection that is a replica's"),
    ],
)
def test_the_end_of_a_connection_is_reported_with_its_cause(
    tmp_path: Path, sent: bytes, answer: bytes, by: Side, how: str, text: str
) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            actor.send(sent)
            assert answer in await actor.rest()
        return one

    last = acted(story()).last
    assert (last.by, last.how) == (by, how)
    assert last.text.startswith(text) or how == "error" and last.text  # noqa: RUF021


def test_a_reset_is_the_replicas_and_reported_in_the_systems_words(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PSYNC", REPLID, "1001")
            one.master._advance(1100)
            await until(one, events.PartialResync)
            actor.writer.transport.pause_reading()  # type: ignore[attr-defined]
            one.master.signal()
            for _ in range(5):
                await asyncio.sleep(0)
        return one

    last = acted(story()).last
    assert (last.by, last.how, last.text) == (Side.REPLICA, "reset", "Connection reset by peer")


def test_a_peer_that_takes_no_more_is_reported_as_a_reset(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PSYNC", REPLID, "1001")
            await until(one, events.PartialResync)
            sock: Any = actor.writer.get_extra_info("socket")
            sock.shutdown(socket.SHUT_RD)
            one.master._advance(1100)
            assert actor.serving is not None
            await actor.serving
            actor.serving = None
        return one

    last = acted(story()).last
    assert (last.by, last.how, last.text) == (Side.REPLICA, "reset", "Broken pipe")


@pytest.mark.parametrize("feeding", [True, False])
def test_when_the_master_hangs_up_it_is_reported_as_its_own_doing(tmp_path: Path, feeding: bool) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PSYNC" if feeding else "PING", "?", "-1")
            if feeding:
                await actor.rdb()
            one.master.replicas[0].close()
            assert await actor.rest() == (b"" if feeding else b"?\r\n")
        assert not one.master.not_loaded
        return one

    last = acted(story()).last
    assert (last.by, last.how, last.text) == (Side.TAP, "fin", "")


def test_a_closed_master_reports_it_once(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PSYNC", "?", "-1")
            await actor.rdb()
            assert actor.serving is not None
            actor.serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await actor.serving
            actor.serving = None
            assert await actor.rest() == b""
        return one

    one = acted(story())
    assert [event for event in one.events if isinstance(event, events.LinkClosed)] == [
        closed(
            by=Side.TAP, phase="loading", bytes_from_master=len(GRANTED + SIZE + RDB), bytes_from_replica=len(PSYNC)
        )
    ]  # fmt: skip


def test_a_replica_that_leaves_while_loading_is_explained_and_waits_once_when_it_returns(tmp_path: Path) -> None:
    async def story() -> tuple[Stage, list[float]]:
        one, waited = Stage.of(part(tmp_path)), []
        loop = asyncio.get_running_loop()
        for number in range(4):
            async with one.actor(port=50000 + number) as actor:
                await actor.ask("REPLCONF", "listening-port", "6381" if number == 1 else "6380")
                began = loop.time()
                assert await actor.ask("PSYNC", "?", "-1") == GRANTED
                waited.append(loop.time() - began)
                await actor.rdb()
                if number:
                    actor.send(ack(1000))
                    await until(one, events.Ack, number)
                else:
                    await until_sent(one)
                    assert not one.master.not_loaded
            assert one.master.not_loaded == ({("10.0.0.7", 6380)} if number < 2 else set())
        return one, waited

    one, waited = acted(story())
    assert waited == [0.0, 0.0, replica_module.AGAIN_SECONDS, 0.0]  # another replica, itself, itself once more
    left, *others = [event for event in one.events if isinstance(event, events.LinkClosed)]
    assert (left.by, left.how, left.phase, left.offset) == (Side.REPLICA, "fin", "loading", 1000)
    assert left.text == "before it had loaded the RDB (REDIS0012): its log says why"
    assert [other.text for other in others] == [""] * 3


async def until_sent(one: Stage) -> None:
    """Until the RDB has been sent, and what follows it is due."""
    while one.master.replicas[0].sent is None:
        await asyncio.sleep(0)


def test_a_large_rdb_is_sent_in_pieces_that_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "PIECE", 4)
    seen: list[int] = []

    async def story() -> None:
        one = Stage.of(part(tmp_path))
        loop = asyncio.get_running_loop()
        sendfile = loop.sock_sendfile

        async def noted(sock: Any, file: Any, begin: int, count: int) -> int:
            seen.append(one.master.replicas[0].rdb_sent)
            assert one.master.replicas[0].phase.value == "rdb"
            return await sendfile(sock, file, begin, count)

        loop.sock_sendfile = noted  # type: ignore[method-assign,assignment]
        async with one.actor() as actor:
            await actor.ask("PSYNC", "?", "-1")
            assert await actor.rdb() == RDB

    acted(story())
    assert seen == list(range(0, len(RDB), 4))


def test_acknowledged_bytes_that_were_not_sent_are_no_lag(tmp_path: Path) -> None:
    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            actor.send(PSYNC + ack(5))
            await actor.line()
        return one

    (acknowledged,) = (event for event in acted(story()).events if isinstance(event, events.Ack))
    assert (acknowledged.offset, acknowledged.lag_bytes) == (5, 0)


@pytest.mark.parametrize(
    ("announced", "host", "port", "name"),
    [
        ((), "10.0.0.7", 0, "10.0.0.7:50123"),
        (("listening-port", "6380"), "10.0.0.7", 6380, "10.0.0.7:6380"),
        (("ip-address", "10.9.9.9"), "10.9.9.9", 0, "10.9.9.9:50123"),
        (("ip-address", "fe80::1", "listening-port", "6380"), "fe80::1", 6380, "[fe80::1]:6380"),
    ],
)
def test_a_replica_is_named_by_what_it_announces(
    tmp_path: Path, announced: tuple[str, ...], host: str, port: int, name: str
) -> None:
    async def story() -> Replica:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("REPLCONF", *announced)
            assert one.told[-1].replica == name
            return one.master.replicas[0]

    replica = acted(story())
    assert (replica.host, replica.port, replica.name) == (host, port, name)


def test_a_replica_follows_from_its_psync_on(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path))
        async with one.actor() as actor:
            await actor.ask("PING")
            assert one.master.followers == []
            await actor.ask("REPLCONF", "listening-port", "6380")
            await actor.ask("PSYNC", "?", "-1")
            assert one.master.followers == [("10.0.0.7", 6380, 0)]
            actor.send(ack(1000))
            await until(one, events.Ack)
            assert one.master.followers == [("10.0.0.7", 6380, 1000)]

    acted(story())


def test_an_acknowledgement_wakes_waiting_callers(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path))
        one.master.is_over = True
        waiting = asyncio.ensure_future(one.master.acknowledged())
        async with one.actor() as actor:
            await actor.ask("PSYNC", REPLID, "1101")
            await until_sent(one)
            assert not waiting.done()
            actor.send(ack(1100))
            await asyncio.wait_for(waiting, 60)

    acted(story())


def test_an_internal_error_ends_its_own_connection_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def story() -> Stage:
        one = Stage.of(part(tmp_path))
        monkeypatch.setattr(Replica, "_acknowledge", broken)
        async with one.actor() as actor, one.actor() as other:
            await actor.ask("PSYNC", REPLID, "1101")
            actor.send(ack(1100))
            assert await actor.rest() == b""
            assert await other.ask("PING") == b"+PONG\r\n"
            assert len(one.master.replicas) == 1
        return one

    assert isinstance(acted(story()).last, events.LinkClosed)
    assert caplog.messages == ["the connection of 10.0.0.7:50123 is ended"]
