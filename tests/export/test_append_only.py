"""Which parts of a stream are written into an append-only file, whatever the stream contains and wherever it ends."""

from __future__ import annotations

import io
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.errors import RecordingError
from tap.export import append_only
from tap.export.append_only import INCREMENT, MANIFEST, MANIFEST_TEXT, write_aof, write_commands
from tap.recording.history import index
from tests.conftest import need
from tests.recording.restoring import restored
from tests.recording.wires import Wire, as_packets, reading
from tests.relay.wire import command
from tests.support import Capture, captures, client

NOW = 1_700_000_000_000  # milliseconds
SELECT = command("SELECT", "0")


def written(
    stream: bytes, db: int | None = None, at: Callable[[int], int] = lambda position: NOW
) -> tuple[list[bytes], int, int]:
    """The commands of the file; the position in the stream up to which they go, and their number."""
    out = io.BytesIO()
    with tempfile.TemporaryFile() as file:
        file.write(stream)
        file.flush()
        end, count = write_commands(file, out, db, at)
    return split(out.getvalue()), end, count


def split(data: bytes) -> list[bytes]:
    return [b"*" + one for one in data.split(b"*")[1:]]


SET, OTHER = command("SET", "a", "1"), command("set", "b", "2")
MULTI, EXEC = command("MULTI"), command("EXEC")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ([SELECT, SET, OTHER], [SELECT, SET, OTHER]),
        ([command("ping"), SELECT, command("PING"), SET], [SELECT, SET]),
        ([command("REPLCONF", "GETACK", "x"), SELECT, command("publish", "c", "m"), SET], [SELECT, SET]),
        ([SELECT, b"\n", SET, b"\r\n\n", OTHER, b"\n"], [SELECT, SET, OTHER]),
        ([MULTI, SELECT, SET, EXEC], [MULTI, SELECT, SET, EXEC]),
        ([SELECT, SET, MULTI, OTHER], [SELECT, SET]),
        ([SELECT, MULTI, SET, EXEC, MULTI, OTHER], [SELECT, MULTI, SET, EXEC]),
        ([SELECT, MULTI, SET, command("PUBLISH", "c", "m"), EXEC], [SELECT, MULTI, SET, EXEC]),
        ([SELECT, SET, OTHER[:-1]], [SELECT, SET]),
        ([], []),
        ([command("PING")], []),
    ],
)
def test_the_file_holds_what_a_server_would_write(stream: list[bytes], expected: list[bytes]) -> None:
    kept, end, count = written(b"".join(stream))
    assert (kept, count) == (expected, len(expected))
    assert all(one in expected or one in b"".join(stream)[:end] for one in kept)


def rreplay(inner: bytes, *rest: str) -> bytes:
    return command("RREPLAY", "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d", inner, *rest)


def test_for_a_keydb_the_inner_commands_are_written() -> None:
    expire, until = command("EXPIRE", "a", "1"), command("PEXPIREAT", "a", str(NOW + 1000))
    stream = [
        rreplay(SET + expire, "3", "1"), OTHER, rreplay(MULTI, "4", "2"), rreplay(OTHER, "4", "3"), SET,
        rreplay(EXEC, "4", "4"), rreplay(command("PING"), "9"), SELECT, rreplay(rreplay(SET, "0"), "0"),
    ]  # fmt: skip
    three, four = command("SELECT", "3"), command("SELECT", "4")
    assert written(b"".join(stream))[0] == [three, SET, until, OTHER, four, MULTI, OTHER, SET, EXEC, SELECT, SET]


@pytest.mark.parametrize("inner", [command("SET", "a", "1", "PXAT", "5"), command("EXPIRE", "a", "soon")])
def test_for_a_keydb_inner_commands_whose_expiry_stays_are_written_too(inner: bytes) -> None:
    assert written(rreplay(inner, "3", "1"))[0] == [command("SELECT", "3"), inner]


@pytest.mark.parametrize("db", [0, 3, 12])
def test_a_stream_that_continues_in_a_db_begins_with_its_select(db: int) -> None:
    select, five = command("SELECT", str(db)), command("SELECT", "5")
    assert written(SET, db=db)[0] == [select, SET]
    assert written(MULTI + SET + EXEC, db=db)[0] == [select, MULTI, SET, EXEC]
    assert written(MULTI + five + SET + EXEC, db=db)[0] == [MULTI, five, SET, EXEC]
    with pytest.raises(RecordingError, match="the db of the first commands"):
        written(SET)


NO_DB = [
    MULTI, command("FUNCTION", "FLUSH"), command("script", "FLUSH"), command("FLUSHALL"), command("SWAPDB", "1", "2"),
    command("cluster", "SETSLOT", "1", "STABLE"),
]  # fmt: skip


@pytest.mark.parametrize("one", NO_DB)
def test_a_command_without_a_db_needs_no_select(one: bytes) -> None:
    kept = [] if one == MULTI else split(one)
    assert written(one)[0] == kept
    if kept:
        assert written(one + SELECT + SET)[0] == [*kept, SELECT, SET]
        assert written(one + SET, db=3)[0] == [*kept, command("SELECT", "3"), SET]
        assert written(SET + one + OTHER, db=3)[0] == [command("SELECT", "3"), SET, *kept, OTHER]


def test_a_select_that_a_transaction_needs_stands_before_it_and_others_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    three, four, flush = command("SELECT", "3"), command("SELECT", "4"), command("FLUSHALL")
    ping, in_four = command("PING"), rreplay(SET, "4")
    cases = [
        ([MULTI, flush, EXEC], None, [MULTI, flush, EXEC]),
        ([MULTI, flush, SELECT, SET, EXEC], None, [MULTI, flush, SELECT, SET, EXEC]),
        ([flush, MULTI, flush, SET, OTHER, EXEC], 3, [flush, three, MULTI, flush, SET, OTHER, EXEC]),
        ([flush, MULTI, flush, ping, SET, EXEC, SET], 3, [flush, three, MULTI, flush, SET, EXEC, SET]),
        ([SET, MULTI, OTHER, in_four, EXEC, SET], 3, [three, SET, MULTI, OTHER, four, SET, EXEC, SET]),
        ([SET, MULTI, in_four, EXEC, MULTI, flush, EXEC], 3, [three, SET, four, MULTI, SET, EXEC, MULTI, flush, EXEC]),
        ([flush, MULTI, command("DISCARD"), MULTI, SET, EXEC], 3,
         [flush, MULTI, command("DISCARD"), three, MULTI, SET, EXEC]),
        ([flush, MULTI, flush, ping, flush, SET, EXEC], 3, [flush, three, MULTI, flush, flush, SET, EXEC]),
        ([SET, MULTI, ping, flush, in_four, ping, SET, EXEC], 3, [three, SET, four, MULTI, flush, SET, SET, EXEC]),
        ([rreplay(MULTI, "3"), flush, ping, rreplay(OTHER, "3"), rreplay(EXEC, "3"), SET], None,
         [three, MULTI, flush, OTHER, EXEC, SET]),
    ]  # fmt: skip
    for chunk in (1, 7, 50, 2**20):
        monkeypatch.setattr(append_only, "CHUNK", chunk)
        for stream, db, expected in cases:
            assert written(b"".join(stream), db)[0] == expected
    with pytest.raises(RecordingError, match="the db of the first commands"):
        written(MULTI + flush + SET + EXEC)


def test_each_file_of_a_directory_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: dict[str, int] = {}

    def note(number: int) -> None:
        forced[Path(f"/proc/self/fd/{number}").readlink().name] = os.fstat(number).st_size

    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    rdb = b"REDIS0011\xff" + bytes(8)
    wire.send(1, b"+FULLRESYNC %s 100\r\n$%d\r\n%b" % (b"a" * 40, len(rdb), rdb) + SELECT + SET)
    read = reading(wire.packets)
    (chapter,) = index(read).chapters()
    monkeypatch.setattr(os, "fsync", note)
    write_aof(read, chapter, tmp_path / "data")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "data").iterdir()}
    assert {name: forced.get(name) for name in sizes} == sizes


LEFT_OUT = [
    command("PING"),
    command("replconf", "GETACK", "x"),
    command("PUBLISH", "c", "m"),
    command("SPUBLISH", "c", "m"),
]


@pytest.mark.parametrize("one", LEFT_OUT)
def test_commands_that_a_server_does_not_store_are_left_out_wherever_they_stand(one: bytes) -> None:
    assert written(one) == ([], len(one), 0)
    stream = one + SELECT + one + one + SET + MULTI + one + OTHER + one + EXEC + one
    assert written(stream) == ([SELECT, SET, MULTI, OTHER, EXEC], len(stream), 5)


@pytest.mark.parametrize("size", [10, 60, 200])
def test_a_command_of_any_length_and_number_of_arguments_is_parsed(size: int) -> None:
    """Its time is its last argument."""
    sent = command("SET", "k" * size, "v" * size * 1000, *["NX"] * size, "PX", "10")
    kept = command("SET", "k" * size, "v" * size * 1000, *["NX"] * size, "PXAT", str(NOW + 10))
    assert written(SELECT + sent)[0] == [SELECT, kept]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["EXPIRE", "k", "10"], ["PEXPIREAT", "k", str(NOW + 10_000)]),
        (["pexpire", "k", "10"], ["PEXPIREAT", "k", str(NOW + 10)]),
        (["SETEX", "k", "10", "v"], ["SET", "k", "v", "PXAT", str(NOW + 10_000)]),
        (["PSETEX", "k", "10", "v"], ["SET", "k", "v", "PXAT", str(NOW + 10)]),
        (["SET", "k", "v", "PX", "10"], ["SET", "k", "v", "PXAT", str(NOW + 10)]),
        (["SET", "k", "v", "NX", "ex", "10"], ["SET", "k", "v", "NX", "PXAT", str(NOW + 10_000)]),
        (["SET", "k", "PX", "KEEPTTL"], None),
        (["SET", "k", "v", "PXAT", "10"], None),
        (["RESTORE", "k", "10", "x"], ["RESTORE", "k", str(NOW + 10), "x", "ABSTTL"]),
        (["RESTORE", "k", "10", "x", "REPLACE"], ["RESTORE", "k", str(NOW + 10), "x", "REPLACE", "ABSTTL"]),
        (["RESTORE", "k", "0", "x"], None),
        (["RESTORE", "k", "10", "x", "ABSTTL"], None),
        (["SET", "k", "v", "EX"], None),
        (["SET", "k", "v", "EX", "1_0"], None),
        (["SETEX", "k", "10"], None),
        (["EXPIRE", "k"], None),
        (["EXPIRE", "k", "soon"], None),
        (["PEXPIRE", "k", "9" * 5000], None),
        (["RESTORE", "k"], None),
        (["SET", "k", "v", "EXAT", "10"], None),
        (["SET", "k", "v", "PXATX", "10"], None),
        (["RESTORE", "k", "10", "x", "ABSTTLX"], ["RESTORE", "k", str(NOW + 10), "x", "ABSTTLX", "ABSTTL"]),
        (["SET", "k", "v", "x" * 30 + "PX", "10"], None),
    ],
)
def test_an_expiry_becomes_a_point_in_time(sent: list[str], kept: list[str] | None) -> None:
    assert written(SELECT + command(*sent))[0] == [SELECT, command(*(kept or sent))]


def test_the_time_of_an_expiry_is_that_of_the_end_of_its_command_and_asked_for_no_other() -> None:
    asked: list[int] = []

    def at(position: int) -> int:
        asked.append(position)
        return position

    stream = [SELECT, SET, command("EXPIRE", "k", "1"), command("APPEND", "k", "EX"), command("PSETEX", "k", "9", "v")]
    ends = [sum(map(len, stream[: number + 1])) for number in range(len(stream))]
    kept = written(b"".join(stream), at=at)[0]
    assert kept[2] == command("PEXPIREAT", "k", str(ends[2] + 1000))
    assert kept[4] == command("SET", "k", "v", "PXAT", str(ends[4] + 9))
    assert asked == [ends[2], ends[4]]


@pytest.mark.parametrize("after", [SET, OTHER, command("PING")])
def test_an_expiry_of_a_set_counts_whatever_follows_it(after: bytes) -> None:
    kept = written(SELECT + command("SET", "k", "v", "EX", "10") + after)[0]
    assert kept[1] == command("SET", "k", "v", "PXAT", str(NOW + 10_000))


def test_an_expiry_in_a_directory_counts_from_when_its_command_came(tmp_path: Path) -> None:
    rdb = b"REDIS0011\xff" + bytes(8)
    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %s 100\r\n$%d\r\n%b" % (b"a" * 40, len(rdb), rdb))
    wire.send(1, SELECT + SET, at=wire.now + 10**9)
    wire.send(1, command("EXPIRE", "a", "7"), at=wire.now + 3 * 10**9 + 456_789_012)
    read = reading(wire.packets)
    (chapter,) = index(read).chapters()
    write_aof(read, chapter, tmp_path / "data")
    until = wire.now // 10**6 + 7000
    assert split((tmp_path / "data" / INCREMENT).read_bytes())[-1] == command("PEXPIREAT", "a", str(until))


COMMANDS = [SELECT, SET, MULTI, EXEC, command("PING"), command("EXPIRE", "k", "1"), command("SET", "k", "v" * 90), b"\n"]


@given(st.lists(st.sampled_from(COMMANDS), max_size=30), st.integers(0, 10_000), st.sampled_from([7, 64, 1000]))
def test_reading_in_pieces_gives_the_same_and_never_half_a_transaction(parts: list[bytes], cut: int, size: int) -> None:
    stream = b"".join([SELECT, *parts])
    stream = stream[: cut % (len(stream) + 1)]
    whole = written(stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append_only, "CHUNK", size)
        assert written(stream) == whole
    kept, end, count = whole
    assert len(kept) == count
    assert end <= len(stream)
    inside = False
    for one in kept:
        inside = (inside or one == MULTI) and one != EXEC
    assert not inside


LOADS = {
    "redis-6.2-disk": "redis-7.0",
    "redis-7.0-diskless": "redis-7.0",
    "redis-8.0-rdb-channel": "redis-8.0",
    "valkey-8.1-announced": "valkey-8.1",
    "valkey-9-dual-channel": "valkey-newest",
}


@pytest.mark.parametrize("capture", [one for one in captures() if one.name in LOADS], ids=lambda one: str(one.name))
def test_servers_boot_from_captures_of_every_kind(capture: Capture, tmp_path: Path) -> None:
    read = reading(as_packets(capture, 1000, random.Random(1)))
    chapter = index(read).chapters()[-1]
    directory = tmp_path / "out"
    done = write_aof(read, chapter, directory)
    assert done.offset == chapter.end
    assert (directory / MANIFEST).read_text() == MANIFEST_TEXT
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    with restored(need(LOADS[capture.name]), directory) as server, client(server) as one:
        sizes = {int(key[2:]): value["keys"] for key, value in one.info("keyspace").items()}
        assert sizes == {0: 5, 3: 1}  # as capture.py writes
