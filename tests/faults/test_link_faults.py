"""The faults on one connection: what they count, draw and hold, and at which byte of a frame or key they act."""

from __future__ import annotations

import pytest

from tap.faults import taken_command
from tap.faults.flow_items import End
from tap.faults.kinds.cut import Cut
from tap.faults.rules import Rules
from tap.faults.shaper import Off
from tap.rdb.parser import Parser
from tap.rdb.summary import Summary
from tap.replication.events import Side
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    FULL,
    MARK,
    NEVER,
    PING,
    PORT,
    RDB,
    SET,
    Lab,
    command,
    full_resync,
    pieces,
    resync_partially,
    shake_hands,
)

# ---- counting ----


def test_a_fault_of_a_phase_counts_each_phase_and_where_it_is_active() -> None:
    lab = Lab("delay 1ms during=handshake")
    (armed,) = lab.plan.armed
    lab.wait(0.2)
    assert (armed.fired, armed.at_work) == (1, 1)
    resync_partially(lab)
    lab.wait(1)
    assert (armed.fired, armed.at_work) == (1, 0)
    lab.connect()
    lab.wait(0.2)
    assert (armed.fired, armed.at_work) == (2, 1)
    lab.faults.close()
    assert (armed.fired, armed.at_work) == (2, 0)


def test_bytes_held_for_a_phase_end_once_however_long_that_takes() -> None:
    """Told again and again that the phase is over, the shaper is not stopped before its bytes have gone out."""
    lab = Lab("delay 2s during=handshake from=master")
    lab.wait(0.2)
    resync_partially(lab)
    lab.master(SET)
    (armed,) = lab.plan.armed
    held = b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n"
    lab.wait(1)
    assert lab.at_replica == b""
    assert armed.at_work == 1
    (shaper,) = lab.faults.lanes[Side.MASTER].flow.shapers
    assert sum(isinstance(item, Off) for _, item, _ in shaper._items) == 1
    lab.wait(1.2)
    assert lab.at_replica == held + SET
    assert armed.at_work == 0
    marks = [item for item in lab.faults.lanes[Side.MASTER].flow.shapers[0].drain() if item]
    assert marks == []


def test_of_several_faults_with_phases_each_follows_its_own_connection() -> None:
    lab = Lab("throttle 1kb/s during=waiting channel=rdb", "delay 1s during=waiting from=master name=held")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL + b"\n")
    assert [fired.fault for fired in lab.fired] == ["held"]
    lab.wait(0.2)
    assert [fired.fault for fired in lab.fired] == ["held"]


def test_a_fault_whose_time_is_over_does_nothing_to_what_it_waited_for() -> None:
    for spec in ("cut at=stream:40b after=0 times=all for=1s", "drop command=SET for=1s", "corrupt command=SET for=1s"):
        lab = Lab(spec)
        start = resync_partially(lab)
        lab.wait(1.1)
        assert len(lab.expired) == 1
        lab.master(SET * 2)
        assert lab.at_replica[start:] == SET * 2
        assert lab.cut is None
        assert lab.faults.is_idle


def test_an_expired_fault_does_nothing_before_the_next_tick() -> None:
    """Its time may end between two ticks."""
    for spec in ("drop command=SET for=1s", "drop acks for=1s"):
        lab = Lab(spec)
        start = resync_partially(lab)
        before = lab.at_master
        lab.now += 1
        lab.master(SET)
        lab.replica(command("REPLCONF", "ACK", "1000"))
        assert lab.at_replica[start:] == SET
        assert lab.at_master[len(before) :] == command("REPLCONF", "ACK", "1000")
        assert lab.fired == []


def test_a_link_is_not_idle_while_a_command_of_a_removed_fault_passes() -> None:
    lab = Lab("drop command=SET name=x")
    start = resync_partially(lab)
    lab.master(SET[:-3])
    lab.plan.remove("x")
    assert not lab.faults.is_idle
    lab.master(SET[-3:] + PING)
    assert lab.at_replica[start:] == PING
    assert lab.faults.is_idle


def test_a_timed_cut_counts_only_what_went_out() -> None:
    lab = Lab("delay 60s from=master")
    begin = resync_partially(lab)
    lab.wait(61)
    lab.master(SET)
    lab.plan.add("cut")
    assert lab.cut is not None
    assert lab.fired[-1].position == begin
    assert lab.fired[-1].offset == 1000
    assert lab.at_replica[begin:] == b""


def test_a_copy_that_has_become_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_command, "MAX_COPIED", 1000)
    lab = Lab("reorder command=SET")
    start = resync_partially(lab)
    big = command("SET", "k", b"v" * 5000)
    lab.master(big[:500])
    assert len(lab.at_replica) == start
    lab.master(big[500:1500])
    (taken,) = lab.faults._commands._taken
    assert taken.copied == b""
    assert lab.at_replica[start:] == big[:1500]
    lab.master(big[1500:])
    assert lab.at_replica[start:] == big
    assert "left SET alone" in lab.fired[0].text


def test_a_copy_that_is_whole_when_it_becomes_too_large_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_command, "MAX_COPIED", 1000)
    lab = Lab("reorder command=SET")
    start = resync_partially(lab)
    big = command("SET", "k", b"v" * 5000)
    lab.master(big, PING)
    assert lab.at_replica[start:] == PING + big


# ---- drawing ----


def test_each_connection_has_its_own_dice_and_the_same_ones_with_the_same_seed() -> None:
    def positions(seed: int) -> list[int]:
        lab = Lab("cut at=stream:1b..100000b times=all", seed=seed)
        for _ in range(6):
            resync_partially(lab)
            lab.master(SET * 4000)
            lab.faults.close()
            lab.connect()
        return [fired.position for fired in lab.fired]

    assert len(set(positions(1))) == 6
    assert positions(1) == positions(1)
    assert not set(positions(1)) & set(positions(2))


# ---- at which byte ----


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_reply_is_cut_in_its_middle(size: int) -> None:
    lab = Lab("cut reply=REPLCONF edge=inside")
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.replica(PORT)
    lab.master(*pieces(b"-ERR unknown\r\n", size))
    assert lab.at_replica == b"+PONG\r\n" + b"-ERR unknown\r\n"[:7]
    assert lab.cut is not None


@pytest.mark.parametrize("size", [64, 10**6])
@pytest.mark.parametrize("disk", [True, False])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_place_after_a_key_is_after_its_last_byte(number: int, disk: bool, size: int) -> None:
    lab = Lab(f"cut at=rdb:key:{number}")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL, b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n")
    start = lab.conversation.from_master
    lab.master(*pieces(RDB if disk else RDB + MARK, size))
    passed = lab.at_replica[start:]
    assert RDB.startswith(passed)
    summary = Summary(1)
    parser = Parser(summary)
    parser.feed(passed + b"\xff" + bytes(8))  # ended there, it is a whole RDB
    assert parser.finished
    assert summary.keys == number


# ---- what the relay asks ----


def test_the_offset_is_that_of_the_bytes_that_went_out() -> None:
    lab = Lab()
    assert lab.faults.offset is None
    full_resync(lab, disk=True)
    assert lab.faults.offset == 500
    lab.replica(command("REPLCONF", "ACK", "500"))
    lab.master(SET)
    assert lab.faults.offset == 500 + len(SET)
    lab.plan.add("drop 5b at=stream:100b")
    lab.master(SET * 2)
    assert lab.faults.offset == 500 + 3 * len(SET)
    lab.plan.add("drop key=user:1")
    lab.master(SET[:20])
    assert lab.faults.offset == 500 + 3 * len(SET)  # the rest waits until its key is known


def test_a_stall_is_not_all_that_holds_bytes() -> None:
    for spec, is_stalled in (("stall for=1s", True), ("delay 1s for=1s", False)):
        for scope in ("", "from=master", "from=replica"):
            lab = Lab()
            resync_partially(lab)
            lab.plan.add(f"{spec} {scope}")
            assert (lab.faults.is_stalled, lab.faults.is_holding) == (is_stalled, is_stalled)
            lab.master(SET)
            lab.replica(command("REPLCONF", "ACK", "1000"))
            assert (lab.faults.is_stalled, lab.faults.is_holding) == (is_stalled, True)
            lab.wait(1.1)
            assert (lab.faults.is_stalled, lab.faults.is_holding) == (False, False)


@pytest.mark.parametrize(
    ("spec", "wants"),
    [
        ("cut at=rdb:key:3", True),
        ("cut at=rdb:50%", True),
        ("cut at=rdb:9b", False),
        ("cut at=rdb", False),
        ("cut", False),
    ],
)
def test_keys_of_an_rdb_are_wanted_for_places_that_count_them(spec: str, wants: bool) -> None:
    lab = Lab("drop acks")
    assert not lab.faults.wants_keys
    lab.plan.add(f"{spec} after=1h")
    assert lab.faults.wants_keys == wants


@pytest.mark.parametrize(
    ("spec", "wakes"),
    [
        ("cut after=3s", 3.0),
        ("cut every=5s", 5.0),
        ("stall at=rdb for=2s", NEVER),
        ("stall for=2s", 2.0),
        ("stall after=1s for=2s", 1.0),
        ("delay 2s", NEVER),
        ("delay 2s for=9s", 9.0),
        ("drop acks", NEVER),
    ],
)
def test_the_next_moment_is_known(spec: str, wakes: float) -> None:
    lab = Lab(spec)
    assert lab.faults.wakes == lab.now + wakes
    lab.plan.add("cut after=8s")
    assert lab.faults.wakes == lab.now + min(wakes, 8.0)


def test_delayed_bytes_wake_and_so_does_the_end_of_the_delay() -> None:
    lab = Lab("delay 2s from=replica for=1500ms")
    lab.replica(PING)
    assert lab.faults.wakes == lab.now + 1.5
    lab.plan.add("delay 1s from=master")
    lab.wait(0.25)
    lab.master(b"+PONG\r\n")
    assert lab.faults.wakes == lab.now + 1.0
    lab.wait(1.25)
    assert (lab.at_replica, lab.at_master) == (b"+PONG\r\n", PING)
    assert lab.faults.wakes == NEVER


def test_a_fault_of_another_link_does_nothing() -> None:
    lab = Lab("cut link=other", "drop acks link=other", "cut at=stream:10b link=main")
    assert [work.armed.name for work in lab.faults.works] == ["cut-2"]
    begin = resync_partially(lab)
    lab.master(SET)
    assert lab.at_replica[begin:] == SET[:10]


def test_bytes_that_no_fault_touches_are_left_to_the_relay() -> None:
    for spec, is_left in (("drop command=NOPE", True), ("cut request=SYNC", True), ("delay 1s", False)):
        lab = Lab(spec)
        lab.conversation.receive_from_replica(memoryview(PING), lab.now)
        assert lab.faults.receive(Side.REPLICA, memoryview(PING), lab.now) == is_left
        lab.conversation.receive_from_master(memoryview(b"+PONG\r\n"), lab.now)
        assert lab.faults.receive(Side.MASTER, memoryview(b"+PONG\r\n"), lab.now) == is_left
        assert lab.faults.lanes[Side.REPLICA].flow.take(lab.now) is None


# ---- giving up ----

WAITING = (
    "cut at=rdb:50%", "cut at=stream:5b", "stall at=rdb:10b for=9s", "delay 9s during=handshake", "drop acks",
    "answer -NO reply=PSYNC", "truncate at=rdb:20b", "corrupt command=SET", "reorder command=SET", "drop keepalives",
    "rewrite capa=-eof", "throttle 1kb/s", "cut after=1s",
)  # fmt: skip


@pytest.mark.parametrize("disk", [True, False])
def test_after_giving_up_no_fault_is_left_in_any_phase(disk: bool) -> None:
    lab = Lab(*WAITING, rules=Rules(["psync2"]))
    lab.replica(PING[:5])
    lab.faults.give_up(lab.now)
    lab.replica(PING[5:])
    lab.master(b"+PONG\r\n")
    full_resync(lab, disk)
    lab.replica(b"\n" + command("REPLCONF", "ACK", "500"))
    lab.master(SET + SET)
    lab.wait(2)
    answers = b"+PONG\r\n" + b"+PONG\r\n+OK\r\n+OK\r\n"
    header = b"$%d\r\n" % len(RDB) + RDB if disk else b"$EOF:" + MARK + b"\r\n" + RDB + MARK
    assert lab.at_replica == answers + FULL + header + SET + SET
    assert lab.at_master == PING * 2 + PORT + CAPA + ASKS_ALL + b"\n" + command("REPLCONF", "ACK", "500")
    assert lab.faults.is_idle
    assert lab.cut is None
    assert lab.conversation.watcher is None
    assert [armed.at_work for armed in lab.plan.armed] == [0] * len(WAITING)


def test_giving_up_ends_what_is_being_done() -> None:
    lab = Lab("throttle 1kb/s from=master", "stall command=SET for=9s", "drop 99b at=stream:40b", "drop command=INCR")
    full_resync(lab, disk=False)
    lab.replica(command("REPLCONF", "ACK", "500"))
    lab.master(SET + SET + command("INCR", "n")[:20])
    assert [armed.at_work for armed in lab.plan.armed] == [1, 1, 1, 1]
    lab.faults.give_up(lab.now)
    lab._take()
    assert lab.at_replica.endswith(RDB + MARK + SET + SET[:6])
    assert [armed.at_work for armed in lab.plan.armed] == [0, 0, 0, 0]
    lab.master(PING)
    assert lab.at_replica.endswith(SET + SET[:6] + PING)
    lab.faults.close()
    assert [armed.fired for armed in lab.plan.armed] == [1, 1, 1, 0]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_bytes_that_a_fault_failed_on_all_pass_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    lab = Lab("cut at=stream:12b", "drop 3b at=stream:4b", "cut request=PING")
    monkeypatch.setattr(Cut, "act", fail)
    for side, data in ((Side.REPLICA, PORT + PING + PORT), (Side.MASTER, b"+OK\r\n+PONG\r\n+OK\r\n")):
        feed(lab, side, pieces(data, size))
    assert (lab.at_master, lab.at_replica) == (PORT + PING + PORT, b"+OK\r\n+PONG\r\n+OK\r\n")
    lab.again()
    begin = resync_partially(lab)
    feed(lab, Side.MASTER, pieces(SET + SET, size))
    assert lab.at_replica[begin:] == SET[:4] + SET[7:] + SET
    assert lab.fired[-1].text == "dropped 3 bytes"


def feed(lab: Lab, side: Side, data: list[bytes]) -> None:
    """As the relay does: an exception of a fault gives the faults up, and nothing is lost."""
    for piece in data:
        if side is Side.MASTER:
            lab.conversation.receive_from_master(memoryview(piece), lab.now)
        else:
            lab.conversation.receive_from_replica(memoryview(piece), lab.now)
        try:
            if lab.faults.receive(side, memoryview(piece), lab.now):
                lab.out[side].append((lab.now, piece))
        except RuntimeError:
            lab.faults.give_up(lab.now)
            lab.faults.catch_up(side, memoryview(piece), lab.now)
        lab._take()


# ---- the end ----


@pytest.mark.parametrize("goes", ["fault", "link"])
def test_firings_that_are_combined_are_reported_when_the_fault_or_the_link_goes(goes: str) -> None:
    lab = Lab("drop command=SET name=x", "drop acks")
    resync_partially(lab)
    lab.master(SET * 30)
    assert sum(fired.count for fired in lab.fired) == 10
    if goes == "fault":
        lab.plan.remove("x")
    else:
        lab.faults.close()
    assert sum(fired.count for fired in lab.fired) == 30
    assert sum(fired.bytes for fired in lab.fired) == 30 * len(SET)


def test_a_fault_on_a_frame_that_never_passed_has_not_fired() -> None:
    lab = Lab("cut request=PING", "drop request=REPLCONF times=1")
    lab.replica(PING + PORT)
    assert [armed.fired for armed in lab.plan.armed] == [1, 1]
    lab.faults.close()
    lab.faults.close()
    assert [armed.fired for armed in lab.plan.armed] == [1, 0]


@pytest.mark.parametrize("how", [End.FIN, End.RESET])
@pytest.mark.parametrize("side", [Side.MASTER, Side.REPLICA])
def test_the_end_of_a_peer_comes_after_the_bytes_that_waited(side: Side, how: End) -> None:
    lab = Lab("drop command=SET key=no", "drop acks", f"delay 1s from={side.value}")
    resync_partially(lab)
    lab.wait(1.1)
    before = len(lab.out[side])
    held = SET[:20] if side is Side.MASTER else command("REPLCONF", "ACK", "1000")[:20]
    (lab.master if side is Side.MASTER else lab.replica)(held)
    lab.wait(0.5)
    lab.faults.ended(side, how, lab.now)
    lab.wait(2)
    assert [item for _, item in lab.out[side][before:]] == [held, how]
