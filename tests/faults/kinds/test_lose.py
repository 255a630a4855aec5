"""Reads that are lost, by chance."""

from __future__ import annotations

import itertools

import pytest

from tap.errors import ConfigError
from tap.faults.kinds.lose import CHUNK
from tap.faults.spec import parse
from tests.faults.lab import Lab


def lost(spec: str, reads: int = 2000, seed: int = 1) -> list[bool]:
    """For each read, whether it was lost."""
    lab = Lab(spec, seed=seed)
    found = []
    for _ in range(reads):
        before = len(lab.at_replica)
        lab.master(b"x")
        found.append(len(lab.at_replica) == before)
        lab.out = {side: [] for side in lab.out}
    return found


def test_as_many_are_lost_as_it_says() -> None:
    found = lost("lose 20% from=master")
    assert sum(found) == pytest.approx(400, abs=60)
    assert lost("lose 20% from=master") == found
    assert lost("lose 20% from=master", seed=2) != found


def test_bursts_make_a_loss_likely_after_a_loss() -> None:
    found = lost("lose 10% burst=70% from=master")
    after_a_loss = [after for before, after in itertools.pairwise(found) if before]
    after_none = [after for before, after in itertools.pairwise(found) if not before]
    assert sum(after_a_loss) / len(after_a_loss) == pytest.approx(0.8, abs=0.06)
    assert sum(after_none) / len(after_none) == pytest.approx(0.1, abs=0.03)


def test_a_long_read_is_lost_in_parts_and_each_part_is_reported() -> None:
    lab = Lab("lose 50% from=master name=radio")
    data = b"".join(b"%c" % number * CHUNK for number in range(65, 75))
    lab.master(data)
    gaps = [event for event in lab.fired if event.bytes]
    assert 0 < len(gaps) < 10
    for event in reversed(gaps):
        assert (event.text, event.bytes) == (f"lost {CHUNK} bytes", CHUNK)
        data = data[: event.position] + data[event.position + CHUNK :]
    assert lab.at_replica == data
    assert lab.plan.armed[0].bytes == CHUNK * len(gaps)


def test_the_end_is_never_lost() -> None:
    lab = Lab("truncate 10b from=master", "lose 100% from=master")
    lab.master(bytes(20))
    assert lab.cut is not None
    assert lab.at_replica == b""


@pytest.mark.parametrize(
    ("spec", "ends_servers"),
    [
        ("lose 1%", True),
        ("lose 1% during=rdb", True),
        ("lose 1% during=stream", False),
        ("lose 1% at=stream:1mb", False),
    ],
)
def test_a_replica_that_loads_a_damaged_rdb_exits(spec: str, ends_servers: bool) -> None:
    assert bool(parse(spec).destructive) == ends_servers


def test_it_needs_a_chance() -> None:
    with pytest.raises(ConfigError, match="how many"):
        parse("lose from=master")
