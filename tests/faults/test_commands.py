"""Commands of the stream that faults wait for: which match, and what waits meanwhile."""

from __future__ import annotations

import pytest

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
