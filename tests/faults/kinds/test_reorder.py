"""Reordered commands: which goes after which, and what is lost if none follows."""

from __future__ import annotations

import pytest

from tests.faults.lab import INCR, PING, SET, Lab, command, pieces, resync_partially


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("spec", ["reorder command=SET times=all", "reorder key='*' times=all"])
def test_of_consecutive_commands_every_other_one_is_sent_later(spec: str, size: int) -> None:
    """The next one is what the first waits for, so it is not delayed itself."""
    lab = Lab(spec)
    start = resync_partially(lab)
    sets = [command("SET", "n", str(number)) for number in range(5)]
    lab.master(*pieces(b"".join(sets) + PING, size))
    assert lab.at_replica[start:] == sets[1] + sets[0] + sets[3] + sets[2] + PING + sets[4]
    assert len(lab.fired) == 3


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("drop command=INCR", SET + PING),
        ("duplicate command=INCR", INCR + INCR + SET + PING),
        ("corrupt command=INCR mask=0x01 edge=start", b"+" + INCR[1:] + SET + PING),
    ],
)
def test_another_fault_may_take_the_command_that_a_reordered_one_waits_for(spec: str, expected: bytes) -> None:
    for size in (1, 7, 1000):
        lab = Lab("reorder command=SET", spec)
        begin = resync_partially(lab)
        lab.master(*pieces(SET + INCR + PING, size))
        assert lab.at_replica[begin:] == expected


@pytest.mark.parametrize("sent", [SET, SET[:-3]])
def test_a_command_that_none_follows_is_reported_as_lost(sent: bytes) -> None:
    lab = Lab("reorder command=SET")
    begin = resync_partially(lab)
    lab.master(INCR, sent)
    lab.faults.close()
    assert lab.at_replica[begin:] == INCR
    assert [(event.text, event.bytes) for event in lab.fired] == [("lost SET: no other command came after it", len(sent))]
