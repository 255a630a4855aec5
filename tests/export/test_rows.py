"""Commands as rows: each once, whole, in the order they came."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture.pcapng import Packet
from tap.errors import ConfigError
from tap.export.rows import Parquet, Row, Rows, json_line
from tap.recording.filters import Filters
from tap.recording.offset_spans import Spans
from tests.recording.wires import Wire, streamed
from tests.relay.wire import BASE, GRANT, asks, command

OTHER = "f" * 40


def rows(packets: list[tuple[int, bytes]], **wanted: Any) -> list[Row]:
    found: list[Row] = []
    taken = Rows(found.append, Filters(**wanted))
    for time, data in sorted(packets):
        taken.player.packet(Packet(time, 101, data, len(data)))
    taken.player.close()
    assert taken.count == len(found)
    return found


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12))
def test_spans_know_what_they_have_seen(parts: list[tuple[int, int]]) -> None:
    seen = Spans()
    known: set[int] = set()
    for begin, size in parts:
        new = set(range(begin, begin + size))
        assert seen.add(begin, begin + size) == bool(new - known)
        known |= new
        assert {one for pair in zip(seen.begins, seen.ends, strict=True) for one in range(*pair)} == known


FIRST, SECOND, THIRD = command("SELECT", "3"), command("SET", "a", b"\xff\n"), command("SET", "large", "x" * 2_000_000)


def again(replid: str, grant: bytes, pieces: list[bytes], offset: int) -> list[tuple[int, bytes]]:
    """A later connection."""
    wire = Wire(50001)
    wire.now = 10**18 + 10**9
    wire.open()
    wire.send(0, asks(offset, replid))
    wire.send(1, grant)
    for piece in pieces:
        for begin in range(0, len(piece), 50_000):
            wire.send(1, piece[begin : begin + 50_000])
        wire.send(0, command("REPLCONF", "ACK", "1"))
    return wire.packets


def test_every_command_comes_once_and_whole() -> None:
    first = streamed([FIRST, SECOND]).packets
    found = rows(first + again("8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb", GRANT, [FIRST, SECOND, THIRD], BASE))
    assert [(one.name, one.offset) for one in found] == [
        ("SELECT", BASE + len(FIRST)),
        ("SET", BASE + len(FIRST + SECOND)),
        ("SET", BASE + len(FIRST + SECOND + THIRD)),
    ]
    assert found[2].args == (b"large", b"x" * 2_000_000)
    assert [one.db for one in found] == [3, 3, 3]


def test_a_history_that_continues_under_another_id_is_the_same() -> None:
    first = streamed([FIRST, SECOND]).packets
    grant = f"+CONTINUE {OTHER}\r\n".encode()
    replid = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
    later = again(replid, grant, [SECOND, command("SET", "b", "1")], BASE + len(FIRST))
    found = rows(first + later)
    # The old master's writes after the promotion are not the new one's.
    assert [one.args[0] for one in found] == [b"3", b"a", b"a", b"b"]


def test_rows_have_the_time_of_their_bytes() -> None:
    wire = streamed([FIRST])
    wire.now = 10**18 + 123_456_000
    wire.send(1, SECOND)
    assert rows(wire.packets)[-1].time == 10**18 + 124_456_000


def test_filters_are_those_of_show() -> None:
    packets = streamed([FIRST, SECOND, command("DEL", "b")]).packets
    assert [one.name for one in rows(packets, globs=["b"])] == ["DEL"]
    assert [one.name for one in rows(packets, end=BASE + len(FIRST))] == ["SELECT"]
    assert rows(packets, links=["other"]) == []


def test_for_a_keydb_the_inner_commands_are_rows() -> None:
    uuid = "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d"
    both = command("SET", "a", "1") + command("PEXPIREAT", "a", "9")
    wrapped = [
        command("RREPLAY", uuid, both, "4", "1"),
        command("RREPLAY", uuid, command("RREPLAY", uuid, command("DEL", "b"), "5", "1"), "4", "2"),
    ]
    first = streamed([FIRST, *wrapped]).packets
    twice = again("8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb", GRANT, [FIRST, *wrapped], BASE)
    found = rows(first + twice)
    assert [(one.name, one.args, one.db) for one in found] == [
        ("SELECT", (b"3",), 3),
        ("SET", (b"a", b"1"), 4),
        ("PEXPIREAT", (b"a", b"9"), 4),
        ("DEL", (b"b",), 5),
    ]
    assert [found[2].offset, found[3].offset] == [BASE + len(FIRST + wrapped[0]), BASE + len(FIRST + b"".join(wrapped))]
    assert [one.name for one in rows(first, names=["DEL"])] == ["DEL"]
    assert [one.name for one in rows(first, dbs=[4], globs=["a"])] == ["SET", "PEXPIREAT"]
    assert rows(first, names=["RREPLAY"]) == []


def test_a_row_is_a_line_of_json() -> None:
    row = Row(1_700_000_000_123_456_789, "main", 2, 1050, None, "SET", (b"a", b"\xff\n"))
    assert json.loads(json_line(row)) == {
        "time": 1_700_000_000.1234567,
        "link": "main",
        "connection": 2,
        "offset": 1050,
        "db": None,
        "name": "SET",
        "args": ["a", "base64:/wo="],
    }


def test_parquet_has_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("tap.export.rows.MAX_ROWS", 2)
    file = io.BytesIO()
    writer = Parquet(file)
    for number in range(5):
        args = (b"a", b"\xff" * number)
        writer.put(Row(1_700_000_000_123_456_789 + number, "main", 2, 1050 + number, None if number else 3, "SET", args))
    writer.close()
    read = parquet.ParquetFile(io.BytesIO(file.getvalue()))
    assert read.num_row_groups == 3
    table = read.read()
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert str(table.schema.field("args").type).startswith("list<")
    assert table.column("args").to_pylist()[2] == [b"a", b"\xff\xff"]
    assert table.column("db").to_pylist() == [3, None, None, None, None]
    assert table.column("name").to_pylist() == ["SET"] * 5
    assert table.column("time").cast("int64").to_pylist()[0] == 1_700_000_000_123_456_789


class Pyarrow:
    """The calls of pyarrow, which need not be installed. written: the rows of each group; None at the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[list[dict[str, Any]] | None] = []
        self.options: dict[str, Any] = {}
        monkeypatch.setitem(sys.modules, "pyarrow", self)
        self.parquet = SimpleNamespace(ParquetWriter=self.writer)
        self.RecordBatch = SimpleNamespace(from_pylist=lambda rows, schema: rows)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: (name, *arguments, *options.items())

    def schema(self, fields: list[tuple[str, Any]]) -> Any:
        return SimpleNamespace(names=[name for name, _ in fields], fields=dict(fields))

    def writer(self, file: io.BytesIO, schema: Any, **options: Any) -> Any:
        self.options = {**options, "fields": schema.fields}
        return SimpleNamespace(write_batch=self.written.append, close=lambda: self.written.append(None))


def test_rows_go_to_pyarrow_in_groups_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.export.rows.MAX_ROWS", 2)
    monkeypatch.setattr("tap.export.rows.GROUP_BYTES", 10)
    pyarrow = Pyarrow(monkeypatch)
    writer = Parquet(io.BytesIO())
    sizes = [(4, 5), (1, 0), (9, 0), (1, 0), (1, 0), (1, 0), (1, 0), (20, 0), (1, 0)]
    for number, (first, second) in enumerate(sizes):
        writer.put(Row(number, "main", 2, 1050, 3, "SET", (b"x" * first, b"y" * second)))
    writer.close()
    *groups, end = pyarrow.written
    assert end is None
    assert [[row["time"] for row in group or ()] for group in groups] == [[0, 1], [2, 3], [4, 5], [6], [7], [8]]
    assert (groups[0] or [])[0] == {
        "time": 0, "link": "main", "connection": 2, "offset": 1050, "db": 3, "name": "SET", "args": (b"xxxx", b"yyyyy"),
    }  # fmt: skip
    word = ("dictionary", ("int32",), ("string",))
    assert pyarrow.options == {
        "compression": "zstd",
        "fields": {
            "time": ("timestamp", "ns", ("tz", "UTC")),
            "link": word,
            "connection": ("int32",),
            "offset": ("int64",),
            "db": ("int32",),
            "name": word,
            "args": ("list_", ("binary",)),
        },
    }


def test_without_pyarrow_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'redis-tap\[parquet\]'"):
        Parquet(io.BytesIO())


def test_wanted_commands_are_counted_and_those_they_were_chosen_from() -> None:
    packets = streamed([FIRST, SECOND, command("DEL", "a"), command("SET", "b", "1")]).packets
    for wanted, total, count in (
        (Filters(), 4, 4),
        (Filters(names=("SET",)), 4, 2),
        (Filters(begin=BASE + len(FIRST) + 1), 3, 3),
        (Filters(begin=BASE + len(FIRST) + 1, names=("DEL",)), 3, 1),
        (Filters(links=("10.9.9.9:1",)), 0, 0),
    ):
        found: list[Row] = []
        taken = Rows(found.append, wanted)
        for time, data in packets:
            taken.player.packet(Packet(time, 101, data, len(data)))
        taken.player.close()
        assert (taken.total, taken.count, len(found)) == (total, count, count)
