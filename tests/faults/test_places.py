"""Places at the limits: below zero, after the end, exactly at a border, on a stream without an offset."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.faults.flow_items import CloseLink
from tap.replication.events import Side
from tests.faults.lab import ASKS_ALL, PING, REPLID, Lab, ack, command, pieces, resync_partially, shake_hands

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


@pytest.mark.parametrize("side", [Side.MASTER, Side.REPLICA])
def test_a_firing_names_the_phase_and_the_offset_of_its_moment(side: Side) -> None:
    """Of a fault that acts in time, with each phase as it lasts."""
    before = len(b"+PONG\r\n+OK\r\n+OK\r\n")
    steps: list[tuple[Callable[[Lab], object], str, int | None]] = [
        (lambda lab: None, "connect", None),
        (lambda lab: lab.replica(PING), "handshake", None),
        (lambda lab: shake_hands(lab), "handshake", None),
        (lambda lab: lab.replica(ASKS_ALL), "psync", None),
        (lambda lab: lab.master(FULL), "waiting", 500),
        (lambda lab: lab.master(b"\n"), "waiting", 500),
        (lambda lab: lab.master(b"$1000\r\n"), "rdb", 500),
        (lambda lab: lab.master(RDB[:500]), "rdb", 500),
        (lambda lab: lab.master(RDB[500:]), "loading", 500),
        (lambda lab: lab.replica(ack(500)), "stream", 500),
        (lambda lab: lab.master(SET), "stream", 500 + len(SET)),
    ]
    for number in range(len(steps)):
        lab = Lab()
        for act, _, _ in steps[: number + 1]:
            if act is not steps[1][0] or number == 1:  # the handshake begins with the same request
                act(lab)
        lab.plan.add(f"cut from={side.value}")
        (fired,) = lab.fired
        assert (fired.phase, fired.offset) == steps[number][1:]
        assert fired.position == len(lab.at_replica if side is Side.MASTER else lab.at_master)
        assert (side is Side.REPLICA) or number < 4 or fired.position > before


@pytest.mark.parametrize(
    ("lost", "said", "phase"),
    [("it is opaque", PING, "opaque"), ("", command("GET", "k"), "ordinary")],
)
@pytest.mark.parametrize("side", ["master", "replica"])
def test_a_connection_without_replication_has_its_own_phase(lost: str, said: bytes, phase: str, side: str) -> None:
    lab = Lab()
    if lost:
        lab.conversation.lost(Side.MASTER, lost)
    lab.replica(said)
    lab.master(b"+OK\r\n")
    lab.plan.add(f"cut from={side}")
    assert [(fired.phase, fired.offset) for fired in lab.fired] == [(phase, None)]


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ("cut at=rdb:key:1", 1),
        ("cut at=rdb:1%", 1),
        ("cut at=rdb:20%", 1),
        ("cut at=rdb:20.1%", 2),
        ("cut at=rdb:60%", 3),
        ("cut at=rdb:100%", 5),
        ("cut at=rdb:key:5", 5),
        ("cut at=rdb:key:6", None),
    ],
)
@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_a_share_of_a_diskless_rdb_is_rounded_up_to_a_whole_key(spec: str, keys: int | None, size: int) -> None:
    """Five keys, as the RDB announces."""
    rdb = five_keys()
    ends = ends_of_keys(rdb)
    lab = Lab(spec)
    start = to_the_rdb(lab, b"$EOF:" + b"f" * 40 + b"\r\n")
    lab.master(*pieces(rdb + b"f" * 40, size))
    passed = len(lab.at_replica) - start
    assert passed == (len(rdb) + 40 if keys is None else ends[keys - 1])


def five_keys() -> bytes:
    body = b"".join(b"\x00\x02k%d\x03%s" % (number, b"v" * 3) for number in range(5))
    return b"REDIS0011\xfe\x00\xfb\x05\x00" + body + b"\xff" + bytes(8)


def ends_of_keys(rdb: bytes) -> list[int]:
    return [rdb.index(b"k%d" % number) + len(b"k0\x03vvv") for number in range(5)]


DROPS = "drop 3b at=stream:2b"


@pytest.mark.parametrize(
    "first",
    [
        "cut at=stream:9kb edge=command",  # looked for
        "cut at=stream:5b channel=rdb",  # of another connection
        "cut at=rdb:50%",  # not here
        "cut at=stream:9kb",
        DROPS,
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_fault_whose_place_is_not_known_keeps_no_other_waiting(first: str, size: int) -> None:
    lab = Lab(first, f"{DROPS} name=last", "drop 2b at=stream:10b edge=command")
    start = resync_partially(lab)
    lab.master(*pieces(SET + SET, size))
    assert lab.at_replica[start:] == SET[:2] + SET[5:] + SET[2:]
    assert lab.fired[-2].fault == "last"


def test_of_several_faults_that_count_keys_each_acts_after_its_own() -> None:
    rdb = five_keys()
    ends = ends_of_keys(rdb)
    for size in (1, 10**6):
        specs = ("drop 1b at=rdb:key:9", "drop 1b at=rdb:9b", "drop 1b at=rdb:key:2 channel=rdb", "drop 1b at=rdb:key:2",
                 "drop 2b at=rdb:20.1%", "drop 1b at=rdb:key:4")  # fmt: skip
        lab = Lab(*specs)
        start = to_the_rdb(lab, b"$EOF:" + b"f" * 40 + b"\r\n")
        lab.master(*pieces(rdb + b"f" * 40, size))
        assert sorted((one.fault, one.position - start) for one in lab.fired) == [
            ("drop-2", 9), ("drop-4", ends[1]), ("drop-5", ends[1]), ("drop-6", ends[3])
        ]  # fmt: skip
