"""Throttles: the rate to the byte, whatever comes when."""

from __future__ import annotations

import dataclasses

import pytest

from tap.errors import ConfigError
from tap.faults.kinds.throttle import LATE, SlowLine, Throttle, TokenBucket
from tap.faults.shaper import NEVER
from tap.faults.spec import parse
from tap.replication.events import Side
from tests.faults.lab import ASKS_ALL, FULL, MARK, RDB, SET, Lab, ack, command, pieces, resync_partially, shake_hands


@pytest.mark.parametrize("rate", [1000, 100_000, 10 * 2**20])
def test_a_throttle_passes_its_rate(rate: int) -> None:
    lab = Lab(f"throttle {rate}b/s from=master")
    begin = resync_partially(lab)
    lab.wait(5)
    start = lab.now
    data = command("SET", "k", b"v" * (10 * rate))
    lab.master(data)
    lab.wait(20)
    assert lab.at_replica[begin:] == data
    took = lab.out[Side.MASTER][-1][0] - start
    assert took == pytest.approx(len(data) / rate, rel=0.03)


def test_a_throttle_of_one_phase_does_not_affect_others() -> None:
    lab = Lab("throttle 1kb/s during=rdb from=master")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL)
    lab.master(b"$%d\r\n" % len(RDB), RDB[:1000])
    lab.master(RDB[1000:5000])
    held = len(FULL) + 5000 - len(lab.at_replica)
    assert held > 3000
    lab.master(RDB[5000:])
    lab.wait(10)
    assert lab.at_replica.endswith(RDB)
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(RDB + SET)


@pytest.mark.parametrize("size", [1, 50, 10**6])
@pytest.mark.parametrize("disk", [True, False])
def test_a_throttled_phase_takes_its_time_however_it_comes(size: int, disk: bool) -> None:
    lab = Lab("throttle 1kb/s during=rdb from=master")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    header = b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n"
    begun = lab.now
    lab.master(*pieces(FULL + header + RDB + (b"" if disk else MARK) + (SET if disk else b""), size))
    assert len(lab.at_replica) < 200
    lab.wait(60)
    assert lab.at_replica.endswith(header + RDB + (SET if disk else MARK))
    took = lab.out[Side.MASTER][-1][0] - begun
    assert took == pytest.approx(len(RDB) / 1024, rel=0.05)
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(SET)
    assert lab.faults.lanes[Side.MASTER].flow.is_plain


def test_a_lasting_effect_in_a_phase_is_counted_from_its_beginning() -> None:
    lab = Lab("throttle 1kb/s during=stream for=2s from=master", "throttle 1kb/s for=3s from=replica")
    lab.wait(10)
    begin = resync_partially(lab)
    lab.master(bytes(10_000))
    lab.wait(1.9)
    assert 1900 < len(lab.at_replica) - begin < 2100
    lab.wait(0.2)
    assert len(lab.at_replica) == begin + 10_000
    lab.master(SET)
    lab.wait(5)
    assert [event.fault for event in lab.fired] == ["throttle-2", "throttle-1"]
    assert [event.fault for event in lab.expired] == ["throttle-2"]


# ---- the token bucket alone ----


def test_a_throttle_takes_a_second_for_its_rate() -> None:
    throttle = TokenBucket(1000, 0)  # in pieces of ten bytes, a hundred a second
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


def test_a_throttle_passes_its_burst_at_once_after_a_pause() -> None:
    for burst in (0, 500):
        throttle = TokenBucket(1000, burst)
        throttle.push(bytes(2000), 50.0)
        at_once = 0
        while (piece := throttle.pop(50.0)) is not None:
            at_once += len(piece)  # type: ignore[arg-type]
        assert at_once == burst + 1000 * LATE + 10
        assert throttle.wakes == pytest.approx(50.01, abs=0.001)


def test_a_very_low_rate_goes_byte_by_byte() -> None:
    throttle = TokenBucket(2, 0)
    throttle.push(b"abc", 50.0)
    assert throttle.pop(50.0) == b"a"
    assert throttle.wakes == pytest.approx(50.5 - LATE)
    assert throttle.pop(50.4) is None
    assert throttle.pop(50.5) == b"b"


# ---- a slow line ----


def test_on_a_slow_line_bytes_wait_for_their_own_time_too() -> None:
    lab = Lab("throttle 1000b/s wait=before from=master")
    start = lab.now
    lab.master(bytes(250))
    lab.wait(5)
    lab.master(bytes(100))  # the pause before it earns nothing
    lab.wait(5)
    found = [(round(when - start, 3), len(item)) for when, item in lab.out[Side.MASTER]]  # type: ignore[arg-type]
    assert found == [(0.1, 100), (0.2, 100), (0.25, 50), (5.1, 100)]


def test_a_slow_line_is_exact_on_average() -> None:
    lab = Lab("throttle 100000b/s wait=before from=master")
    start = lab.now
    for piece in pieces(bytes(120_000), 32_768):
        lab.master(piece)
    lab.wait(3)
    assert lab.out[Side.MASTER][-1][0] - start == pytest.approx(1.2)


def test_a_late_timer_is_made_up_for_but_not_a_peer_that_reads_late() -> None:
    line = SlowLine(1000)
    line.push(bytes(400), 50.0)
    assert line.pop(50.099) is None
    assert line.pop(50.11) == bytes(100)
    assert line.wakes == pytest.approx(50.2)
    assert line.pop(60.0) == bytes(100)
    assert line.wakes == pytest.approx(60.0 - LATE + 0.1)
    assert (line.held, line.drain(), line.wakes) == (200, [bytes(200)], NEVER)


def test_nothing_passes_at_rate_zero_until_the_rate_is_another() -> None:
    lab = Lab("throttle 1kb/s wait=before from=master name=thin")
    zero = dataclasses.replace(lab.plan.armed[0].fault, what=Throttle(rate=0, wait="before"))
    lab.plan.change("thin", zero)
    lab.master(b"abc", b"def")
    lab.wait(3600)
    assert lab.at_replica == b""
    lab.plan.change("thin", parse("throttle 10b/s wait=before from=master"))
    assert lab.at_replica == b"abc"  # what is held goes at once, the rest at the new rate
    lab.wait(0.29)
    assert lab.at_replica == b"abcde"
    lab.plan.remove("thin")
    assert lab.at_replica == b"abcdef"


def test_a_burst_is_not_for_a_slow_line() -> None:
    with pytest.raises(ConfigError, match="wait=after"):
        parse("throttle 1kb/s burst=10kb wait=before")
