"""The shapers and the flow alone: what goes out when, to the byte and the moment."""

from __future__ import annotations

from random import Random

from tap.faults.flow import Flow
from tap.faults.flow_items import CloseLink, End, Item
from tap.faults.kinds.delay import HELD_BY_DELAY, DelayLine
from tap.faults.kinds.slice import Slicer
from tap.faults.shaper import HELD, NEVER, Shaper

CUT = CloseLink(False, "both", "x")


def flow_of(*shapers: Shaper) -> Flow:
    flow = Flow()
    flow.shapers = list(shapers)
    for shaper in shapers:
        shaper.active = True
    return flow


def taken(flow: Flow, now: float) -> list[Item]:
    found: list[Item] = []
    while (item := flow.take(now)) is not None:
        found.append(bytes(item) if isinstance(item, memoryview) else item)
    return found


def test_items_go_through_each_shaper_in_order() -> None:
    flow = flow_of(DelayLine(1.0, 0, False, Random(1)), Slicer(2, 0.0))
    flow.put(b"abc", 0.0)
    flow.put(CUT, 0.0)
    assert taken(flow, 0.9) == []
    assert flow.wakes == 1.0
    assert taken(flow, 1.0) == [b"ab", b"c", CUT]
    assert flow.wakes == NEVER


def test_an_inactive_shaper_is_skipped() -> None:
    delay, cutter = DelayLine(1.0, 0, False, Random(1)), Slicer(2, 0.0)
    flow = flow_of(delay, cutter)
    delay.active = False
    flow.put(b"abc", 0.0)
    assert taken(flow, 0.0) == [b"ab", b"c"]
    cutter.active = False
    flow.put(b"abc", 0.0)
    assert not flow.is_plain
    assert taken(flow, 0.0) == [b"abc"]
    assert flow.is_plain


def test_a_second_stall_neither_moves_the_first_nor_ends_with_it() -> None:
    flow = Flow()
    flow.put(b"a", 0.0)
    flow.put(b"b", 0.0)
    flow.stall(on=True)
    flow.put(b"c", 0.0)
    flow.stall(on=True)
    flow.put(b"d", 0.0)
    assert (flow.is_stalled, flow.is_full, flow.is_plain, flow.wakes) == (True, True, False, NEVER)
    assert taken(flow, 0.0) == [b"a", b"b"]
    flow.stall(on=False)
    assert (flow.is_stalled, flow.is_full) == (True, True)
    assert taken(flow, 0.0) == []
    flow.stall(on=False)
    assert (flow.is_stalled, flow.is_full) == (False, False)
    assert taken(flow, 0.0) == [b"c", b"d"]
    flow.stall(on=True)
    flow.put(b"e", 0.0)
    assert taken(flow, 0.0) == []


def test_discarded_bytes_are_counted_and_due_ones_still_go() -> None:
    delay = DelayLine(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    flow.put(b"abc", 0.0)
    flow.put(b"defgh", 0.5)
    assert flow.abandon(1.0) == 5
    assert taken(flow, 1.0) == [b"abc"]
    assert taken(flow, 9.0) == []


def test_bytes_held_by_a_stall_are_discarded_and_earlier_ones_go() -> None:
    flow = Flow()
    flow.put(b"ab", 0.0)
    flow.stall(on=True)
    flow.put(b"cde", 0.0)
    flow.put(b"f", 0.0)
    assert flow.abandon(0.0) == 4
    assert taken(flow, 0.0) == [b"ab"]
    flow.stall(on=False)
    assert taken(flow, 0.0) == []
    assert not flow.is_full


def test_nothing_is_discarded_if_nothing_is_held() -> None:
    flow = flow_of(DelayLine(1.0, 0, False, Random(1)))
    flow.shapers[0].active = False
    flow.put(b"ab", 0.0)
    assert flow.abandon(0.0) == 0
    assert taken(flow, 0.0) == [b"ab"]


def test_a_stopped_shaper_passes_on_in_order_to_the_next_ones() -> None:
    delay, cutter = DelayLine(1.0, 0, False, Random(1)), Slicer(2, 0.0)
    flow = flow_of(delay, cutter)
    flow.put(b"abc", 0.0)
    flow.put(b"d", 0.0)
    flow.stop(delay, 0.5)
    assert not delay.active
    flow.stop(delay, 0.5)
    flow.put(b"e", 0.5)
    assert taken(flow, 0.5) == [b"ab", b"c", b"d", b"e"]
    flow.stop(cutter, 0.5)
    flow.put(b"abc", 0.5)
    assert taken(flow, 0.5) == [b"abc"]


def test_a_shaper_that_is_to_stop_releases_what_it_holds_at_its_pace() -> None:
    delay = DelayLine(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    stopped: list[float] = []
    flow.stop_after(delay, lambda: stopped.append(0), 0.0)
    assert stopped == [0]  # it held nothing
    flow.put(b"abc", 0.0)
    flow.stop_after(delay, lambda: stopped.append(1), 0.25)
    assert taken(flow, 0.9) == []
    assert taken(flow, 1.0) == [b"abc"]
    assert stopped == [0]
    assert taken(flow, 1.25) == []
    assert stopped == [0, 1]
    delay.active = False
    flow.stop_after(delay, lambda: stopped.append(2), 2.0)
    assert stopped == [0, 1, 2]


def test_the_end_of_a_shaper_stopped_early_is_not_sent() -> None:
    delay = DelayLine(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    stopped: list[int] = []
    flow.put(b"abc", 0.0)
    flow.stop_after(delay, lambda: stopped.append(1), 0.0)
    flow.stop(delay, 0.1)
    assert taken(flow, 5.0) == [b"abc"]
    assert stopped == []


def test_waiting_bytes_survive_a_reused_buffer() -> None:
    buffer = bytearray(b"abcdef")
    flow = flow_of(DelayLine(1.0, 0, False, Random(1)))
    flow.put(memoryview(buffer)[:3], 0.0)
    flow.stop(flow.shapers[0], 0.0)
    flow.put(memoryview(buffer)[3:], 0.0)
    flow.put(End.FIN, 0.0)
    flow.keep()
    buffer[:] = bytes(6)
    assert taken(flow, 0.0) == [b"abc", b"def", End.FIN]


def test_reading_pauses_at_the_limit_of_held_bytes() -> None:
    for shaper, limit in ((Slicer(1, 9.0), HELD), (DelayLine(9.0, 0, False, Random(1)), HELD_BY_DELAY)):
        flow = flow_of(shaper)
        flow.put(bytes(limit - 1), 0.0)
        assert not flow.is_full
        flow.put(b"x", 0.0)
        assert flow.is_full
    flow = Flow()
    flow.put(bytes(HELD - 1), 0.0)
    assert not flow.is_full
    flow.put(b"x", 0.0)
    assert flow.is_full
    flow.take(0.0)
    assert not flow.is_full
    assert flow.wakes == NEVER


def test_after_the_last_shaper_at_most_one_read_waits() -> None:
    flow = flow_of(DelayLine(1.0, 0, False, Random(1)))
    for _ in range(4):
        flow.put(bytes(HELD // 2), 0.0)
    flow.settle(1.0)
    assert flow.is_full
    assert flow.wakes == NEVER  # take() has to come first
    assert flow.shapers[0].held == HELD
    assert flow.take(1.0) == bytes(HELD // 2)
    assert flow.wakes == 1.0
    assert [len(item) for item in taken(flow, 1.0)] == [HELD // 2] * 3  # type: ignore[arg-type]


def test_a_cut_is_seen_when_it_is_next() -> None:
    flow = Flow()
    assert not flow.is_cut
    flow.put(b"a", 0.0)
    flow.put(CUT, 0.0)
    assert not flow.is_cut
    flow.take(0.0)
    assert flow.is_cut
    flow.take(0.0)
    flow.put(End.FIN, 0.0)
    assert not flow.is_cut
