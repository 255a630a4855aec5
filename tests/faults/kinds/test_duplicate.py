"""Duplicates: a command twice, unless it is too large."""

from __future__ import annotations

import pytest

from tap.replication.events import AckAheadOfMaster
from tests.faults.lab import INCR, SET, Lab, ack, command, pieces, resync_partially


def test_a_command_that_is_too_large_is_not_sent_twice_and_says_so() -> None:
    for kind in ("duplicate", "reorder"):
        lab = Lab(f"{kind} command=SET")
        begin = resync_partially(lab)
        big = command("SET", "big", b"x" * 20_000_000)
        lab.master(*pieces(big + INCR, 1_000_000))
        assert lab.at_replica[begin:] == big + INCR
        assert "left SET alone" in lab.fired[0].text


@pytest.mark.parametrize("spec", ["duplicate command=INCR", "reorder command=INCR"])
def test_a_duplicated_command_explains_an_ack_ahead_of_the_master(spec: str) -> None:
    lab = Lab(spec)
    resync_partially(lab)
    lab.master(INCR, SET)
    sent = 1000 + len(INCR + SET)
    assert lab.at_replica.endswith(INCR * 2 + SET) == spec.startswith("duplicate")
    lab.replica(ack(sent + len(INCR)))
    (ahead,) = (event for event in lab.told if isinstance(event, AckAheadOfMaster))
    assert (ahead.offset, ahead.sent, ahead.by_fault) == (sent + len(INCR), sent, spec.startswith("duplicate"))
    assert lab.conversation.offset == (sent if ahead.by_fault else None)
