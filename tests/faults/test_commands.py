"""Commands of the stream that faults wait for: which match, and what waits meanwhile."""

from __future__ import annotations

import pytest

from tap.faults import commands
from tap.replication.keyspecs import NOT_THE_FIRST
from tests.faults.lab import EXEC, INCR, MULTI, SET, Lab, command, pieces, resync_partially


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
def test_matching_commands_are_changed_and_no_others(spec: str, expected: bytes, size: int) -> None:
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


def test_commands_that_do_not_match_are_not_held_back() -> None:
    """Only the head of a command waits, and not a byte longer than necessary."""
    for key, is_held in ((b"user:", True), (b"users", False), (b"use", True), (b"v", False)):
        lab = Lab("drop command=SET key='user:*'")
        begin = resync_partially(lab)
        head = b"*3\r\n$3\r\nSET\r\n$6\r\n" + key
        lab.master(*pieces(head, 5))
        assert lab.at_replica[begin:] == (b"" if is_held else head)
    lab.master(b"isit:" + b"\r\n$1000000\r\n")
    assert lab.at_replica[begin:] == head + b"isit:" + b"\r\n$1000000\r\n"


# ---- a stream that can no longer be understood, and a link that ends ----

BEGUN = b"*3\r\n$3\r\nSET\r\n$6\r\nuser:1\r\n"  # of SET
BROKEN = BEGUN + b"nonsense"
UNREAD = "left SET alone: its end cannot be found in a stream that is no longer understood"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("spec", "passed", "said"),
    [
        ("drop command=SET", b"nonsense", [("dropped SET", len(BEGUN))]),
        ("drop key='user:*'", b"nonsense", [("dropped SET user:1", len(BEGUN))]),
        ("duplicate command=SET", BROKEN, [(UNREAD, 0)]),
        ("reorder command=SET", BROKEN, [(UNREAD, 0)]),
        ("cut command=SET", BROKEN, []),
        ("stall command=SET", BROKEN, []),
        ("corrupt command=SET edge=end", BROKEN, []),
    ],
)
def test_a_command_whose_end_is_not_understood_is_given_up(
    spec: str, passed: bytes, said: list[tuple[str, int]], size: int
) -> None:
    lab = Lab(spec)
    begin = resync_partially(lab)
    lab.master(*pieces(BROKEN + SET, size))
    assert lab.at_replica[begin:] == passed + SET
    assert [(fired.text, fired.bytes) for fired in lab.fired] == said
    assert (lab.plan.armed[0].fired, lab.plan.armed[0].at_work) == (len(said), 0)
    assert not lab.faults._commands.is_busy


def test_a_command_that_waits_for_the_next_goes_out_before_what_is_not_understood() -> None:
    for size in (1, 7, 1000):
        lab = Lab("reorder command=SET")
        begin = resync_partially(lab)
        lab.master(*pieces(SET + b"*1\r\n$4\r\nnonsense", size))
        assert lab.at_replica[begin:] == b"*1\r\n$4\r\nnons" + SET + b"ense"
        assert [fired.text for fired in lab.fired] == ["sent SET after the next command"]


def test_a_command_that_acted_already_counts_although_its_end_is_not_understood() -> None:
    lab = Lab("corrupt command=SET mask=0x01", "stall command=GET edge=start for=1s")
    begin = resync_partially(lab)
    lab.master(BROKEN)
    assert lab.at_replica[begin:] == BROKEN.replace(b"user", b"tser")
    assert [armed.fired for armed in lab.plan.armed] == [1, 0]


@pytest.mark.parametrize("spec", ["duplicate command=SET", "drop command=SET", "cut command=SET"])
def test_a_command_that_is_not_whole_when_the_link_ends_does_not_count(spec: str) -> None:
    lab = Lab(spec)
    resync_partially(lab)
    lab.master(BEGUN)
    assert lab.plan.armed[0].fired == 1
    lab.faults.close()
    assert (lab.fired, lab.plan.armed[0].fired, lab.plan.armed[0].at_work) == ([], 0, 0)


def test_a_command_after_a_cut_in_the_same_read_is_not_lost() -> None:
    lab = Lab("cut at=stream:5b", "reorder command=INCR")
    resync_partially(lab)
    lab.master(SET + INCR)
    lab.faults.close()
    assert [fired.text for fired in lab.fired] == ["cut with FIN"]


# ---- how much of a command waits ----


@pytest.mark.parametrize(("size", "is_dropped"), [(47, True), (48, True), (49, False), (60, False)])
def test_a_name_longer_than_any_command_does_not_match(size: int, is_dropped: bool) -> None:
    """Of a name that is longer than a spec may name, and shorter than the head that waits."""
    named = command("x" * size, "a", "b")
    for pace in (1, 1000):
        lab = Lab("drop key=a")
        begin = resync_partially(lab)
        lab.master(*pieces(named + SET, pace))
        assert lab.at_replica[begin:] == (SET if is_dropped else named + SET)


def test_a_key_that_comes_too_late_does_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    late = command("EVAL", "return 1", "1", "near")
    upto = len(late) - len(b"$4\r\nnear\r\n")
    for most, is_held in ((upto, False), (upto + 1, True)):
        monkeypatch.setattr(commands, "MAX_HELD", most)
        lab = Lab("drop key=near")
        begin = resync_partially(lab)
        lab.master(late[:upto])
        assert (lab.at_replica[begin:] == b"") == is_held
        lab.master(late[upto:] + SET)
        assert lab.at_replica[begin:] == (SET if is_held else late + SET)


@pytest.mark.parametrize("edge", ["", "edge=inside"])
def test_the_first_argument_is_found_however_long_it_is(edge: str) -> None:
    for size in (0, 1, 10, 10_000_000):
        lab = Lab(f"corrupt command=SET mask=0x80 {edge}")
        begin = resync_partially(lab)
        head = b"*2\r\n$3\r\nSET\r\n$%d\r\n" % size
        for upto in range(len(head)):
            assert lab.at_replica[begin:] == b""
            lab.master(head[upto : upto + 1])
        lab.master(b"a" if size else b"\r")
        assert lab.at_replica[begin:] == head + (b"\xe1" if size else b"\x8d")


# ---- what the scanner is asked for ----


@pytest.mark.parametrize(
    ("specs", "names", "keyed", "prefix"),
    [
        ([], set(), set(), b""),
        (["cut", "drop acks"], set(), set(), b""),
        (["drop command=SET"], {b"SET"}, set(), b""),
        (["drop pings", "drop command=SET"], {b"PING", b"SET"}, set(), b""),
        (["drop command=SET key='user:*'"], set(), {b"SET"}, b"user:"),
        (["drop command=SET key='user:1'", "drop command=GET key='user:2*'"], set(), {b"SET", b"GET"}, b"user:"),
        (["drop command=SET key='user:*'", "drop command=SET"], {b"SET"}, set(), b"user:"),
        (["drop command=SET key='*'"], {b"SET"}, set(), b""),
        (["drop command=EVAL key='user:*'"], {b"EVAL"}, set(), b"user:"),
        (["drop key='user:*'", "drop command=SET"], {*NOT_THE_FIRST, b"SET"}, None, b"user:"),
        (["drop key='*'", "drop command=SET"], None, set(), b""),
        (["drop key='user:*'", "drop key='order:*'"], None, set(), b""),
    ],
)
def test_only_commands_that_may_match_are_looked_for(
    specs: list[str], names: set[bytes] | None, keyed: set[bytes] | None, prefix: bytes
) -> None:
    assert commands._wanted(Lab(*specs).faults.works) == (names, keyed, prefix)
    assert Lab(*specs).faults._commands._is_watching == (names is None or keyed is None or names | keyed != set())
