"""Each fault on a clock of its own: what it does to bytes, at which byte, and when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.faults.flow import Cut
from tap.replication.events import AckAheadOfMaster, Event, FaultArmed, FaultFired, FullResync, ResyncRefused, Side
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    PING,
    PORT,
    REPLID,
    Lab,
    ack,
    asks,
    command,
    pieces,
    resync_partially,
    shake_hands,
)
from tests.support import FIXTURES

SET = command("SET", "user:1", "ann")
INCR = command("INCR", "n")
MULTI, EXEC = command("MULTI"), command("EXEC")
FULL = b"+FULLRESYNC " + REPLID.encode() + b" 500\r\n"
MARK = b"f" * 40
RDB = (FIXTURES / "rdb" / "redis-8.0.2-strings.rdb").read_bytes()


def full_resync(lab: Lab, disk: bool) -> None:
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL)
    if disk:
        lab.master(b"$%d\r\n" % len(RDB), RDB)
    else:
        lab.master(b"$EOF:" + MARK + b"\r\n", RDB + MARK)


# ---- cut ----


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
    assert lab.cut == Cut("reset" in spec, "both", "cut-1")
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
def test_a_cut_in_each_step_of_the_handshake(spec: str, at_master: bytes, at_replica: bytes, size: int) -> None:
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
def test_a_cut_in_the_rdb(disk: bool, place: str, share: float | None, size: int) -> None:
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


def test_a_share_of_a_disk_based_rdb_is_of_its_bytes_and_of_a_diskless_one_of_its_keys() -> None:
    disk = Lab("cut at=rdb:50%")
    full_resync(disk, True)
    assert disk.at_replica.endswith(b"\r\n" + RDB[: len(RDB) // 2])
    by_key = [Lab(f"cut at={place}") for place in ("rdb:50%", "rdb:key:1", "rdb:key:100000")]
    for lab in by_key:
        full_resync(lab, False)
    half, first, never = (len(lab.at_replica) for lab in by_key)
    assert first < half < never
    assert by_key[2].fired == []


def test_the_same_seed_draws_the_same_byte_and_another_one_another() -> None:
    def where(seed: int) -> int:
        lab = Lab("cut at=stream:1b..10000b", seed=seed)
        resync_partially(lab)
        lab.master(SET * 1000)
        return lab.fired[0].position

    assert where(1) == where(1)
    assert len({where(seed) for seed in range(10)}) > 5


def test_a_cut_on_time_and_again_and_again() -> None:
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


def test_a_cut_after_a_time_waits_for_a_link() -> None:
    lab = Lab("cut after=2s")
    resync_partially(lab)
    lab.wait(1.9)
    assert lab.cut is None
    lab.wait(0.2)
    assert lab.cut is not None


# ---- stall, delay, throttle, slice ----


def test_a_stall_holds_from_its_byte_on_until_its_time_is_over() -> None:
    lab = Lab("stall at=stream:10b for=3s from=master")
    begin = resync_partially(lab)
    lab.master(SET + INCR)
    assert lab.at_replica[begin:] == SET[:10]
    assert lab.is_held(Side.MASTER)
    assert not lab.is_held(Side.REPLICA)
    lab.wait(2.9)
    assert lab.at_replica[begin:] == SET[:10]
    lab.wait(0.2)
    assert lab.at_replica[begin:] == SET + INCR
    assert not lab.is_held(Side.MASTER)
    assert lab.expired[0].fired == 1


def test_a_delay_keeps_order_and_its_removal_loses_nothing() -> None:
    lab = Lab("delay 200ms jitter=100ms from=master name=late")
    shake_hands(lab)
    sent = []
    for number in range(50):
        lab.master(b"\n" if number else b"")
        sent.append(lab.now)
        lab.wait(0.01)
    assert len(lab.at_replica) < len(lab.conversation.from_master.to_bytes()) + 64
    lab.plan.remove("late")
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+OK\r\n" + b"\n" * 49


@pytest.mark.parametrize("jitter", ["", "jitter=50ms", "jitter=50ms distribution=normal"])
def test_a_delay_is_as_long_as_it_says(jitter: str) -> None:
    lab = Lab(f"delay 200ms {jitter} from=master")
    begin = resync_partially(lab)
    lab.wait(1)
    for _ in range(300):
        at = lab.now
        lab.master(SET)
        lab.wait(0.7)
        arrived = lab.out[Side.MASTER][-1][0] - at
        assert 0 <= arrived <= 0.7
        if not jitter:
            assert arrived == pytest.approx(0.2)
    assert lab.at_replica[begin:] == SET * 300


def test_a_delay_holds_so_much_and_then_pauses_reading() -> None:
    lab = Lab("delay 10s from=master")
    resync_partially(lab)
    lab.wait(20)
    big = command("SET", "k", b"v" * 2**20)
    for number in range(17):
        assert lab.is_held(Side.MASTER) == (number >= 16)
        lab.master(big)
    lab.wait(11)
    assert not lab.is_held(Side.MASTER)
    assert lab.at_replica.endswith(big * 17)


@pytest.mark.parametrize("rate", [1000, 100_000, 10 * 2**20])
def test_a_throttle_lets_its_rate_through(rate: int) -> None:
    lab = Lab(f"throttle {rate}b/s from=master")
    begin = resync_partially(lab)
    lab.wait(5)
    start = lab.now
    data = command("SET", "k", b"v" * (10 * rate))
    lab.master(data)
    lab.wait(20)
    assert lab.at_replica[begin:] == data
    took = lab.out[Side.MASTER][-1][0] - start
    assert took == pytest.approx(len(data) / rate, rel=0.03)


def test_a_throttle_of_one_phase_lets_the_others_be() -> None:
    lab = Lab("throttle 1kb/s during=rdb from=master")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL)
    lab.master(b"$%d\r\n" % len(RDB), RDB[:1000])
    lab.master(RDB[1000:5000])
    held = len(FULL) + 5000 - len(lab.at_replica)
    assert held > 3000
    lab.master(RDB[5000:])
    lab.wait(10)
    assert lab.at_replica.endswith(RDB)
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(RDB + SET)


@pytest.mark.parametrize("size", [1, 50, 10**6])
@pytest.mark.parametrize("disk", [True, False])
def test_a_throttled_phase_takes_its_time_however_it_comes(size: int, disk: bool) -> None:
    lab = Lab("throttle 1kb/s during=rdb from=master")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    header = b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n"
    begun = lab.now
    lab.master(*pieces(FULL + header + RDB + (b"" if disk else MARK) + (SET if disk else b""), size))
    assert len(lab.at_replica) < 200
    lab.wait(60)
    assert lab.at_replica.endswith(header + RDB + (SET if disk else MARK))
    took = lab.out[Side.MASTER][-1][0] - begun
    assert took == pytest.approx(len(RDB) / 1024, rel=0.05)
    lab.replica(ack(500))
    lab.master(SET)
    assert lab.at_replica.endswith(SET)
    assert lab.faults.lanes[Side.MASTER].flow.is_plain


def test_what_goes_on_for_a_while_in_a_phase_counts_from_its_beginning() -> None:
    lab = Lab("throttle 1kb/s during=stream for=2s from=master", "throttle 1kb/s for=3s from=replica")
    lab.wait(10)
    begin = resync_partially(lab)
    lab.master(bytes(10_000))
    lab.wait(1.9)
    assert 1900 < len(lab.at_replica) - begin < 2100
    lab.wait(0.2)
    assert len(lab.at_replica) == begin + 10_000
    lab.master(SET)
    lab.wait(5)
    assert [event.fault for event in lab.fired] == ["throttle-2", "throttle-1"]
    assert [event.fault for event in lab.expired] == ["throttle-2"]


def test_slices_are_as_small_as_they_say() -> None:
    lab = Lab("slice 3b gap=1ms from=master")
    begin = resync_partially(lab)
    lab.wait(1)
    lab.master(SET)
    lab.wait(1)
    items = [item for _, item in lab.out[Side.MASTER] if isinstance(item, bytes)]
    assert b"".join(items)[begin:] == SET
    assert max(len(item) for item in items) == 3
    times = [at for at, _ in lab.out[Side.MASTER]]
    assert all(after - before > 0.0009 for before, after in itertools.pairwise(times))


# ---- drop, duplicate, reorder, corrupt, truncate ----


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("drop command=INCR", SET + SET + MULTI + SET + EXEC),
        ("drop command=INCR times=1", SET + SET + INCR + MULTI + SET + EXEC),
        ("drop command=INCR nth=2", SET + INCR + SET + MULTI + SET + EXEC),
        ("drop key='user:*'", INCR + INCR + MULTI + EXEC),
        ("drop command=SET key=other", SET + INCR + SET + INCR + MULTI + SET + EXEC),
        ("drop 10b at=stream:5b times=1", (SET + INCR + SET + INCR + MULTI + SET + EXEC)[:5] + (SET + INCR)[15:] + SET
         + INCR + MULTI + SET + EXEC),
        ("duplicate command=INCR", SET + INCR + INCR + SET + INCR + MULTI + SET + EXEC),
        ("duplicate command=INCR times=all", SET + INCR * 2 + SET + INCR * 2 + MULTI + SET + EXEC),
        ("reorder command=SET", INCR + SET + SET + INCR + MULTI + SET + EXEC),
        ("reorder command=INCR nth=2", SET + INCR + SET + MULTI + INCR + SET + EXEC),
        ("corrupt command=INCR edge=start mask=0xff", SET + b"\xd5" + INCR[1:] + SET + INCR + MULTI + SET + EXEC),
        ("corrupt command=INCR mask=0x01", SET + INCR.replace(b"n", b"o") + SET + INCR + MULTI + SET + EXEC),
        ("corrupt command=INCR mask=0x01 edge=end", SET + INCR[:-1] + b"\x0b" + SET + INCR + MULTI + SET + EXEC),
        ("corrupt at=stream:1b bytes=2 mask=0x80", SET[:1] + bytes(byte ^ 0x80 for byte in SET[1:3]) + SET[3:] + INCR
         + SET + INCR + MULTI + SET + EXEC),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 11, 1000])
def test_commands_that_match_are_changed_and_no_others(spec: str, expected: bytes, size: int) -> None:
    lab = Lab(spec)
    begin = resync_partially(lab)
    lab.master(*pieces(SET + INCR + SET + INCR + MULTI + SET + EXEC, size))
    assert lab.at_replica[begin:] == expected


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "named",
    [
        command("SORT", "list", "BY", "near", "STORE", "near"),
        command("GEORADIUS", "places", "15", "37", "200", "km", "STORE", "near"),
        command("GEORADIUSBYMEMBER", "places", "near", "200", "km", "STOREDIST", "near"),
        command("ZUNIONSTORE", "far", "2", "a", "near"),
        command("EVAL", "return 1", "1", "near", "x" * 2_000_000),
        command("COPY", "far", "near", "DB", "3"),
        command("BITOP", "AND", "near", "a"),
    ],
)
def test_a_key_matches_wherever_the_command_names_it(named: bytes, size: int) -> None:
    plain = [
        SET,
        command("SORT", "list", "BY", "near", "GET", "near"),
        command("GEORADIUSBYMEMBER", "places", "near", "200", "km", "STOREDIST", "far"),
        command("PUBLISH", "near", "x"),
        command("CLUSTER", "near"),
        INCR,
    ]
    for spec in ("drop key=near", "drop key='*ear'"):
        lab = Lab(spec)
        begin = resync_partially(lab)
        lab.master(*pieces(b"".join(one + named for one in plain), size if len(named) < 10_000 else 100_000 + size))
        assert lab.at_replica[begin:] == b"".join(plain)


def test_what_does_not_match_is_not_held_back() -> None:
    """Only the head of a command waits, and no byte longer than until it is clear."""
    for key, is_held in ((b"user:", True), (b"users", False), (b"use", True), (b"v", False)):
        lab = Lab("drop command=SET key='user:*'")
        begin = resync_partially(lab)
        head = b"*3\r\n$3\r\nSET\r\n$6\r\n" + key
        lab.master(*pieces(head, 5))
        assert lab.at_replica[begin:] == (b"" if is_held else head)
    lab.master(b"isit:" + b"\r\n$1000000\r\n")
    assert lab.at_replica[begin:] == head + b"isit:" + b"\r\n$1000000\r\n"


def test_a_dropped_command_of_any_size_is_swallowed_as_it_comes() -> None:
    lab = Lab("drop key=big")
    begin = resync_partially(lab)
    lab.master(*pieces(command("SET", "big", b"x" * 5_000_000) + SET, 100_000))
    assert lab.at_replica[begin:] == SET
    assert lab.fired[0].bytes == len(command("SET", "big", b"x" * 5_000_000))


@pytest.mark.parametrize("sent", [SET, SET[:-3]])
def test_a_command_that_no_other_one_came_behind_is_told_as_lost(sent: bytes) -> None:
    lab = Lab("reorder command=SET")
    begin = resync_partially(lab)
    lab.master(INCR, sent)
    lab.faults.close()
    assert lab.at_replica[begin:] == INCR
    assert [(event.text, event.bytes) for event in lab.fired] == [
        ("lost SET: no other command came behind it", len(sent))
    ]


def test_a_command_that_is_too_large_is_not_sent_twice_and_says_so() -> None:
    for kind in ("duplicate", "reorder"):
        lab = Lab(f"{kind} command=SET")
        begin = resync_partially(lab)
        big = command("SET", "big", b"x" * 20_000_000)
        lab.master(*pieces(big + INCR, 1_000_000))
        assert lab.at_replica[begin:] == big + INCR
        assert "left SET alone" in lab.fired[0].text


def test_acks_pings_and_keepalives_are_dropped() -> None:
    lab = Lab("drop acks", "drop pings", "drop keepalives")
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(b"\n\n\n+CONTINUE\r\n")
    lab.master(SET + command("ping") + SET)
    lab.replica(ack(1001), ack(1005))
    assert lab.at_replica.endswith(b"+OK\r\n+CONTINUE\r\n" + SET + SET)
    assert lab.at_master.endswith(asks(1001))
    assert {fired.fault for fired in lab.fired} == {"drop-1", "drop-2", "drop-3"}


def test_what_fires_all_the_time_is_told_summed_up() -> None:
    lab = Lab("drop command=SET")
    resync_partially(lab)
    lab.master(SET * 1000)
    lab.wait(2)
    assert sum(fired.count for fired in lab.fired) == 1000
    assert sum(fired.bytes for fired in lab.fired) == 1000 * len(SET)
    assert len(lab.fired) <= 11


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


def test_a_connection_ends_after_so_many_bytes() -> None:
    lab = Lab("truncate 20b")
    resync_partially(lab)
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n"[:20]
    assert lab.cut is not None


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("spec", ["reorder command=SET times=all", "reorder key='*' times=all"])
def test_of_commands_in_a_row_every_other_one_is_sent_later(spec: str, size: int) -> None:
    """The next one is what the first waits for: it is not sent later itself."""
    lab = Lab(spec)
    start = resync_partially(lab)
    sets = [command("SET", "n", str(number)) for number in range(5)]
    lab.master(*pieces(b"".join(sets) + PING, size))
    assert lab.at_replica[start:] == sets[1] + sets[0] + sets[3] + sets[2] + PING + sets[4]
    assert len(lab.fired) == 3


@pytest.mark.parametrize("edge", ["start", "inside", "end"])
@pytest.mark.parametrize("size", [1, 14, 1000])
def test_a_command_without_arguments_is_corrupted_without_waiting_for_the_next(edge: str, size: int) -> None:
    lab = Lab(f"corrupt command=PING edge={edge} mask=0x80")
    start = resync_partially(lab)
    lab.master(*pieces(PING, size))
    came = bytearray(PING)
    came[{"start": 0, "inside": 11, "end": 13}[edge]] ^= 0x80
    assert lab.at_replica[start:] == bytes(came)
    lab.master(*pieces(SET + PING, size))
    assert lab.at_replica[start:] == bytes(came) + SET + PING


# ---- answer, rewrite ----


def test_an_answer_in_the_masters_place_is_not_heard_by_the_master() -> None:
    lab = Lab("answer '-LOADING Redis is loading' request=PSYNC")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    assert lab.at_replica.endswith(b"+OK\r\n-LOADING Redis is loading\r\n")
    assert lab.at_master == PING + PORT + CAPA
    assert [event.reply for event in lab.told if isinstance(event, ResyncRefused)] == ["-LOADING Redis is loading"]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_an_answer_waits_for_the_replies_before_it(size: int) -> None:
    lab = Lab("answer +FINE request=REPLCONF")
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.replica(*pieces(command("REPLCONF", "a", "b") + CAPA, size))
    lab = Lab("answer +FINE request=REPLCONF nth=2")
    lab.replica(PING + PORT + CAPA + command("REPLCONF", "version", "9"))
    assert lab.at_master == PING + PORT + command("REPLCONF", "version", "9")
    lab.master(*pieces(b"+PONG\r\n+OK\r\n+OK\r\n", size))
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+FINE\r\n+OK\r\n"
    lab.replica(asks(1001))
    lab.master(b"+CONTINUE\r\n" + SET)
    assert lab.conversation.offset == 1000 + len(SET)


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("late", [False, True])
def test_faults_fire_on_a_replica_that_was_an_ordinary_client(*, size: int, late: bool) -> None:
    """Its requests of before are no handshake: they pass, and are not held."""
    lab = Lab("answer '-LOADING no' request=PSYNC", "rewrite capa=-eof", "cut at=stream:5b")
    ordinary = command("INFO") + command("SET", "capa", CAPA + ASKS_ALL)
    replies = b"$2\r\nok\r\n+OK\r\n"
    lab.replica(*pieces(ordinary, size))
    assert lab.at_master == ordinary
    if not late:
        lab.master(*pieces(replies, size))
    lab.replica(*pieces(CAPA + ASKS_ALL, size))
    assert lab.at_master == ordinary + command("REPLCONF", "capa", "psync2")
    lab.master(*pieces(replies * late + b"+OK\r\n", size))
    assert lab.at_replica == replies + b"+OK\r\n-LOADING no\r\n"
    lab.replica(*pieces(asks(1001), size))
    lab.master(*pieces(b"+CONTINUE\r\n" + SET, size))
    assert lab.cut is not None
    assert lab.at_replica.endswith(b"+CONTINUE\r\n" + SET[:5])


def test_the_masters_own_reply_is_replaced() -> None:
    lab = Lab(f"answer '+FULLRESYNC {'0' * 40} 7' reply=PSYNC")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(b"\n" + FULL + b"$3\r\n")
    assert lab.at_replica.endswith(b"\n+FULLRESYNC " + b"0" * 40 + b" 7\r\n$3\r\n")
    assert lab.conversation.offset == 500


@pytest.mark.parametrize(
    ("spec", "sent", "expected"),
    [
        ("rewrite psync='? -1'", asks(100), ASKS_ALL),
        ("rewrite capa=-psync2", CAPA, command("REPLCONF", "capa", "eof")),
        ("rewrite capa=-eof", CAPA, command("REPLCONF", "capa", "psync2")),
        ("rewrite capa=+foo", CAPA, command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "foo")),
        ("rewrite listening-port=7", PORT, command("REPLCONF", "listening-port", "7")),
        ("rewrite ip-address=1.2.3.4", PORT, command("REPLCONF", "listening-port", "6380", "ip-address", "1.2.3.4")),
        ("rewrite ip-address=1.2.3.4", command("REPLCONF", "ip-address", "x"),
         command("REPLCONF", "ip-address", "1.2.3.4")),
    ],
)  # fmt: skip
def test_a_request_is_rewritten(spec: str, sent: bytes, expected: bytes) -> None:
    for size in (1, 1000):
        lab = Lab(spec)
        lab.replica(PING)
        lab.master(b"+PONG\r\n")
        lab.replica(*pieces(sent, size))
        assert lab.at_master == PING + expected


def test_a_forced_full_resync_says_so() -> None:
    lab = Lab("rewrite psync='? -1' times=1")
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(FULL)
    (full,) = [event for event in lab.told if isinstance(event, FullResync)]
    assert full.reason.code == "forced_by_fault"
    assert "PSYNC ? -1 instead of PSYNC" in full.reason.text


@pytest.mark.parametrize(
    ("how", "sees"), [("-10b", [90, 100, 0]), ("+1kb", [1124, 1134, 1025]), ("freeze", [100, 100, 100])]
)
def test_acknowledged_offsets_are_changed(how: str, sees: list[int]) -> None:
    lab = Lab(f"rewrite ack={how}")
    resync_partially(lab)
    before = lab.at_master
    lab.replica(ack(100), ack(110) + ack(1))
    assert lab.at_master.removeprefix(before) == b"".join(ack(offset) for offset in sees)


# ---- several, on a live link, and whatever the chunking ----


def test_a_fault_that_is_added_and_removed_disturbs_nothing_else() -> None:
    lab = Lab()
    begin = resync_partially(lab)
    sent = b""
    for number in range(100):
        name = f"f{number}"
        spec = ["delay 50ms", "throttle 10kb", "slice 2b gap=1ms", "stall", "drop command=NOPE", "drop key=nope"][
            number % 6
        ]
        data = SET + INCR
        lab.master(*pieces(data, {number % 40}))
        lab.plan.add(f"{spec} name={name}")
        lab.master(*pieces(data, 9))
        lab.wait(0.01)
        lab.plan.remove(name)
        sent += data + data
    assert lab.at_replica[begin:] == sent


def test_a_fault_of_which_nothing_came_says_so() -> None:
    lab = Lab("cut at=offset:99999", "drop command=NOPE")
    resync_partially(lab)
    lab.master(SET)
    lab.plan.clear()
    assert [(event.fault, event.fired) for event in lab.expired] == [("cut-1", 0), ("drop-1", 0)]
    assert [armed.name for armed in lab.plan.never_fired] == ["cut-1", "drop-1"]
    assert [event.seed for event in lab.told if isinstance(event, FaultArmed)] == [1, 1]


SPECS = [
    "cut at=stream:100b..300b",
    "cut at=rdb:10%..90%",
    "cut at=rdb:key:3",
    "cut command=SET nth=3 edge=inside",
    "cut at=stream:60b edge=transaction",
    "drop command=SET key='user:1' nth=2",
    "drop key=n",
    "drop 7b at=stream:33b",
    "drop keepalives",
    "drop acks",
    "duplicate command=INCR",
    "reorder command=SET nth=2",
    "corrupt command=SET nth=2 mask=0x55",
    "corrupt reply=PSYNC",
    "truncate at=rdb:50%",
    "answer +NO request=REPLCONF nth=2",
    "answer '-ERR no' reply=REPLCONF",
    "rewrite capa=-eof",
    "rewrite ack=-1b",
]


@given(
    specs=st.lists(st.sampled_from(SPECS), min_size=1, max_size=3, unique=True),
    cuts=st.lists(st.integers(1, 3000), max_size=12),
    disk=st.booleans(),
    seed=st.integers(0, 3),
)
def test_what_comes_out_does_not_depend_on_how_tcp_cut_what_went_in(
    specs: list[str], cuts: list[int], disk: bool, seed: int
) -> None:
    def play(cuts: list[int]) -> tuple[bytes, bytes, list[tuple[object, ...]], Cut | None]:
        lab = Lab(*specs, seed=seed)
        header = b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n"
        payload = RDB if disk else RDB + MARK
        turns = [
            (lab.replica, PING),
            (lab.master, b"+PONG\r\n"),
            (lab.replica, PORT + CAPA),
            (lab.master, b"+OK\r\n+OK\r\n"),
            (lab.replica, ASKS_ALL),
            (lab.master, b"\n\n" + FULL + header + payload),
            (lab.replica, b"\n\n" + ack(500)),
            (lab.master, SET + INCR + SET + MULTI + SET + INCR + EXEC + command("ping") + SET),
            (lab.replica, ack(600) + ack(700)),
        ]
        for say, data in turns:
            say(*pieces(data, {cut for cut in cuts if cut < len(data)}))
        return lab.at_replica, lab.at_master, [_place(event) for event in lab.told], lab.cut

    def _place(event: Event) -> tuple[object, ...]:
        return (event.fault, event.position, event.text, event.phase) if isinstance(event, FaultFired) else ()

    whole, cut = play([]), play(cuts)
    assert cut[0] == whole[0]
    assert cut[3] == whole[3]
    assert sorted(filter(None, cut[2]), key=str) == sorted(filter(None, whole[2]), key=str)
    if whole[3] is None:
        assert cut[1] == whole[1]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_behind_a_cut_no_fault_fires(size: int) -> None:
    """Though more came in the same chunk."""
    lab = Lab("cut at=stream:40b", "drop command=SET times=all name=set", "duplicate command=INCR times=all name=incr")
    resync_partially(lab)
    lab.master(*pieces((SET + INCR) * 5, size))
    lab.faults.close()
    lab.plan.clear()
    assert [fired.fault for fired in lab.fired] == ["set", "cut-1"]
    assert {event.fault: event.fired for event in lab.expired} == {"cut-1": 1, "set": 1, "incr": 0}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "spec", ["drop request=REPLCONF", "rewrite capa=-eof", "stall request=REPLCONF", "answer +OK request=REPLCONF"]
)
def test_behind_a_cut_request_no_fault_fires(spec: str, size: int) -> None:
    lab = Lab("cut request=PING edge=end", f"{spec} times=all name=other")
    lab.replica(*pieces(PING + PORT + CAPA, size))
    lab.faults.close()
    lab.plan.clear()
    assert [fired.fault for fired in lab.fired] == ["cut-1"]
    assert {event.fault: event.fired for event in lab.expired} == {"cut-1": 1, "other": 0}


@pytest.mark.parametrize("spec", ["duplicate command=INCR", "reorder command=INCR"])
def test_an_ack_is_ahead_of_the_master_for_a_reason_where_a_fault_sent_a_command_twice(spec: str) -> None:
    lab = Lab(spec)
    resync_partially(lab)
    lab.master(INCR, SET)
    sent = 1000 + len(INCR + SET)
    assert lab.at_replica.endswith(INCR * 2 + SET) == spec.startswith("duplicate")
    lab.replica(ack(sent + len(INCR)))
    (ahead,) = (event for event in lab.told if isinstance(event, AckAheadOfMaster))
    assert (ahead.offset, ahead.sent, ahead.by_fault) == (sent + len(INCR), sent, spec.startswith("duplicate"))
    assert lab.conversation.offset == (sent if ahead.by_fault else None)
