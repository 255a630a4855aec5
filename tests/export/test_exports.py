"""The exports as a program calls them: what they write, return, and refuse."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tap import export
from tap.capture.packets import TcpFlow
from tap.capture.segments import Endpoint
from tap.errors import ConfigError, RecordingError
from tap.export import exports
from tap.export.append_only import BASE as BASE_FILE
from tap.export.append_only import INCREMENT
from tap.export.rows import Row
from tap.recording.history import index
from tap.recording.player import Player
from tests.cli.test_export import END, MULTI, PING, RDB, SELECT, SETS, WHOLE, synced
from tests.recording.wires import STREAM, Wire, file, reading_file, streamed
from tests.relay.wire import BASE, GRANT, REPLID, asks, command


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", synced(*WHOLE).packets, "pcapng")


def test_the_rdb_is_written(capture: Path, tmp_path: Path) -> None:
    done = export.rdb(capture, tmp_path / "dump.rdb")
    assert (tmp_path / "dump.rdb").read_bytes() == RDB
    assert (done.rdb.offset, done.rdb.size, done.lacking, done.remarks) == (BASE, len(RDB), (), ())


def test_the_rdb_is_written_into_an_open_file(capture: Path) -> None:
    out = io.BytesIO()
    export.rdb([str(capture)], out, link="127.0.0.1:6379")
    assert out.getvalue() == RDB


def test_the_directory_boots_a_server(capture: Path, tmp_path: Path) -> None:
    until = BASE + len(SELECT) + len(SETS[0])
    done = export.aof(capture, tmp_path / "data", until=until)
    assert (tmp_path / "data" / BASE_FILE).read_bytes() == RDB
    assert (tmp_path / "data" / INCREMENT).read_bytes() == SELECT + SETS[0]
    assert (done.base.offset, done.written.offset, done.written.commands) == (BASE, until, 2)


def test_the_stream_between_two_offsets_is_written(capture: Path, tmp_path: Path) -> None:
    done = export.resp(capture, tmp_path / "stream", from_=BASE + len(SELECT) + 1, until=END - len(MULTI))
    assert (tmp_path / "stream").read_bytes() == b"".join(SETS) + PING
    assert (done.copied.commands, done.replid, done.unplaced) == (10, REPLID, ())


def test_a_stream_without_offsets_is_written(tmp_path: Path) -> None:
    wire = streamed(STREAM)
    middle = file(tmp_path / "middle.pcapng", wire.packets[7:], "pcapng")
    out = io.BytesIO()
    done = export.resp(middle, out)
    assert out.getvalue()
    assert done.replid is None


def test_selected_rows_are_written(capture: Path, tmp_path: Path) -> None:
    done = export.jsonl(capture, tmp_path / "rows.jsonl", command="set", key=["key:[12]"], db=0)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["args"] for row in rows] == [["key:1", "v"], ["key:2", "v"]]
    assert (done.count, done.lacking, done.remarks) == (2, (), ())


def test_a_selection_without_rows_is_remarked(capture: Path) -> None:
    done = export.jsonl(capture, io.BytesIO(), command="HSET")
    assert done.count == 0
    assert "match --command HSET" in done.remarks[0]


def test_moments_outside_the_recording_are_remarked(capture: Path) -> None:
    done = export.rdb(capture, io.BytesIO(), until=datetime(2200, 1, 1))
    assert "lies after the end of the recording" in done.remarks[0]


LINKS = ["127.0.0.1:6379", "127.0.0.1:6380"]
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["SELECT", "SET one", "DEL one", "SELECT", "SET two", "DEL two"]),
    ({"link": LINKS[0]}, ["SELECT", "SET one", "DEL one"]),
    ({"link": [LINKS[1]]}, ["SELECT", "SET two", "DEL two"]),
    ({"link": LINKS}, ["SELECT", "SET one", "DEL one", "SELECT", "SET two", "DEL two"]),
    ({"db": 3}, ["SELECT", "SET one", "DEL one"]),
    ({"db": [4, 5]}, ["SELECT", "SET two", "DEL two"]),
    ({"command": "del"}, ["DEL one", "DEL two"]),
    ({"command": ["set", "select"]}, ["SELECT", "SET one", "SELECT", "SET two"]),
    ({"key": "t*"}, ["SET two", "DEL two"]),
    ({"key": [b"one", "nothing"]}, ["SET one", "DEL one"]),
    ({"from_": BASE + 30}, ["SET one", "DEL one", "SET two", "DEL two"]),
    ({"until": BASE + 30}, ["SELECT", "SELECT"]),
    ({"link": LINKS[0], "command": "SET", "db": 3, "key": "o*"}, ["SET one"]),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=lambda one: str(one)[:50])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_each_filter_selects_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, filters: dict[str, Any], expected: list[str]
) -> None:
    packets: list[tuple[int, bytes]] = []
    for port, replid, db, key in ((6379, REPLID, "3", "one"), (6380, "f" * 40, "4", "two")):
        wire = Wire(50_000 + port)
        wire.flow = TcpFlow(Endpoint("127.0.0.1", 50_000 + port), Endpoint("127.0.0.1", port), (5, 9))
        wire.now += port
        wire.open()
        wire.send(0, asks(BASE, replid))
        wire.send(1, GRANT)
        for piece in (command("SELECT", db), command("SET", key, "v"), command("DEL", key)):
            wire.send(1, piece)
            wire.send(0, command("REPLCONF", "ACK", "1"))
        packets += wire.packets
    path = file(tmp_path / "two.pcapng", sorted(packets), "pcapng")
    found: list[Row] = []
    closed: list[bool] = []
    told = SimpleNamespace(put=found.append, close=lambda: closed.append(True))
    monkeypatch.setattr(exports, "Parquet", lambda file: told)
    out = io.BytesIO()
    done = getattr(export, form)(path, out, **filters)
    if form == "jsonl":
        rows = [(row["name"], row["args"][:1], row["link"]) for row in map(json.loads, out.getvalue().splitlines())]
    else:
        rows = [(row.name, [word.decode() for word in row.args[:1]], row.link) for row in found]
        assert closed == [True]
    assert sorted(" ".join([name, *(args if name != "SELECT" else [])]) for name, args, _ in rows) == sorted(expected)
    assert done.count == len(rows)
    if "SELECT" not in expected:
        assert all(link == LINKS[args == ["two"]] for _, args, link in rows)


def without(wire: Wire, data: bytes) -> Wire:
    """The capture lacks the packet that ends in these bytes."""
    [lost] = [one for one in wire.packets if one[1].endswith(data)]
    wire.packets.remove(lost)
    return wire


@pytest.mark.parametrize("form", [export.rdb, export.aof, export.resp])
def test_an_answer_that_ends_before_a_hole_lacks_nothing(tmp_path: Path, form: Callable[..., Any]) -> None:
    path = file(tmp_path / "hole.pcapng", without(synced(*WHOLE, *SETS), PING).packets, "pcapng")
    assert not form(path, tmp_path / "out", until=BASE + len(SELECT)).lacking


@pytest.mark.parametrize(("form", "lacks"), [(export.rdb, True), (export.aof, False), (export.resp, False)])
def test_a_hole_in_a_later_rdb_is_lacking_from_the_last_rdb_and_not_from_the_stream(
    tmp_path: Path, form: Callable[..., Any], lacks: bool
) -> None:
    wire, later = synced(*WHOLE), Wire(50_001)
    later.now = wire.now
    later.open()
    later.send(0, command("PSYNC", "?", "-1"))
    later.send(1, b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), END, len(RDB)))
    later.send(1, RDB)
    later.send(0, command("REPLCONF", "ACK", "1"))
    later.send(1, PING)
    path = file(tmp_path / "two.pcapng", wire.packets + without(later, RDB).packets, "pcapng")
    assert bool(form(path, tmp_path / "out").lacking) == lacks


def test_what_is_lacking_is_returned_and_the_rest_written(tmp_path: Path) -> None:
    wire = synced(*WHOLE)
    del wire.packets[-4]  # the PING
    path = file(tmp_path / "hole.pcapng", wire.packets, "pcapng")
    done = export.jsonl(path, tmp_path / "rows.jsonl")
    assert done.lacking
    assert done.count == len((tmp_path / "rows.jsonl").read_text().splitlines())


FORMS: list[Callable[..., Any]] = [export.rdb, export.aof, export.resp, export.jsonl]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_overwritten(capture: Path, tmp_path: Path, form: Callable[..., Any]) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        form(capture, there)
    assert there.read_text() == "mine"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_not_a_capture_writes_nothing(tmp_path: Path, form: Callable[..., Any]) -> None:
    path = tmp_path / "text"
    path.write_text("no capture at all")
    with pytest.raises(RecordingError, match="no capture"):
        form(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMS[:3])
def test_a_pipe_that_would_be_read_twice_is_refused(tmp_path: Path, form: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="reads a recording more than once"):
        form("-", tmp_path / "out")


def test_the_progress_of_each_reading_is_reported(capture: Path) -> None:
    readings: list[int] = []

    @contextmanager
    def progress() -> Iterator[Callable[[int], None]]:
        readings.append(0)

        def advance(count: int) -> None:
            readings[-1] += count

        yield advance

    export.rdb(capture, io.BytesIO(), progress=progress)
    assert len(readings) == 2
    assert len(RDB) < readings[0] == readings[1]


@pytest.mark.parametrize(("milliseconds", "left"), [(5, 0), (6, 0), (7, 1), (8, 1), (9, 2), (10, 2), (11, 3)])
def test_a_stream_begins_with_the_first_command_at_or_after_a_time(capture: Path, milliseconds: int, left: int) -> None:
    """The RDB came in the 5th millisecond, SELECT in the 6th, each SET two later."""
    out = io.BytesIO()
    since = datetime(2001, 9, 9, 1, 46, 40, 1000 * milliseconds, tzinfo=UTC)
    done = export.resp(capture, out, from_=since)
    assert out.getvalue() == b"".join(WHOLE[left:])
    assert done.copied.offset == BASE + sum(map(len, WHOLE[:left]))
    with pytest.raises(RecordingError, match="no stream holds all of that"):
        export.resp(capture, io.BytesIO(), from_=datetime(2002, 1, 1, tzinfo=UTC))


def test_a_stream_that_ends_at_a_time_holds_what_came_then(capture: Path) -> None:
    ended = index(reading_file(capture)).stretches[-1].ended
    out = io.BytesIO()
    export.resp(
        capture, out, from_=datetime.fromtimestamp(ended // 10**9, UTC).replace(microsecond=ended // 1000 % 10**6)
    )
    assert out.getvalue()
    assert b"".join(WHOLE).endswith(out.getvalue())


# ---- what is said where there is nothing of it ----

WHY_NONE = ", as in a recording that began after the full resync, or was made with --without-rdb or --redact"


@pytest.fixture
def stream_alone(tmp_path: Path) -> Path:
    return file(tmp_path / "stream.pcapng", streamed(WHOLE).packets, "pcapng")


def refused(form: Callable[..., Any], path: Path, **options: Any) -> tuple[str, ...]:
    """The lines of the first sentence."""
    with pytest.raises(RecordingError) as caught:
        form(path, path.parent / "out", **options)
    assert not (path.parent / "out").exists()
    said = caught.value.sentences[0]
    return (said,) if isinstance(said, str) else said


def test_where_no_rdb_is_whole_it_is_said_why(stream_alone: Path) -> None:
    assert refused(export.rdb, stream_alone) == (f"no whole RDB; the recording has none{WHY_NONE}",)
    said = f"no RDB with a stream up to the end without a hole; the recording has no whole RDB{WHY_NONE}"
    assert refused(export.aof, stream_alone) == (said,)


def test_where_none_is_at_that_moment_those_are_told_that_there_are(capture: Path) -> None:
    title, line = refused(export.rdb, capture, until=BASE - 1)
    assert title == f"no whole RDB up to offset {BASE - 1}; there is:"
    assert line.startswith(f"127.0.0.1:6379: the RDB at offset {BASE} of replication ID {REPLID} (")
    title, line = refused(export.aof, capture, until=END + 1)
    assert title == f"no RDB with a stream up to offset {END + 1} without a hole; there is:"
    assert f", and the stream up to offset {END} (" in line
    for options in ({"from_": END + 1}, {"until": BASE - 1}, {"from_": BASE, "until": END + 1}):
        title, line = refused(export.resp, capture, **options)
        assert title == "no stream holds all of that; there is:"
        assert line.startswith(f"127.0.0.1:6379: offset {BASE} to {END} of replication ID {REPLID} (")


@pytest.mark.parametrize("form", FORMS[:3])
def test_a_link_that_is_not_there_is_said(capture: Path, form: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="--link other: no resync was recorded on a link of that name"):
        form(capture, capture.parent / "out", link="other")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_remarks_on_what_lies_outside_and_on_the_recording(
    capture: Path, form: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = form(capture, capture.parent / "out", until=datetime(2200, 1, 1))
    assert ["lies after the end of the recording" in text for text in done.remarks] == [True]
    remarked: list[str] = []
    player_closes = Player.close

    def close(self: Player) -> None:
        player_closes(self)
        self.account.remark("by the way")

    monkeypatch.setattr(Player, "close", close)
    form(capture, capture.parent / "again", remark=remarked.append)
    assert remarked == ["by the way"]


def holed() -> tuple[Wire, int]:
    """Two streams, and the offset where the second one begins."""
    pieces = [*WHOLE, *SETS]
    wire = without(synced(*pieces), PING)
    return wire, BASE + sum(map(len, pieces[: pieces.index(PING) + 1]))


def test_of_several_streams_one_has_to_be_meant_and_lacks_what_stands_in_it(tmp_path: Path) -> None:
    wire, behind = holed()
    path = file(tmp_path / "hole.pcapng", wire.packets, "pcapng")
    title, *lines = refused(export.resp, path)
    assert (title, len(lines)) == ("several streams: choose with --from, --until or --link; there is:", 2)
    done = export.resp(path, tmp_path / "behind", from_=behind + 1)
    assert (tmp_path / "behind").read_bytes() == MULTI + b"".join(SETS)
    assert (done.copied.offset, done.replid) == (behind, REPLID)
    before = export.resp(path, tmp_path / "before", until=behind - len(PING))
    assert (tmp_path / "before").read_bytes() == SELECT + b"".join(SETS)
    assert (before.lacking, before.copied.end_offset) == ((), behind - len(PING))


def test_the_copy_of_a_stream_waits_beside_its_output(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[Path | None] = []
    make = tempfile.TemporaryFile

    def temporary(**options: Any) -> Any:
        beside.append(options.get("dir"))
        return make()

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    (tmp_path / "there").mkdir()
    export.resp(capture, tmp_path / "there" / "out")
    export.resp(capture, io.BytesIO())
    assert beside[0] == tmp_path / "there"
    assert beside[-1] is None


def test_rows_that_are_wanted_and_lacking_are_an_error_where_none_is_found(tmp_path: Path) -> None:
    path = file(tmp_path / "hole.pcapng", holed()[0].packets, "pcapng")
    assert refused(export.jsonl, path, command="HGETALL")[0].startswith("127.0.0.1:6379/1: ")
    assert export.jsonl(path, tmp_path / "out", command="INCR").lacking


def test_rows_are_compressed_by_the_name_of_their_file(capture: Path, tmp_path: Path) -> None:
    export.jsonl(capture, plain := tmp_path / "rows.jsonl")
    export.jsonl(capture, packed := tmp_path / "rows.jsonl.gz")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
