"""Requests, replies and keepalives before the stream: which of several faults takes one, and how long one waits."""

from __future__ import annotations

import pytest

from tap.faults.frames import MAX_REPLY
from tap.replication.events import FullResync
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    FULL,
    PING,
    PORT,
    Lab,
    ack,
    asks,
    command,
    pieces,
    resync_partially,
    shake_hands,
)


def fired(lab: Lab) -> list[int]:
    return [armed.fired for armed in lab.plan.armed]


def test_of_several_faults_the_first_that_fits_takes_a_frame() -> None:
    lab = Lab("drop request=REPLCONF", "drop request=REPLCONF", "drop reply=PING", "drop reply=PING times=all")
    shake_hands(lab)
    assert fired(lab) == [2, 0, 1, 0]
    lab = Lab("drop acks times=1", "drop acks", "drop keepalives times=1", "drop keepalives")
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(b"\n\n\n\n+CONTINUE\r\n")
    lab.replica(ack(1) + ack(2) + ack(3))
    assert fired(lab) == [1, 2, 1, 3]
    assert lab.at_replica.endswith(b"+OK\r\n+CONTINUE\r\n")
    assert lab.at_master.endswith(asks(1001))


@pytest.mark.parametrize("words", [(), ("GETACK", "*"), ("ACK",), ("capa", "ACK")])
def test_only_acknowledgements_are_dropped_as_such(words: tuple[str, ...]) -> None:
    lab = Lab("drop acks")
    request = command("REPLCONF", *words)
    lab.replica(request + command("replconf", "ack", "5") + command("PING", "ACK"))
    assert lab.at_master == (b"" if words[:1] == ("ACK",) else request) + command("PING", "ACK")


def test_an_acknowledgement_is_no_request_that_a_fault_names() -> None:
    lab = Lab("drop request=REPLCONF")
    resync_partially(lab)
    lab.replica(ack(1001))
    assert lab.at_master.endswith(ack(1001))


@pytest.mark.parametrize("held", range(1, len(PORT)))
def test_a_request_that_began_before_its_fault_passes(held: int) -> None:
    lab = Lab("drop acks name=holds")
    lab.replica(PORT[:held])
    lab.plan.remove("holds")
    lab.plan.add("drop request=REPLCONF")
    lab.plan.add("rewrite listening-port=7")
    lab.replica(PORT[held:] + PORT)
    assert lab.at_master == PORT
    assert fired(lab) == [1, 0]


@pytest.mark.parametrize("sent", range(1, len(b"+PONG\r\n")))
def test_a_reply_that_began_before_its_fault_passes(sent: int) -> None:
    lab = Lab()
    lab.replica(PING + PING)
    lab.master(b"+PONG\r\n"[:sent])
    lab.plan.add("drop reply=PING times=all")
    lab.master(b"+PONG\r\n"[sent:] + b"+PONG\r\n")
    assert lab.at_replica == b"+PONG\r\n"
    assert fired(lab) == [1]


def test_keepalives_that_passed_before_their_fault_are_not_dropped() -> None:
    lab = Lab()
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL + b"\n\n")
    lab.plan.add("drop keepalives from=master")
    lab.master(b"\n\n\n")
    lab.replica(b"\n")
    assert lab.at_replica.endswith(FULL + b"\n\n")
    assert lab.at_master.endswith(ASKS_ALL + b"\n")
    assert fired(lab) == [3]


@pytest.mark.parametrize(("size", "is_dropped"), [(MAX_REPLY - 1, True), (MAX_REPLY, True), (MAX_REPLY + 1, False)])
@pytest.mark.parametrize("split", [1000, 10**6])
def test_a_reply_waits_up_to_a_limit(size: int, is_dropped: bool, split: int) -> None:
    lab = Lab("drop reply=AUTH")
    lab.replica(command("AUTH", "x"))
    reply = b"+" + b"x" * (size - 3) + b"\r\n"
    lab.master(*pieces(reply, split))
    assert lab.at_replica == (b"" if is_dropped else reply)
    assert fired(lab) == [is_dropped]


@pytest.mark.parametrize("spec", ["drop reply=PING", "truncate at=rdb:5b", "drop keepalives"])
def test_replies_wait_only_for_faults_that_may_take_them(spec: str) -> None:
    for more, is_held in (("", False), (spec, True)):
        lab = Lab("rewrite capa=-eof", "cut at=psync", *([more] if more else []))
        lab.replica(PING)
        lab.master(b"+PO")
        assert lab.at_replica == (b"" if is_held else b"+PO")
    lab = Lab(spec)
    lab.replica(PING[:9])
    assert lab.at_master == (b"" if "keepalives" in spec else PING[:9])


@pytest.mark.parametrize(
    ("spec", "forced"),
    [("rewrite psync='? -1'", True), ("rewrite psync='? 1'", False), ("rewrite psync='abc -1'", False),
     ("rewrite capa=-eof", False)],
)  # fmt: skip
def test_only_a_question_for_everything_forces_a_full_resync(spec: str, forced: bool) -> None:
    lab = Lab(spec)
    lab.replica(CAPA + asks(1001))
    lab.master(b"+OK\r\n" + FULL)
    (full,) = [event for event in lab.told if isinstance(event, FullResync)]
    assert (full.reason.code == "forced_by_fault") == forced
    if forced:
        assert full.reason.text.startswith("fault rewrite-1 did: PSYNC ? -1 instead of PSYNC ")


def test_each_fault_rewrites_what_the_one_before_it_made() -> None:
    lab = Lab("rewrite capa=-eof", "rewrite capa=+x", "rewrite capa=-psync2 nth=2", "rewrite listening-port=7")
    lab.replica(CAPA + CAPA + PORT)
    once = command("REPLCONF", "capa", "psync2", "capa", "x")
    assert lab.at_master == once + command("REPLCONF", "capa", "x") + command("REPLCONF", "listening-port", "7")
    assert [(one.fault, one.text, one.position, one.bytes) for one in lab.fired] == [
        ("rewrite-1", "capa eof taken away", 0, len(CAPA)),
        ("rewrite-2", "capa x added", 0, len(CAPA)),
        ("rewrite-1", "capa eof taken away", len(CAPA), len(CAPA)),
        ("rewrite-2", "capa x added", len(CAPA), len(CAPA)),
        ("rewrite-3", "capa psync2 taken away", len(CAPA), len(CAPA)),
        ("rewrite-4", "listening-port 7 instead of 6380", 2 * len(CAPA), len(PORT)),
    ]
