"""Drops: whole frames, swallowed as they come, and reported."""

from __future__ import annotations

from tests.faults.lab import SET, Lab, ack, asks, command, pieces, resync_partially, shake_hands


def test_a_dropped_command_of_any_size_is_swallowed_as_it_comes() -> None:
    lab = Lab("drop key=big")
    begin = resync_partially(lab)
    lab.master(*pieces(command("SET", "big", b"x" * 5_000_000) + SET, 100_000))
    assert lab.at_replica[begin:] == SET
    assert lab.fired[0].bytes == len(command("SET", "big", b"x" * 5_000_000))


def test_acks_pings_and_keepalives_are_dropped() -> None:
    lab = Lab("drop acks", "drop pings", "drop keepalives")
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(b"\n\n\n+CONTINUE\r\n")
    lab.master(SET + command("ping") + SET)
    lab.replica(ack(1001), ack(1005))
    assert lab.at_replica.endswith(b"+OK\r\n+CONTINUE\r\n" + SET + SET)
    assert lab.at_master.endswith(asks(1001))
    assert {fired.fault for fired in lab.fired} == {"drop-1", "drop-2", "drop-3"}


def test_frequent_firings_are_reported_in_sum() -> None:
    lab = Lab("drop command=SET")
    resync_partially(lab)
    lab.master(SET * 1000)
    lab.wait(2)
    assert sum(fired.count for fired in lab.fired) == 1000
    assert sum(fired.bytes for fired in lab.fired) == 1000 * len(SET)
    assert len(lab.fired) <= 11
