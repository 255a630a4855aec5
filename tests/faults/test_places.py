"""Places at the limits: below zero, after the end, exactly at a border, on a stream without an offset."""

from __future__ import annotations

import pytest

from tap.faults.flow_items import CloseLink
from tests.faults.lab import ASKS_ALL, PING, REPLID, Lab, ack, command, resync_partially, shake_hands

SET = command("SET", "user:1", "ann")
FULL = b"+FULLRESYNC " + REPLID.encode() + b" 500\r\n"
RDB = bytes(range(200)) * 5


def to_the_rdb(lab: Lab, header: bytes) -> int:
    """Position of the RDB's first byte."""
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL + header)
    return lab.conversation.from_master


@pytest.mark.parametrize(
    ("spec", "passed"),
    [
        ("cut at=rdb", 0),
        ("cut at=rdb:0b", 0),
        ("cut at=rdb:1b", 1),
        ("cut at=rdb:999b", 999),
        ("cut at=rdb:1000b", 1000),
        ("cut at=rdb:-1b", 999),
        ("cut at=rdb:-1000b", 0),
        ("cut at=rdb:-5000b", 0),  # before its beginning: counts as its beginning
        ("cut at=rdb:0%", 0),
        ("cut at=rdb:12.5%", 125),
        ("cut at=rdb:100%", 1000),
        ("cut at=loading", 1000),
    ],
)
@pytest.mark.parametrize("size", [1, 999, 1000])
def test_places_in_a_disk_based_rdb_are_found(spec: str, passed: int, size: int) -> None:
    lab = Lab(spec)
    start = to_the_rdb(lab, b"$1000\r\n")
    for at in range(0, 1000, size):
        lab.master(RDB[at : at + size])
    lab.wait(0.1)
    assert lab.cut == CloseLink(False, "both", "cut-1")
    assert len(lab.at_replica) - start == passed
    assert lab.fired[0].position == start + passed
    assert lab.fired[0].phase == ("rdb" if passed < 1000 else "loading")
    assert lab.fired[0].offset == 500


def test_a_place_after_the_end_of_an_rdb_is_in_the_stream() -> None:
    lab = Lab("cut at=rdb:1010b")
    start = to_the_rdb(lab, b"$1000\r\n")
    lab.master(RDB)
    lab.replica(ack(500))
    lab.master(SET)
    assert len(lab.at_replica) - start == 1010
    assert (lab.fired[0].phase, lab.fired[0].offset) == ("stream", 510)


@pytest.mark.parametrize(
    ("spec", "passed"),
    [
        ("cut at=offset:1000", 0),
        ("cut at=offset:1001", 1),
        ("cut at=offset:999", None),  # below the stream's beginning: it has passed
        ("cut at=offset:1", None),
        ("cut at=offset:+0b", 0),
        ("cut at=offset:+1b", 1),
        ("cut at=stream", 0),
        ("cut at=stream:1b", 1),
    ],
)
def test_places_in_the_stream_are_found(spec: str, passed: int | None) -> None:
    lab = Lab(spec)
    start = resync_partially(lab, 1000)
    lab.master(SET)
    if passed is None:
        assert lab.cut is None
        lab.wait(1)
        assert lab.at_replica[start:] == SET
        assert lab.fired == []
    else:
        assert lab.at_replica[start:] == SET[:passed]
        assert lab.fired[0].offset == 1000 + passed


@pytest.mark.parametrize("relative", [0, 1, 30])
def test_an_offset_from_now_counts_from_when_it_was_armed(relative: int) -> None:
    lab = Lab()
    start = resync_partially(lab, 1000)
    lab.master(SET)
    lab.plan.add(f"cut at=offset:+{relative}b")
    lab.master(SET * 2)
    assert lab.at_replica[start:] == SET + (SET * 2)[:relative]


def test_each_byte_at_a_border_belongs_to_its_phase() -> None:
    """The master is cut at each byte in turn, and the fault reports the phase."""

    def phase(spec: str) -> str:
        lab = Lab(spec)
        to_the_rdb(lab, b"\n\n$1000\r\n")
        lab.master(RDB)
        lab.replica(ack(500))
        lab.master(SET)
        return lab.fired[0].phase

    before = len(b"+PONG\r\n+OK\r\n+OK\r\n")
    waiting = before + len(FULL)
    rdb = waiting + len(b"\n\n$1000\r\n")
    found = {
        size: phase(f"truncate {size}b from=master")
        for size in (before + 1, waiting - 1, waiting, rdb - 1, rdb, rdb + 999, rdb + 1000, rdb + 1001)
    }
    assert found == {
        before + 1: "psync",
        waiting - 1: "psync",
        waiting: "waiting",
        rdb - 1: "waiting",
        rdb: "rdb",
        rdb + 999: "rdb",
        rdb + 1000: "loading",
        rdb + 1001: "stream",
    }


@pytest.mark.parametrize(("place", "said"), [("connect", b""), ("handshake", b"")])
def test_no_place_is_found_before_anything_flows(place: str, said: bytes) -> None:
    lab = Lab(f"cut at={place}")
    assert (lab.cut is not None) == (place == "connect")
    lab.replica(PING)
    assert lab.cut is not None
    assert lab.at_master == said


def test_an_edge_is_the_end_of_a_command_that_was_read() -> None:
    multi = command("MULTI") + SET + command("EXEC")
    for edge, passed in (("byte", 2), ("command", len(command("MULTI"))), ("transaction", len(multi))):
        for size in (1, 1000):
            lab = Lab(f"cut at=stream:2b edge={edge}")
            start = resync_partially(lab)
            for at in range(0, len(multi + SET), size):
                lab.master((multi + SET)[at : at + size])
            assert len(lab.at_replica) - start == passed
    for edge, passed in (("command", 0), ("transaction", 0)):
        lab = Lab(f"cut at=stream edge={edge}")
        start = resync_partially(lab)
        lab.master(SET)
        assert len(lab.at_replica) - start == passed
