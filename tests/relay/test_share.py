"""What one peer may take of the event loop's time, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.relay.share import BUFFER_SIZE, FIRST_READ, LONG, RELENT, SMALLEST_READ, SUSPECTED, Share, Turns

OURS, OTHER = object(), object()
CHEAP = 1e-10  # seconds a byte: 256 KiB in 26 us
COSTLY = 14e-6


class Peer:
    """Sends as much as is read; cost: seconds a byte, at a time."""

    def __init__(self, cost: Callable[[float], float]) -> None:
        self.turns = Turns()
        self.share = Share(self.turns, wall=self.time, cpu=self.time)
        self.cost = cost
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def read(self, *, beside_another: bool = True) -> tuple[float, float]:
        """Seconds that the read took, and those of the rest behind it."""
        took = self.share.size * self.cost(self.now)
        rest = self.share.used(OURS, self.share.size, took)
        if beside_another:
            self.turns.read(OTHER)
        self.now += took + rest
        return took, rest


def test_what_is_cheap_is_soon_read_in_whole_buffers() -> None:
    peer = Peer(lambda now: CHEAP)
    sizes = []
    while peer.share.size < BUFFER_SIZE:
        sizes.append(peer.share.size)
        peer.read()
    assert sizes == [FIRST_READ << n for n in range(5)]
    assert peer.read() == (BUFFER_SIZE * CHEAP, 0.0)


def test_what_is_costly_takes_a_third_of_the_time_and_little_of_it_at_once() -> None:
    peer = Peer(lambda now: COSTLY)
    taken = [peer.read() for _ in range(200)]
    busy, idle = sum(took for took, _ in taken[3:]), sum(rest for _, rest in taken[3:])
    assert busy <= 0.4 * (busy + idle)
    assert all(took <= SMALLEST_READ * COSTLY for took, _ in taken[4:])


def test_a_link_that_has_the_loop_for_itself_never_rests() -> None:
    peer = Peer(lambda now: COSTLY)
    assert all(peer.read(beside_another=False)[1] == 0 for _ in range(100))


def test_a_peer_that_alternates_is_read_in_large_pieces_once_a_second_at_most() -> None:
    """Cheap bytes until it is trusted, then costly ones."""
    peer = Peer(lambda now: COSTLY if peer.share.size > 4 * SMALLEST_READ else CHEAP)
    taken = []
    while peer.now < 10 * RELENT:
        taken.append(peer.read()[0])
        peer.now += 1e-4
    long = [took for took in taken if took > LONG]
    assert len(long) <= 10
    assert max(long) == 8 * SMALLEST_READ * COSTLY


def test_a_thread_that_is_not_run_costs_its_peer_nothing() -> None:
    """However often: in processor time its reads are short."""
    turns, asked = Turns(), []
    share = Share(turns, wall=lambda: 0.0, cpu=lambda: asked.append(1) or 0.0)  # type: ignore[func-returns-value]
    for number in range(1000):
        is_wall = share.clock() == 0.0 and not asked
        asked.clear()
        took = 0.004 if is_wall and number % 7 == 0 else 1e-5
        assert share.used(OURS, share.size, took) == 0.0
        turns.read(OTHER)
    assert share.size == BUFFER_SIZE


def test_a_peer_that_is_no_longer_suspected_is_timed_as_before() -> None:
    peer = Peer(lambda now: CHEAP)
    cheap = peer.share.clock
    share = Share(Turns(), wall=peer.time, cpu=lambda: 0.0)
    share.used(OURS, FIRST_READ, 1.0)
    assert share.clock is not peer.time
    for _ in range(SUSPECTED):
        share.used(OURS, 1, 0.0)
    assert share.clock == cheap


def test_a_peer_that_has_become_cheap_is_trusted_again_though_its_reads_are_never_full() -> None:
    peer = Peer(lambda now: COSTLY)
    wall, cpu = peer.time, lambda: peer.now
    share = Share(peer.turns, wall=wall, cpu=cpu)
    for _ in range(3):
        share.used(OURS, 5000, 5000 * COSTLY)
    assert share.clock is cpu
    for _ in range(20 * SUSPECTED):
        peer.now += RELENT / 2
        share.used(OURS, 1, 0.0)
    assert share.clock is wall or share.clock == wall
    while share.size < BUFFER_SIZE:
        share.used(OURS, share.size, 0.0)
    assert share.size == BUFFER_SIZE


@pytest.mark.parametrize("cost", [1e-9, 1e-8, 1e-7, 1e-6])
def test_a_read_settles_below_twice_what_is_long(cost: float) -> None:
    peer = Peer(lambda now: cost)
    taken = [peer.read()[0] for _ in range(10_000)]
    settled = taken[20:]
    assert max(settled) <= max(2 * LONG, SMALLEST_READ * cost) * 1.01
    assert sum(settled) / len(settled) >= min(LONG / 8, BUFFER_SIZE * cost / 2)
