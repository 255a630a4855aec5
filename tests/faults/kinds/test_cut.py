"""Cuts: at which byte, in which step, at which moment."""

from __future__ import annotations

import pytest

from tap.faults.flow_items import CloseLink
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    EXEC,
    FULL,
    INCR,
    MARK,
    MULTI,
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


@pytest.mark.parametrize(
    ("spec", "at_replica"),
    [
        ("cut at=offset:+40b", SET + INCR[: 40 - len(SET)]),
        ("cut at=offset:1010 mode=reset", SET[:10]),
        ("cut at=stream:1b", SET[:1]),
        ("cut at=stream", b""),
        ("cut at=offset:1010 edge=command", SET),
        ("cut command=INCR", SET + INCR),
        ("cut command=INCR edge=start", SET),
        ("cut command=INCR edge=inside", SET + INCR[: INCR.index(b"$1")]),
        ("cut key='user:*'", SET),
        ("cut command=SET nth=2", SET + INCR + SET),
        ("cut at=transaction", SET + INCR + SET + MULTI),
        ("cut at=stream:90b edge=transaction", SET + INCR + SET + MULTI + SET + EXEC),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_cut_falls_at_its_byte(spec: str, at_replica: bytes, size: int) -> None:
    lab = Lab(spec)
    resync_partially(lab, 1000)
    before = lab.at_replica
    lab.master(*pieces(SET + INCR + SET + MULTI + SET + EXEC + SET, size))
    assert lab.at_replica.removeprefix(before) == at_replica
    assert lab.cut == CloseLink("reset" in spec, "both", "cut-1")
    (fired,) = lab.fired
    assert fired.offset == 1000 + len(at_replica)
    assert fired.position == len(lab.at_replica)
    assert fired.phase == "stream"


@pytest.mark.parametrize(
    ("spec", "at_master", "at_replica"),
    [
        ("cut at=connect", b"", b""),
        ("cut at=handshake", b"", b""),
        ("cut at=ping", b"", b""),
        ("cut request=PING edge=end", PING, b""),
        ("cut reply=PING", PING, b""),
        ("cut reply=PING edge=end", PING, b"+PONG\r\n"),
        ("cut at=replconf", PING, b"+PONG\r\n"),
        ("cut request=REPLCONF nth=2", PING + PORT, b"+PONG\r\n"),
        ("cut reply=REPLCONF nth=2", PING + PORT + CAPA, b"+PONG\r\n+OK\r\n"),
        ("cut at=psync", PING + PORT + CAPA, b"+PONG\r\n+OK\r\n+OK\r\n"),
        ("cut at=waiting", PING + PORT + CAPA + ASKS_ALL, b"+PONG\r\n+OK\r\n+OK\r\n" + FULL),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_cut_can_fall_in_each_step_of_the_handshake(spec: str, at_master: bytes, at_replica: bytes, size: int) -> None:
    lab = Lab(spec)
    lab.replica(*pieces(PING, size))
    lab.master(*pieces(b"+PONG\r\n", size))
    lab.replica(*pieces(PORT + CAPA, size))
    lab.master(*pieces(b"+OK\r\n+OK\r\n", size))
    lab.replica(*pieces(ASKS_ALL, size))
    lab.master(*pieces(FULL + b"\n\n", size))
    assert lab.at_master == at_master
    assert lab.at_replica == at_replica
    assert lab.cut is not None


@pytest.mark.parametrize("disk", [True, False])
@pytest.mark.parametrize(("place", "share"), [("rdb", 0.0), ("rdb:1kb", None), ("loading", 1.0)])
@pytest.mark.parametrize("size", [100, 10**6])
def test_a_cut_can_fall_in_the_rdb(disk: bool, place: str, share: float | None, size: int) -> None:
    lab = Lab(f"cut at={place}")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    header = b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n"
    payload = RDB if disk else RDB + MARK
    lab.master(*pieces(FULL + header + payload, size))
    lab.replica(ack(500))
    lab.master(SET)
    expected = payload[:1024] if share is None else payload[: round(len(payload) * share)]
    assert lab.at_replica.endswith(header + expected)
    assert lab.fired[0].phase == ("loading" if share == 1 else "rdb")


def test_a_share_of_a_disk_based_rdb_counts_bytes_and_of_a_diskless_one_keys() -> None:
    disk = Lab("cut at=rdb:50%")
    full_resync(disk, True)
    assert disk.at_replica.endswith(b"\r\n" + RDB[: len(RDB) // 2])
    by_key = [Lab(f"cut at={place}") for place in ("rdb:50%", "rdb:key:1", "rdb:key:100000")]
    for lab in by_key:
        full_resync(lab, False)
    half, first, never = (len(lab.at_replica) for lab in by_key)
    assert first < half < never
    assert by_key[2].fired == []


def test_the_same_seed_draws_the_same_byte_and_another_seed_another() -> None:
    def where(seed: int) -> int:
        lab = Lab("cut at=stream:1b..10000b", seed=seed)
        resync_partially(lab)
        lab.master(SET * 1000)
        return lab.fired[0].position

    assert where(1) == where(1)
    assert len({where(seed) for seed in range(10)}) > 5


@pytest.mark.parametrize(
    ("legs", "where"), [("both", ""), ("master", " towards the master"), ("replica", " towards the replica")]
)
@pytest.mark.parametrize(("mode", "how"), [("fin", "FIN"), ("reset", "RST")])
@pytest.mark.parametrize("when", ["at=stream:5b", "after=1s", "request=PING"])
def test_a_cut_says_how_it_closes_which_connections(legs: str, where: str, mode: str, how: str, when: str) -> None:
    lab = Lab(f"cut {when} legs={legs} mode={mode} name=snip")
    resync_partially(lab)
    lab.master(SET)
    lab.wait(1)
    assert lab.cut == CloseLink(mode == "reset", legs, "snip")
    (fired,) = lab.fired
    assert (fired.text, fired.bytes, fired.fault) == (f"cut with {how}{where}", 0, "snip")


def test_a_cut_can_repeat_on_a_timer() -> None:
    lab = Lab("cut every=5s times=2")
    opened = lab.now
    for number in range(1, 3):
        resync_partially(lab)
        lab.wait(10)
        assert lab.fired[-1].text == "cut with FIN"
        assert len(lab.fired) == number
        lab.now = opened + 5 * number
        lab.plan.tick(lab.now)
        lab.connect()
        assert lab.cut is None
    resync_partially(lab)
    lab.wait(30)
    assert len(lab.fired) == 2
    assert [expired.fired for expired in lab.expired] == [2]


def test_a_timed_cut_waits_for_a_link() -> None:
    lab = Lab("cut after=2s")
    resync_partially(lab)
    lab.wait(1.9)
    assert lab.cut is None
    lab.wait(0.2)
    assert lab.cut is not None
