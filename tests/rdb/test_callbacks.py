"""rdbtools' callbacks, driven by our parser: compared with rdbtools' own if that can read, else with the truth."""

from __future__ import annotations

import base64
import copy
import io
import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import hiredis
import pytest

from tap.console.rdbtools import LAST_SECOND, moment, rdbtools
from tap.console.rdbtools_formats import Format, reader_for
from tap.rdb.callbacks import CallbackReader
from tap.rdb.keys import Key, KeyReader
from tap.rdb.parser import Parser
from tests.rdb.reading import enough, for_each, is_enough
from tests.support import FIXTURES

# Of rdbtools' own parser, on Python 3.12 and later.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning:rdbtools")

WHOLE = [path for path in sorted((FIXTURES / "rdb").glob("*.rdb")) if not path.stem.startswith(("corrupt-", "found-"))]
# Where what takes long is done: the same data of every server, in each of the encodings that it has had.
FEW = [
    path
    for path in WHOLE
    if not path.stem.endswith(("-packed-count-unknown", "-big-counts"))
    or path.stem.startswith(("redis-6.2.14-", "redis-8.0.6-", "valkey-9.1.2-"))
]
DIFFERENT = {
    "crafted-v2-zipmap-254": "260 pairs, of which a zipmap's header can count 254; rdbtools takes that for their number",
    "crafted-v9-order-of-opcodes": "rdbtools knows one order of attributes, and nothing between them and their key",
    "crafted-v9-no-selectdb": "rdbtools begins no db, so that its JSON is none",
}
FORMATS: tuple[Format, ...] = ("json", "protocol", "diff", "memory")

COMMANDS = {
    b"SELECT": "start_database", b"SET": "set", b"HSET": "hset", b"SADD": "sadd", b"RPUSH": "rpush", b"ZADD": "zadd",
}  # fmt: skip

Call = tuple[str, Any, Any]


def is_old(path: Path) -> bool:
    head = path.read_bytes()[:9]
    return head[:5] == b"REDIS" and int(head[5:]) <= 9


def named(path: Path) -> str:
    return path.stem


OLD = [path for path in WHOLE if is_old(path)]
SAME = [path for path in OLD if path.stem not in DIFFERENT]
# rdbtools' JSON and diff end with an AssertionError at data that a module saved beside the keys.
WRITTEN = [
    pytest.param(form, path, marks=[] if is_enough(path.stem) else [pytest.mark.slow])
    for form in FORMATS
    for path in SAME
    if form in ("memory", "protocol") or "-module" not in path.stem
]


class Recorder:
    """A callback that records its calls, with the types of numbers: 1, 1.0 and True are not the same."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> None:
            kept = [copy.deepcopy(one) if isinstance(one, list) else one for one in arguments]
            self.calls.append((name, [(type(one), one) for one in kept], {key: copy.copy(named[key]) for key in named}))

        return call


def feed(reader: CallbackReader, data: bytes, step: int = 0) -> None:
    parser = Parser(reader, values=True)
    for begin in range(0, len(data), step or len(data)):
        parser.feed(data[begin : begin + (step or len(data))])
    assert parser.close() is None
    reader.close()


def our_calls(data: bytes, step: int = 0) -> list[Call]:
    recorder = Recorder()
    feed(CallbackReader(recorder, moment), data, step)
    return recorder.calls


def their_calls(path: Path) -> list[Call]:
    recorder = Recorder()
    rdbtools().RdbParser(recorder).parse(str(path))
    return recorder.calls


def written(form: Format, data: bytes, **options: Any) -> bytes:
    random.seed(1)  # rdbtools rolls dice for the levels of a skiplist
    out = io.BytesIO()
    feed(reader_for(form, out, **options), data)
    return out.getvalue()


def written_by_rdb(monkeypatch: pytest.MonkeyPatch, directory: Path, *arguments: str) -> bytes:
    """The output of the command `rdb`, run in this process."""
    rdbtools()
    from rdbtools.cli import rdb

    random.seed(1)
    out = directory / "out"
    monkeypatch.setattr("sys.argv", ["rdb", "-f", str(out), *arguments])
    rdb.main()
    return out.read_bytes()


# ---- as rdbtools ----


@for_each(enough(SAME, named), named)
def test_the_calls_are_those_of_rdbtools_own_parser(path: Path) -> None:
    assert our_calls(path.read_bytes()) == their_calls(path)


@pytest.mark.parametrize(("form", "path"), WRITTEN, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_the_output_is_that_of_rdb(form: Format, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs = written(form, path.read_bytes()), written_by_rdb(monkeypatch, tmp_path, "-c", form, str(path))
    if form == "protocol":
        assert as_rdbtools(ours) == theirs
    elif form == "memory":
        # where a key is quoted, theirs is no CSV
        assert re.sub(rb'(?m)^(\d+,\w+),"((?:[^"]|"")*)",', unquoted, ours) == theirs
    else:
        assert ours == theirs


def unquoted(row: re.Match[bytes]) -> bytes:
    return b"%s,%s," % (row[1], row[2].replace(b'""', b'"'))


def as_rdbtools(protocol: bytes) -> bytes:
    """Without the commands that rdbtools does not write: streams, modules, and their expiries; times in seconds."""
    reader = hiredis.Reader()
    reader.feed(protocol)
    out = []
    other = False
    for name, *words in iter(reader.gets, False):
        if name == b"PEXPIREAT":
            name, words[1] = b"EXPIREAT", b"%d" % min(int(words[1]) // 1000, LAST_SECOND)
        if name != b"EXPIREAT":  # the last command of its key
            other = name in (b"XADD", b"XSETID", b"XGROUP", b"XCLAIM", b"RESTORE")
        if not other:
            out.append(hiredis.pack_command((name, *words)))
    return b"".join(out)


def test_the_memory_of_the_largest_keys_is_that_of_rdb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = FIXTURES / "rdb/redis-6.2.14-mixed.rdb"
    theirs = written_by_rdb(monkeypatch, tmp_path, "-c", "memory", "-l", "3", "-b", "80", str(path))
    assert len(theirs.splitlines()) == 4
    assert written("memory", path.read_bytes(), at_least=80, largest=3) == theirs
    theirs = written_by_rdb(monkeypatch, tmp_path, "-c", "memory", "-b", "150", str(path))
    assert written("memory", path.read_bytes(), at_least=150) == theirs


def test_a_zipmap_of_more_pairs_than_it_can_count_has_its_true_number() -> None:
    data = (FIXTURES / "rdb/crafted-v2-zipmap-254.rdb").read_bytes()
    calls = our_calls(data)
    names = [name for name, _, _ in calls]
    assert calls[names.index("start_hash")][1][1] == (int, 260)
    assert names.count("hset") == 260
    assert len(json.loads(written("json", data))[0]["zm254"]) == 260  # rdbtools forgets commas after the 254th


def test_attributes_belong_to_the_next_key_whatever_comes_between() -> None:
    calls = our_calls((FIXTURES / "rdb/crafted-v9-order-of-opcodes.rdb").read_bytes())
    told = {arguments[0][1]: (arguments[2][1], named["info"]) for name, arguments, named in calls if name == "set"}
    assert told[b"k1"][0] == moment(4102444800000)


def test_strings_and_packed_values_of_any_size_are_whole(tmp_path: Path) -> None:
    long = bytes(range(256)) * 1000
    path = tmp_path / "long.rdb"
    stream = listpack(1, 0, 1, b"f", 0, 2, 0, 0, long, 4)
    value = b"\x01" + string(struct.pack(">QQ", 5, 1)) + string(stream) + b"\x01\x05\x01\x00"
    path.write_bytes(
        b"REDIS0004" + b"\xfa" + string(b"note") + string(long) + b"\xfe\x00"
        b"\x00" + string(b"s") + string(long) + b"\x04" + string(b"h") + b"\x01" + string(long) + string(long[::-1])
        + b"\x0a" + string(b"l") + string(ziplist([long, long[1:]])) + b"\x0f" + string(b"x") + value + b"\xff"
    )  # fmt: skip
    calls = our_calls(path.read_bytes())
    assert calls == their_calls(path)
    assert our_calls(path.read_bytes(), 1000) == calls


def test_a_hash_of_more_fields_than_its_header_can_count_has_its_true_length() -> None:
    pairs = [*range(100000, 180000)]
    data = b"REDIS0004\xfe\x00\x0d" + string(b"h") + string(ziplist(pairs)) + b"\xff"
    calls = our_calls(data)
    assert calls[2][0] == "start_hash"
    assert calls[2][1][1] == (int, 40000)
    assert json.loads(written("json", data)) == [{"h": {str(one): str(one + 1) for one in pairs[::2]}}]


@for_each(enough(FEW, named, every=3), named)
def test_any_split_gives_the_same_calls(path: Path) -> None:
    data = path.read_bytes()
    assert our_calls(data, 7) == our_calls(data)


# ---- beyond rdbtools ----


@for_each(enough([path for path in WHOLE if path.stem != "crafted-v9-no-selectdb"], named), named)
def test_the_json_holds_what_the_server_said(path: Path) -> None:
    """Except of an RDB that names no db: there rdbtools begins no object."""
    found = [pair for database in json.loads(written("json", path.read_bytes())) for pair in database.items()]
    truth = json.loads(path.with_suffix(".json").read_text())
    hidden = truth.get("hidden_keys", [])
    types = [(escaped(key["key"]), key["type"], key["value"]) for key in truth["keys"]]
    expected = [(key, comparable(kind, value)) for key, kind, value in types]
    kinds = {key: kind for key, kind, _ in types}
    seen = [(key, as_said(kinds[key], value)) for key, value in found if key not in hidden and kinds.get(key)]
    if path.stem != "crafted-v9-empty-collections":  # servers load none of them
        assert len(found) - sum(key in hidden for key, _ in found) == len(expected)
    assert sorted(seen, key=repr) == sorted(expected, key=repr)


@for_each(enough(WHOLE, named), named)
def test_every_key_takes_memory(path: Path) -> None:
    class Stream:
        def next_record(self, record: Any) -> None:
            if record.encoding is not None:
                records.append(record)

    records: list[Any] = []
    keys: list[Key] = []
    feed(CallbackReader(rdbtools().MemoryCallback(Stream(), 64), moment), path.read_bytes())
    Parser(KeyReader(keys.extend)).feed(path.read_bytes())
    records = [record for record in records if record.key is not None]  # of a module, beside the keys
    assert all(record.bytes > len(key.key) for record, key in zip(records, keys, strict=True))
    assert [record.expiry is not None for record in records] == [key.expires_at_ms is not None for key in keys]


@for_each(enough(FEW, named, every=3), named)
def test_protocol_and_diff_write_all_elements(path: Path) -> None:
    told = [name for name, *_ in our_calls(path.read_bytes())]
    commands = {name: told.count(call) for name, call in COMMANDS.items()}
    reader = hiredis.Reader()
    reader.feed(written("protocol", path.read_bytes()))
    sent = [command[0] for command in iter(reader.gets, False)]
    assert {name: sent.count(name) for name in COMMANDS} == commands
    lines = written("diff", path.read_bytes()).split(b"\r\n")
    assert sum(line.startswith(b"db=") for line in lines) >= sum(commands.values()) - commands[b"SELECT"]


def test_functions_and_expiring_fields_become_the_nearest_calls() -> None:
    calls = our_calls((FIXTURES / "rdb/crafted-v10-function.rdb").read_bytes())
    fields = [arguments for name, arguments, _ in calls if name == "aux_field"]
    assert any(name == (bytes, b"function") and b"#!lua" in code[1] for name, code in fields)
    calls = our_calls((FIXTURES / "rdb/redis-8.0.6-hash-field-ttl.rdb").read_bytes())
    infos = [named["info"]["encoding"] for name, _, named in calls if name == "start_hash"]
    assert {"listpackex", "hashtable"} <= set(infos)


def test_types_that_no_available_server_writes_are_read() -> None:
    array = b"\x1c" + string(b"a") + b"\x02\x00" + b"\x03\x03" + string(b"x") + b"\x07\x01" + struct.pack("<q", -4)
    gcra = b"\x21" + string(b"g") + b"\x2a"
    template = b"\xf2\x05\x02" + string(b"name") + string(b"age")
    packed = b"\x1e" + string(b"p") + string(listpack(5, b"ann", 7))
    table = b"\x20" + string(b"t") + b"\x05" + string(b"bob") + string(b"8")
    data = b"REDIS0015\xfe\x00" + array + gcra + template + packed + table + b"\xff" + bytes(8)
    assert json.loads(written("json", data)) == [
        {"a": {"3": "x", "7": "-4"}, "g": "42", "p": {"name": "ann", "age": "7"}, "t": {"name": "bob", "age": "8"}}
    ]
    assert len(written("memory", data).splitlines()) == 5


def test_some_keys_can_be_selected() -> None:
    data = (FIXTURES / "rdb/redis-7.0.15-mixed.rdb").read_bytes()
    out = io.BytesIO()
    feed(reader_for("json", out, only=lambda key: key.type == "hash"), data)
    everything = json.loads(written("json", data))
    chosen = [key["key"] for key in truth_keys("redis-7.0.15-mixed") if key["type"] == "hash"]
    assert json.loads(out.getvalue()) == [{key: everything[0][key] for key in chosen}, {}]


@pytest.mark.parametrize("name", ["redis-6.2.14-mixed", "redis-8.0.6-mixed", "redis-7.0.15-streams"])
def test_the_json_of_a_truncated_rdb_is_well_formed(name: str) -> None:
    data = (FIXTURES / f"rdb/{name}.rdb").read_bytes()
    for end in range(len(data)):
        out = io.BytesIO()
        reader = reader_for("json", out)
        Parser(reader, values=True).feed(data[:end])
        reader.close()
        json.loads(out.getvalue())


# ---- the truth, and the RDBs made here ----


def truth_keys(name: str) -> list[Any]:
    found: list[Any] = json.loads((FIXTURES / f"rdb/{name}.json").read_text())["keys"]
    return found


def escaped(value: Any) -> str:
    """A byte string of the truth, as rdbtools escapes it."""
    if isinstance(value, dict):
        data = value["repeat"].encode() * value["count"] if "repeat" in value else base64.b64decode(value["b64"])
    else:
        data = value.encode()
    text: str = rdbtools().encodehelpers.bytes_to_unicode(data, "utf8")
    return text


def comparable(kind: str, value: Any) -> Any:
    """A value of the truth, in the form that rdbtools' JSON can hold."""
    if kind == "string":
        return escaped(value)
    if kind in ("list", "set") and isinstance(value, dict):
        if "rle" in value:
            return [escaped(item) for item, count in value["rle"] for _ in range(count)]
        return sorted(str(number) for number in range(value["int_range"][0], value["int_range"][1] + 1))
    if kind in ("list", "set"):
        items = [escaped(item) for item in value]
        return sorted(items) if kind == "set" else items
    if kind == "zset":
        return {escaped(member): repr(float(score)) for member, score in value}
    if kind == "hash":
        return {escaped(field): escaped(item) for field, item, *_ in value}
    return {}  # streams and modules


def as_said(kind: str, value: Any) -> Any:
    """A value of the JSON, to compare with that."""
    if kind == "set":
        return sorted(value)
    return {member: repr(float(score)) for member, score in value.items()} if kind == "zset" else value


def string(data: bytes) -> bytes:
    return (bytes([len(data)]) if len(data) < 64 else b"\x80" + struct.pack(">I", len(data))) + data


def ziplist(entries: list[Any]) -> bytes:
    body = b""
    parts = []
    before = 0
    tail = 10
    for entry in entries:
        tail += before
        head = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        if isinstance(entry, int):
            part = head + b"\xf0" + entry.to_bytes(3, "little", signed=True)
        else:
            part = head + b"\x80" + struct.pack(">I", len(entry)) + entry
        before = len(part)
        parts.append(part)
    body = b"".join(parts)
    return struct.pack("<IIH", 11 + len(body), tail, min(len(entries), 65535)) + body + b"\xff"


def listpack(*entries: int | bytes) -> bytes:
    """A listpack of small integers, and of short and very long strings."""
    parts = []
    for entry in entries:
        if isinstance(entry, int):
            parts.append(bytes([entry, 1]))
        elif len(entry) < 64:
            parts.append(bytes([0x80 | len(entry)]) + entry + bytes([len(entry) + 1]))
        else:
            size = len(entry) + 5
            parts.append(b"\xf0" + struct.pack("<I", len(entry)) + entry)
            parts.append(bytes([size >> 14, size >> 7 & 127 | 128, size & 127 | 128]))
    body = b"".join(parts)
    return struct.pack("<IH", 7 + len(body), len(entries)) + body + b"\xff"
