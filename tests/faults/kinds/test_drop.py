"""Drops: whole frames, swallowed as they come, and reported."""

from __future__ import annotations

import pytest

from tests.faults.lab import INCR, PING, PORT, SET, Lab, ack, asks, command, pieces, resync_partially, shake_hands


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


@pytest.mark.parametrize("size", [1, 1000])
def test_what_was_dropped_is_named(size: int) -> None:
    lab = Lab(
        "drop request=REPLCONF times=1", "drop reply=PING", "drop keepalives times=1", "drop keepalives name=second",
        "drop acks", "drop pings", "drop 3b at=stream:2b", "drop key='user:*'",
    )  # fmt: skip
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(*pieces(b"\n\n+CONTINUE\r\n", size))
    lab.replica(*pieces(ack(1001), size))
    lab.master(*pieces(INCR + PING + SET, size))
    assert sorted((fired.fault, fired.text, fired.side.value, fired.bytes) for fired in lab.fired) == [
        ("drop-1", "dropped REPLCONF", "replica", len(PORT)),
        ("drop-2", "dropped the reply to PING", "master", len(b"+PONG\r\n")),
        ("drop-3", "dropped a keepalive", "master", 1),
        ("drop-4", "dropped REPLCONF", "replica", len(ack(1001))),
        ("drop-5", "dropped PING", "master", len(PING)),
        ("drop-6", "dropped 3 bytes", "master", 3),
        ("drop-7", "dropped SET user:1", "master", len(SET)),
        ("second", "dropped a keepalive", "master", 1),
    ]
    assert all(item for sent in lab.out.values() for _, item in sent)  # nothing is sent in their place


def test_frequent_firings_are_reported_in_sum() -> None:
    lab = Lab("drop command=SET")
    resync_partially(lab)
    lab.master(SET * 1000)
    lab.wait(2)
    assert sum(fired.count for fired in lab.fired) == 1000
    assert sum(fired.bytes for fired in lab.fired) == 1000 * len(SET)
    assert len(lab.fired) <= 11
