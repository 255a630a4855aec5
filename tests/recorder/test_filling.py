"""How much may gather and wait before a connection has to ask, where comments go, where the next file begins."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tap.capture.packets import Blocks, TcpFlow
from tap.capture.pcapng import Packet, PcapngReader, heading
from tap.capture.segments import PUSH, Endpoint
from tap.recorder import filling as module
from tap.recorder.filling import MASTER, REPLICA, Filling
from tap.recorder.writer import Writer

NOW = 10**18
QUEUE, GATHER = 10_000, 3_000


class Disk:
    """A writer without a thread. put_blocks, heads: in the order they came; None stands for the next file."""

    def __init__(self) -> None:
        self.taken = 0
        self.full_at = math.inf
        self.put_blocks: list[Blocks | None] = []
        self.heads: list[Blocks] = []

    def blocks(self) -> Blocks:
        return Blocks()

    def put(self, blocks: Blocks) -> None:
        self.put_blocks.append(blocks)

    def next_file(self, head: Blocks) -> None:
        self.put_blocks.append(None)
        self.heads.append(head)


class Connection:
    def __init__(self, log: list[str], name: str, *, is_dialled: bool = True) -> None:
        self.name = name
        self.tcp = TcpFlow(Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2), (1, 1)) if is_dialled else None
        self.comments: list[str] = []
        self.asked = 0
        self._log = log

    def ask(self) -> None:
        self.asked += 1

    def settle(self, *, at_end: bool) -> None:
        self._log.append(f"settle {self.name} {at_end}")

    def begin_file(self, out: Blocks, now: int, *, at_boundary: bool) -> None:
        self._log.append(f"begin {self.name} {now} {at_boundary}")
        assert self.tcp is not None
        self.tcp.write(out, now, REPLICA, 0, b"", b"")


class Tap:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.troubles: list[str] = []
        self.disk = Disk()
        self.a, self.b = Connection(self.log, "a"), Connection(self.log, "b")
        self.filling = Filling(
            lambda: (self.a, self.b), lambda: self.log.append("begun"), self.troubles.append, time.time_ns
        )
        self.filling.write_to(cast(Writer, self.disk))

    def add(self, size: int, source: Connection | None = None) -> None:
        self.filling.packet(source or self.a, NOW, MASTER, PUSH, bytes(size))

    @property
    def gathered(self) -> int:
        return self.filling.gathering.blocks.size

    @property
    def limit(self) -> int:
        return self.filling.gathering.limit

    def written(self) -> list[Packet]:
        """The content of all blocks that were put."""
        reader = PcapngReader()
        data = b"".join(bytes(one.view()) for one in self.disk.put_blocks if one is not None)
        return list(reader.feed(heading("test") + data))


Test = Callable[[Tap], Awaitable[None]]


def of_a_tap(test: Test) -> Callable[..., None]:
    """Run the test in an event loop, with a tap whose limits are small."""

    @functools.wraps(test)
    def runs(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "QUEUE_BYTES", QUEUE)
        monkeypatch.setattr(module, "GATHER_BYTES", GATHER)

        async def run() -> None:
            await test(Tap())

        asyncio.run(run())

    vars(runs).pop("__wrapped__")
    return runs


# ---- the queue ----


@of_a_tap
async def test_waiting_bytes_are_those_gathered_and_those_put_but_not_taken(tap: Tap) -> None:
    assert tap.filling.waiting == 0
    tap.add(100)
    first = tap.gathered
    assert tap.filling.waiting == first > 100
    tap.filling.pass_on()
    assert (tap.gathered, tap.filling.waiting) == (0, first)
    tap.add(300)
    second = tap.gathered
    tap.disk.taken = first - 10
    assert tap.filling.waiting == second + 10


@of_a_tap
async def test_a_full_queue_stays_full_until_half_of_it_is_written(tap: Tap) -> None:
    tap.add(2000)
    tap.filling.pass_on()
    waiting = tap.filling.waiting
    assert not tap.filling.is_full(QUEUE - waiting)
    assert tap.troubles == []
    assert tap.filling.room > 0
    assert tap.filling.is_full(QUEUE - waiting + 1)
    assert tap.troubles == ["the disk is slower than the links"]
    assert tap.filling.room == 0
    tap.disk.taken = waiting - QUEUE // 2 - 1
    assert tap.filling.is_full(0)
    tap.filling.pass_on()
    assert (tap.filling.room, tap.limit) == (0, 0)
    assert tap.filling.is_full(0)
    assert len(tap.troubles) == 1
    tap.disk.taken += 1
    assert not tap.filling.is_full(QUEUE)  # the read that finds room is taken whatever its size
    tap.filling.pass_on()
    assert tap.filling.room == QUEUE - GATHER - QUEUE // 2
    assert tap.filling.is_full(QUEUE)
    assert len(tap.troubles) == 2


@of_a_tap
async def test_new_connections_are_recorded_until_twice_the_queue_waits(tap: Tap) -> None:
    tap.disk.taken = -2 * QUEUE
    assert not tap.filling.is_overrun
    tap.disk.taken -= 1
    assert tap.filling.is_overrun


@of_a_tap
async def test_room_is_the_queue_without_what_may_gather(tap: Tap) -> None:
    assert tap.filling.room == 0
    tap.filling.pass_on()
    assert tap.filling.room == QUEUE - GATHER
    assert tap.disk.put_blocks == []  # nothing had gathered
    tap.add(1000)
    size = tap.gathered
    tap.filling.pass_on()
    assert [one.size for one in tap.disk.put_blocks if one] == [size]
    assert tap.filling.room == QUEUE - GATHER - size


# ---- the limit for the compiled path ----


@of_a_tap
async def test_nothing_may_gather_without_asking_if_the_queue_has_no_room(tap: Tap) -> None:
    assert tap.limit == 0
    tap.disk.taken = -(QUEUE - 2 * GATHER)
    tap.filling.pass_on()
    assert (tap.filling.room, tap.limit) == (GATHER, GATHER)
    tap.disk.taken -= 1
    tap.filling.pass_on()
    assert (tap.filling.room, tap.limit) == (GATHER - 1, 0)


@of_a_tap
async def test_no_more_may_gather_than_fills_the_file(tap: Tap) -> None:
    tap.add(1000)
    size = tap.gathered
    tap.filling.pass_on()
    for left, limit in ((GATHER + 1.5, GATHER), (GATHER, GATHER), (GATHER - 0.5, GATHER - 1), (1, 1), (0, 0), (-1, 0)):
        tap.disk.full_at = size + left
        tap.filling.pass_on()
        assert tap.limit == limit


@of_a_tap
async def test_a_file_is_full_once_the_next_bytes_reach_its_size(tap: Tap) -> None:
    tap.add(1000)
    tap.filling.pass_on()
    tap.add(500)
    tap.disk.full_at = tap.filling.waiting + 100
    assert not tap.filling.is_file_full(99)
    assert tap.filling.is_file_full(100)


@of_a_tap
async def test_a_file_whose_time_is_up_is_full_until_it_continues(tap: Tap) -> None:
    tap.filling.pass_on()
    assert not tap.filling.is_file_full(10**9)
    tap.filling.file_is_due()
    assert tap.filling.is_file_full(0)
    assert tap.limit == 0
    tap.filling.file_goes_on()
    assert not tap.filling.is_file_full(0)
    tap.filling.pass_on()
    assert tap.limit == GATHER


@of_a_tap
async def test_packets_are_passed_on_when_enough_have_gathered_or_the_writer_wants_them(tap: Tap) -> None:
    tap.add(100)
    size = tap.gathered
    tap.filling.pass_on()
    module.GATHER_BYTES = size + 1
    tap.add(100)
    assert len(tap.disk.put_blocks) == 1
    tap.filling.pass_on()
    module.GATHER_BYTES = size
    tap.add(100)
    assert len(tap.disk.put_blocks) == 3
    module.GATHER_BYTES = GATHER
    tap.filling.gathering.wants = True
    tap.add(1)
    assert len(tap.disk.put_blocks) == 4
    assert tap.gathered == 0


# ---- comments ----


@of_a_tap
async def test_comments_of_the_tap_precede_those_of_the_connection_and_appear_once(tap: Tap) -> None:
    tap.filling.say(tap.a, "of a")
    tap.filling.say(None, "of the tap")
    tap.filling.say(tap.b, "of b")
    assert (tap.a.asked, tap.b.asked) == (1, 1)
    tap.add(1, tap.a)
    tap.add(2, tap.a)
    tap.add(3, tap.b)
    await asyncio.sleep(0)
    tap.filling.pass_on()
    found = [(len(one.data) - 40, list(one.comments)) for one in tap.written()]
    assert found == [(1, ["of the tap", "of a"]), (2, []), (3, ["of b"])]


@of_a_tap
async def test_nothing_gathers_without_asking_while_a_comment_of_the_tap_waits(tap: Tap) -> None:
    tap.filling.pass_on()
    assert tap.limit == GATHER
    tap.filling.say(None, "of the tap")
    assert tap.limit == 0
    tap.filling.pass_on()
    assert tap.limit == 0
    tap.add(1)
    tap.filling.pass_on()
    assert tap.limit == GATHER


@of_a_tap
async def test_a_comment_without_bytes_gets_a_packet_of_its_own(tap: Tap) -> None:
    tap.filling.say(tap.a, "first")
    tap.filling.say(tap.a, "second")
    await asyncio.sleep(0)
    tap.filling.pass_on()
    (packet,) = tap.written()
    assert (len(packet.data), list(packet.comments)) == (40, ["first", "second"])


@of_a_tap
async def test_a_comment_waits_for_a_connection_without_a_master(tap: Tap) -> None:
    early = Connection(tap.log, "early", is_dialled=False)
    tap.filling.say(early, "waits")
    await asyncio.sleep(0)
    tap.filling.finish()
    assert tap.written() == []
    assert early.comments == ["waits"]


@of_a_tap
async def test_the_last_comments_go_on_a_packet_of_the_connection_last_heard(tap: Tap) -> None:
    tap.add(1, tap.a)
    tap.add(1, tap.b)
    tap.filling.say(tap.a, "of a")
    tap.filling.say(None, "of the tap")
    tap.filling.finish()
    of_tap, of_a = tap.written()[2:]
    assert (len(of_tap.data), list(of_tap.comments)) == (40, ["of the tap"])
    assert (len(of_a.data), list(of_a.comments)) == (40, ["of a"])
    assert tap.gathered == 0


@of_a_tap
async def test_without_any_packet_the_comments_of_the_tap_have_no_place(tap: Tap) -> None:
    tap.filling.say(None, "of the tap")
    tap.filling.finish()
    assert tap.disk.put_blocks == []


# ---- the next file ----


@of_a_tap
async def test_the_next_file_begins_with_every_connection_after_all_its_bytes(tap: Tap) -> None:
    tap.add(100)
    tap.filling.say(tap.b, "of b")
    tap.filling.file_is_due()
    tap.disk.full_at = 1000
    tap.filling.next_file(NOW + 5, tap.b)
    assert tap.log == [
        "settle a False", "settle b False", f"begin a {NOW + 5} False", f"begin b {NOW + 5} True", "begun"
    ]  # fmt: skip
    assert [one is None for one in tap.disk.put_blocks] == [False, True]
    assert [list(one.comments) for one in tap.written()] == [[], ["of b"]]
    (head,) = tap.disk.heads
    assert head.size > 0
    assert not tap.filling.is_file_full(0)
    assert tap.filling.is_file_full(1000 - head.size)
    assert not tap.filling.is_file_full(1000 - head.size - 1)
    assert tap.limit == 1000 - head.size
    assert tap.filling.waiting == sum(one.size for one in tap.disk.put_blocks if one)


@of_a_tap
async def test_the_next_file_may_begin_inside_a_command_if_no_connection_fills_it(tap: Tap) -> None:
    tap.filling.next_file(NOW)
    assert [one for one in tap.log if one.startswith("begin ")] == [f"begin a {NOW} False", f"begin b {NOW} False"]
