"""The exports as a program calls them: what they write, what they return, and what they refuse."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tap import export
from tap.errors import ConfigError, RecordingError
from tap.export.append_only import BASE as BASE_FILE
from tap.export.append_only import INCREMENT
from tests.cli.test_export import END, MULTI, PING, RDB, SELECT, SETS, WHOLE, synced
from tests.recording.wires import STREAM, file, streamed
from tests.relay.wire import BASE, REPLID


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", synced(*WHOLE).packets, "pcapng")


def test_the_rdb(capture: Path, tmp_path: Path) -> None:
    done = export.rdb(capture, tmp_path / "dump.rdb")
    assert (tmp_path / "dump.rdb").read_bytes() == RDB
    assert (done.rdb.offset, done.rdb.size, done.lacking, done.remarks) == (BASE, len(RDB), (), ())


def test_the_rdb_into_an_open_file(capture: Path) -> None:
    out = io.BytesIO()
    export.rdb([str(capture)], out, link="127.0.0.1:6379")
    assert out.getvalue() == RDB


def test_the_directory_of_a_server(capture: Path, tmp_path: Path) -> None:
    until = BASE + len(SELECT) + len(SETS[0])
    done = export.aof(capture, tmp_path / "data", until=until)
    assert (tmp_path / "data" / BASE_FILE).read_bytes() == RDB
    assert (tmp_path / "data" / INCREMENT).read_bytes() == SELECT + SETS[0]
    assert (done.base.offset, done.written.offset, done.written.commands) == (BASE, until, 2)


def test_the_stream_between_two_offsets(capture: Path, tmp_path: Path) -> None:
    done = export.resp(capture, tmp_path / "stream", from_=BASE + len(SELECT) + 1, until=END - len(MULTI))
    assert (tmp_path / "stream").read_bytes() == b"".join(SETS) + PING
    assert (done.copied.commands, done.replid, done.unplaced) == (10, REPLID, ())


def test_a_stream_without_offsets(tmp_path: Path) -> None:
    wire = streamed(STREAM)
    middle = file(tmp_path / "middle.pcapng", wire.packets[7:], "pcapng")
    out = io.BytesIO()
    done = export.resp(middle, out)
    assert out.getvalue()
    assert done.replid is None


def test_rows_that_are_asked_for(capture: Path, tmp_path: Path) -> None:
    done = export.jsonl(capture, tmp_path / "rows.jsonl", command="set", key=["key:[12]"], db=0)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["args"] for row in rows] == [["key:1", "v"], ["key:2", "v"]]
    assert (done.count, done.lacking, done.remarks) == (2, (), ())


def test_rows_that_nothing_matches_are_remarked(capture: Path) -> None:
    done = export.jsonl(capture, io.BytesIO(), command="HSET")
    assert done.count == 0
    assert "match --command HSET" in done.remarks[0]


def test_what_lies_outside_of_the_recording_is_remarked(capture: Path) -> None:
    done = export.rdb(capture, io.BytesIO(), until=datetime(2200, 1, 1))
    assert "lies after the end of the recording" in done.remarks[0]


def test_what_is_lacking_is_returned_and_the_rest_written(tmp_path: Path) -> None:
    wire = synced(*WHOLE)
    del wire.packets[-4]  # the PING
    path = file(tmp_path / "hole.pcapng", wire.packets, "pcapng")
    done = export.jsonl(path, tmp_path / "rows.jsonl")
    assert done.lacking
    assert done.count == len((tmp_path / "rows.jsonl").read_text().splitlines())


FORMS: list[Callable[..., Any]] = [export.rdb, export.aof, export.resp, export.jsonl]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_over(capture: Path, tmp_path: Path, form: Callable[..., Any]) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        form(capture, there)
    assert there.read_text() == "mine"


@pytest.mark.parametrize("form", FORMS)
def test_of_what_is_no_capture_nothing_is_written(tmp_path: Path, form: Callable[..., Any]) -> None:
    path = tmp_path / "text"
    path.write_text("no capture at all")
    with pytest.raises(RecordingError, match="no capture"):
        form(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMS[:3])
def test_a_pipe_is_refused_that_would_be_read_twice(tmp_path: Path, form: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="reads a recording more than once"):
        form("-", tmp_path / "out")


def test_each_reading_is_measured(capture: Path) -> None:
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
