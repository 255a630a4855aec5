"""The arithmetic of buffers and timeouts."""

from __future__ import annotations

import pytest

from tap.verdict import sizing


def test_an_output_buffer_holds_what_is_written_until_the_replica_has_loaded() -> None:
    need = sizing.output_buffer(4 * 2**20, 5.0, 20.0, 15.0)
    assert (need.seconds, need.bytes, need.value) == (40.0, 240 * 2**20, "240mb")
    assert sizing.output_buffer(4 * 2**20, 5.0, 20.0, 15.0, sizing.WIDE_MARGIN).value == "320mb"


def test_a_backlog_holds_what_is_written_in_an_outage() -> None:
    assert sizing.backlog(1_000_000, 60.0, 1.0).bytes == 60_000_000


def test_part_of_a_byte_counts_as_one() -> None:
    assert sizing.backlog(0.1, 1.0).bytes == 1
    assert sizing.backlog(0.0, 1.0).bytes == 0


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "1mb"), (1, "1mb"), (2**20, "1mb"), (2**20 + 1, "2mb"), (310 * 2**20, "310mb"), (5 * 2**30, "5120mb")],
)
def test_a_size_is_rounded_up_to_megabytes(size: int, said: str) -> None:
    assert sizing.as_size(size) == said


def test_a_limit_has_the_same_hard_and_soft_size() -> None:
    assert sizing.output_buffer_limit(3 * 2**20) == "replica 3mb 3mb 60"


def test_a_timeout_has_its_margin_and_is_in_whole_seconds() -> None:
    assert sizing.timeout(41.0) == 62
    assert sizing.timeout(6.0, sizing.WIDE_MARGIN) == 12
