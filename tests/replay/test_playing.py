"""What a recording's master sends when and to whom, and how it begins and ends, in an event loop whose clock jumps."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tap.errors import ConfigError, RecordingError
from tap.recording.missing import Account, Missing
from tap.replay import ReplayMaster, master
from tap.replay.master import ACCEPT_AGAIN_SECONDS, PING, PING_SECONDS
from tap.replication import events
from tap.replication.events import Side
from tests.jumping import acted
from tests.relay.wire import LOCALHOST, command
from tests.replay.support import OTHER, RDB, REPLID, SECOND, STREAM_BYTES, Actor, Stage, part
from tests.support import FIXTURES


@contextlib.asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[None]:
    stage.master._own(stage.master._play(), "play")
    try:
        yield
    finally:
        await stage.master.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def follows(actor: Actor) -> None:
    """It has reached the stream."""
    await actor.ask("PSYNC", "?", "-1")
    assert await actor.rdb() == RDB


def acknowledges(actor: Actor, offset: int) -> None:
    actor.send(command("REPLCONF", "ACK", str(offset)))


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 1.0), (2.0, 0.5), (0.25, 4.0)])
def test_each_byte_comes_as_long_after_the_rdb_as_it_did_then(tmp_path: Path, speed: float, seconds: float) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path), speed=speed)
        async with playing(one), one.actor() as actor:
            await asyncio.sleep(100)  # without a replica no clock runs
            await follows(actor)
            began = now()
            for number in range(10):
                assert await actor.read(10) == STREAM_BYTES[:10]
                assert now() - began == pytest.approx((number + 1) * seconds)
                assert one.master.seconds_left == pytest.approx((9 - number) * seconds)
                assert one.master.offset == 1010 + 10 * number
                assert one.master.is_over == (number == 9)

    acted(story())


def test_at_full_speed_everything_comes_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path), speed=math.inf)
        async with playing(one), one.actor() as actor:
            await follows(actor)
            began = now()
            assert await actor.read(100) == STREAM_BYTES
            assert now() == began
            assert one.master.is_over

    acted(story())


def test_after_the_last_byte_a_ping_comes_every_ten_seconds_and_counts(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path), speed=math.inf)
        async with playing(one), one.actor() as actor:
            await follows(actor)
            await actor.read(100)
            began = now()
            for number in (1, 2, 3):
                assert await actor.read(len(PING)) == PING
                assert now() - began == pytest.approx(number * PING_SECONDS)
                assert one.master.offset == 1100 + number * len(PING)

    acted(story())


def test_all_is_acknowledged_once_it_is_over_and_each_follower_has_it(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path))
        waiting = asyncio.ensure_future(one.master.acknowledged())
        async with playing(one), one.actor() as actor:
            await follows(actor)
            acknowledges(actor, 1100)  # before its time
            await asyncio.sleep(9.5)
            assert not waiting.done()
            await asyncio.sleep(0.6)
            assert waiting.done()
            async with one.actor() as other:
                await follows(other)
                again = asyncio.ensure_future(one.master.acknowledged())
                await asyncio.sleep(100)
                assert not again.done()
                acknowledges(other, 1100)
                await asyncio.wait_for(again, 1)

    acted(story())


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 25.0), (10.0, 2.5)])
def test_after_a_hole_all_reconnect_once_it_is_over_and_have_what_was_before_it(
    tmp_path: Path, speed: float, seconds: float
) -> None:
    async def story() -> None:
        first = part(tmp_path / "1")
        second = part(
            tmp_path / "2", replid=OTHER, offset=2000, end=2100, histories={OTHER: 2100}, began=35 * SECOND,
            marks=replace(first.marks, offsets=first.marks.offsets.__class__("q", [2100] * 10)),
        )  # fmt: skip
        one = Stage.of(first, second, speed=speed)
        waiting = asyncio.ensure_future(one.master.acknowledged())
        async with playing(one):
            async with one.actor() as actor:
                await follows(actor)
                assert await actor.read(100) == STREAM_BYTES
                assert await actor.read(len(PING)) == PING  # as long as it has not acknowledged
                assert not one.master.is_over
                began = now()
                acknowledges(actor, 1100)
                assert await actor.rest() == PING * int(seconds // PING_SECONDS)
                assert now() - began == pytest.approx(seconds)
            end: Any = one.last
            assert (end.by, end.how) == (Side.TAP, "fin")
            assert (one.master.part, one.master.offset, one.master.seconds_left) == (second, 2000, None)
            assert not one.master.is_over
            await asyncio.sleep(100)  # without a replica it waits
            async with one.actor() as actor:
                assert await actor.ask("PSYNC", REPLID, "1101") == f"+FULLRESYNC {OTHER} 2000\r\n".encode()
                await actor.rdb()
                assert await actor.read(100) == STREAM_BYTES
                assert one.master.is_over
                assert not waiting.done()
                acknowledges(actor, 2100)
                await asyncio.wait_for(waiting, 1)

    acted(story())


def test_a_part_that_began_before_the_previous_one_ended_comes_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        first = part(tmp_path / "1")
        one = Stage.of(first, part(tmp_path / "2", replid=OTHER, began=9 * SECOND))
        async with playing(one), one.actor() as actor:
            await follows(actor)
            await actor.read(100)
            began = now()
            acknowledges(actor, 1100)
            assert await actor.rest() == b""
            assert now() == began

    acted(story())


# ---- start and end ----


PATH = FIXTURES / "captures" / "replica-whole.pcap"  # it exists, and is not read


def taking(monkeypatch: pytest.MonkeyPatch, *parts: Any, error: Exception | None = None) -> list[Path]:
    """What would be taken from any recording, and where it was to be copied."""
    directories: list[Path] = []

    async def take(self: ReplayMaster, directory: Path) -> list[Any]:
        directories.append(directory)
        if error is not None:
            raise error
        return list(parts)

    monkeypatch.setattr(ReplayMaster, "_take", take)
    return directories


def test_it_listens_serves_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directories = taking(monkeypatch, part(tmp_path))

    async def story() -> int:
        one = ReplayMaster(PATH)
        assert (one.port, one.offset, one.is_over, one.replicas, one.parts) == (0, 0, False, [], [])
        assert (one.not_loaded, one.problems, one.remarks, one.missing) == (set(), [], [], [])
        async with one as entered:
            assert entered is one
            assert {task.get_name() for task in one._tasks} == {"accept", "play"}
            for _ in range(2):
                reader, writer = await asyncio.open_connection(LOCALHOST, one.port)
                actor = Actor(reader, writer)
                await follows(actor)
                (accepted,) = one._accepted
                assert not accepted.getblocking()
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                (replica,) = one.replicas
                assert replica.name == "{}:{}".format(*writer.get_extra_info("sockname"))
                assert f"replica {LOCALHOST}" in {task.get_name() for task in one._tasks}
                await actor.leave()
                while one.replicas:
                    await one.change()
                await asyncio.sleep(0)
                assert not one._accepted
                assert len(one._tasks) == 2
            assert replica.number == 2
        return one.port

    port = acted(story())
    (directory,) = directories
    assert directory.name.startswith("redis-tap-replay-")
    assert not directory.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCALHOST, port))


def test_an_unreadable_recording_frees_the_port_and_leaves_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    directories = taking(monkeypatch, error=RecordingError("no RDB"))

    async def story() -> int:
        one = ReplayMaster(PATH)
        with pytest.raises(RecordingError, match="no RDB"):
            await one.__aenter__()
        return one.port

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCALHOST, acted(story())))
    assert not directories[0].exists()


def test_a_missing_recording_is_noticed_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directories = taking(monkeypatch, part(tmp_path))
    with pytest.raises(RecordingError, match=r"other\.pcapng: No such file"):
        acted(ReplayMaster(PATH, tmp_path / "other.pcapng").__aenter__())
    assert not directories


def test_a_recording_is_played_from_its_beginning_to_its_end() -> None:
    one = ReplayMaster("one.pcapng")
    assert (one._excerpt.speed, one.address.host, one.port) == (1.0, LOCALHOST, 0)
    assert ReplayMaster("one.pcapng", begin=5, end=5)
    with pytest.raises(ConfigError, match="from 6 until 5: the end is before the beginning"):
        ReplayMaster("one.pcapng", begin=6, end=5)
    assert ReplayMaster("one.pcapng", speed=0.5)._excerpt.speed == 0.5


class Accepting:
    """A listening socket, whose accept() does what a test says."""

    def __init__(self, *answers: OSError | socket.socket) -> None:
        self._answers = iter(answers)
        self.asked: list[float] = []
        self._ready, other = socket.socketpair()
        other.close()  # so that it is always readable

    def fileno(self) -> int:
        return self._ready.fileno()

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.asked.append(now())
        answer = next(self._answers, None)
        if answer is None:
            raise asyncio.CancelledError
        if isinstance(answer, OSError):
            raise answer
        return answer, ("10.0.0.7", 50123)

    def close(self) -> None:
        self._ready.close()


def test_a_replica_that_cannot_be_accepted_is_reported_and_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> list[float]:
        one = Stage.of(part(tmp_path))
        ours, theirs = socket.socketpair()
        sock: Any = Accepting(BlockingIOError(), OSError(errno.ECONNABORTED, "Software caused connection abort"), theirs)
        with contextlib.closing(sock), ours, contextlib.suppress(asyncio.CancelledError):
            with pytest.raises(OSError, match="not supported"):  # TCP_NODELAY on a pair: tried again, too
                theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await one.master._accept(sock)
        assert one.master._accepted == {theirs}
        await one.master.close()
        assert theirs.fileno() == -1
        asked: list[float] = sock.asked
        return [after - asked[0] for after in asked]

    assert acted(story()) == [0.0, 0.0, ACCEPT_AGAIN_SECONDS, 2 * ACCEPT_AGAIN_SECONDS]
    assert caplog.messages == [
        f"a replica cannot be accepted: {said}; trying again"
        for said in ("Software caused connection abort", "Operation not supported")
    ]


def test_a_cancelled_wait_leaves_no_reader_behind(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            waiting = asyncio.ensure_future(one.master._readable(ours))
            await asyncio.sleep(0)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            assert not asyncio.get_running_loop().remove_reader(ours)
            theirs.send(b"x")
            await asyncio.wait_for(one.master._readable(ours), 1)
            assert not asyncio.get_running_loop().remove_reader(ours)

    acted(story())


def test_the_account_is_that_of_the_first_reading_and_a_stop_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def read(paths: list[Path], player: Any) -> Iterator[None]:
        asked.append((paths, player))
        yield from [None, None]

    class Read:
        def __init__(self) -> None:
            self.account = Account()

    monkeypatch.setattr(master, "read", read)
    one = ReplayMaster("one.pcapng")
    players: list[Any] = [Read(), Read()]
    for player in players:
        one._read(player)
    assert asked == [([Path("one.pcapng")], player) for player in players]
    assert one._account is players[0].account
    one._stop.set()
    with pytest.raises(master._Closed):
        one._read(players[0])


# ---- what the recording lacks ----


def missing(begin: int | None, end: int | None, **other: Any) -> Missing:
    said: dict[str, Any] = {
        "cause": "gap", "link": "main", "connection": 1, "side": Side.MASTER, "start": 50, "end": 60, "lost_bytes": 10,
        "is_rdb": False, "replid": REPLID, "from_offset": begin, "to_offset": end, "since": 5.0, "until": 15.0,
        "reason": "", **other,
    }  # fmt: skip
    return Missing(**said)


BEFORE_THE_END = missing(1000, 1050)
BEHIND = missing(1090, 1150)
OF_RDB = missing(None, None, is_rdb=True)
OF_REPLICA = missing(None, None, side=Side.REPLICA)
OF_OTHER_LINK = missing(1090, 1150, link="other")


@pytest.mark.parametrize(
    ("has_part", "options", "expected"),
    [
        (True, {}, [BEHIND, OF_OTHER_LINK]),
        (True, {"links": ["main"]}, [BEHIND]),
        (True, {"end": 1089}, []),
        (False, {}, [BEFORE_THE_END, BEHIND, OF_RDB, OF_OTHER_LINK]),
        (False, {"links": ["main"]}, [BEFORE_THE_END, BEHIND, OF_RDB]),
    ],
)
def test_missing_bytes_count_if_they_may_come_after_the_played_part(
    tmp_path: Path, has_part: bool, options: dict[str, Any], expected: list[Missing]
) -> None:
    one = ReplayMaster("one.pcapng", **options)
    one._account = Account(missing=[BEFORE_THE_END, BEHIND, OF_RDB, OF_REPLICA, OF_OTHER_LINK], problems=["bad"])
    if has_part:
        one.parts = [part(tmp_path / "1"), part(tmp_path / "2", end=10**6)]
    assert one.missing == expected
    assert one.problems == ["bad"]


def test_moments_outside_the_recording_are_remarked_if_something_can_be_played(tmp_path: Path) -> None:
    one = ReplayMaster("one.pcapng", end=5000)
    one._account = Account(first=1, last=2)
    one._account.read("main", 1, REPLID, 1000, 1100)
    one._account.remark("another thing")
    assert one.remarks == ["another thing"]
    one.parts = [part(tmp_path)]
    first, second = one.remarks
    assert first == "another thing"
    assert "5000" in second


def test_a_replica_that_leaves_wakes_waiting_callers(tmp_path: Path) -> None:
    async def story() -> None:
        one = Stage.of(part(tmp_path), speed=math.inf)
        one.master.is_over = True
        async with one.actor() as actor, one.actor() as other:
            for who in (actor, other):
                await who.ask("PSYNC", REPLID, "1101")
            acknowledges(actor, 1100)
            waiting = asyncio.ensure_future(one.master.acknowledged())
            await asyncio.sleep(1)
            assert not waiting.done()
            await other.leave()
            await asyncio.wait_for(waiting, 1)
        assert len([event for event in one.events if isinstance(event, events.LinkClosed)]) == 2

    acted(story())
