"""The faults on one connection: what they count, draw and hold, and at which byte of a frame or key they act."""

from __future__ import annotations

import pytest

from tap.faults import taken_command
from tap.rdb.parser import Parser
from tap.rdb.summary import Summary
from tap.replication.events import Side
from tests.faults.lab import ASKS_ALL, PING, PORT, REPLID, Lab, command, pieces, resync_partially, shake_hands
from tests.support import FIXTURES

SET = command("SET", "user:1", "ann")
FULL = b"+FULLRESYNC " + REPLID.encode() + b" 500\r\n"
MARK = b"f" * 40
RDB = (FIXTURES / "rdb" / "redis-8.0.2-strings.rdb").read_bytes()


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
