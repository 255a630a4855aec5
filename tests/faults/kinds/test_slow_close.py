"""The end of a direction, passed on later than its bytes."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.faults.flow_items import End
from tap.faults.spec import parse
from tap.replication.events import Side
from tests.faults.lab import PING, Lab


def test_bytes_pass_at_once_and_the_end_comes_later() -> None:
    lab = Lab("slow-close 2s from=replica")
    lab.replica(PING)
    begun = lab.now
    lab.faults.ended(Side.REPLICA, End.FIN, lab.now)
    lab.wait(1.9)
    assert [item for _, item in lab.out[Side.REPLICA]] == [PING]
    lab.wait(0.2)
    when, item = lab.out[Side.REPLICA][-1]
    assert item is End.FIN
    assert when - begun == pytest.approx(2.0)
    assert [event.text for event in lab.fired] == ["closing slowly, from the replica"]


def test_the_end_passes_at_once_when_the_fault_is_removed() -> None:
    lab = Lab("slow-close 2s name=slow")
    lab.faults.ended(Side.MASTER, End.RESET, lab.now)
    lab.plan.remove("slow")
    assert [item for _, item in lab.out[Side.MASTER]] == [End.RESET]


def test_other_parameters_start_the_wait_again() -> None:
    lab = Lab("slow-close 2s name=slow")
    lab.faults.ended(Side.MASTER, End.FIN, lab.now)
    lab.wait(1.5)
    changed = lab.now
    lab.plan.change("slow", parse("slow-close 1s"))
    lab.wait(5)
    ((when, item),) = lab.out[Side.MASTER]
    assert item is End.FIN
    assert when - changed == pytest.approx(1.0)


def test_it_needs_a_time() -> None:
    with pytest.raises(ConfigError, match="how much later"):
        parse("slow-close")
