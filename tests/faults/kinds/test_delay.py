"""Delays: how long, in which order, and how much they hold."""

from __future__ import annotations

import math
from random import Random

import pytest

from tap.faults.flow_items import End
from tap.faults.kinds.delay import DelayLine
from tap.faults.shaper import NEVER
from tap.faults.spec import parse
from tap.replication.events import Side
from tests.faults.lab import PING, SET, Lab, command, resync_partially, shake_hands


def test_a_delay_keeps_order_and_its_removal_loses_nothing() -> None:
    lab = Lab("delay 200ms jitter=100ms from=master name=late")
    shake_hands(lab)
    sent = []
    for number in range(50):
        lab.master(b"\n" if number else b"")
        sent.append(lab.now)
        lab.wait(0.01)
    assert len(lab.at_replica) < len(lab.conversation.from_master.to_bytes()) + 64
    lab.plan.remove("late")
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+OK\r\n" + b"\n" * 49


@pytest.mark.parametrize("jitter", ["", "jitter=50ms", "jitter=50ms distribution=normal"])
def test_a_delay_is_as_long_as_it_says(jitter: str) -> None:
    lab = Lab(f"delay 200ms {jitter} from=master")
    begin = resync_partially(lab)
    lab.wait(1)
    for _ in range(300):
        at = lab.now
        lab.master(SET)
        lab.wait(0.7)
        arrived = lab.out[Side.MASTER][-1][0] - at
        assert 0 <= arrived <= 0.7
        if not jitter:
            assert arrived == pytest.approx(0.2)
    assert lab.at_replica[begin:] == SET * 300


def test_a_delay_holds_a_limited_number_of_bytes_and_then_pauses_reading() -> None:
    lab = Lab("delay 10s from=master")
    resync_partially(lab)
    lab.wait(20)
    big = command("SET", "k", b"v" * 2**20)
    for number in range(17):
        assert lab.is_held(Side.MASTER) == (number >= 16)
        lab.master(big)
    lab.wait(11)
    assert not lab.is_held(Side.MASTER)
    assert lab.at_replica.endswith(big * 17)


# ---- the delay line alone ----


def test_a_delay_releases_at_its_moment_and_not_before() -> None:
    delay = DelayLine(0.5, 0.0, False, Random(1))
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
    """The times of items so far apart that none waits for the previous one."""
    delay = DelayLine(latency, jitter, normal, Random(1))
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


def test_normal_jitter_has_its_standard_deviation() -> None:
    found = moments(10.0, 0.5, True)
    mean = sum(found) / 1000
    assert mean == pytest.approx(10.0, abs=0.05)
    assert math.sqrt(sum((one - mean) ** 2 for one in found) / 1000) == pytest.approx(0.5, rel=0.1)
    assert max(found) > 11  # beyond the range of the uniform one


def test_jitter_never_sends_before_the_bytes_have_come() -> None:
    found = moments(0.1, 5.0, False)
    assert min(found) == 0.0
    assert 0.3 < sum(one == 0.0 for one in found) / 1000 < 0.7


def test_jitter_keeps_the_order() -> None:
    delay = DelayLine(1.0, 1.0, False, Random(1))
    moments = []
    for number in range(100):
        delay.push(b"%d" % number, number * 0.01)
    while delay.wakes != NEVER:
        moments.append(delay.wakes)
        assert delay.pop(delay.wakes) == b"%d" % (len(moments) - 1)
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ("delay 200ms", 0.2),
        ("delay 200ms jitter=50ms", 0.15),
        ("delay 200ms jitter=200ms", 0.0),
        ("delay 200ms jitter=300ms", 0.0),
        ("delay 200ms jitter=50ms distribution=normal", 0.0),
        ("throttle 1kb/s", 0.0),
    ],
)
def test_the_least_delay_of_a_byte_is_known(spec: str, least: float) -> None:
    assert parse(spec).what.least_delay == pytest.approx(least)


# ---- the end, and other parameters ----


@pytest.mark.parametrize(("fin", "later"), [("", 0.3), ("fin=prompt", 0.2)])
def test_the_end_is_delayed_as_it_says(fin: str, later: float) -> None:
    lab = Lab(f"delay 300ms from=replica {fin}")
    lab.replica(PING)
    lab.wait(0.1)
    begun = lab.now
    lab.faults.ended(Side.REPLICA, End.FIN, lab.now)
    lab.wait(1)
    when, item = lab.out[Side.REPLICA][-1]
    assert item is End.FIN
    assert when - begun == pytest.approx(later)


def test_other_parameters_apply_to_what_waits_from_when_it_came() -> None:
    lab = Lab("delay 10s from=replica name=far")
    start = lab.now
    for piece in (b"a", b"b", b"c"):
        lab.replica(piece)
        lab.wait(1)
    lab.plan.change("far", parse("delay 5s from=replica"))
    lab.replica(b"d")
    lab.wait(20)
    found = [(round(when - start, 3), item) for when, item in lab.out[Side.REPLICA]]
    assert found == [(3.0, b"a"), (6.0, b"b"), (7.0, b"c"), (8.0, b"d")]
    assert [event.kind for event in lab.told if event.kind.startswith("fault_")] == [
        "fault_armed",
        "fault_fired",
        "fault_expired",
        "fault_armed",
        "fault_fired",
    ]
    assert [event.fault for event in lab.fired] == ["far"] * 2


def test_what_waits_goes_out_when_other_parameters_spare_the_connection() -> None:
    lab = Lab("delay 10s from=replica name=far")
    lab.replica(b"a", b"b")
    lab.plan.change("far", parse("delay 10s from=replica probability=0.000001"))
    assert lab.at_master == b"ab"
