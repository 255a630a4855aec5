"""A number of bytes, and then the end: to the byte, however they come."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.faults.flow_items import CloseLink
from tap.faults.spec import parse
from tests.faults.lab import Lab, pieces

FIN = CloseLink(False, "both", "quota")
DATA = bytes(range(256)) * 20


@pytest.mark.parametrize("size", [1, 7, 1000, 5120])
@pytest.mark.parametrize("before", ["", "delay 1s", "slice 3b", "throttle 10kb/s", "throttle 10kb/s wait=before"])
def test_exactly_as_much_passes(size: int, before: str) -> None:
    lab = Lab(*([f"{before} from=master"] if before else []), "limit 1000b from=master name=quota")
    for piece in pieces(DATA, size):
        lab.master(piece)
    lab.wait(10)
    assert (lab.at_replica, lab.cut) == (DATA[:1000], FIN)
    assert [(event.text, event.position) for event in lab.fired][-1] == ("cut with FIN", 1000)


def test_less_leaves_the_connection_open_and_the_last_byte_closes_it() -> None:
    lab = Lab("limit 1000b from=master name=quota")
    lab.master(DATA[:999])
    assert lab.is_open
    lab.master(DATA[999:1000])
    assert (lab.at_replica, lab.cut) == (DATA[:1000], FIN)


def test_faults_after_it_still_act_on_what_passes() -> None:
    lab = Lab("limit 1000b from=master name=quota", "delay 1s from=master")
    lab.master(DATA)
    assert (lab.at_replica, lab.is_open) == (b"", True)
    lab.wait(1.1)
    assert (lab.at_replica, lab.cut) == (DATA[:1000], FIN)


def test_nothing_passes_a_limit_of_zero() -> None:
    lab = Lab("limit 0b from=master name=quota")
    lab.wait(60)
    assert lab.is_open
    lab.master(b"x")
    assert (lab.at_replica, lab.cut) == (b"", FIN)


def test_the_count_survives_other_parameters() -> None:
    lab = Lab("limit 1000b from=master name=quota")
    lab.master(DATA[:600])
    lab.plan.change("quota", parse("limit 1500b from=master"))
    lab.master(DATA[600:1499])
    assert lab.is_open
    lab.master(DATA[1499:])
    assert (lab.at_replica, lab.cut) == (DATA[:1500], FIN)


def test_a_limit_below_the_count_closes_at_the_next_byte() -> None:
    lab = Lab("limit 1000b from=master name=quota")
    lab.master(DATA[:600])
    lab.plan.change("quota", parse("limit 500b from=master"))
    lab.wait(1)
    assert lab.is_open
    lab.master(DATA[600:])
    assert (lab.at_replica, lab.cut) == (DATA[:600], FIN)


def test_each_connection_has_its_own_count_from_when_the_fault_came() -> None:
    lab = Lab()
    lab.master(DATA)
    lab.plan.add("limit 1000b from=master name=quota")
    lab.master(DATA[:999])
    assert lab.is_open
    lab.connect()
    lab.master(DATA)
    assert (lab.at_replica, lab.cut) == (DATA[:1000], FIN)


def test_it_needs_a_size() -> None:
    with pytest.raises(ConfigError, match="how much"):
        parse("limit from=master")
