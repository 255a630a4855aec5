"""One leg alone, on a transport that a test plays: reasons not to read, buffers, ends that are reported once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tap.relay.buffers import Buffers
from tap.relay.leg import EARLY_BYTES, Leg, pause_again
from tap.relay.share import BUFFER_SIZE, FIRST_READ, LinkAccount
from tap.replication.events import Side


class Transport(asyncio.Transport):
    """sock: the one asyncio would have. said: the leg's calls."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        super().__init__()
        self.sock = sock
        self.said: list[Any] = []
        self.is_ending = False
        self.buffered = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.sock if name == "socket" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.said.append(("limits", high))

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.is_ending

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")

    def write(self, data: Any) -> None:
        self.said.append(bytes(data))

    def write_eof(self) -> None:
        self.said.append("eof")

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")


class Owner:
    """Records what a leg reports to its owner."""

    def __init__(self, buffers: Buffers) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.skips: float = 0
        self.account = LinkAccount(buffers.thread)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.told.append(
            (name, *(bytes(one) if isinstance(one, memoryview) else one for one in arguments if not isinstance(one, Leg)))
        )

    def unread(self, leg: Leg) -> float:
        return self.skips


class Both:
    """Two legs, as in a connection. Only that of the replica is examined."""

    def __init__(self, *, begun: bool = True) -> None:
        self.buffers = Buffers()
        self.owner = Owner(self.buffers)
        owner: Any = self.owner
        self.leg = Leg(owner, Side.REPLICA, self.buffers)
        self.other = Leg(owner, Side.MASTER, self.buffers)
        self.leg.other, self.other.other = self.other, self.leg
        self.transport, self.target = Transport(), Transport()
        self.leg.transport, self.other.transport = self.transport, self.target
        if begun:
            self.leg.begin()
            self.other.begin()
            self.transport.said.clear()
            self.target.said.clear()

    def came(self, data: bytes) -> None:
        buffer = self.leg.get_buffer(-1)
        buffer[: len(data)] = data
        self.leg.buffer_updated(len(data))


def run(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(job())


def test_a_leg_is_read_again_when_its_last_reason_not_to_is_gone() -> None:
    async def job() -> None:
        both = Both()
        leg, said = both.leg, both.transport.said
        leg.hold("fault")
        leg.hold("fault")
        leg.hold("slow peer")
        assert said == ["pause"]
        leg.let("never")
        leg.let("fault")
        assert said == ["pause"]
        leg.let("slow peer")
        assert said == ["pause", "resume"]
        leg.let("slow peer")
        leg.hold("a")
        leg.hold("b")
        leg.let_all()
        assert said[2:] == ["pause", "resume"]
        leg.lost = True
        leg.hold("a")
        leg.let("a")
        assert said[4:] == []

    run(job)


def test_a_resting_leg_reads_on_without_a_call() -> None:
    async def job() -> None:
        both = Both()
        both.leg.rest("share", 0.01)
        assert both.transport.said == ["pause"]
        async with asyncio.timeout(10):
            while both.transport.said != ["pause", "resume"]:
                await asyncio.sleep(0.001)

    run(job)


def test_a_slow_peer_holds_the_other_one_and_keeps_its_buffer() -> None:
    async def job() -> None:
        both = Both()
        before = both.buffers.current
        both.leg.pause_writing()
        assert both.leg.blocked
        assert both.target.said == ["pause"]
        assert both.buffers.current is not before
        both.leg.resume_writing()
        assert not both.leg.blocked
        assert both.target.said == ["pause", "resume"]
        assert both.buffers.lend() is not before
        assert both.buffers.current is before
        assert both.owner.told == []
        await asyncio.sleep(0)
        assert both.owner.told == [("writable",)]

    run(job)


def test_a_lost_leg_gives_its_buffer_back_and_reports_once() -> None:
    async def job() -> None:
        both = Both()
        before = both.buffers.current
        both.leg.pause_writing()
        error = ConnectionResetError()
        both.leg.connection_lost(error)
        assert both.owner.told == [("lost", error)]
        assert both.leg.is_over
        both.buffers.lend()
        assert both.buffers.current is before

    run(job)


def test_reads_begin_small_and_reach_the_whole_buffer() -> None:
    async def job() -> None:
        both = Both()
        assert len(both.leg.get_buffer(-1)) == FIRST_READ
        both.leg.share.size = BUFFER_SIZE
        assert both.leg.get_buffer(-1) is both.buffers.current
        both.came(b"some bytes")
        assert both.owner.told == [("received", b"some bytes")]

    run(job)


def test_an_end_is_reported_once_and_the_other_direction_continues() -> None:
    async def job() -> None:
        both = Both()
        assert both.leg.eof_received()
        assert both.leg.eof_received()
        assert both.owner.told == [("ended",)]
        assert both.leg.at_end
        both = Both()
        both.leg.discards = True
        assert not both.leg.eof_received()
        assert both.owner.told == []
        assert both.leg.at_end

    run(job)


def test_early_bytes_are_kept_in_order_with_their_end() -> None:
    async def job() -> None:
        both = Both(begun=False)
        both.came(b"first")
        both.came(b"second")
        assert both.leg.eof_received()
        both.leg.connection_lost(None)
        assert both.owner.told == []
        assert not both.leg.is_over
        assert both.transport.said == ["resume", "pause"] * 2
        both.leg.begin()
        assert both.owner.told == [("received", b"firstsecond"), ("ended",), ("lost", None)]

    run(job)


def test_a_leg_with_nothing_early_is_lost_at_once() -> None:
    async def job() -> None:
        both = Both(begun=False)
        both.leg.connection_lost(None)
        await asyncio.sleep(0)
        assert both.owner.told == [("lost", None)]
        assert both.leg.is_over

    run(job)


def test_more_early_bytes_than_are_kept_are_a_flood() -> None:
    async def job() -> None:
        both = Both(begun=False)
        both.leg.share.size = BUFFER_SIZE
        for _ in range(EARLY_BYTES // BUFFER_SIZE):
            both.came(bytes(BUFFER_SIZE))
        assert both.owner.told == []
        both.came(b"x")
        assert both.owner.told == [("flooded",)]
        both = Both(begun=False)
        both.leg.discards = True
        both.came(b"x" * 100)
        both.leg.discards = False
        both.leg.begin()
        assert both.owner.told == []

    run(job)


def test_writes_go_to_the_present_transport() -> None:
    async def job() -> None:
        both = Both()
        both.leg.write(b"abc")
        both.leg.write_eof()
        assert both.transport.said == [b"abc", "eof"]
        both.transport.is_ending = True
        both.leg.write(b"abc")
        both.leg.write_eof()
        assert both.transport.said == [b"abc", "eof"]
        assert both.owner.told == []
        both.leg.transport = None
        both.leg.write(b"abc")
        both.leg.write_eof()
        both.leg.close()
        both.leg.abort()
        both.leg.reset()
        assert both.owner.told == [("nowhere", 3)]
        assert both.leg.unsent == 0
        assert both.leg.hung_up == "reset"

    run(job)


def test_goodbye_is_said_and_then_that_of_the_peer_awaited() -> None:
    async def job() -> None:
        both = Both()
        both.leg.hold("fault")
        both.transport.said.clear()
        both.leg.say_goodbye()
        assert both.leg.discards
        assert both.transport.said == ["eof", "resume"]
        both = Both()
        both.leg.at_end = True
        both.leg.say_goodbye()
        assert both.transport.said == ["close"]

    run(job)


def test_a_reset_reaches_the_peer() -> None:
    async def job() -> None:
        ours, theirs = pair()
        with ours, theirs:
            both = Both()
            both.transport.sock = ours
            both.leg.reset()
            assert both.transport.said == ["abort"]
            ours.close()  # as asyncio does
            with pytest.raises(ConnectionResetError):
                theirs.recv(1)
        both = Both()
        both.leg.lost = True
        both.leg.reset()
        assert both.transport.said == []

    run(job)


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


def test_the_end_of_a_peer_is_seen_without_reading() -> None:
    async def job() -> None:
        for how in ("", "fin", "reset"):
            ours, theirs = pair()
            with ours, theirs:
                both = Both()
                both.transport.sock = ours
                theirs.sendall(b"unread")
                if how == "fin":
                    theirs.shutdown(socket.SHUT_WR)
                elif how == "reset":
                    ours.sendall(b"x")  # unread there: its close is a reset
                    theirs.close()
                async with asyncio.timeout(10):
                    while both.leg.hung_up != how:
                        await asyncio.sleep(0.001)
                assert ours.recv(6, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"unread" if how != "reset" else True

    run(job)


def test_unsent_bytes_are_those_here_and_in_the_kernel() -> None:
    async def job() -> None:
        ours, theirs = pair()
        with ours, theirs:
            ours.setblocking(False)
            both = Both()
            both.transport.sock = ours
            both.transport.buffered = 7
            assert both.leg.unsent == 7
            try:
                while True:
                    ours.send(bytes(2**16))
            except BlockingIOError:
                pass
            assert both.leg.unsent > 7
            both.leg.lost = True
            assert both.leg.unsent == 0

    run(job)


def test_pausing_again_works_for_a_transport_that_reads_on() -> None:
    one = Transport()
    pause_again(one)
    assert one.said == ["resume", "pause"]
