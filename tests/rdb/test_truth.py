"""The content of each fixture, as the server that wrote it answered."""

from __future__ import annotations

import base64
import json
from typing import Any

from tap.rdb.json_parts import encoded
from tap.rdb.jsonl import JsonLines
from tap.rdb.keys import KeyReader
from tap.rdb.parser import Parser
from tap.rdb.summary import Summary
from tap.rdb.tape import Tape
from tap.rdb.tokens import FUNCTION, ITEM, PIECE, SIZES
from tests.rdb.reading import (
    Fixture,
    Record,
    enough,
    expanded,
    fed,
    fixtures,
    for_each,
    in_order,
    json_bytes,
    json_lines,
    keys,
)

STEPS = (0, 1000, 7, 1)
# The forms in the file; the truth of a crafted one has those of the server that loaded it.
CRAFTED_FORMS: dict[str, list[tuple[str, int, str]]] = {
    "v1-expire-seconds": [("s", 0, "embstr"), ("i", 0, "int"), ("l", 1, "linkedlist")],
    "v2-zipmap": [("zm", 9, "zipmap"), ("zmlong", 9, "zipmap")],
    "v2-zipmap-254": [("zm254", 9, "zipmap")],
    "v3-expire-ms": [("s", 0, "embstr")],
    "v4-plain-types": [
        ("list", 1, "linkedlist"),
        ("set", 2, "hashtable"),
        ("zset", 3, "skiplist"),
        ("hash", 4, "hashtable"),
    ],
    "v6-ziplists": [("list", 10, "ziplist"), ("zset", 12, "ziplist"), ("hash", 13, "ziplist"), ("intset", 11, "intset")],
    "v7-quicklist1": [("ql", 14, "quicklist")],
    "v8-zset2": [("z", 5, "skiplist")],
    "v9-empty-collections": [
        ("l", 1, "linkedlist"),
        ("s", 2, "hashtable"),
        ("z", 5, "skiplist"),
        ("h", 4, "hashtable"),
        ("q", 14, "quicklist"),
        ("q1", 14, "quicklist"),
        ("lz", 10, "ziplist"),
        ("hz", 13, "ziplist"),
        ("zz", 12, "ziplist"),
        ("k", 0, "embstr"),
    ],
    "v9-lua-aux": [("k", 0, "embstr")],
    "v9-no-selectdb": [("k", 0, "embstr")],
    "v9-noncanonical-lengths": [("k", 0, "embstr"), ("k2", 0, "int"), ("7", 0, "int")],
    "v9-order-of-opcodes": [("k1", 0, "embstr"), ("k2", 0, "embstr"), ("k3", 0, "embstr")],
    "v9-stream1": [("x", 15, "stream")],
    "v9-zero-checksum": [("k", 0, "embstr")],
    "v10-function": [("k", 0, "embstr")],
    "v10-quicklist2": [("q", 18, "quicklist")],
    "v10-stream2": [("x", 19, "stream")],
    "v11-set-listpack": [("s", 20, "listpack"), ("h", 16, "listpack")],
    "v11-stream3": [("x", 21, "stream")],
    "v12-hash-metadata": [("h", 24, "hashtable"), ("hl", 25, "listpackex")],
    "v12-hash-metadata-prega": [("h", 22, "hashtable"), ("hl", 23, "listpackex")],
    "v12-slot-info": [("k", 0, "embstr")],
    "v80-hash2": [("h", 22, "hashtable")],
}
# What a server makes up when it loads a stream of an older version.
MADE_UP = {
    "v9-stream1": ("first_id", "max_deleted_id", "entries_added", "entries_read", "active_time_ms"),
    "v10-stream2": ("active_time_ms",),
}


def by_name(records: list[Record]) -> dict[tuple[int, str], Record]:
    """By db and key, of which there is only one each."""
    found = {(record["db"], json.dumps(record["key"])): record for record in records}
    assert len(found) == len(records)
    return found


def true_keys(fixture: Fixture) -> dict[tuple[int, str], Record]:
    return by_name([{**key, "key": expanded(key["key"])} for key in fixture.truth["keys"]])


def without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [without(item, names) for item in value]
    if isinstance(value, dict):
        return {name: without(item, names) for name, item in value.items() if name not in names}
    return value


def items_of_module(value: list[list[Any]]) -> list[list[Any]]:
    """What rdbt_module.c wrote, from any module's value: a count, then a kind's letter before each item.

    Servers write signed numbers as unsigned ones.
    """
    count: Any
    count, *rest = value
    assert count == ["u", len(rest) // 2]
    items = []
    for (kind, code), (written, item) in zip(rest[::2], rest[1::2], strict=True):
        assert kind == "u"
        letter = chr(code)
        assert written == ("u" if letter == "i" else letter)
        items.append([letter, item - 2**64 if letter == "i" and item >= 2**63 else item])
    return items


@for_each(enough(fixtures("server") + fixtures("crafted")))
def test_an_rdb_in_pieces_holds_what_the_whole_holds(fixture: Fixture) -> None:
    whole = json_bytes(fixture.data)
    for step in STEPS[1:]:
        assert json_bytes(fixture.data, step) == whole


@for_each(enough(fixtures("server")))
def test_a_servers_rdb_holds_what_the_server_answered(fixture: Fixture) -> None:
    truth = true_keys(fixture)
    found = by_name(json_lines(fixture.data))
    # Keys of slots that are being imported are in the RDB, and hidden from clients.
    hidden = {name for name in found if json.loads(name[1]) in fixture.truth.get("hidden_keys", ())}
    assert len(hidden) == len(fixture.truth.get("hidden_keys", ()))
    assert found.keys() - hidden == truth.keys()
    for name, key in truth.items():
        record = found[name]
        assert record["type"] == key["type"], name
        assert record["rdb_type"] == key["rdb_type"], name
        assert record["expires_at_ms"] == key["expire_at_ms"], name
        assert record.get("freq") == key.get("freq"), name
        # Seconds passed between saving and asking.
        assert ("idle_s" in record) == ("idle_s" in key), name
        assert abs(record.get("idle_s", 0) - key.get("idle_s", 0)) <= 1, name
        if key["key"] == "appended":
            # Digits that were appended to are held as text; the RDB has an integer, as of any other digits.
            assert (record["encoding"], key["encoding"]) == ("int", "raw")
        else:
            assert record["encoding"] == key["encoding"], name
        if key["type"] == "vectorset":  # what it holds is for its module to tell
            assert record["value"]
            continue
        value: Any = items_of_module(record["value"]) if key["type"] == "rdbt-item" else record["value"]
        assert in_order(key["type"], value) == in_order(key["type"], expanded(key["value"])), name
        if key["type"] in ("string", "rdbt-item"):
            assert record["elements"] == 1
        else:
            assert record["elements"] == len(value["entries"] if key["type"] == "stream" else value), name


@for_each(fixtures("crafted"))
def test_a_crafted_rdb_holds_what_servers_loaded_from_it(fixture: Fixture) -> None:
    scenario = fixture.truth["scenario"]
    truth = true_keys(fixture)
    records = json_lines(fixture.data)
    forms = [(record["key"], record["rdb_type"], record["encoding"]) for record in records]
    assert forms == CRAFTED_FORMS[scenario]
    if scenario == "v9-empty-collections":  # servers leave them out, a reader of RDBs does not
        empty, records = records[:-1], records[-1:]
        assert all(record["elements"] == 0 and record["value"] == [] for record in empty)
    found = by_name(records)
    assert found.keys() == truth.keys()
    made_up = MADE_UP.get(scenario, ())
    for name, key in truth.items():
        record = found[name]
        assert record["type"] == key["type"], name
        assert record["expires_at_ms"] == key["expire_at_ms"], name
        value = in_order(key["type"], expanded(key["value"]))
        assert in_order(key["type"], record["value"]) == without(value, made_up), name


@for_each(enough(fixtures("server") + fixtures("crafted")))
def test_both_depths_report_the_same_about_a_key(fixture: Fixture) -> None:
    records = [{name: record[name] for name in record if name != "value"} for record in json_lines(fixture.data)]
    for step in (0, 7):
        assert [
            {
                "db": key.db,
                "key": json.loads(encoded(key.key)),
                "type": key.type,
                "encoding": key.encoding,
                "rdb_type": key.rdb_type,
                "serialized_bytes": key.serialized_bytes,
                "elements": key.elements,
                "expires_at_ms": key.expires_at_ms,
                **({} if key.freq is None else {"freq": key.freq}),
                **({} if key.idle_s is None else {"idle_s": key.idle_s}),
            }
            for key in keys(fixture.data, step)
        ] == records


@for_each(enough(fixtures("server")))
def test_a_records_own_bytes_report_the_same(fixture: Fixture) -> None:
    """Its position and size cover everything that belongs to it, and nothing else."""
    # encodings depend on the version, which the fields at the beginning tell
    found = keys(fixture.data)
    records = json_lines(fixture.data)
    end = 0
    head = fixture.data[: found[0].position] if found else b""
    for key, record in zip(found, records, strict=True):
        assert key.position >= end
        end = key.position + key.serialized_bytes
        [alone] = json_lines(head + fixture.data[key.position : end] + b"\xff" + bytes(8))
        assert {**alone, "db": key.db} == record
    assert end <= len(fixture.data) - 9


class Libraries:
    """A reader of the tape that collects the functions' code."""

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self._is_one = False

    def __call__(self, tape: Tape) -> None:
        at = 0
        numbers = list(tape.numbers[: tape.count])
        while at < len(numbers):
            token = numbers[at]
            if token == FUNCTION:
                self.found.append(b"")
                self._is_one = True
            elif token in (ITEM, PIECE) and self._is_one:
                self.found[-1] += tape.text(numbers[at + 1], numbers[at + 2])
                self._is_one = token == PIECE
            at += 1 + SIZES[token]


@for_each(enough(fixtures("server") + fixtures("crafted")))
def test_functions_are_found(fixture: Fixture) -> None:
    codes = [function["code"] for function in fixture.truth["functions"]]
    for step in STEPS:
        libraries = Libraries()
        assert fed(Parser(libraries), fixture.data, step) is None
        assert sorted(libraries.found) == sorted(base64.b64decode(code["b64"]) for code in codes)
    summary = Summary()
    assert fed(Parser(summary), fixture.data) is None
    assert summary.functions == len(codes)


@for_each(enough(fixtures("server") + fixtures("crafted")))
def test_the_first_line_and_the_checksum_are_reported(fixture: Fixture) -> None:
    truth = fixture.truth["rdb"]
    parser = Parser(Summary())
    assert parser.feed(fixture.data) == len(fixture.data)
    assert parser.finished
    assert (parser.version, parser.valkey) == (truth["version"], truth["magic"].startswith("VALKEY"))
    assert parser.checksum == {"crc64": "ok", "none": "disabled", "absent": "absent"}[truth["checksum"]]
    assert parser.keys == len(keys(fixture.data))


@for_each(fixtures("corrupt"))
def test_a_damaged_rdb_is_refused_where_servers_refuse_it(fixture: Fixture) -> None:
    verdict = fixture.truth["parser"]
    problems = set()
    for values in (False, True):
        for step in STEPS:
            parser = Parser(JsonLines(bytes), values=True) if values else Parser(KeyReader(lambda _: None))
            problems.add(fed(parser, fixture.data, step))
    # the same at both depths, and for any split
    [problem] = problems
    if verdict != "either":  # damage that not all servers look for
        assert (problem is None) == (verdict == "accept"), problem
    if problem is not None:
        assert 0 <= problem.position <= len(fixture.data)


@for_each(enough([fixture for fixture in fixtures("server") if fixture.raw]))
def test_the_rdb_of_a_full_resynchronisation_ends_where_the_stream_begins(fixture: Fixture) -> None:
    truth = fixture.truth["fullsync"]
    header, _, rest = fixture.raw.partition(b"\r\n")
    assert header == b"+FULLRESYNC %s %d" % (truth["replid"].encode(), truth["offset"])
    announced, _, rest = rest.lstrip(b"\n").partition(b"\r\n")
    assert len(rest) == len(fixture.raw) - truth["rdb_at"]
    is_marked = truth["framing"] == "eof-mark"
    assert announced.startswith(b"$EOF:") == is_marked
    mark = announced.removeprefix(b"$EOF:") if is_marked else b""
    end = truth["stream_at"] - truth["rdb_at"] - len(mark)
    told = json_bytes(fixture.data)
    for step in (len(rest), 1000, 7, 1):
        lines = bytearray()
        reader = JsonLines(lines.extend)
        parser = Parser(reader, values=True, size=None if is_marked else int(announced[1:]))
        taken = 0
        while not parser.finished:
            taken += parser.feed(rest[taken : taken + step])
        assert parser.feed(rest[taken:]) == 0
        reader.close()
        assert parser.close() is None
        assert parser.checksum == "ok"
        assert (taken, parser.position) == (end, end)
        assert lines == told
    assert rest[:end] == fixture.data
    assert rest[end:].startswith(mark + b"*")
