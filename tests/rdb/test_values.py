"""Each type of value in each of its forms: what TYPE and OBJECT ENCODING would return, and its content."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.rdb import make
from tests.rdb.reading import json_lines, keys
from tests.rdb.story import read

S = make.string


def score(number: float) -> bytes:
    return struct.pack("<d", number)


def text_score(text: bytes) -> bytes:
    return bytes([len(text)]) + text


NODE = make.node([b"f"], [[b"1"], [b"2"]])
PAIR = make.listpack([b"a", b"b"])

HELD = [
    ("string", "int", 1, 0, S(b"123"), "123"),
    ("string", "embstr", 1, 0, S(b"x" * 44), "x" * 44),
    ("string", "raw", 1, 0, S(b"x" * 45), "x" * 45),
    ("list", "linkedlist", 2, 1, make.length(2) + S(b"a") + S(b"b"), ["a", "b"]),
    ("list", "ziplist", 2, 10, S(make.ziplist([b"a", b"b"])), ["a", "b"]),
    ("list", "quicklist", 3, 14, make.length(2) + S(make.ziplist([b"a"])) + S(make.ziplist([b"b", 7])), ["a", "b", "7"]),
    ("list", "quicklist", 3, 18, make.length(2) + make.length(1) + S(b"a") + make.length(2) + S(PAIR), ["a", "a", "b"]),
    ("set", "hashtable", 1, 2, make.length(1) + S(b"a"), ["a"]),
    ("set", "intset", 2, 11, S(make.intset([3, -3], 2)), ["-3", "3"]),
    ("set", "listpack", 2, 20, S(PAIR), ["a", "b"]),
    ("zset", "skiplist", 1, 3, make.length(1) + S(b"a") + text_score(b"1.5"), [["a", "1.5"]]),
    ("zset", "skiplist", 1, 3, make.length(1) + S(b"a") + b"\xfe", [["a", "inf"]]),
    ("zset", "skiplist", 1, 3, make.length(1) + S(b"a") + b"\xff", [["a", "-inf"]]),
    ("zset", "skiplist", 1, 5, make.length(1) + S(b"a") + score(2.5), [["a", "2.5"]]),
    ("zset", "ziplist", 1, 12, S(make.ziplist([b"a", b"1.5"])), [["a", "1.5"]]),
    ("zset", "listpack", 1, 17, S(make.listpack([b"a", 3])), [["a", "3.0"]]),
    ("hash", "hashtable", 1, 4, make.length(1) + S(b"a") + S(b"b"), [["a", "b", None]]),
    ("hash", "zipmap", 1, 9, S(make.zipmap([(b"a", b"b")])), [["a", "b", None]]),
    ("hash", "ziplist", 1, 13, S(make.ziplist([b"a", b"b"])), [["a", "b", None]]),
    ("hash", "listpack", 1, 16, S(PAIR), [["a", "b", None]]),
    (
        "hash", "hashtable", 2, 24,
        (1000).to_bytes(8, "little") + make.length(2)
        + make.length(6) + S(b"a") + S(b"b") + make.length(0) + S(b"c") + S(b"d"),
        [["a", "b", 1005], ["c", "d", None]],
    ),
    (
        "hash", "listpackex", 2, 25,
        (1000).to_bytes(8, "little") + S(make.listpack([b"a", b"b", 1005, b"c", b"d", 0])),
        [["a", "b", 1005], ["c", "d", None]],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "encoding", "elements", "kind", "value", "holds"), HELD)
def test_a_value_is_recognized_in_each_form(
    type_name: str, encoding: str, elements: int, kind: int, value: bytes, holds: Any
) -> None:
    data = make.rdb(12, make.key(kind, S(b"k"), value))
    for step in (0, 1):
        [line] = json_lines(data, step)
        assert line["value"] == holds
        [key] = keys(data, step)
        assert (key.type, key.encoding, key.elements, key.rdb_type) == (type_name, encoding, elements, kind)
        assert key.serialized_bytes == 3 + len(value) == line["serialized_bytes"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_stream_of_each_version_has_its_entries_and_groups(version: int) -> None:
    group = make.group(version, S(b"g"), 2, [(S(b"c"), 1)])
    data = make.rdb(12, make.key({1: 15, 2: 19, 3: 21}[version], S(b"s"), make.stream(version, [S(NODE)], [group])))
    [line] = json_lines(data)
    assert line["value"]["entries"] == [["1-1", [["f", "1"]]], ["2-0", [["f", "2"]]]]
    [told] = line["value"]["groups"]
    assert told["name"] == "g"
    assert [one["id"] for one in told["pel"]] == ["1-0", "1-1"]
    assert [one["consumer"] for one in told["pel"]] == ["c", None]
    assert [(one["name"], one["pel"]) for one in told["consumers"]] == [("c", ["1-0"])]


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (5, make.length(1) + S(b"a") + score(float("nan")), "a score that is not a number (NaN)"),
        (3, make.length(1) + S(b"a") + b"\xfd", "a score that is not a number (NaN)"),
        (3, make.length(1) + S(b"a") + text_score(b"1,5"), "a score that is not a number: b'1,5'"),
        (18, make.length(1) + make.length(3) + S(b"a"), "a list node of kind 3"),
        (15, make.length(1) + S(b"short") + S(NODE), "a stream's node with an ID of 5 bytes"),
        (7, make.length(1) + make.length(9), "module data of kind 9"),
    ],
)
def test_values_that_no_server_would_load_are_refused(kind: int, value: bytes, why: str) -> None:
    data = make.rdb(12, make.key(kind, S(b"k"), value))
    problem = read(data).problem
    assert problem is not None
    assert (problem.kind, problem.text, problem.key) == ("damaged", why, b"k")
    assert read(data, [1] * len(data)).problem == problem == read(data, values=False).problem
