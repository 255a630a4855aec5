"""A reset, some time after the first byte."""

from __future__ import annotations

from tap.faults.flow_items import CloseLink, End
from tap.faults.spec import parse
from tap.replication.events import Side
from tests.faults.lab import PING, Lab

RST = CloseLink(True, "both", "rst")


def test_nothing_happens_until_the_side_speaks() -> None:
    lab = Lab("reset 200ms from=replica name=rst")
    lab.master(b"hello")
    lab.wait(60)
    assert (lab.is_open, lab.at_replica) == (True, b"hello")
    lab.replica(PING)
    lab.wait(0.1)
    lab.replica(PING)
    assert lab.is_open
    lab.wait(0.101)
    assert (lab.cut, lab.at_master) == (RST, b"")
    assert [(event.text, event.position) for event in lab.fired] == [
        ("resetting, from the replica", 0),
        (f"swallowed {len(PING)} bytes", 0),
        (f"swallowed {len(PING)} bytes", len(PING)),
        ("cut with RST", 2 * len(PING)),
    ]


def test_without_a_time_the_first_byte_resets() -> None:
    lab = Lab("reset from=replica name=rst")
    lab.replica(PING)
    assert (lab.cut, lab.at_master) == (RST, b"")


def test_the_end_of_the_side_counts_as_its_first_byte() -> None:
    lab = Lab("reset from=replica name=rst")
    lab.faults.ended(Side.REPLICA, End.FIN, lab.now)
    lab._take()
    assert lab.cut == RST


def test_other_parameters_start_a_running_clock_again() -> None:
    lab = Lab("reset 10s from=replica name=rst")
    lab.replica(PING)
    lab.wait(5)
    lab.plan.change("rst", parse("reset 7s from=replica"))
    lab.wait(6.9)
    assert lab.is_open
    lab.wait(0.2)
    assert lab.cut == RST


def test_removing_it_resets_a_connection_that_lost_bytes() -> None:
    lab = Lab("reset 10s from=replica name=rst")
    lab.replica(PING)
    lab.plan.remove("rst")
    assert lab.cut == RST


def test_removing_it_spares_a_connection_that_lost_none() -> None:
    lab = Lab("reset 10s from=replica name=rst")
    lab.plan.remove("rst")
    lab.replica(PING)
    assert (lab.is_open, lab.at_master) == (True, PING)
