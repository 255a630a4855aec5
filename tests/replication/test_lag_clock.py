"""Lag: from passing a byte on to its first acknowledgement, at the limits."""

from __future__ import annotations

import pytest

from tap.replication.lag_clock import MAX_SAMPLES, RESOLUTION, LagClock


def test_bytes_within_one_resolution_count_from_the_first() -> None:
    clock = LagClock()
    clock.passed(100, 0.0)
    clock.passed(200, RESOLUTION * 0.9)
    clock.passed(300, RESOLUTION)
    assert list(clock._passed) == [(200, 0.0), (300, RESOLUTION)]
    assert clock.acked(200, 2.0) == 2.0
    assert list(clock._passed) == [(300, RESOLUTION)]
    clock.passed(400, 1.5 * RESOLUTION)
    assert clock.acked(300, 2.0) == pytest.approx(2.0 - RESOLUTION)


def test_a_fully_acknowledged_time_begins_again() -> None:
    clock = LagClock()
    clock.passed(100, 1.0)
    assert clock.acked(100, 1.0001) == pytest.approx(0.0001)
    clock.passed(150, 1.0002)  # within the resolution of a sample that is gone
    assert clock.acked(150, 1.5) == pytest.approx(0.4998)


def test_an_acknowledgement_of_nothing_new_is_as_old_as_the_next_byte() -> None:
    clock = LagClock()
    clock.passed(100, 1.0)
    clock.passed(200, 2.0)
    assert clock.acked(100, 3.0) == 2.0
    assert clock.acked(50, 4.0) == 2.0  # an earlier one, repeated: byte 101 still waits
    assert clock.acked(100, 5.0) == 3.0
    assert clock.acked(199, 6.0) == 4.0
    assert clock.acked(200, 7.0) == 5.0
    assert clock.acked(200, 8.0) == 0.0
    assert clock.acked(500, 9.0) == 0.0


def test_a_clock_that_goes_back_gives_no_negative_lag() -> None:
    clock = LagClock()
    clock.passed(100, 5.0)
    assert clock.acked(100, 4.0) == 0.0


def test_at_the_limit_every_second_sample_is_dropped_and_the_newest_stays() -> None:
    clock = LagClock()
    for number in range(MAX_SAMPLES):
        clock.passed(number + 1, number * 1.0)
    assert len(clock._passed) == MAX_SAMPLES
    clock.passed(MAX_SAMPLES + 1, MAX_SAMPLES * 1.0)
    assert len(clock._passed) == MAX_SAMPLES // 2
    assert clock._passed[0] == (2, 1.0)
    assert clock._resolution == 2 * RESOLUTION
    clock.passed(9000, MAX_SAMPLES * 1.0 + 1.5 * RESOLUTION)
    assert clock._passed[-1][0] == 9000
    assert len(clock._passed) == MAX_SAMPLES // 2
