"""The share of the event loop's time that the peers of one link may take, with the test's own clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from tap.relay import share
from tap.relay.share import (
    BUFFER_SIZE,
    COSTLY_PART,
    CREDIT,
    FIRST_READ,
    LONG,
    MAX_REST,
    PART,
    RELENT,
    SMALLEST_READ,
    SUSPECTED,
    TURN,
    WARNED,
    WINDOW,
    LegShare,
    LinkAccount,
    Thread,
    Turns,
)
from tests.support import uncompiled

CHEAP = 1e-10  # seconds a byte: 256 KiB in 26 us
BULK = 6e-10  # a stream that is read and passed on: 160 us
COSTLY = 3e-7
COSTS = [1e-10, 6e-10, 3e-9, 3e-8, 3e-7]
TICK = 0.001  # seconds that a loop's timers can tell apart


class Loop:
    """One thread that reads its peers in turn, as long as any has something to say, otherwise sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.thread = Thread()
        self.peers: list[Peer] = []

    def time(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            ready = [peer for peer in self.peers if peer.next <= self.now]
            for peer in ready:
                peer.read()
            if not ready:
                self.now = min(peer.wakes(self.now) for peer in self.peers)


class Peer:
    """Sends as much as is read.

    cost: seconds a byte, at a time. pause: seconds between a read and the next. link: another direction of the same.
    """

    def __init__(
        self,
        loop: Loop,
        cost: Callable[[float], float],
        pause: float = 0.0,
        size: int = BUFFER_SIZE,
        *,
        link: Peer | None = None,
    ) -> None:
        self.loop, self.cost, self.pause, self.most = loop, cost, pause, size
        self.account: LinkAccount = LinkAccount(loop.thread) if link is None else link.account
        self.share = LegShare(self.account, loop.time, loop.time)
        self.next = 0.0
        self.rests = False
        self.reads = self.bytes = 0
        self.waited = 0.0
        self.took: list[float] = []
        self.rested: list[float] = []
        loop.peers.append(self)

    @property
    def busy(self) -> float:
        return sum(self.took)

    def read(self) -> float:
        loop, size = self.loop, min(self.share.size, self.most)
        self.waited = max(self.waited, loop.now - self.next)
        took = size * self.cost(loop.now)
        self.share.begin()
        loop.now += took
        rest = self.share.used(size)
        self.next, self.rests = loop.now + max(rest, self.pause), rest > self.pause
        self.reads += 1
        self.bytes += size
        self.took.append(took)
        self.rested.append(rest)
        return took

    def wakes(self, now: float) -> float:
        """When the loop hears of it: of a socket at once, of a timer's end at its next tick."""
        return now + math.ceil((self.next - now) / TICK) * TICK if self.rests else self.next

    def forget(self) -> None:
        """What it did so far does not count."""
        self.reads = self.bytes = 0
        self.waited = 0.0
        self.took.clear()
        self.rested.clear()


def waiting_client(loop: Loop) -> Peer:
    """A client that says little, and the next thing once it is answered: 30 us of the thread every 130."""
    return Peer(loop, lambda now: 3e-7, pause=1e-4, size=100)


def settled(loop: Loop, seconds: float = 0.3) -> None:
    loop.run(0.1)
    for peer in loop.peers:
        peer.forget()
    loop.run(seconds)


# ---- one link alone ----


def test_cheap_bytes_are_soon_read_in_whole_buffers() -> None:
    loop = Loop()
    peer = Peer(loop, lambda now: CHEAP)
    sizes = []
    while peer.share.size < BUFFER_SIZE:
        sizes.append(peer.share.size)
        peer.read()
    assert sizes == [FIRST_READ, 4 * FIRST_READ, 16 * FIRST_READ]


@pytest.mark.parametrize("cost", COSTS)
def test_a_link_that_has_the_loop_for_itself_never_rests(cost: float) -> None:
    loop = Loop()
    peer = Peer(loop, lambda now: cost)
    other_direction = Peer(loop, lambda now: cost, link=peer)
    settled(loop)
    assert set(peer.rested) == set(other_direction.rested) == {0.0}
    assert max(peer.took) <= 2 * max(LONG, 2 * SMALLEST_READ * cost)
    assert peer.busy + other_direction.busy == pytest.approx(0.3, abs=0.01)


def test_a_bulk_transfer_is_read_in_whole_buffers_except_while_others_are_active() -> None:
    """Another link's replica acknowledges once a second."""
    loop = Loop()
    peer = Peer(loop, lambda now: BULK)
    Peer(loop, lambda now: 3e-7, pause=1.0, size=100)
    settled(loop, 3.0)
    assert peer.busy > 2.97
    assert peer.bytes / peer.reads > 0.9 * BUFFER_SIZE


# ---- links beside each other ----


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cost", COSTS)
def test_whatever_a_link_costs_a_waiting_client_keeps_more_than_half(cost: float, directions: int) -> None:
    loop = Loop()
    client = waiting_client(loop)
    settled(loop)
    undisturbed = client.reads
    rude = Peer(loop, lambda now: cost)
    if directions == 2:
        Peer(loop, lambda now: cost, link=rude)
    settled(loop)
    assert client.reads > 0.5 * undisturbed
    assert client.waited <= 2 * directions * max(TURN, SMALLEST_READ * cost)
    assert sum(peer.busy for peer in loop.peers[1:]) <= (PART + 0.02) * 0.3


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cost", [3e-9, 3e-8, 3e-7])
def test_costly_bytes_leave_a_waiting_client_most_of_the_thread(cost: float, directions: int) -> None:
    loop = Loop()
    client = waiting_client(loop)
    settled(loop)
    undisturbed = client.reads
    rude = Peer(loop, lambda now: cost)
    if directions == 2:
        Peer(loop, lambda now: cost, link=rude)
    settled(loop, 1.0)
    taken = sum(peer.busy for peer in loop.peers[1:])
    assert COSTLY_PART - 0.1 < taken <= COSTLY_PART + 0.02
    assert client.reads / 1.0 > 0.7 * undisturbed / 0.3


def test_a_bulk_transfer_beside_a_waiting_client_keeps_its_larger_part() -> None:
    loop = Loop()
    waiting_client(loop)
    bulk = Peer(loop, lambda now: BULK)
    settled(loop, 1.0)
    assert bulk.busy > COSTLY_PART + 0.1


@pytest.mark.parametrize("costs", [(BULK, BULK), (BULK, CHEAP), (BULK, COSTLY), (COSTLY, COSTLY), (BULK, BULK, BULK)])
def test_links_at_full_rate_share_the_thread_evenly_and_leave_none_of_it_unused(costs: tuple[float, ...]) -> None:
    loop = Loop()
    peers = [Peer(loop, partial(lambda cost, now: cost, cost)) for cost in costs]
    settled(loop, 0.5)
    taken = [peer.busy / 0.5 for peer in peers]
    assert sum(taken) > 0.9
    assert min(taken) > 0.8 / len(costs)


def test_bulk_links_are_read_in_whole_buffers_until_a_brief_one_is_active() -> None:
    loop = Loop()
    peers = [Peer(loop, lambda now: BULK) for _ in range(50)]
    settled(loop, 1.0)
    assert sum(peer.bytes for peer in peers) / sum(peer.reads for peer in peers) == BUFFER_SIZE
    waiting_client(loop)
    settled(loop, 1.0)
    assert max(max(peer.took) for peer in peers) <= 2 * TURN


def test_a_burst_passes_beside_other_bulk_links_without_a_rest_and_beside_a_brief_one_with_rests() -> None:
    """Sixteen whole buffers in a row, of a link that had nothing to read before."""
    for is_brief in (False, True):
        loop = Loop()
        one, other = Peer(loop, lambda now: BULK), Peer(loop, lambda now: BULK)
        settled(loop)
        client = waiting_client(loop)
        loop.now += 1.0
        other.read()
        one.forget()
        for _ in range(16):
            if is_brief:
                client.read()
            one.read()
        assert any(one.rested) == is_brief


def test_no_rest_is_long() -> None:
    loop = Loop()
    waiting_client(loop)
    peer = Peer(loop, lambda now: 1e-3)
    settled(loop)
    assert max(peer.rested) == MAX_REST


def test_a_link_that_falls_silent_stops_counting_as_active() -> None:
    turns, one, other = Turns(), object(), object()
    turns.note(one, 1.0)
    assert not turns.another(one, 1.0)
    turns.note(other, 1.001)
    assert turns.another(other, 1.001)
    assert turns.another(other, 1.001 + WINDOW / 2)
    assert not turns.another(other, 1.001 + WINDOW)
    assert turns.another(one, 1.001 + WINDOW / 2)
    assert not turns.another(one, 1.002 + WINDOW)


# ---- suspicion ----


def test_a_peer_that_alternates_gets_large_reads_four_times_a_second_at_most() -> None:
    """Cheap bytes until it is trusted, then costly ones."""
    loop = Loop()
    waiting_client(loop)
    peer = Peer(loop, lambda now: COSTLY if peer.share.size > 4 * SMALLEST_READ else CHEAP, pause=1e-4)
    loop.run(16 * RELENT)
    assert len([took for took in peer.took if took > 4 * SMALLEST_READ * CHEAP]) <= 17
    assert max(peer.took) <= FIRST_READ * COSTLY


class Clocks:
    """One share whose thread runs, or does not. asked: how often for CPU time."""

    def __init__(self) -> None:
        self.now = self.spent = 0.0
        self.asked = 0
        self.thread = Thread()
        self.share = LegShare(LinkAccount(self.thread), lambda: self.now, self.cpu)

    def beside(self, other: object) -> None:
        """A brief link was read."""
        self.thread.turns.note(other, self.now)
        self.thread.brief.note(other, self.now)

    def cpu(self) -> float:
        self.asked += 1
        return self.spent

    def read(self, size: int, cost: float, lost: float = 0.0) -> float:
        """cost: seconds of CPU time; lost: those in which the thread did not run."""
        self.share.begin()
        self.now, self.spent = self.now + cost + lost, self.spent + cost
        return self.share.used(size)


def test_a_thread_that_is_not_scheduled_shrinks_no_read() -> None:
    """However often: in CPU time its reads are short."""
    one, other = Clocks(), object()
    for _ in range(1000):
        one.beside(other)
        assert one.read(one.share.size, 1e-5, 0.004) <= 2 * CREDIT / PART
        one.read(one.share.size, 1e-5)
    assert one.share.size == BUFFER_SIZE


def test_a_link_read_while_the_thread_is_not_scheduled_rests() -> None:
    one, other = Clocks(), object()
    rested = 0.0
    for _ in range(1000):
        rest = one.read(1000, 1e-5, 0.00008)
        one.now, rested = one.now + rest, rested + rest
        one.beside(other)
    assert 1 - rested / one.now == pytest.approx(PART, abs=0.05)


def test_one_long_read_among_many_shrinks_none_but_two_do() -> None:
    one, other = Clocks(), object()

    def sizes(costs: list[float]) -> set[int]:
        taken = set()
        for cost in costs:
            one.beside(other)
            one.read(one.share.size, cost)
            taken.add(one.share.size)
        return taken

    sizes([1e-5] * 10)
    assert sizes([2 * TURN] + [1e-5] * WARNED + [2 * TURN] + [1e-5] * WARNED) == {BUFFER_SIZE}
    assert min(sizes([2 * TURN] * 3)) < BUFFER_SIZE


def test_a_few_costly_bytes_shrink_no_read() -> None:
    one, other = Clocks(), object()
    for _ in range(1000):
        one.beside(other)
        one.read(SMALLEST_READ - 1, 3 * TURN)
    assert one.share.size == FIRST_READ


def test_a_peer_that_is_no_longer_suspected_is_timed_as_before() -> None:
    one = Clocks()
    one.read(FIRST_READ, 1e-5, 1.0)
    for _ in range(SUSPECTED):
        one.read(1, 1e-5)
    one.asked = 0
    one.read(1, 1e-5)
    assert not one.asked


def test_a_peer_that_has_become_cheap_is_trusted_again_although_its_reads_are_never_full() -> None:
    one = Clocks()
    for _ in range(3):
        one.read(5000, 5000 * COSTLY)
    assert one.share.size < FIRST_READ
    for _ in range(20 * SUSPECTED):
        one.now += RELENT / 2
        one.read(1, 0.0)
    one.asked = 0
    while one.share.size < BUFFER_SIZE:
        one.read(one.share.size, 0.0)
    assert not one.asked


def test_bytes_moved_by_the_kernel_count_as_bytes_of_the_read() -> None:
    """Otherwise the few bytes that were read would seem to cost as much as all."""
    one = Clocks()
    for _ in range(10):
        one.read(17 * BUFFER_SIZE, 2 * LONG)
    while one.share.size < BUFFER_SIZE:
        before = one.share.size
        one.read(before, 0.0)
        assert one.share.size == min(BUFFER_SIZE, 4 * before)


# ---- compiled or not ----


def test_compiled_and_uncompiled_code_decide_the_same() -> None:
    def story(module: Any) -> list[tuple[int, float, bool]]:
        now, rng, thread = [0.0], Random(7), module.Thread()
        shares = [module.LegShare(module.LinkAccount(thread), lambda: now[0], lambda: now[0] * 0.9) for _ in range(4)]
        told = []
        for _ in range(5000):
            share = rng.choice(shares)
            size = min(share.begin(), rng.choice([50, 3000, BUFFER_SIZE]))
            now[0] += size * rng.choice(COSTS)
            rest = share.used(size)
            told.append((share.size, rest, share.is_waited_for))
            now[0] += rng.choice([0.0, 0.0, rest, WINDOW])
        return told

    assert story(share) == story(uncompiled("tap/relay/share.py"))
