"""Slices: their size, their gap, and what is left of an item."""

from __future__ import annotations

import itertools

import pytest

from tap.faults.flow_items import CloseLink
from tap.faults.kinds.slice import Slicer
from tap.faults.shaper import NEVER
from tap.replication.events import Side
from tests.faults.lab import SET, Lab, resync_partially

CUT = CloseLink(False, "both", "x")


def test_slices_are_as_small_as_requested() -> None:
    lab = Lab("slice 3b gap=1ms from=master")
    begin = resync_partially(lab)
    lab.wait(1)
    lab.master(SET)
    lab.wait(1)
    items = [item for _, item in lab.out[Side.MASTER] if isinstance(item, bytes)]
    assert b"".join(items)[begin:] == SET
    assert max(len(item) for item in items) == 3
    times = [at for at, _ in lab.out[Side.MASTER]]
    assert all(after - before > 0.0009 for before, after in itertools.pairwise(times))


def test_slices_have_their_size_and_gap() -> None:
    one = Slicer(4, 0.5)
    one.push(memoryview(b"abcdefghij"), 1.0)
    one.push(CUT, 1.0)
    assert one.wakes <= 1.0
    out = []
    for now in (1.0, 1.4, 1.5, 1.9, 2.0, 2.4, 2.5):
        out.append(one.pop(now))
    assert out == [b"abcd", None, b"efgh", None, b"ij", None, CUT]
    assert (one.held, one.wakes) == (0, NEVER)


def test_draining_inside_an_item_gives_its_rest() -> None:
    one = Slicer(4, 0.5)
    one.push(b"abcdefghij", 1.0)
    one.push(b"kl", 1.0)
    assert one.pop(1.0) == b"abcd"
    assert one.held == 8
    assert one.drain() == [b"efghij", b"kl"]
    assert (one.held, one.drain()) == (0, [])
    one.push(b"mnopq", 2.0)
    assert one.pop(2.0) == b"mnop"


@pytest.mark.parametrize("when", ["at=stream:10b", "during=stream"])
def test_slices_begin_at_their_byte(when: str) -> None:
    lab = Lab(f"slice 4b {when} from=master")
    resync_partially(lab)
    before = len(lab.out[Side.MASTER])
    lab.master(SET)
    begins = 10 if when.startswith("at") else 0
    pieces = [SET[at : at + 4] for at in range(begins, len(SET), 4)]
    assert [item for _, item in lab.out[Side.MASTER][before:]] == ([SET[:10]] if begins else []) + pieces
