"""Where phases begin and end among the master's bytes."""

from __future__ import annotations

import pytest

from tap.faults.phases import borders
from tests.faults.lab import ASKS_ALL, FULL, RDB, Lab, ack, command, full_resync, resync_partially, shake_hands

PHASES = ("handshake", "waiting", "rdb", "loading", "stream")


def known(lab: Lab) -> dict[str, tuple[int | None, int | None]]:
    """The borders of each phase that has any."""
    found = {phase: borders(phase, lab.conversation) for phase in PHASES}
    return {phase: ends for phase, ends in found.items() if ends != (None, None)}


def test_after_a_partial_resync_the_stream_begins_where_the_handshake_ends() -> None:
    lab = Lab()
    assert known(lab) == {}
    begin = resync_partially(lab)
    assert known(lab) == {"handshake": (None, begin), "stream": (begin, None)}


def test_in_a_full_resync_each_phase_begins_where_the_one_before_it_ends() -> None:
    lab = Lab()
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    assert known(lab) == {}
    waiting = lab.conversation.from_master + len(FULL)
    lab.master(FULL + b"\n")
    assert known(lab) == {"handshake": (None, waiting), "waiting": (waiting, None)}
    lab.master(b"$%d\r\n" % len(RDB) + RDB[:10])
    rdb = lab.conversation.from_master - 10
    before = {"handshake": (None, waiting), "waiting": (waiting, rdb)}
    assert known(lab) == before | {"rdb": (rdb, None)}
    lab.master(RDB[10:] + command("PING"))
    loading = rdb + len(RDB)
    assert known(lab) == before | {"rdb": (rdb, loading), "loading": (loading, None)}


def test_a_fault_of_the_stream_begins_with_its_first_byte() -> None:
    lab = Lab("delay 1s during=stream from=master")
    begin = resync_partially(lab)
    lab.master(command("PING"))
    lab.wait(0.5)
    assert len(lab.at_replica) == begin
    lab.wait(1)
    assert lab.at_replica[begin:] == command("PING")


@pytest.mark.parametrize("phase", ["waiting", "rdb", "loading"])
def test_a_fault_that_comes_exactly_as_its_phase_begins_holds_its_first_byte(phase: str) -> None:
    lab = Lab()
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    turns = {"waiting": FULL, "rdb": b"$%d\r\n" % len(RDB), "loading": RDB}
    for name, data in turns.items():
        lab.master(data)
        if name == phase:
            break
    lab.plan.add(f"delay 1s during={phase} from=master")
    before = lab.at_replica
    lab.master({"waiting": b"\n", "rdb": RDB[:50], "loading": command("PING")}[phase])
    assert lab.at_replica == before
    lab.wait(0.9)
    assert lab.at_replica == before
    lab.wait(0.2)
    assert len(lab.at_replica) > len(before)


def test_a_fault_that_comes_exactly_as_its_phase_ends_does_nothing() -> None:
    lab = Lab()
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL + b"$%d\r\n" % len(RDB) + RDB)
    lab.plan.add("delay 1s during=rdb from=master")
    lab.master(command("PING"))
    lab.wait(1)
    assert lab.at_replica.endswith(RDB + command("PING"))
    assert lab.fired == []


def test_a_phase_that_an_acknowledgement_begins_holds_the_masters_next_byte() -> None:
    lab = Lab("delay 1s during=stream from=master")
    full_resync(lab, disk=True)
    before = lab.at_replica
    lab.replica(ack(500))
    lab.master(command("PING"))
    assert lab.at_replica == before
    lab.wait(1.1)
    assert lab.at_replica == before + command("PING")
