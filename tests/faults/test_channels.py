"""Faults for one connection of a two-connection sync, in Redis' form and Valkey's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.replication.events import Side
from tests.faults.lab import REPLID, Lab, ack, asks, command, shake_hands
from tests.support import FIXTURES

RDB = (FIXTURES / "rdb" / "redis-8.0.2-strings.rdb").read_bytes()
MARK = b"f" * 40
SET = command("SET", "key", "value")
OFFSET = 1000


class Sync:
    """Both connections of one sync, up to the RDB's header and before its first byte."""

    def __init__(self, *specs: str) -> None:
        self.main = Lab(*specs)
        self.rdb = Lab()
        self.rdb.plan, self.rdb.memory, self.rdb.connections = self.main.plan, self.main.memory, 1
        self.rdb.connect()

    def wait(self, seconds: float) -> None:
        self.main.wait(seconds)
        self.rdb.wait(seconds)

    @property
    def fired(self) -> list[tuple[str, str, int]]:
        """Of the main connection, then of the other: which, the phase, the position."""
        labs = (("main", self.main), ("rdb", self.rdb))
        return [(name, fired.phase, fired.position) for name, lab in labs for fired in lab.fired]


def redis(*specs: str) -> Sync:
    sync = Sync(*specs)
    shake_hands(sync.main)
    sync.main.replica(asks(1, "0" * 40))
    sync.main.master(b"+RDBCHANNELSYNC 7\r\n")
    sync.rdb.replica(command("REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "main-ch-client-id", "7"))
    sync.rdb.master(b"+OK\r\n")
    sync.rdb.replica(command("PSYNC", "?", "-1"))
    sync.rdb.master(f"+FULLRESYNC {REPLID} {OFFSET}\r\n".encode(), b"$EOF:" + MARK + b"\r\n")
    return sync


def valkey(*specs: str) -> Sync:
    sync = Sync(*specs)
    shake_hands(sync.main)
    sync.main.replica(asks(1, "0" * 40))
    sync.main.master(b"+DUALCHANNELSYNC\r\n")
    sync.rdb.replica(command("REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "listening-port", "6380"))
    sync.rdb.master(b"+OK\r\n")
    sync.rdb.replica(b"SYNC\r\n")
    sync.rdb.master(f"$ENDOFF:{OFFSET} {REPLID} 0 33\r\n".encode())
    sync.main.replica(command("REPLCONF", "set-rdb-client-id", "33"))
    sync.main.master(b"+OK\r\n")
    sync.main.replica(asks(OFFSET + 1))
    sync.main.master(f"+CONTINUE {REPLID}\r\n".encode())
    sync.rdb.master(b"$EOF:" + MARK + b"\r\n")
    return sync


both = pytest.mark.parametrize("begin", [redis, valkey])


@both
@pytest.mark.parametrize("place", ["rdb:50%", "rdb:1kb", "rdb:key:3", "rdb"])
def test_a_place_in_the_rdb_is_on_its_channel(begin: Callable[..., Sync], place: str) -> None:
    for scope in ("", " channel=rdb"):
        sync = begin(f"cut at={place}{scope}")
        sync.main.master(SET)
        sync.rdb.master(RDB + MARK)
        assert sync.rdb.cut is not None
        assert sync.main.cut is None
        assert [fired[:2] for fired in sync.fired] == [("rdb", "rdb")]


@both
@pytest.mark.parametrize("place", ["rdb:50%", "rdb:1kb", "rdb:key:3"])
def test_the_main_channel_is_cut_when_the_rdb_reaches_a_place(begin: Callable[..., Sync], place: str) -> None:
    sync = begin(f"cut at={place} channel=main")
    sync.main.master(SET)
    header = sync.rdb.conversation.from_master
    while sync.main.cut is None:
        sent = sync.rdb.conversation.from_master - header
        assert sent < len(RDB)
        sync.rdb.master(RDB[sent : sent + 64])
        sync.wait(0.2)
    assert sync.rdb.cut is None
    assert sync.fired == [("main", "rdb", sync.main.conversation.from_master)]
    assert sync.main.fired[0].offset == OFFSET + len(SET)
    if place == "rdb:1kb":
        assert sync.rdb.conversation.from_master - header == 1024


@both
@pytest.mark.parametrize("place", ["rdb:50%", "loading"])
def test_the_place_of_the_main_channel_is_not_missed_if_the_rdb_is_short(begin: Callable[..., Sync], place: str) -> None:
    sync = begin(f"cut at={place} channel=main")
    sync.rdb.master(RDB + MARK)
    assert sync.main.cut is None
    sync.wait(0.2)
    assert sync.main.cut is not None
    assert sync.rdb.cut is None


@both
def test_a_place_that_the_sync_has_passed_does_not_fire_on_the_main_channel(begin: Callable[..., Sync]) -> None:
    sync = begin()
    sync.rdb.master(RDB + MARK)
    sync.main.master(SET)
    sync.main.replica(ack(OFFSET))
    sync.main.plan.add("cut at=rdb:50% channel=main")
    sync.main.plan.add("cut at=loading channel=main")
    sync.wait(1)
    sync.main.master(SET)
    assert sync.fired == []


@both
def test_an_rdb_that_is_on_another_connection_cannot_be_truncated_here(begin: Callable[..., Sync]) -> None:
    sync = begin("truncate at=rdb:50% channel=main")
    sync.rdb.master(RDB + MARK)
    sync.wait(1)
    sync.main.master(SET)
    assert sync.fired == []
    assert sync.main.at_replica.endswith(SET)


@both
def test_an_offset_is_on_the_main_channel_while_the_rdb_flows(begin: Callable[..., Sync]) -> None:
    sync = begin(f"cut at=offset:{OFFSET + 10} channel=main")
    sync.rdb.master(RDB[:100])
    sync.main.master(SET)
    assert sync.main.cut is not None
    assert sync.main.at_replica.endswith(b"\r\n" + SET[:10])
    assert sync.rdb.cut is None
    assert sync.main.fired[0].offset == OFFSET + 10
    assert begin(f"cut at=offset:{OFFSET + 10} channel=rdb").fired == []


@both
@pytest.mark.parametrize("channel", ["main", "rdb"])
def test_a_phase_is_throttled_on_one_connection_only(begin: Callable[..., Sync], channel: str) -> None:
    sync = begin(f"throttle 1kb/s during=rdb channel={channel} from=master")
    sync.rdb.master(RDB[:500])
    sync.main.master(SET * 100)
    sync.wait(0.1)
    sync.main.master(SET * 100)
    sync.rdb.master(RDB[500:10_000])
    slow, fast = (sync.main, sync.rdb) if channel == "main" else (sync.rdb, sync.main)
    assert fast.faults.lanes[Side.MASTER].is_idle
    assert not slow.faults.lanes[Side.MASTER].is_idle
    assert [fired[0] for fired in sync.fired] == [channel]


@both
def test_a_stalled_main_channel_lets_the_rdb_through(begin: Callable[..., Sync]) -> None:
    sync = begin("stall at=rdb:1kb channel=main for=10s")
    sync.rdb.master(RDB[:2048])
    sync.wait(0.2)
    sync.main.master(SET)
    sync.rdb.master(RDB[2048:] + MARK)
    assert sync.rdb.at_replica.endswith(RDB + MARK)
    assert not sync.main.at_replica.endswith(SET)
    sync.wait(10)
    assert sync.main.at_replica.endswith(SET)


@both
def test_requests_of_one_channel_are_distinguished_from_those_of_the_other(begin: Callable[..., Sync]) -> None:
    assert [fired[0] for fired in begin("stall request=REPLCONF channel=rdb for=1s").fired] == ["rdb"]
    main = begin("stall request=REPLCONF channel=main for=1s times=all")
    assert {fired[0] for fired in main.fired} == {"main"}
    assert {fired[0] for fired in begin("drop reply=REPLCONF channel=rdb times=all").fired} == {"rdb"}


@both
def test_keepalives_are_dropped_on_one_connection_only(begin: Callable[..., Sync]) -> None:
    sync = begin("drop keepalives channel=rdb")
    sync.rdb.master(RDB + MARK)
    sync.main.replica(b"\n", ack(OFFSET))
    assert sync.main.at_master.endswith(b"\n" + ack(OFFSET))
    assert sync.fired == []
