"""A handler receives what JSON lines say."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tap.errors import RdbError
from tap.rdb import Handler, Key, chunks, handle, keys
from tap.rdb.json_parts import encoded
from tests.rdb.reading import Fixture, as_bytes, enough, fixtures, for_each, json_lines
from tests.support import FIXTURES

RDBS = FIXTURES / "rdb"


class Recorder(Handler):
    """Makes the same of every key as JsonLines."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, bytes], Any] = {}
        self.kinds: dict[tuple[int, bytes], tuple[object, ...]] = {}
        self.value: Any = None
        self.aux_fields: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []

    def aux(self, name: bytes, value: bytes) -> None:
        self.aux_fields[name] = value

    def function(self, code: bytes) -> None:
        self.functions.append(code)

    def begin_key(self, key: Key) -> None:
        self.value = {"entries": [], "groups": []} if key.type == "stream" else []

    def end_key(self, key: Key) -> None:
        value = self.value[0] if key.type == "string" else self.value
        self.values[key.db, key.key] = value
        self.kinds[key.db, key.key] = key.type, key.encoding, key.elements, key.serialized_bytes

    def string(self, value: bytes) -> None:
        self.value.append(plain(value))

    def list_element(self, value: bytes) -> None:
        self.value.append(plain(value))

    def set_member(self, member: bytes) -> None:
        self.value.append(plain(member))

    def zset_member(self, member: bytes, score: float) -> None:
        self.value.append([plain(member), repr(score)])

    def hash_field(self, field: bytes, value: bytes, expires_at_ms: int | None) -> None:
        self.value.append([plain(field), plain(value), expires_at_ms])

    def stream_entry(self, entry_id: str, fields: list[tuple[bytes, bytes]]) -> None:
        self.value["entries"].append([entry_id, [[plain(name), plain(value)] for name, value in fields]])

    def stream_group(self, name: bytes, last_id: str, entries_read: int | None) -> None:
        self.value["groups"].append([plain(name), last_id, entries_read, [], []])

    def stream_pending(self, entry_id: str, delivered_at_ms: int, deliveries: int) -> None:
        self.value["groups"][-1][3].append([entry_id, delivered_at_ms, deliveries])

    def stream_consumer(self, name: bytes, seen_at_ms: int, active_at_ms: int | None) -> None:
        self.value["groups"][-1][4].append([plain(name), seen_at_ms, active_at_ms, []])

    def stream_owned(self, entry_id: str) -> None:
        self.value["groups"][-1][4][-1][3].append(entry_id)


def plain(data: bytes) -> Any:
    return json.loads(encoded(data))


def in_short(line: dict[str, Any]) -> Any:
    """The value of a line, its groups as Recorder has them."""
    if line["type"] != "stream":
        return line["value"]
    groups = [
        [
            group["name"],
            group["last_id"],
            group.get("entries_read"),
            [[one["id"], one["delivery_time_ms"], one["delivery_count"]] for one in group["pel"]],
            [[one["name"], one["seen_time_ms"], one.get("active_time_ms"), one["pel"]] for one in group["consumers"]],
        ]
        for group in line["value"]["groups"]
    ]
    return {"entries": line["value"]["entries"], "groups": groups}


@for_each(enough(fixtures("server")))
def test_a_handler_receives_what_json_lines_say(fixture: Fixture) -> None:
    recorder = Recorder()
    data = fixture.data
    handle([data[i : i + 1000] for i in range(0, len(data), 1000)], recorder)
    assert recorder.aux_fields
    for line in json_lines(data):
        key = line["db"], as_bytes(line["key"])
        if line["type"] not in ("rdbt-item", "vectorset"):
            assert recorder.values[key] == in_short(line)
        assert recorder.kinds[key] == tuple(line[name] for name in ("type", "encoding", "elements", "serialized_bytes"))


def test_only_the_selected_keys_are_passed() -> None:
    recorder = Recorder()
    with (RDBS / "redis-8.0.2-mixed.rdb").open("rb") as file:
        handle(file, recorder, only=lambda key: key.key == b"hash")
    assert recorder.values == {(0, b"hash"): [["f", "v", None], ["n", "1", None]]}


def test_functions_are_passed_and_long_strings_are_joined() -> None:
    recorder = Recorder()
    handle([(RDBS / "redis-7.0.15-functions.rdb").read_bytes()], recorder)
    assert all(code.startswith(b"#!lua") for code in recorder.functions)
    assert recorder.functions
    long = b"REDIS0009\x00\x01k\x80" + (200_000).to_bytes(4, "big") + b"x" * 200_000 + b"\xff" + bytes(8)
    handle([long[:70_000], long[70_000:]], recorder)
    assert recorder.values[0, b"k"] == "x" * 200_000


def test_the_readable_part_of_a_broken_file_comes_before_the_error() -> None:
    data = (RDBS / "redis-8.0.2-mixed.rdb").read_bytes()
    found: list[bytes] = []
    with pytest.raises(RdbError, match="it ends here"):
        found.extend(key.key for key in keys(io.BytesIO(data[:-100])))
    with pytest.raises(RdbError, match="this is not an RDB"):
        handle([b"something else"], Handler())


def test_a_source_is_a_file_or_an_iterable() -> None:
    data = (RDBS / "redis-8.0.2-mixed.rdb").read_bytes()
    assert b"".join(map(bytes, chunks(io.BytesIO(data)))) == data
    assert [key.key for key in keys([data])] == [key.key for key in keys(io.BytesIO(data))]
