"""Faults that are added and removed while bytes are in flight."""

from __future__ import annotations

import pytest

from tap.replication.events import Event, FaultExpired, Side
from tests.faults.lab import REPLID, Lab, asks, command, pieces, resync_partially

SETS = [command("SET", f"key:{number}", "value") for number in range(10)]


@pytest.mark.parametrize(
    "spec", ["drop command=SET key=none", "drop key=none", "duplicate command=SET", "drop command=SE"]
)
@pytest.mark.parametrize("at", range(1, len(SETS[0])))
def test_bytes_that_wait_for_a_fault_continue_when_it_is_removed(spec: str, at: int) -> None:
    lab = Lab()
    resync_partially(lab)
    armed = lab.plan.add(spec)
    before = len(lab.at_replica)
    lab.master(SETS[0][:at])
    lab.plan.remove(armed.name)
    passed = lab.at_replica[before:]
    assert passed == (SETS[0][:at] if "duplicate" not in spec else passed)
    lab.master(SETS[0][at:] + SETS[1])
    lab.master(SETS[2])
    assert lab.at_replica[before:].replace(SETS[0] * 2, SETS[0]) == b"".join(SETS[:3])
    assert lab.faults.is_idle


@pytest.mark.parametrize("at", range(1, len(SETS[0])))
def test_a_command_that_an_earlier_fault_saw_begin_does_not_belong_to_a_later_one(at: int) -> None:
    """Also if the link had no fault in between."""
    lab = Lab()
    resync_partially(lab)
    before = len(lab.at_replica)
    armed = lab.plan.add("drop command=SET nth=9")
    lab.master(SETS[0][:at])
    lab.plan.remove(armed.name)
    lab.master(SETS[0][at:])
    lab.again()
    lab.plan.add("drop command=SET nth=2 times=all")
    lab.master(*SETS[1:])
    assert lab.at_replica[before:] == b"".join([SETS[0], *SETS[1::2]])


def test_a_request_that_waits_continues_when_no_fault_wants_it_any_more() -> None:
    lab = Lab()
    armed = lab.plan.add("drop acks")
    lab.replica(command("PING")[:7])
    assert lab.at_master == b""
    lab.plan.remove(armed.name)
    assert lab.at_master == command("PING")[:7]


@pytest.mark.parametrize("edge", ["byte", "command", "transaction"])
def test_an_offset_that_has_passed_does_not_come_again(edge: str) -> None:
    lab = Lab()
    resync_partially(lab, 1000)
    lab.master(*SETS)
    lab.plan.add(f"cut at=offset:1020 edge={edge}")
    lab.master(*SETS)
    assert lab.cut is None


@pytest.mark.parametrize("edge", ["byte", "command", "transaction"])
def test_an_offset_at_the_current_byte_has_not_passed_yet(edge: str) -> None:
    """+0: at once, if that is an edge."""
    lab = Lab()
    start = resync_partially(lab, 1000)
    lab.master(SETS[0])
    lab.plan.add(f"cut at=offset:+0 edge={edge}")
    lab.master(SETS[1])
    assert lab.cut is not None
    assert lab.at_replica[start:] == SETS[0]


def test_after_a_failing_fault_everything_passes() -> None:
    lab = Lab("drop command=SET times=all", "corrupt at=stream:1kb bytes=100")
    start = resync_partially(lab)
    lab.master(*pieces(SETS[0], 12)[:2])
    lab.faults.give_up(lab.now)
    before = len(lab.at_replica)
    lab.master(*[command("ECHO", "x" * 100)] * 20)
    assert lab.at_replica[before:] == command("ECHO", "x" * 100) * 20
    assert lab.faults.is_idle
    assert before >= start
    assert not lab.is_held(Side.MASTER)


@pytest.mark.parametrize("count", [0, 1, 20, 256, 300])
def test_one_of_many_watched_commands_is_found(count: int) -> None:
    lab = Lab(*(f"drop command=NAME-{number}" for number in range(count)), "drop command=SET")
    resync_partially(lab)
    before = len(lab.at_replica)
    lab.master(SETS[0] + SETS[1] + command("NAME-400", "x") + command(f"NAME-{count - 1}", "x") + SETS[2])
    passed = command("NAME-400", "x") + (b"" if count else command("NAME--1", "x"))
    assert lab.at_replica[before:] == passed


BIG = command("SET", "key", "v" * 1000)


@pytest.mark.parametrize("spec", ["stall command=SET for=1s", "cut command=SET", "corrupt command=SET edge=end"])
def test_a_fault_is_not_over_before_the_command_it_waits_for(spec: str) -> None:
    lab = Lab(spec)
    resync_partially(lab)
    lab.master(BIG[:100])
    lab.wait(1)
    assert lab.expired == []
    lab.master(BIG[100:])
    assert len(lab.fired) == 1
    lab.wait(2)
    assert [event.fired for event in lab.expired] == ([] if lab.cut else [1])
    assert not lab.is_held(Side.MASTER)


@pytest.mark.parametrize("spec", ["stall command=SET", "cut command=SET", "corrupt command=SET edge=end"])
def test_a_fault_removed_within_the_command_it_waits_for_does_nothing(spec: str) -> None:
    lab = Lab(spec)
    start = resync_partially(lab)
    lab.master(BIG[:100])
    lab.plan.clear()
    lab.master(BIG[100:], *SETS)
    assert lab.at_replica[start:] == BIG + b"".join(SETS)
    assert lab.fired == []
    assert lab.cut is None
    assert lab.faults.is_idle


@pytest.mark.parametrize("spec", ["drop command=SET times=1", "duplicate command=SET", "reorder command=SET"])
def test_a_command_is_dropped_or_duplicated_as_a_whole(spec: str) -> None:
    """However long it takes to come, and although no fault wants it any more."""
    lab = Lab(spec)
    start = resync_partially(lab)
    lab.master(BIG[:100])
    lab.wait(1)
    assert lab.expired == []
    lab.plan.clear()
    lab.master(BIG[100:], SETS[0])
    came = {"drop": SETS[0], "duplicate": BIG * 2 + SETS[0], "reorder": SETS[0] + BIG}
    assert lab.at_replica[start:] == came[spec.split()[0]]
    assert len(lab.fired) == 1


@pytest.mark.parametrize("spec", ["drop 1kb at=stream:10b times=1", "corrupt at=stream:10b bytes=1024 mask=0x01"])
def test_an_effect_on_many_bytes_ends_with_its_fault_and_not_before(spec: str) -> None:
    lab = Lab(spec)
    start = resync_partially(lab)
    lab.master(bytes(500))
    lab.wait(1)
    assert lab.expired == []
    lab.plan.clear()
    lab.master(bytes(500))
    changed = b"" if "drop" in spec else b"\x01" * 490
    assert lab.at_replica[start:] == bytes(10) + changed + bytes(500)
    assert lab.faults.is_idle
    lab = Lab(spec)
    resync_partially(lab)
    lab.master(bytes(2000))
    lab.wait(1)
    assert len(lab.expired) == 1


def test_a_link_that_ends_within_a_command_leaves_its_fault_to_the_next_one() -> None:
    lab = Lab("cut command=SET times=1 name=x")
    resync_partially(lab)
    lab.master(BIG[:100])
    lab.faults.close()
    lab.wait(1)
    assert lab.expired == []
    lab.connect()
    resync_partially(lab)
    lab.master(BIG)
    assert lab.cut is not None
    lab.faults.close()
    lab.plan.tick(lab.now)
    assert [event.fired for event in lab.expired] == [1]


# ---- whether, and on which connections ----


@pytest.mark.parametrize("spec", ["delay 1ms probability=0.5", "throttle 1kb/s probability=0.5 during=handshake"])
def test_chance_for_a_lasting_effect_is_drawn_once_per_connection(spec: str) -> None:
    fired = []
    for seed in range(100):
        lab = Lab(spec, seed=seed)
        lab.wait(3)
        fired.append(len(lab.fired))
    assert set(fired) == {0, 1}
    assert 30 < sum(fired) < 70


def test_a_fault_for_the_main_connection_does_not_affect_the_rdb_channel() -> None:
    main, other = Lab("delay 1s channel=main"), Lab("delay 1s channel=main", "truncate 500b channel=main")
    for lab, options in ((main, ("capa", "eof")), (other, ("rdb-channel", "1", "main-ch-client-id", "7"))):
        lab.replica(command("PING"))
        lab.master(b"+PONG\r\n")
        lab.replica(command("REPLCONF", *options))
        lab.master(b"+OK\r\n")
        lab.replica(command("PSYNC", "?", "-1"))
        lab.wait(0.2)
    assert [fired.fault for fired in main.fired] == ["delay-1"]
    other.master(b"+FULLRESYNC " + REPLID.encode() + b" 500\r\n$1000\r\n" + bytes(1000))
    assert other.fired == []
    assert len(other.at_replica) > 1000


def test_a_length_that_has_passed_does_not_come_again() -> None:
    lab = Lab()
    start = resync_partially(lab)
    lab.master(*SETS)
    lab.plan.add("truncate 100b")
    lab.master(*SETS)
    assert lab.at_replica[start:] == b"".join(SETS) * 2
    assert lab.cut is None


def test_a_stall_during_a_stall_has_not_fired_again() -> None:
    lab = Lab("stall every=1s for=2500ms name=x")
    lab.wait(5.9)
    lab.plan.remove("x")
    assert len(lab.fired) == 2
    assert [event.fired for event in lab.expired] == [2]
    lab = Lab("stall command=SET times=all for=1s name=x")
    resync_partially(lab)
    lab.master(b"".join(SETS))
    lab.plan.remove("x")
    assert len(lab.fired) == 1
    assert [event.fired for event in lab.expired] == [1]


def test_an_observer_of_the_end_of_a_fault_may_end_the_others() -> None:
    lab = Lab()

    def hear(event: Event) -> None:
        lab.told.append(event)
        if isinstance(event, FaultExpired):
            lab.plan.clear()

    lab.plan._tell = hear
    for _ in range(3):
        lab.plan.add("delay 1ms for=1s")
    lab.wait(2)
    assert sorted(event.fault for event in lab.expired) == ["delay-1", "delay-2", "delay-3"]


# ---- peers that talk nonsense, or never stop ----


@pytest.mark.parametrize("spec", ["drop key=a", "drop command=SET key=a", "cut key=a", "reorder key=a"])
@pytest.mark.parametrize(
    "nonsense",
    [
        b"*3\r\n$3\r\nSET\r\nXYZ\r\nabc\r\n",
        b"*3\r\n$3\r\nSET\r\n$-1\r\nabc\r\n",
        b"*3\r\n$3\r\nSET\r\n$\xb2\r\nabc\r\n",
        b"*3\r\n$3\r\nSET\r\n$\r\n\r\n$1\r\na",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_nonsense_instead_of_a_key_passes(spec: str, nonsense: bytes, size: int) -> None:
    lab = Lab(spec)
    start = resync_partially(lab)
    lab.master(*pieces(nonsense + SETS[0], size))
    assert lab.at_replica[start:] == nonsense + SETS[0]


@pytest.mark.parametrize("spec", ["drop command=SET", "drop key=a", "drop pings"])
@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_an_endless_name_is_not_kept(spec: str, size: int) -> None:
    lab = Lab(spec)
    start = resync_partially(lab)
    name = b"x" * 20_000
    lab.master(*pieces(b"*2\r\n$20000\r\n" + name, size))
    assert len(lab.at_replica) - start >= 20_000 - 128
    lab.master(*pieces(b"\r\n$1\r\na\r\n", size), command("PING"))
    assert lab.at_replica[start:].startswith(b"*2\r\n$20000\r\n" + name + b"\r\n$1\r\na\r\n")


@pytest.mark.parametrize("size", [1000, 10**6])
def test_an_endless_reply_is_not_kept(size: int) -> None:
    lab = Lab("drop reply=AUTH")
    lab.replica(command("AUTH", "x"))
    reply = b"$200000\r\n" + b"x" * 200_000
    lab.master(*pieces(reply, size))
    assert lab.at_replica == reply
    lab.master(b"\r\n")
    assert lab.at_replica == reply + b"\r\n"
    assert lab.fired == []


@pytest.mark.parametrize("size", [1, 20, 1000])
def test_a_frame_is_reported_as_it_was_when_it_came(size: int) -> None:
    """Even if more was read before the report, or a key was known that only another fault waited for."""
    lab = Lab("drop keepalives", "drop key=none", "duplicate command=SET")
    lab.replica(asks(1001))
    lab.master(*pieces(b"\n+CONTINUE\r\n" + SETS[0], size))
    assert [(one.text, one.phase, one.offset) for one in lab.fired] == [
        ("dropped a keepalive", "psync", None),
        ("sent SET twice", "stream", 1000),
    ]


def test_a_fault_that_arrives_within_a_key_does_not_let_a_command_through() -> None:
    for cut in range(1, len(SETS[0])):
        lab = Lab("drop key='key*'")
        before = resync_partially(lab)
        lab.master(SETS[0][:cut])
        lab.plan.add("drop command=INCR key='other:much:longer*'")
        lab.master(SETS[0][cut:], command("INCR", "other:much:longer"), command("INCR", "n"))
        assert lab.at_replica[before:] == command("INCR", "n")
