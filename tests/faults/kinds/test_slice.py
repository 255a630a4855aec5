"""Slices: their size, their gap, and what is left of an item."""

from __future__ import annotations

import itertools

import pytest

from tap.errors import ConfigError
from tap.faults.flow_items import CloseLink
from tap.faults.kinds.slice import Slicer
from tap.faults.shaper import NEVER
from tap.faults.spec import parse
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


@pytest.mark.parametrize(("size", "variation"), [(64, 32), (64, 63), (1000, 10), (2, 1)])
def test_a_variation_makes_segments_of_about_the_size(size: int, variation: int) -> None:
    lab = Lab(f"slice {size}b variation={variation}b from=master")
    data = bytes(range(256)) * 128
    lab.master(data)
    lab.wait(1)
    sizes = [len(item) for _, item in lab.out[Side.MASTER] if isinstance(item, bytes)]
    assert lab.at_replica == data
    assert 1 <= min(sizes) < max(sizes) <= size + variation
    assert size / 2 < len(data) / len(sizes) <= size + variation


def test_a_variation_leaves_short_reads_alone() -> None:
    lab = Lab("slice 64b variation=32b gap=1ms from=master")
    lab.master(bytes(96), bytes(97))
    lab.wait(1)
    sizes = [len(item) for _, item in lab.out[Side.MASTER] if isinstance(item, bytes)]
    assert sizes[0] == 96
    assert sizes[1] + sizes[2] == 97


def test_the_rest_of_a_read_leaves_in_one_piece_when_the_fault_gets_other_parameters() -> None:
    lab = Lab("slice 10b variation=5b gap=1s from=master name=thin")
    lab.master(bytes(100), b"x" * 40)
    first = len(lab.at_replica)
    lab.plan.change("thin", parse("slice 20b gap=1s from=master"))
    sizes = [len(item) for _, item in lab.out[Side.MASTER] if isinstance(item, bytes)]
    assert sizes == [first, 100 - first, 20]
    lab.wait(2)
    assert lab.at_replica == bytes(100) + b"x" * 40


def test_a_variation_is_less_than_the_size() -> None:
    with pytest.raises(ConfigError, match="less than"):
        parse("slice 10b variation=10b")
