"""The last events, numbered: what is kept, and what a reader that comes late gets."""

from __future__ import annotations

import pytest

from tap import kept_events
from tap.bus import Told
from tap.kept_events import KeptEvents
from tap.replication import events


def told(number: int, size: int = 1) -> Told:
    return Told(
        float(number),
        "main",
        1,
        "",
        events.Opaque(start=number, end=number + 1, side=events.Side.MASTER, reason="x" * size),
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptEvents:
    monkeypatch.setattr(kept_events, "MOST", 5)
    found = KeptEvents()
    for number in range(8):
        found.add(told(number))
    return found


def test_the_last_ones_are_kept_with_their_numbers(kept: KeptEvents) -> None:
    assert (kept.first, kept.end) == (3, 8)
    assert [(number, one.time) for number, one in kept.since(0)] == [(n, float(n)) for n in range(3, 8)]
    assert [number for number, _ in kept.since(6)] == [6, 7]
    assert [number for number, _ in kept.since(3, most=2)] == [3, 4]
    assert kept.since(8) == []
    assert kept.since(9) == []


def test_none_are_kept_at_the_start() -> None:
    kept = KeptEvents()
    assert (kept.first, kept.end, kept.since(0)) == (0, 0, [])


def test_their_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "MOST_BYTES", 10_000)
    kept = KeptEvents()
    for number in range(8):
        kept.add(told(number, 3000))
    assert [number for number, _ in kept.since(0)] == [6, 7] or [number for number, _ in kept.since(0)] == [5, 6, 7]
    kept.add(told(8, 20_000))
    assert kept.since(0) == []
    assert kept.first == kept.end == 9
