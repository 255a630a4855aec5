"""A comparison in lines and in JSON."""

from __future__ import annotations

import json

import pytest

from tap.console.diff_report import json_line, json_summary, line, summary
from tap.operate.comparison.comparison import Compared, ComparedSide
from tap.operate.comparison.difference import Difference, Entry, How
from tap.rdb.tokens import HASH, MODULE_VALUE, NONE, SET, STREAM_VALUE, STRING


def entry(kind: int = STRING, *, expiry: int = NONE, elements: int = 1, more: int = 0) -> Entry:
    return Entry(kind, expiry, more, elements, b"")


DIFFERENCES: list[tuple[Difference, str]] = [
    (Difference(0, b"k", "only_in_a", entry(), None), "db0 k: only in A (string)"),
    (Difference(15, b"k", "only_in_b", None, entry(SET, elements=2)), "db15 k: only in B (set of 2 members)"),
    (Difference(0, b"k", "type", entry(), entry(HASH)), "db0 k: type differs (string in A, hash in B)"),
    (Difference(0, b"k", "value", entry(), entry()), "db0 k: value differs (string)"),
    (
        Difference(0, b"k", "value", entry(HASH, elements=119), entry(HASH, elements=120), 3),
        "db0 k: value differs (hash, 3 of 120 fields)",
    ),
    (
        Difference(0, b"k", "value", entry(HASH, elements=119), entry(HASH, elements=120)),
        "db0 k: value differs (hash, 119 fields in A, 120 in B)",
    ),
    (Difference(0, b"k", "value", entry(SET), entry(SET)), "db0 k: value differs (set of 1 member)"),
    (
        Difference(0, b"k", "value", entry(STREAM_VALUE), entry(STREAM_VALUE)),
        "db0 k: value differs (stream of 1 entry, which may be equal: last ID, groups or pending entries)",
    ),
    (
        Difference(0, b"k", "expiry", entry(expiry=1700000000123), entry()),
        "db0 k: expiry differs (2023-11-14T22:13:20.123Z in A, none in B)",
    ),
    (
        Difference(0, b"k", "value", entry(), entry(expiry=2**60), expiry_differs=True),
        f"db0 k: value differs (string); expiry differs (none in A, {2**60} ms in B)",
    ),
    (
        Difference(0, b"k", "not_comparable", entry(MODULE_VALUE, more=2**40), entry(MODULE_VALUE, more=2**40)),
        "db0 k: not comparable (AAABAAAAA, saved in another version of its encoding)",
    ),
    (Difference(-1, b"lib", "only_in_b", None, entry(9)), "function library lib: only in B (function)"),
    (Difference(0, b"\x1b[31m\xff\n", "value", entry(), entry()), r"db0 \x1b[31m\xff\n: value differs (string)"),
]


@pytest.mark.parametrize(("difference", "text"), DIFFERENCES)
def test_a_difference_is_one_line(difference: Difference, text: str) -> None:
    assert line(difference) == text


@pytest.mark.parametrize("difference", [one for one, _ in DIFFERENCES])
def test_a_difference_is_one_object(difference: Difference) -> None:
    said = json.loads(json_line(difference))
    assert list(said) == ["db", "key", "how", "expiry_differs", "elements_differing", "a", "b"]
    assert said["how"] == difference.how
    assert (said["a"] is None, said["b"] is None) == (difference.a is None, difference.b is None)


def done(
    by_how: dict[How, int], *, vanished: int = 0, expired: int = 0, close: int = 0, lacking: tuple[str, ...] = ()
) -> Compared:
    differing = sum(number for how, number in by_how.items() if how != "not_comparable")
    return Compared(
        a=ComparedSide("dump.rdb", 1), b=ComparedSide("10.0.0.5:6379", 2), differing=differing, by_how=by_how,
        vanished=vanished, expired=expired, close_expiries=close, lacking=lacking,
    )  # fmt: skip


SIDES = "A dump.rdb (1 key), B 10.0.0.5:6379 (2 keys)"


def test_the_result_is_in_the_last_lines() -> None:
    assert summary(done({}), 0, 1.5) == [f"equal: {SIDES} (1.5 s)"]
    assert summary(done({}, lacking=("x",)), 0, 1.5) == [f"no difference as far as can be compared: {SIDES} (1.5 s)"]
    assert summary(done({"only_in_a": 1, "value": 3}), 2, 1.5) == [
        "... 2 more, see --limit",
        f"not equal: 4 keys differ (1 only in A, 3 in value): {SIDES} (1.5 s)",
    ]
    assert summary(done({}, vanished=1, expired=2), 0, 1.5) == [
        f"equal: {SIDES}",
        "1 key differed between the snapshots, but not when read again",
        "2 keys had expired and were on one side only: not counted (1.5 s)",
    ]


def test_expiries_that_differ_a_little_come_with_the_option_that_lets_them() -> None:
    assert summary(done({"expiry": 2}, close=2), 2, 1.5)[1:] == [
        "2 expiries differ by a second or less, as those of a replica of Redis 6.2 do: see --expiry-within 1s (1.5 s)"
    ]


def test_the_result_is_the_last_object() -> None:
    said = json.loads(json_summary(done({"value": 3}, lacking=("x",)), 2))["summary"]
    assert (said["equal"], said["differing"], said["shown"], said["by_how"]) == (False, 3, 2, {"value": 3})
    assert said["a"] == {"name": "dump.rdb", "keys": 1}
    assert said["lacking"] == ["x"]
