"""Stalls: from their byte on, until their time is over."""

from __future__ import annotations

from tap.replication.events import Side
from tests.faults.lab import INCR, SET, Lab, resync_partially


def test_a_stall_holds_from_its_byte_on_until_its_time_is_over() -> None:
    lab = Lab("stall at=stream:10b for=3s from=master")
    begin = resync_partially(lab)
    lab.master(SET + INCR)
    assert lab.at_replica[begin:] == SET[:10]
    assert lab.is_held(Side.MASTER)
    assert not lab.is_held(Side.REPLICA)
    lab.wait(2.9)
    assert lab.at_replica[begin:] == SET[:10]
    lab.wait(0.2)
    assert lab.at_replica[begin:] == SET + INCR
    assert not lab.is_held(Side.MASTER)
    assert lab.expired[0].fired == 1


def test_a_second_stall_of_another_fault_holds_on_after_the_first() -> None:
    lab = Lab()
    start = resync_partially(lab)
    lab.plan.add("stall for=1s from=master name=first")
    lab.master(SET)
    lab.plan.add("stall for=3s from=master name=second")
    lab.wait(1.1)
    assert [one.fault for one in lab.expired] == ["first"]
    assert lab.at_replica[start:] == b""
    assert lab.is_held(Side.MASTER)
    lab.wait(2)
    assert [one.fault for one in lab.expired] == ["first", "second"]
    assert lab.at_replica[start:] == SET
    assert not lab.is_held(Side.MASTER)
