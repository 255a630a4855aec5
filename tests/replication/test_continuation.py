"""How much a replica had missed: measured by a pause, or estimated."""

from __future__ import annotations

import pytest

from tap.replication.continuation import Continuation


def granted(least: int = 0, expected: int | None = None) -> Continuation:
    return Continuation(None, None, 0, 10, least, expected)


def ticks_until_measured(one: Continuation, *received: int, held_back: bool = False) -> int:
    """The number of the tick that measures; received: at each, the last one again and again."""
    for number in range(1000):
        if one.is_measured(received[min(number, len(received) - 1)], held_back):
            return number + 1
    raise AssertionError("never")


def test_a_pause_ends_what_was_missed_exactly() -> None:
    one = granted(expected=5)
    assert ticks_until_measured(one, 100, 700) == 2 + Continuation.PAUSE_TICKS
    assert one.missed(700) == 700


@pytest.mark.parametrize(
    ("least", "expected", "missed"), [(0, None, 15_000), (0, 4000, 4000), (6000, 4000, 6000), (0, 99_000, 15_000)]
)
def test_without_a_pause_the_rate_of_before_tells_but_not_less_than_is_certain(
    least: int, expected: int | None, missed: int
) -> None:
    one = granted(least, expected)
    assert ticks_until_measured(one, *range(0, 100_000, 1000)) == Continuation.MAX_TICKS
    assert one.missed(15_000) == missed


def test_a_replica_that_reads_nothing_is_waited_for_and_not_for_ever() -> None:
    assert ticks_until_measured(granted(), 100, held_back=True) == Continuation.MAX_HELD_TICKS
