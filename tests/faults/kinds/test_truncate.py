"""RDBs that end early as if they were whole, and connections that end after a number of bytes."""

from __future__ import annotations

import pytest

from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    FULL,
    MARK,
    PING,
    PORT,
    RDB,
    SET,
    Lab,
    ack,
    full_resync,
    pieces,
    resync_partially,
    shake_hands,
)


def test_a_disk_based_rdb_ends_early_by_its_header_and_a_diskless_one_by_its_mark() -> None:
    lab = Lab("truncate at=rdb:50%")
    full_resync(lab, disk=True)
    half = len(RDB) // 2
    assert lab.at_replica.endswith(b"\r\n$%d\r\n" % half + RDB[:half])
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(RDB[:half] + SET)
    lab = Lab("truncate at=rdb:1kb")
    full_resync(lab, disk=False)
    assert lab.at_replica.endswith(RDB[:1024] + MARK)
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(RDB[:1024] + MARK + SET)


def test_a_truncated_rdb_announces_the_bytes_that_pass() -> None:
    for place, left in (("-1b", 999), ("0b", 0), ("-2000b", 0), ("2000b", 1000), ("25%", 250), ("10b", 10)):
        lab = Lab(f"truncate at=rdb:{place}")
        shake_hands(lab)
        lab.replica(ASKS_ALL)
        lab.master(FULL)
        start = len(lab.at_replica)
        data = bytes(range(250)) * 4
        lab.master(b"$1000\r\n" + data + b"\n")
        assert lab.at_replica[start:] == b"$%d\r\n" % left + data[:left] + b"\n"
        assert lab.fired[0].bytes == 1000 - left


def test_an_rdb_for_which_a_fault_does_not_fire_passes_whole() -> None:
    lab = Lab("truncate at=rdb:10b probability=0.000001")
    full_resync(lab, disk=True)
    assert lab.at_replica.endswith(b"$%d\r\n" % len(RDB) + RDB)
    assert lab.fired == []


def test_a_connection_ends_after_a_number_of_bytes() -> None:
    lab = Lab("truncate 20b")
    resync_partially(lab)
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n"[:20]
    assert lab.cut is not None


@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
def test_two_faults_that_end_one_diskless_rdb_are_both_over_with_it(size: int) -> None:
    lab = Lab("truncate at=rdb:10b", "truncate at=rdb:20b")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL)
    before = len(lab.at_replica)
    lab.master(b"$EOF:" + MARK + b"\r\n", *pieces(RDB + MARK, size))
    lab.replica(ack(500))
    lab.master(*pieces(SET, size))
    assert lab.at_replica[before:] == b"$EOF:" + MARK + b"\r\n" + RDB[:10] + MARK + MARK + SET


@pytest.mark.parametrize(("digits", "is_changed"), [(1, True), (2, True), (18, True), (19, False)])
def test_a_length_that_no_rdb_has_passes(digits: int, is_changed: bool) -> None:
    lab = Lab("truncate at=rdb:0b")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    header = b"$" + b"1" * digits + b"\r\n"
    lab.master(FULL + header)
    assert lab.at_replica.endswith(FULL + (b"$0\r\n" if is_changed else header))
    assert len(lab.fired) == is_changed


def test_a_place_in_an_rdb_that_is_truncated_is_not_also_a_mark() -> None:
    lab = Lab("truncate at=rdb:10b times=all")
    full_resync(lab, disk=True)
    assert [(fired.text, fired.phase) for fired in lab.fired] == [
        (f"announced 10 bytes of an RDB of {len(RDB)}", "waiting")
    ]
    lab = Lab("truncate at=rdb:10b times=all")
    full_resync(lab, disk=False)
    assert [(fired.text, fired.phase, fired.bytes) for fired in lab.fired] == [
        ("sent the end mark of the RDB, and swallowed the rest", "rdb", 0)
    ]


@pytest.mark.parametrize("side", ["master", "replica"])
def test_the_bytes_of_one_side_are_counted_from_the_beginning_of_the_connection(side: str) -> None:
    whole = {"master": b"+PONG\r\n+OK\r\n+OK\r\n", "replica": PING + PORT + CAPA}[side]
    for size, is_cut in ((len(whole), True), (len(whole) - 1, False)):
        lab = Lab()
        shake_hands(lab)
        lab.plan.add(f"truncate {size}b from={side}")
        (lab.master if side == "master" else lab.replica)(b"\n")
        assert (lab.cut is not None) == is_cut
        lab = Lab(f"truncate {size}b from={side}")
        shake_hands(lab)
        assert (lab.at_replica if side == "master" else lab.at_master) == whole[:size]
