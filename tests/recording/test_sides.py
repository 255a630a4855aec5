"""Which end is the replica: what decides it, confirms it and refutes it, and a direction that comes too late."""

from __future__ import annotations

import dataclasses

import pytest

from tap.recording.role_evidence import Missed, RoleEvidence
from tap.recording.sides import Sides
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Role, Side, Transfer
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


@pytest.mark.parametrize("replid", [None, "a" * 40])
@pytest.mark.parametrize("transfer", list(Transfer))
@pytest.mark.parametrize("version", [None, 11])
def test_an_rdb_proves_replication_if_it_was_granted_and_begins_as_one(
    replid: str | None, transfer: Transfer, version: int | None
) -> None:
    one = Sides(is_known=False)
    verdict = one.heard(0, command("PSYNC", "?", "-1"))
    assert verdict is not None
    one.decide(verdict)
    conversation = Conversation(lambda event: None)
    conversation.replid = replid
    started = events.RdbStarted(start=0, end=0, transfer=transfer, size=5, version=version, aux={})
    is_granted = replid is not None or transfer is Transfer.DISKLESS
    assert one.proves(started, conversation) == (is_granted and version is not None)


def test_a_connection_with_its_beginning_replicates_once_it_is_identified() -> None:
    one, conversation = Sides(is_known=True), Conversation(lambda event: None)
    said = events.Identified(start=0, end=9, role=Role.REPLICA, replica="r", text="a replica", main_connection=None)
    assert one.proves(said, conversation)
    assert not one.proves(dataclasses.replace(said, role=Role.ORDINARY), conversation)
    assert not one.proves(events.LinkOpened(peer="a:1", master="b:2"), conversation)
    assert not decided().proves(said, conversation)
