"""Every format of `redis-tap rdb`, read back: every type of value, every odd name."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.console.rdb_report import key_lines
from tap.console.rdbtools_formats import Format, reader_for
from tap.rdb import Handler, JsonLines, Key, KeyReader, Parser, handle
from tap.rdb.crc64 import Crc64
from tests.rdb import make
from tests.rdb.fuzz import Maker
from tests.rdb.reading import as_bytes
from tests.support import FIXTURES, thinned

ODD = [
    b"", b"plain", b"a,b", b'say "hi"', b'"', b"it's", b"new\nline", b"cr\rx", b"crlf\r\n", b"tab\t", b"\xff\xfe\0bin",
    "中文键".encode(), "\N{RIGHT-TO-LEFT OVERRIDE}txt".encode(), b"=cmd()", b" lead", b"trail ", b"back\\slash",
    b"\\", b"\\xFF", b"\xff", b"\\x5CxFF", b"\\x\xff", b"\\\xff", b"123", b"-0", b"007", b"-7", b"1_000",
    b"\x1b[31mred", b"[/red]", "emo😀".encode(), b"\xed\xa0\x80", b"a -> b", b" -> ", b"a . b", b"a { b }", b"k[0]",
    b"k[0]x", b"a ->", b"{m, score=1}", b"stream-items=3", b"module-name=vectorset", b"\0", b"a\\\nb", b"b64",
]  # fmt: skip
REDIS_KINDS = [kind for kind in range(34) if kind not in (6, 8)]
VALKEY_KINDS = [kind for kind in REDIS_KINDS if kind < 23]
EXPIRIES = (None, 4102444800123, 2**62, -1, 0, 1)


@dataclass
class Record:
    """A key with its whole content, as the handler receives it."""

    db: int
    key: bytes
    type: str
    expires: int | None
    value: list[Any] = field(default_factory=list)


class Collector(Handler):
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.functions: list[bytes] = []

    @property
    def value(self) -> list[Any]:
        return self.records[-1].value

    def function(self, code: bytes) -> None:
        self.functions.append(code)

    def begin_key(self, key: Key) -> None:
        self.records.append(Record(key.db, key.key, key.type, key.expires_at_ms))

    def end_key(self, key: Key) -> None:
        self.records[-1].type = "module" if key.module else key.type

    def string(self, value: bytes) -> None:
        self.value.append(value)

    def list_element(self, value: bytes) -> None:
        self.value.append(value)

    def set_member(self, member: bytes) -> None:
        self.value.append(member)

    def zset_member(self, member: bytes, score: float) -> None:
        self.value.append((member, score))

    def hash_field(self, field: bytes, value: bytes, expires_at_ms: int | None) -> None:
        self.value.append((field, value, expires_at_ms))

    def stream_entry(self, entry_id: str, fields: list[tuple[bytes, bytes]]) -> None:
        self.value.append((entry_id, fields))

    def stream_group(self, name: bytes, last_id: str, entries_read: int | None) -> None:
        self.value.append(["group", name, last_id, entries_read, {}, []])

    def stream_pending(self, entry_id: str, delivered_at_ms: int, deliveries: int) -> None:
        self.value[-1][4][entry_id] = (delivered_at_ms, deliveries)

    def stream_consumer(self, name: bytes, seen_at_ms: int, active_at_ms: int | None) -> None:
        self.value[-1][5].append((name, []))

    def stream_owned(self, entry_id: str) -> None:
        self.value[-1][5][-1][1].append(entry_id)

    def array_element(self, index: int, value: bytes) -> None:
        self.value.append((index, value))

    def module_value(self, kind: str, value: int | bytes) -> None:
        self.value.append((kind, value))


def collected(data: bytes) -> Collector:
    collector = Collector()
    handle([data], collector)
    return collector


def written(form: Format, data: bytes) -> bytes:
    out = io.BytesIO()
    reader = reader_for(form, out)
    parser = Parser(reader, values=True)
    parser.feed(data)
    assert parser.close() is None
    reader.close()
    return out.getvalue()


# ---- every format, read ----


def from_redis_cli(text: str) -> bytes:
    """An argument as redis-cli takes it: Redis 7.0 sds.c, sdssplitargs."""
    if not text.startswith('"'):
        assert not re.search(r"""[\s"']""", text)
        return text.encode()
    assert re.fullmatch(r'"([^"\\]|\\.)*"', text), text
    simple = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}
    parts = re.findall(r"\\x([0-9a-f]{2})|\\(.)|([^\\])", text[1:-1])
    return b"".join(
        bytes.fromhex(code) if code else simple.get(escape, escape.encode()) if escape else plain.encode()
        for code, escape, plain in parts
    )


def keys_back(data: bytes) -> list[tuple[int, bytes]]:
    found: list[Key] = []
    Parser(KeyReader(found.extend)).feed(data)
    text = key_lines(found)
    assert "\x1b" not in text
    lines = [line.split(None, 6) for line in text.split("\n")[:-1]]
    return [(int(line[0]), from_redis_cli(line[6])) for line in lines]


def jsonl_back(data: bytes) -> list[tuple[int, bytes]]:
    out = bytearray()
    reader = JsonLines(out.extend)
    Parser(reader, values=True).feed(data)
    reader.close()
    lines = [json.loads(line) for line in out.splitlines()]
    return [(line["db"], as_bytes(line["key"])) for line in lines]


def memory_back(data: bytes) -> list[tuple[int, bytes, str]]:
    text = written("memory", data).decode("latin-1")
    heading, *rows = csv.reader(io.StringIO(text, newline=""))
    assert len(heading) == 8
    assert all(len(row) == 8 and int(row[3]) > 0 for row in rows)
    return [(int(row[0]), row[2].encode("latin-1"), row[1]) for row in rows]


def bytes_of(text: str) -> bytes:
    """The bytes in rdbtools' JSON: UTF-8, and other bytes as backslash, x and two digits."""
    parts = re.split(r"\\x([0-9A-F]{2})", text)
    return b"".join(bytes.fromhex(part) if k % 2 else part.encode() for k, part in enumerate(parts))


def json_back(data: bytes) -> list[tuple[bytes, Any]]:
    found = json.loads(written("json", data), object_pairs_hook=list)
    return [(bytes_of(key), value) for database in found for key, value in database]


def json_value(record: Record, value: Any) -> list[Any]:
    """A value of the JSON, as the handler receives it."""
    kind = record.type
    if kind in ("string", "gcra"):
        return [bytes_of(value)]
    if kind in ("list", "set"):
        return [bytes_of(item) for item in value]
    pairs = [(bytes_of(name), bytes_of(item)) for name, item in value]
    return [(name, float(score)) for name, score in pairs] if kind == "zset" else pairs


def in_json(record: Record) -> list[Any]:
    """The part of a record that the JSON can hold."""
    if record.type == "hash":
        return [(name, item) for name, item, _ in record.value]
    if record.type == "array":
        return [(b"%d" % index, item) for index, item in record.value]
    if record.type == "gcra":
        return [b"%d" % number for _, number in record.value]
    return [] if record.type in ("stream", "module") else record.value


DIFF = re.compile(rb"db=(\d+) (.*?)(?: -> | \. | \{ )", re.DOTALL)


def unescaped(text: bytes) -> bytes:
    return re.sub(rb"\\x([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), text)


def diff_back(data: bytes) -> list[tuple[int, bytes, str, Any]]:
    """db, key, the type that the line gives, and the value that it gives."""
    found: list[tuple[int, bytes, str, Any]] = []
    for line in written("diff", data).split(b"\r\n")[:-1]:
        assert all(0x20 <= c < 0x7F for c in line)
        head = DIFF.match(line)
        assert head is not None, line
        db, key, separator, rest = int(head[1]), head[2], line[head.end(2) : head.end()], line[head.end() :]
        place = re.search(rb"\[(\d+)\]\Z", key)
        score = re.fullmatch(rb"\{(.*), score=([^,]+)\}", rest, re.DOTALL)
        if separator == b" . ":
            name, _, item = rest.partition(b" -> ")
            found.append((db, unescaped(key), "pair", (unescaped(name), unescaped(item))))
        elif separator == b" { ":
            assert rest.endswith(b" }")
            found.append((db, unescaped(key), "set", unescaped(rest[:-2])))
        elif place:
            found.append((db, unescaped(key[: place.start()]), "list", (int(place[1]), unescaped(rest))))
        elif score:
            found.append((db, unescaped(key), "zset", (unescaped(score[1]), float(score[2]))))
        elif rest.startswith((b"stream-items=", b"module-name=")):
            found.append((db, unescaped(key), rest[:6].decode(), None))
        else:
            found.append((db, unescaped(key), "string", unescaped(rest)))
    return found


def in_diff(record: Record) -> Iterator[tuple[int, bytes, str, Any]]:
    kind, values = record.type, in_json(record)
    if kind in ("stream", "module"):
        yield record.db, record.key, kind, None
    for place, value in enumerate(values):
        told = (place, value) if kind == "list" else value
        yield record.db, record.key, {"hash": "pair", "array": "pair", "gcra": "string"}.get(kind, kind), told


def commands_back(data: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(written("protocol", data))
    found = list(iter(reader.gets, False))
    assert not reader.has_data()
    return found


def protocol_back(data: bytes) -> list[Record]:
    """The data of a server after these commands, each key as far as commands name it."""
    records: list[Record] = []
    db = -1
    for name, *words in commands_back(data):
        if name == b"SELECT":
            db = int(words[0])
            continue
        if name == b"FUNCTION":
            continue
        key = words[1] if name == b"XGROUP" else words[0]
        if not records or (records[-1].db, records[-1].key) != (db, key):
            records.append(Record(db, key, MADE_BY[name], None))
        DO[name](records[-1], *words)
    return records


MADE_BY = {
    b"SET": "string", b"RPUSH": "list", b"SADD": "set", b"ZADD": "zset", b"HSET": "hash", b"XADD": "stream",
    b"RESTORE": "module", b"ARSET": "array", b"GCRASETVALUE": "gcra",
}  # fmt: skip


def _expires(record: Record, key: bytes, at: bytes) -> None:
    record.expires = int(at) * 1000


def _expires_ms(record: Record, key: bytes, at: bytes) -> None:
    record.expires = int(at)


def _field_expires(record: Record, key: bytes, at: bytes, *fields: bytes) -> None:
    name, value, none = record.value.pop()
    assert (none, fields) == (None, (b"FIELDS", b"1", name))
    record.value.append((name, value, int(at)))


def _entry(record: Record, key: bytes, entry_id: bytes, *fields: bytes) -> None:
    if entry_id != b"MAXLEN":  # it only creates an empty stream
        record.value.append((entry_id.decode(), list(zip(fields[::2], fields[1::2], strict=True))))


def _group(record: Record, word: bytes, key: bytes, group: bytes, *words: bytes) -> None:
    if word == b"CREATECONSUMER":
        record.value[-1][5].append((*words, []))
    else:
        record.value.append(["group", group, words[0].decode(), int(words[2]) if len(words) > 1 else None, {}, []])


def _claim(record: Record, key: bytes, group: bytes, consumer: bytes, *words: bytes) -> None:
    _, entry, time, at, retry, count, *_ = words
    assert (time, retry, record.value[-1][1]) == (b"TIME", b"RETRYCOUNT", group)
    record.value[-1][4][entry.decode()] = int(at), int(count)
    assert record.value[-1][5][-1][0] == consumer
    record.value[-1][5][-1][1].append(entry.decode())


def _nack(record: Record, key: bytes, group: bytes, *words: bytes) -> None:
    record.value[-1][4][words[3].decode()] = None, int(words[5])


def _restore(record: Record, key: bytes, ttl: bytes, payload: bytes, replace: bytes) -> None:
    crc = Crc64()
    crc.feed(payload[:-8])
    assert crc.value == int.from_bytes(payload[-8:], "little")
    assert (payload[0], payload[-10:-8]) == (7, b"\x09\0")
    record.value = collected(make.rdb(9, make.key(7, make.string(b"k"), payload[1:-10]))).records[0].value


DO: dict[bytes, Callable[..., None]] = {
    b"EXPIREAT": _expires,
    b"PEXPIREAT": _expires_ms,
    b"HPEXPIREAT": _field_expires,
    b"XADD": _entry,
    b"XSETID": lambda record, *words: None,
    b"XGROUP": _group,
    b"XCLAIM": _claim,
    b"XNACK": _nack,
    b"RESTORE": _restore,
    b"SET": lambda record, key, value: record.value.append(value),
    b"RPUSH": lambda record, key, value: record.value.append(value),
    b"SADD": lambda record, key, value: record.value.append(value),
    b"HSET": lambda record, key, name, value: record.value.append((name, value, None)),
    b"ZADD": lambda record, key, score, member: record.value.append((member, float(score))),
    b"ARSET": lambda record, key, index, value: record.value.append((int(index), value)),
    b"ARSEEK": lambda record, key, index: None,
    b"GCRASETVALUE": lambda record, key, value: record.value.append(("u", int(value))),
}


def in_protocol(record: Record) -> Record | None:
    """What commands make of a record. An empty collection does not exist in a server."""
    if not record.value and record.type not in ("stream", "module"):
        return None
    value = record.value
    if record.type == "stream":
        value = [entry for entry in value if entry[0] != "group" and entry[1]]  # XADD needs at least one field
        for _, name, last_id, read, pending, consumers in (one for one in record.value if one[0] == "group"):
            consumers = [(consumer, [entry for entry in entries if entry in pending]) for consumer, entries in consumers]
            owned = {entry for _, entries in consumers for entry in entries}
            left = {entry: at if entry in owned else (None, at[1]) for entry, at in pending.items()}
            value.append(["group", name, last_id, read, left, consumers])
    return Record(record.db, record.key, record.type, record.expires, value)


def check(data: bytes) -> None:
    """All formats give the same content of this RDB, to the byte."""
    truth = collected(data)
    names = [(one.db, one.key) for one in truth.records]
    assert keys_back(data) == names
    assert jsonl_back(data) == names
    kinds = {"zset": "sortedset"}
    assert memory_back(data) == [(one.db, one.key, kinds.get(one.type, one.type)) for one in truth.records]
    told = json_back(data)
    assert [key for key, _ in told] == [one.key for one in truth.records]
    for record, (_, value) in zip(truth.records, told, strict=True):
        assert json_value(record, value) == in_json(record), record
    assert diff_back(data) == [line for record in truth.records for line in in_diff(record)]
    assert protocol_back(data) == [made for made in map(in_protocol, truth.records) if made is not None]
    codes = [words[2] for name, *words in commands_back(data) if name == b"FUNCTION"]
    assert codes == truth.functions


# ---- RDBs made here ----


def an_rdb(seed: int, valkey: bool) -> bytes:
    """Every type of value once, with odd names, in two dbs."""
    rng = random.Random(seed)
    maker = Maker(rng)
    names = [maker.name() for _ in range(3)], [maker.name() for _ in range(5)]
    records = [] if valkey else [make.template(1, names[0]), make.template(300, names[1])]
    records.append(b"\xf5" + make.string(b"#!lua name=lib\n" + rng.choice(ODD)))
    kinds = VALKEY_KINDS if valkey else REDIS_KINDS
    rng.shuffle(kinds)
    for number, kind in enumerate(kinds):
        if number % 20 == 0:
            records.append(b"\xfe" + make.length(number // 20))
        expires = rng.choice(EXPIRIES)
        if expires is not None:
            records.append(b"\xfc" + expires.to_bytes(8, "little", signed=True))
        # The key and its place: a name may occur twice.
        name = rng.choice(ODD) if number % 2 else b"%d" % number + rng.choice(ODD)
        records.append(make.key(kind, make.string(name), value_of(maker, kind, valkey)))
    return make.rdb(80 if valkey else 15, *records)


def value_of(maker: Maker, kind: int, valkey: bool) -> bytes:
    """A value of odd strings."""
    rng = maker.rng
    some = [rng.choice(ODD) for _ in range(2 * rng.randrange(1, 5))]
    plain = b"".join(make.string(one) for one in some)
    count, half = make.length(len(some)), make.length(len(some) // 2)
    if rng.random() < 0.4:
        return maker.value(kind, valkey)
    forms: dict[int, Callable[[], bytes]] = {
        0: lambda: make.string(some[0]),
        1: lambda: count + plain,
        2: lambda: count + plain,
        4: lambda: half + plain,
        5: lambda: count + b"".join(make.string(one) + struct.pack("<d", rng.uniform(-9, 9)) for one in some),
        9: lambda: make.string(make.zipmap(list(zip(some[::2], some[1::2], strict=True)))),
        10: lambda: make.string(make.ziplist(some)),
        13: lambda: make.string(make.ziplist(some)),
        16: lambda: make.string(make.listpack(some)),
        20: lambda: make.string(make.listpack(some)),
        28: lambda: make.array([(2**64 - 20 + k, 0, make.string(one)) for k, one in enumerate(some)], insert=7),
    }
    return forms[kind]() if kind in forms else maker.value(kind, valkey)


@given(st.integers(0, 2**32), st.booleans())
@settings(deadline=None, max_examples=15)
def test_every_format_gives_the_same_of_every_type(seed: int, valkey: bool) -> None:
    check(an_rdb(seed, valkey))


def test_two_names_never_look_alike() -> None:
    for form in ("keys", "json", "diff", "memory", "jsonl"):
        seen: dict[Any, bytes] = {}
        for name in ODD:
            data = make.rdb(9, make.key(0, make.string(name), make.string(b"v")))
            text = name_alone(form, data)
            assert text not in seen, (form, name, seen[text])
            seen[text] = name


def name_alone(form: str, data: bytes) -> Any:
    if form == "keys":
        found: list[Key] = []
        Parser(KeyReader(found.extend)).feed(data)
        return key_lines(found).split(None, 6)[6]
    if form == "jsonl":
        out = bytearray()
        reader = JsonLines(out.extend)
        Parser(reader, values=True).feed(data)
        reader.close()
        return re.search(rb'"key":(.*),"type"', out)[1]  # type: ignore[index]
    return written(form, data)  # type: ignore[arg-type]


# ---- files ----


def is_sound(path: Path) -> bool:
    if path.stem.startswith("corrupt-"):  # some of them only to a server
        return False
    parser = Parser(lambda tape: None, values=True)
    parser.feed(path.read_bytes())
    return parser.close() is None


SOUND = [path for path in sorted((FIXTURES / "rdb").glob("*.rdb")) if is_sound(path)]


@pytest.mark.parametrize("path", thinned(SOUND, 15), ids=lambda path: path.stem)
def test_every_format_gives_the_same_of_a_file(path: Path) -> None:
    check(path.read_bytes())


def test_an_array_may_hold_a_number() -> None:
    """Redis 8.8: ARSET a 0 1.5."""
    data = (FIXTURES / "rdb/found-array-float.rdb").read_bytes()
    assert commands_back(data) == [[b"SELECT", b"0"], [b"ARSET", b"a", b"0", b"1.5"]]
    assert written("memory", data).splitlines()[1].startswith(b"0,array,a,")
    assert written("diff", data) == b"db=0 a . 0 -> 1.5\r\n"
    assert json.loads(written("json", data)) == [{"a": {"0": "1.5"}}]


def test_the_index_of_the_last_insert_into_an_array_is_kept() -> None:
    array = make.array([(2**64 - 3, 0, make.string(b"x"))], insert=2**64 - 3)
    data = make.rdb(14, make.key(28, make.string(b"a"), array))
    index = b"%d" % (2**64 - 3)
    assert commands_back(data)[1:] == [[b"ARSET", b"a", index, b"x"], [b"ARSEEK", b"a", b"%d" % (2**64 - 2)]]


def test_a_truncated_module_value_is_not_restored() -> None:
    parts = [make.length(5) + make.string(b"part")] * 3
    data = make.rdb(9, make.key(7, make.string(b"m"), make.length(2**62) + make.module_parts(*parts)))
    out = io.BytesIO()
    reader = reader_for("protocol", out)
    Parser(reader, values=True).feed(data[:-20])
    reader.close()
    assert b"RESTORE" not in out.getvalue()


def test_a_key_before_any_selectdb_is_in_db_0() -> None:
    data = make.rdb(9, make.key(0, make.string(b"k"), make.string(b"v")))
    assert json.loads(written("json", data)) == [{"k": "v"}]
    assert commands_back(data) == [[b"SELECT", b"0"], [b"SET", b"k", b"v"]]
