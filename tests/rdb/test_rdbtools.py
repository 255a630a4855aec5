"""Keys, values and expiries of RDBs up to version 9, as rdbtools, another parser, reads them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tap.console.rdbtools import rdbtools as load
from tests.rdb.reading import Fixture, Record, as_bytes, fixtures, json_lines

rdbtools = load()

# Of rdbtools' own parser, on Python 3.12 and later.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning:rdbtools")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 221925052800000  # ms; where rdbtools cuts expiries off: what follows is no date for it

# By fixture and key, what rdbtools reports; the fixtures' own truth, which test_truth.py compares with, differs.
WRONG: dict[tuple[str, bytes], Record] = {
    # In Python 3 it leaves scores that are text as text.
    ("crafted-v4-plain-types", b"zset"): {
        "value": [
            (b"a", b"1"),
            (b"b", b"-2.5"),
            (b"c", float("inf")),
            (b"d", float("-inf")),
            (b"e", b"1.0000000000000001e+300"),
        ]
    },
    # It cuts expiries off at the year 9002.
    ("redis-6.2.14-expires", b"farfuture"): {"expires_at_ms": LAST + 993},
}


def as_text(value: Any) -> bytes:
    """The text of a value that rdbtools takes for an integer."""
    return value if isinstance(value, bytes) else b"%d" % value


class Collected(rdbtools.RdbCallback):  # type: ignore[misc, name-defined]
    """The calls of rdbtools, as records."""

    def __init__(self) -> None:
        super().__init__(None)
        self.found: dict[tuple[int, bytes], Record] = {}
        self._db = 0
        self._items: list[Any] = []

    def start_database(self, db_number: int) -> None:
        self._db = db_number

    def _begin(self, kind: str, key: Any, expiry: datetime | None, info: Record) -> None:
        at = None if expiry is None else (expiry.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
        self._items = []
        record = {"type": kind, "expires_at_ms": at, "value": self._items, "freq": info["freq"], "idle_s": info["idle"]}
        assert (self._db, as_text(key)) not in self.found
        self.found[self._db, as_text(key)] = record

    def set(self, key: Any, value: Any, expiry: datetime | None, info: Record) -> None:
        self._begin("string", key, expiry, info)
        self._items.append(as_text(value))

    def start_hash(self, key: Any, length: int, expiry: datetime | None, info: Record) -> None:
        self._begin("hash", key, expiry, info)

    def hset(self, key: Any, field: Any, value: Any) -> None:
        self._items.append((as_text(field), as_text(value)))

    def start_set(self, key: Any, cardinality: int, expiry: datetime | None, info: Record) -> None:
        self._begin("set", key, expiry, info)

    def sadd(self, key: Any, member: Any) -> None:
        self._items.append(as_text(member))

    def start_list(self, key: Any, expiry: datetime | None, info: Record) -> None:
        self._begin("list", key, expiry, info)

    def rpush(self, key: Any, value: Any) -> None:
        self._items.append(as_text(value))

    def start_sorted_set(self, key: Any, length: int, expiry: datetime | None, info: Record) -> None:
        self._begin("zset", key, expiry, info)

    def zadd(self, key: Any, score: Any, member: Any) -> None:
        self._items.append((as_text(member), score))

    def start_stream(self, key: Any, listpacks_count: int, expiry: datetime | None, info: Record) -> None:
        self._begin("stream", key, expiry, info)

    def end_stream(self, key: Any, items: int, last_entry_id: str, cgroups: Iterable[Record]) -> None:
        """rdbtools does not look into a stream's nodes."""
        groups = []
        for group in cgroups:
            pending = [(stream_id(entry["id"]), entry["delivery_count"]) for entry in group["pending"]]
            consumers = [
                (as_text(consumer["name"]), [stream_id(entry["id"]) for entry in consumer["pending"]])
                for consumer in group["consumers"]
            ]
            groups.append((as_text(group["name"]), group["last_entry_id"], pending, consumers))
        self._items += [items, last_entry_id, groups]

    def start_module(self, key: Any, module_name: str, expiry: datetime | None, info: Record) -> bool:
        if key is None:  # beside the keys
            self._items = []
        else:
            self._begin(module_name, key, expiry, info)
        return False

    def handle_module_data(self, key: Any, opcode: int, data: Any) -> None:
        self._items.append(as_text(data) if opcode == 5 else repr(data) if opcode > 2 else data)


def stream_id(data: bytes) -> str:
    return f"{int.from_bytes(data[:8], 'big')}-{int.from_bytes(data[8:], 'big')}"


def in_its_words(record: Record) -> Record:
    """A line, as a record of Collected."""
    value = record["value"]
    items: list[Any]
    if record["type"] == "string":
        items = [as_bytes(value)]
    elif record["type"] in ("list", "set"):
        items = list(map(as_bytes, value))
    elif record["type"] == "hash":
        items = [(as_bytes(name), as_bytes(item)) for name, item, _ in value]
    elif record["type"] == "zset":
        items = [(as_bytes(member), float(score)) for member, score in value]
    elif record["type"] == "stream":
        groups = []
        for group in value["groups"]:
            pending = [(entry["id"], entry["delivery_count"]) for entry in group["pel"]]
            consumers = [(as_bytes(consumer["name"]), consumer["pel"]) for consumer in group["consumers"]]
            groups.append((as_bytes(group["name"]), group["last_id"], pending, consumers))
        items = [value["length"], value["last_id"], groups]
    else:
        items = [as_bytes(item) if kind == "s" else item for kind, item in value]
    return {
        "type": record["type"],
        "expires_at_ms": record["expires_at_ms"],
        "value": items,
        "freq": record.get("freq"),
        "idle_s": record.get("idle_s"),
    }


# It ends at an expiry that is followed by anything but the key, as servers accept it.
UNREADABLE = "crafted-v9-order-of-opcodes"

OLD = [one for one in fixtures("server") + fixtures("crafted") if one.truth["rdb"]["version"] <= 9]


def read_by_rdbtools(fixture: Fixture) -> dict[tuple[int, bytes], Record]:
    collected = Collected()
    rdbtools.RdbParser(collected).parse_fd(io.BytesIO(fixture.data))
    return collected.found


@pytest.mark.parametrize("fixture", OLD, ids=repr)
def test_rdbtools_reads_the_same(fixture: Fixture) -> None:
    if fixture.name == UNREADABLE:
        with pytest.raises(Exception, match="Invalid object type 252"):
            read_by_rdbtools(fixture)
        return
    ours = {(record["db"], as_bytes(record["key"])): in_its_words(record) for record in json_lines(fixture.data)}
    for name, record in ours.items():
        wrong = WRONG.get((fixture.name, name[1]), {})
        assert all(record[word] != wrong[word] for word in wrong), "rdbtools was right"
        ours[name] = {**record, **wrong}
    assert read_by_rdbtools(fixture) == ours
