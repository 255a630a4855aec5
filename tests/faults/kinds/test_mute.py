"""Bytes that are swallowed, until the connection is closed."""

from __future__ import annotations

import pytest

from tap.faults.flow_items import CloseLink, End
from tap.faults.spec import parse
from tap.replication.events import Side
from tests.faults.lab import PING, Lab

FIN = CloseLink(False, "both", "silent")


def test_one_side_is_muted_and_the_connection_closed_after_the_time() -> None:
    lab = Lab("mute 5s from=master name=silent")
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.wait(4.9)
    assert (lab.at_master, lab.at_replica, lab.is_open) == (PING, b"", True)
    lab.wait(0.2)
    assert lab.cut == FIN
    assert [(event.text, event.position, event.bytes) for event in lab.fired] == [
        ("muted, from the master", 0, 0),
        ("swallowed 7 bytes", 0, 7),
        ("cut with FIN", 7, 0),
    ]


def test_without_a_time_the_connection_stays_until_the_fault_is_removed() -> None:
    lab = Lab("mute name=silent")
    lab.master(b"+PONG\r\n")
    lab.wait(3600)
    assert lab.is_open
    lab.plan.remove("silent")
    assert (lab.cut, lab.at_replica) == (FIN, b"")


def test_the_connection_is_closed_when_the_muted_side_ends() -> None:
    lab = Lab("mute from=replica name=silent")
    lab.faults.ended(Side.MASTER, End.FIN, lab.now)
    lab._take()
    assert lab.out[Side.MASTER] == [(lab.now, End.FIN)]
    lab.faults.ended(Side.REPLICA, End.FIN, lab.now)
    lab._take()
    assert lab.cut == FIN


def test_the_connection_is_closed_when_the_time_of_the_fault_is_over() -> None:
    lab = Lab("mute at=connect for=2s name=silent")
    lab.replica(PING)
    lab.wait(1.9)
    assert lab.is_open
    lab.wait(0.2)
    assert lab.cut == FIN


def test_other_parameters_start_the_time_again() -> None:
    lab = Lab("mute 5s name=silent")
    lab.wait(4)
    lab.plan.change("silent", parse("mute 3s"))
    lab.wait(2.9)
    assert lab.is_open
    lab.wait(0.2)
    assert lab.cut == FIN


def test_a_connection_that_lost_bytes_is_closed_when_other_parameters_spare_it() -> None:
    lab = Lab("mute name=silent")
    lab.master(b"+PONG\r\n")
    lab.plan.change("silent", parse("mute probability=0.000001"))
    assert lab.cut == FIN


def test_a_connection_that_is_spared_feels_nothing() -> None:
    lab = Lab("mute probability=0.000001 name=silent")
    lab.master(b"+PONG\r\n")
    lab.plan.remove("silent")
    assert (lab.is_open, lab.at_replica) == (True, b"+PONG\r\n")


def test_a_cut_before_the_muted_bytes_still_acts() -> None:
    lab = Lab("truncate 3b from=master name=short", "mute from=master")
    lab.master(b"+PONG\r\n")
    assert lab.cut == CloseLink(False, "both", "short")
    assert lab.at_replica == b""


@pytest.mark.parametrize("first", ["delay 1s", "throttle 10b/s wait=before"])
def test_what_other_faults_hold_before_it_is_muted(first: str) -> None:
    lab = Lab(f"{first} from=master", "mute from=master")
    lab.master(b"+PONG\r\n")
    lab.wait(2)
    assert lab.at_replica == b""
    assert [event.bytes for event in lab.fired if event.bytes] in ([7], [1] * 7)
