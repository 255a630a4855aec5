"""Which end is the replica: what decides it, confirms it and refutes it, and a direction that comes too late."""

from __future__ import annotations

import pytest

from tap.recording.role_evidence import Missed, RoleEvidence
from tap.recording.sides import Sides
from tap.replication.events import Side
from tests.relay.wire import command

ACK = command("REPLCONF", "ACK", "100")


def decided(end: int = 1) -> Sides:
    one = Sides(is_known=False)
    assert one.heard(1 - end, command("SET", "a", "1")) is None
    verdict = one.heard(end, ACK)
    assert verdict is not None
    held = one.decide(verdict).held
    assert [who for who, _ in held] == [1 - end, end]
    return one


def test_a_connection_with_its_beginning_needs_no_verdict() -> None:
    one = Sides(is_known=True)
    assert not one.is_undecided
    assert (one.side(0), one.side(1), one.master, one.evidence) == (Side.REPLICA, Side.MASTER, 1, None)


@pytest.mark.parametrize("end", [0, 1])
def test_the_end_that_acknowledges_is_the_replica(end: int) -> None:
    one = decided(end)
    assert (one.replica, one.master, one.side(end), one.evidence) == (end, 1 - end, Side.REPLICA, RoleEvidence.ACKS)


def test_a_truncated_acknowledgement_counts_too() -> None:
    one = Sides(is_known=False)
    assert one.heard(0, ACK[:-4]) is None
    verdict = one.missing(0, Missed(4, is_cut=True))
    assert verdict is not None
    assert verdict.replica == 0


def test_a_verdict_is_refuted_until_enough_acknowledgements_have_come() -> None:
    one = decided()
    assert one.refutes(1, command("GET", "a"))
    assert not one.refutes(1, ACK)
    assert not one.refutes(0, command("GET", "a"))
    assert not one.confirms(ACK)
    assert one.confirms(ACK)
    assert not one.refutes(1, command("GET", "a"))


def test_a_refuted_connection_is_undecided_from_there_on() -> None:
    one = decided()
    one.confirms(ACK)
    one.reconsider([10, 20])
    assert one.is_undecided
    assert one.evidence is None
    verdict = one.heard(0, command("PSYNC", "?", "-1"))
    assert verdict is not None
    assert one.decide(verdict).skipped == [10, 20]
    assert one.replica == 0
    assert not one.confirms(ACK)


def test_a_direction_that_comes_after_the_other_one_is_late_to_its_end() -> None:
    one = Sides(is_known=True)
    assert not one.is_late(0, is_late=True)
    assert one.is_late(1, is_late=True)
    assert one.is_late(1, is_late=False)
    assert not one.is_late(0, is_late=True)


def test_before_the_ends_are_known_none_is_late() -> None:
    one = Sides(is_known=False)
    assert not one.is_late(0, is_late=False)
    assert not one.is_late(1, is_late=True)


def test_a_direction_heard_in_time_is_not_late() -> None:
    one = Sides(is_known=True)
    assert not one.is_late(0, is_late=False)
    assert not one.is_late(1, is_late=False)
    assert not one.is_late(1, is_late=True)
