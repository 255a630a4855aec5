"""The shapers and the flow by themselves: what goes out when, to the byte and the moment."""

from __future__ import annotations

import math
from random import Random

import pytest

from tap.faults.flow import HELD, HELD_BY_DELAY, LATE, NEVER, Cut, Delay, End, Flow, Item, Shaper, Slice, Throttle

CUT = Cut(False, "both", "x")


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


# ---- delay ----


def test_a_delay_lets_out_at_its_moment_and_not_before() -> None:
    delay = Delay(0.5, 0.0, False, Random(1))
    assert delay.wakes == NEVER
    delay.push(b"abc", 10.0)
    delay.push(b"de", 10.25)
    assert (delay.held, delay.wakes) == (5, 10.5)
    assert delay.pop(10.499) is None
    assert delay.pop(10.5) == b"abc"
    assert (delay.held, delay.wakes) == (2, 10.75)
    assert delay.pop(10.6) is None
    assert delay.drain() == [b"de"]
    assert (delay.held, delay.wakes, delay.drain()) == (0, NEVER, [])


def moments(latency: float, jitter: float, normal: bool) -> list[float]:
    """Of items so far apart that none waits for the one before it."""
    delay = Delay(latency, jitter, normal, Random(1))
    found: list[float] = []
    for number in range(1000):
        delay.push(b"x", number * 100.0)
        found.append(delay.wakes - number * 100.0)
        delay.drain()
    return found


def test_jitter_varies_up_and_down_within_its_bounds() -> None:
    found = moments(1.0, 0.25, False)
    assert 0.75 <= min(found) < 0.8
    assert 1.2 < max(found) <= 1.25
    assert sum(found) / 1000 == pytest.approx(1.0, abs=0.02)


def test_normal_jitter_is_a_standard_deviation() -> None:
    found = moments(10.0, 0.5, True)
    mean = sum(found) / 1000
    assert mean == pytest.approx(10.0, abs=0.05)
    assert math.sqrt(sum((one - mean) ** 2 for one in found) / 1000) == pytest.approx(0.5, rel=0.1)
    assert max(found) > 11  # beyond what the uniform one could be


def test_jitter_never_sends_before_the_bytes_have_come() -> None:
    found = moments(0.1, 5.0, False)
    assert min(found) == 0.0
    assert 0.3 < sum(one == 0.0 for one in found) / 1000 < 0.7


def test_jitter_keeps_the_order() -> None:
    delay = Delay(1.0, 1.0, False, Random(1))
    moments = []
    for number in range(100):
        delay.push(b"%d" % number, number * 0.01)
    while delay.wakes != NEVER:
        moments.append(delay.wakes)
        assert delay.pop(delay.wakes) == b"%d" % (len(moments) - 1)
    assert moments == sorted(moments)


# ---- throttle, slice ----


def test_a_throttle_takes_a_second_for_its_rate() -> None:
    throttle = Throttle(1000, 0)  # in pieces of ten bytes, a hundred a second
    throttle.push(bytes(1000), 50.0)
    assert throttle.held == 1000
    now, sizes = 50.0, []
    while throttle.held:
        now = max(now, throttle.wakes)
        if now > 50.0:
            assert throttle.pop(now - 0.001) is None
        piece = throttle.pop(now)
        assert isinstance(piece, bytes)
        sizes.append(len(piece))
    assert sizes == [10] * 100
    assert now == pytest.approx(50.0 + 0.99 - LATE)


def test_a_throttle_lets_its_burst_through_at_once_after_a_pause() -> None:
    for burst in (0, 500):
        throttle = Throttle(1000, burst)
        throttle.push(bytes(2000), 50.0)
        at_once = 0
        while (piece := throttle.pop(50.0)) is not None:
            at_once += len(piece)  # type: ignore[arg-type]
        assert at_once == burst + 1000 * LATE + 10
        assert throttle.wakes == pytest.approx(50.01, abs=0.001)


def test_a_very_low_rate_goes_byte_by_byte() -> None:
    throttle = Throttle(2, 0)
    throttle.push(b"abc", 50.0)
    assert throttle.pop(50.0) == b"a"
    assert throttle.wakes == pytest.approx(50.5 - LATE)
    assert throttle.pop(50.4) is None
    assert throttle.pop(50.5) == b"b"


def test_slices_have_their_size_and_gap() -> None:
    one = Slice(4, 0.5)
    one.push(memoryview(b"abcdefghij"), 1.0)
    one.push(CUT, 1.0)
    assert one.wakes <= 1.0
    out = []
    for now in (1.0, 1.4, 1.5, 1.9, 2.0, 2.4, 2.5):
        out.append(one.pop(now))
    assert out == [b"abcd", None, b"efgh", None, b"ij", None, CUT]
    assert (one.held, one.wakes) == (0, NEVER)


def test_what_is_drained_from_the_middle_of_an_item_is_its_rest() -> None:
    one = Slice(4, 0.5)
    one.push(b"abcdefghij", 1.0)
    one.push(b"kl", 1.0)
    assert one.pop(1.0) == b"abcd"
    assert one.held == 8
    assert one.drain() == [b"efghij", b"kl"]
    assert (one.held, one.drain()) == (0, [])
    one.push(b"mnopq", 2.0)
    assert one.pop(2.0) == b"mnop"


# ---- the flow ----


def test_what_shapers_hold_goes_through_each_of_them_in_their_order() -> None:
    flow = flow_of(Delay(1.0, 0, False, Random(1)), Slice(2, 0.0))
    flow.put(b"abc", 0.0)
    flow.put(CUT, 0.0)
    assert taken(flow, 0.9) == []
    assert flow.wakes == 1.0
    assert taken(flow, 1.0) == [b"ab", b"c", CUT]
    assert flow.wakes == NEVER


def test_an_inactive_shaper_is_passed_by() -> None:
    delay, cutter = Delay(1.0, 0, False, Random(1)), Slice(2, 0.0)
    flow = flow_of(delay, cutter)
    delay.active = False
    flow.put(b"abc", 0.0)
    assert taken(flow, 0.0) == [b"ab", b"c"]
    cutter.active = False
    flow.put(b"abc", 0.0)
    assert not flow.is_plain
    assert taken(flow, 0.0) == [b"abc"]
    assert flow.is_plain


def test_a_second_stall_neither_moves_the_place_of_the_first_nor_ends_with_it() -> None:
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


def test_what_is_abandoned_is_counted_and_what_was_due_still_goes() -> None:
    delay = Delay(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    flow.put(b"abc", 0.0)
    flow.put(b"defgh", 0.5)
    assert flow.abandon(1.0) == 5
    assert taken(flow, 1.0) == [b"abc"]
    assert taken(flow, 9.0) == []


def test_what_a_stall_holds_is_abandoned_and_what_came_before_it_goes() -> None:
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


def test_nothing_is_abandoned_where_nothing_is_held() -> None:
    flow = flow_of(Delay(1.0, 0, False, Random(1)))
    flow.shapers[0].active = False
    flow.put(b"ab", 0.0)
    assert flow.abandon(0.0) == 0
    assert taken(flow, 0.0) == [b"ab"]


def test_a_shaper_that_stops_lets_go_in_order_to_those_behind_it() -> None:
    delay, cutter = Delay(1.0, 0, False, Random(1)), Slice(2, 0.0)
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


def test_a_shaper_that_is_to_stop_lets_out_in_its_way_what_it_holds() -> None:
    delay = Delay(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    stopped: list[float] = []
    flow.stop_behind(delay, lambda: stopped.append(0), 0.0)
    assert stopped == [0]  # it held nothing
    flow.put(b"abc", 0.0)
    flow.stop_behind(delay, lambda: stopped.append(1), 0.25)
    assert taken(flow, 0.9) == []
    assert taken(flow, 1.0) == [b"abc"]
    assert stopped == [0]
    assert taken(flow, 1.25) == []
    assert stopped == [0, 1]
    delay.active = False
    flow.stop_behind(delay, lambda: stopped.append(2), 2.0)
    assert stopped == [0, 1, 2]


def test_the_end_of_a_shaper_that_is_stopped_before_it_came_is_not_sent() -> None:
    delay = Delay(1.0, 0, False, Random(1))
    flow = flow_of(delay)
    stopped: list[int] = []
    flow.put(b"abc", 0.0)
    flow.stop_behind(delay, lambda: stopped.append(1), 0.0)
    flow.stop(delay, 0.1)
    assert taken(flow, 5.0) == [b"abc"]
    assert stopped == []


def test_what_waits_is_kept_when_its_buffer_is_read_into_again() -> None:
    buffer = bytearray(b"abcdef")
    flow = flow_of(Delay(1.0, 0, False, Random(1)))
    flow.put(memoryview(buffer)[:3], 0.0)
    flow.stop(flow.shapers[0], 0.0)
    flow.put(memoryview(buffer)[3:], 0.0)
    flow.put(End.FIN, 0.0)
    flow.keep()
    buffer[:] = bytes(6)
    assert taken(flow, 0.0) == [b"abc", b"def", End.FIN]


def test_reading_pauses_when_so_much_is_held() -> None:
    for shaper, limit in ((Slice(1, 9.0), HELD), (Delay(9.0, 0, False, Random(1)), HELD_BY_DELAY)):
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


def test_behind_the_last_shaper_waits_no_more_than_one_read() -> None:
    flow = flow_of(Delay(1.0, 0, False, Random(1)))
    for _ in range(4):
        flow.put(bytes(HELD // 2), 0.0)
    flow.settle(1.0)
    assert flow.is_full
    assert flow.wakes == NEVER  # whoever takes has to come first
    assert flow.shapers[0].held == HELD
    assert flow.take(1.0) == bytes(HELD // 2)
    assert flow.wakes == 1.0
    assert [len(item) for item in taken(flow, 1.0)] == [HELD // 2] * 3  # type: ignore[arg-type]


def test_a_cut_is_seen_when_it_comes_next() -> None:
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
