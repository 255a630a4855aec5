"""`redis-tap export` as a user types it: what it writes and prints, and that no half output remains."""

from __future__ import annotations

import gc
import gzip
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from tap.capture.packets import TcpFlow
from tap.capture.segments import FIN, Endpoint
from tap.cli import main
from tap.cli.ending import endings
from tests.cli.typed import tap
from tests.rdb.make import rdb
from tests.recording.wires import STREAM, Wire, file, streamed
from tests.relay.wire import BASE, REPLID, command
from tests.support import FIXTURES, wait_until

RDB = rdb(10)
SELECT = command("SELECT", "0")
SETS = [command("SET", f"key:{number}", "v") for number in range(9)]
MULTI = command("MULTI") + command("INCR", "a") + command("EXEC")
PING = command("PING")
WHOLE = [SELECT, *SETS, PING, MULTI]
END = BASE + sum(map(len, WHOLE))


def synced(*pieces: bytes, wire: Wire | None = None, offset: int = BASE) -> Wire:
    """A full resync, with a millisecond between packets."""
    wire = wire or Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), offset, len(RDB)) + RDB)
    for piece in pieces:
        wire.send(1, piece)
        wire.send(0, command("REPLCONF", "ACK", "1"))
    return wire


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", synced(*WHOLE).packets, "pcapng")


@dataclass
class Done:
    returncode: int
    stdout: bytes
    stderr: str


@pytest.fixture
def export(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Callable[..., Done]]:
    """As the command, but in this process."""
    before = {number: signal.getsignal(number) for number in endings()}

    def run(*arguments: str | Path) -> Done:
        sys.argv = ["redis-tap", "export", *map(str, arguments)]
        try:
            main()
        except SystemExit as end:
            out, error = capfdbinary.readouterr()
            return Done(int(end.code or 0), out, error.decode())
        raise AssertionError

    argv = sys.argv
    yield run
    sys.argv = argv
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_rdb_is_the_one_that_was_sent(export: Callable[..., Done], capture: Path, tmp_path: Path) -> None:
    done = export(capture, "--to", "rdb", "-o", "-")
    assert (done.returncode, done.stdout) == (0, RDB)
    assert re.fullmatch(rf"redis-tap: the RDB at offset {BASE} of replication ID {REPLID} \(.*\)\n", done.stderr)
    out = tmp_path / "dump.rdb"
    assert export(capture, "--to", "rdb", "-o", out, "--until", str(BASE)).returncode == 0
    assert out.read_bytes() == RDB
    assert out.stat().st_mode & 0o777 == 0o600


def test_the_aof_ends_at_the_requested_offset(export: Callable[..., Done], capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "appendonlydir"
    done = export(capture, "--to", "aof", "-o", out, "--until", str(END - 1))
    assert done.returncode == 0
    assert (out / "appendonly.aof.1.base.rdb").read_bytes() == RDB
    assert (out / "appendonly.aof.1.incr.aof").read_bytes() == SELECT + b"".join(SETS)
    assert sorted(path.name for path in out.iterdir())[2:] == ["appendonly.aof.manifest"]
    assert f"10 commands after it, up to offset {END - len(MULTI)}, which came 2001-" in done.stderr
    assert f"redis-server --appendonly yes --dir {tmp_path} --appenddirname appendonlydir" in done.stderr


def test_the_aof_ends_at_a_requested_time(export: Callable[..., Done], capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # The RDB came in the 5th millisecond, SELECT in the 6th, each SET two later.
    assert export(capture, "--to", "aof", "-o", out, "--until", "2001-09-09T01:46:40.010Z").returncode == 0
    assert (out / "appendonly.aof.1.incr.aof").read_bytes() == b"".join([SELECT, *SETS[:2]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], WHOLE),
        (["--until", str(BASE + len(SELECT + SETS[0]) + 5)], WHOLE[:2]),
        (["--from", str(BASE + len(SELECT) + 1)], WHOLE[1:]),
        (["--from", str(BASE + len(SELECT))], WHOLE),
        (["--from", "2001-09-09T01:46:40.010Z"], WHOLE[2:]),
        (["--from", "2001-09-09T01:46:40.009Z", "--until", "2001-09-09T01:46:40.010Z"], WHOLE[2:3]),
    ],
)
def test_the_stream_is_cut_at_commands(
    export: Callable[..., Done], capture: Path, options: list[str], expected: list[bytes]
) -> None:
    done = export(capture, "--to", "resp", "-o", "-", *options)
    assert (done.returncode, done.stdout) == (0, b"".join(expected)), done.stderr


def test_commands_are_lines_also_compressed(export: Callable[..., Done], capture: Path, tmp_path: Path) -> None:
    done = export(capture, "--to", "jsonl", "-o", "-", "--command", "SET")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["args"] for line in lines] == [[f"key:{number}", "v"] for number in range(9)]
    assert lines[0]["offset"] == BASE + len(SELECT + SETS[0])
    for name, opened in (("a.jsonl.gz", gzip.decompress), ("a.jsonl.zst", decompressed)):
        assert export(capture, "--to", "jsonl", "-o", tmp_path / name, "--command", "SET").returncode == 0
        assert opened((tmp_path / name).read_bytes()) == done.stdout


def decompressed(data: bytes) -> bytes:
    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))


def hole(path: Path) -> None:
    wire = synced(SELECT, SETS[0])
    wire.flow.skip(1, len(SETS[1]))
    for piece in SETS[2:]:
        wire.send(1, piece)
        wire.send(0, command("REPLCONF", "ACK", "1"))
    file(path, wire.packets, "pcapng")


def two(path: Path) -> None:
    first, second = synced(SELECT), Wire(50001)
    second.flow = TcpFlow(Endpoint("127.0.0.1", 50001), Endpoint("127.0.0.1", 6380), (1, 1))
    file(path, first.packets + synced(SELECT, wire=second).packets, "pcapng")


def functions(path: Path) -> None:
    wire = Wire()
    wire.open()
    wire.send(0, command("REPLCONF", "rdb-only", "1", "rdb-filter-only", "functions"))
    wire.send(1, b"+OK\r\n")
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), BASE, len(RDB)) + RDB)
    file(path, wire.packets, "pcapng")


def plain(path: Path) -> None:
    file(path, synced(*WHOLE).packets, "pcapng")


def without(path: Path) -> None:
    file(path, streamed(STREAM).packets, "pcapng")


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (
            hole,
            ["--to", "aof"],
            r"no RDB with a stream up to the end without a hole; there is:\n  127.*:6379: the RDB at .*",
        ),
        (hole, ["--to", "aof", "--until", str(END)], rf"no RDB with a stream up to offset {END} without a hole; there.*"),
        (hole, ["--to", "resp"], r"several streams: choose with --from, --until or --link; there is:\n  127.*\n  127.*"),
        (
            without,
            ["--to", "aof"],
            r"no RDB with a stream up to the end without a hole; the recording has no whole RDB, as in .*",
        ),
        (
            functions,
            ["--to", "rdb"],
            r"no whole RDB; the recording has none, as in a recording .* with --without-rdb or --redact",
        ),
        (without, ["--to", "rdb"], r"no whole RDB; the recording has none, as in .*"),
        (
            plain,
            ["--to", "rdb", "--until", "5"],
            rf"no whole RDB up to offset 5; there is:\n.* the RDB at offset {BASE} .*",
        ),
        (
            plain,
            ["--to", "aof", "--until", "2001-01-01T00:00:00"],
            r"no RDB with a stream up to 2001-01-01T.*; there is:\n.*",
        ),
        (plain, ["--to", "resp", "--from", "5"], r"no stream holds all of that; there is:\n.*"),
        (
            plain,
            ["--to", "aof", "--link", "x"],
            r"--link x: no resync was recorded on a link of that name; links with one: 127.*",
        ),
        (two, ["--to", "aof"], r"there are several links: 127.0.0.1:6379, 127.0.0.1:6380; choose one with --link"),
        (plain, ["--to", "aof", "--key", "a"], r"--db, --command and --key are for jsonl and parquet: .*"),
        (plain, ["--to", "aof", "--from", "5"], r"--from is for resp, jsonl and parquet: .*"),
        (lambda path: path.write_bytes(b""), ["--to", "aof"], r".*: it is empty"),
    ],
)
def test_what_cannot_be_exported_is_reported_with_what_there_is(
    export: Callable[..., Done], tmp_path: Path, make: Callable[[Path], object], options: list[str], says: str
) -> None:
    make(tmp_path / "capture")
    done = export(tmp_path / "capture", "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert re.fullmatch(f"redis-tap: {says}\n", done.stderr, re.DOTALL), done.stderr
    assert os.listdir(tmp_path) == ["capture"]


@pytest.mark.parametrize("to", ["rdb", "aof", "resp", "jsonl"])
def test_nothing_is_overwritten(export: Callable[..., Done], capture: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"mine")
    done = export(capture, "--to", to, "-o", out)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"redis-tap: {out} already exists and is not overwritten; give another name with --output",
    )
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize("to", ["rdb", "aof", "resp", "jsonl"])
@pytest.mark.parametrize(
    ("out", "code", "says"),
    [
        ("no/where/out", 2, "there is no directory no/where; make it first"),
        ("/proc/out", 3, "cannot be written: No such file or directory"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    export: Callable[..., Done], to: str, out: str, code: int, says: str
) -> None:
    done = export(Path("/nowhere.pcapng"), "--to", to, "-o", out)
    assert (done.returncode, done.stderr) == (code, f"redis-tap: {out}: {says}\n")


@pytest.mark.parametrize("to", ["rdb", "aof", "resp", "jsonl"])
def test_a_full_disk_leaves_no_output(capture: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        done = tap("export", capture, "--to", to, "-o", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.returncode, done.stderr) == (
        3,
        f"redis-tap: {out}: cannot be written: File too large; nothing of it is left\n",
    )
    assert os.listdir(tmp_path) == ["capture.pcapng"]


def test_an_interrupt_leaves_no_output(tmp_path: Path, capture: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "tap", "export", str(pipe), "--to", "jsonl", "-o", str(out)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process, pipe.open("wb") as feed:
        feed.write(capture.read_bytes())
        feed.flush()
        wait_until(lambda: any(name.startswith(".out") for name in os.listdir(tmp_path)))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert sorted(os.listdir(tmp_path)) == ["capture.pcapng", "pipe"]


def test_without_pyarrow_the_package_to_install_is_named(
    export: Callable[..., Done], capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = export(capture, "--to", "parquet", "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (
        2,
        "redis-tap: --to parquet needs pyarrow: pip install 'redis-tap[parquet]'\n",
    )
    assert os.listdir(tmp_path) == ["capture.pcapng"]


def test_a_mistake_about_rows_makes_no_file(export: Callable[..., Done], capture: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no capture")
    before = sorted(tmp_path.iterdir())
    for form in ("jsonl", "rdb", "aof", "resp"):
        done = export(text, "--to", form, "-o", tmp_path / "rows")
        assert (done.returncode, done.stderr.count("notes.txt")) == (2, 1), form
    done = export(capture, "--to", "jsonl", "--link", "nix", "-o", tmp_path / "rows.jsonl")
    assert done.returncode == 2
    assert "--link nix: not in it; its links: " in done.stderr
    assert sorted(tmp_path.iterdir()) == before


# ---- what is missing ----

LOST = FIXTURES / "captures" / "one-command-lost.pcap"
WHOLE_CAPTURE = FIXTURES / "captures" / "replica-whole.pcap"
COMPRESSED = sorted((FIXTURES / "compressed").glob("*.pcapng"))
GAP = "10.0.0.1:6379/1: 92 bytes of the stream are missing, offsets 2485 to 2577 (after "


@pytest.mark.parametrize(("to", "is_made"), [("rdb", True), ("aof", False), ("resp", False), ("jsonl", True)])
def test_a_gap_is_one_line_and_an_exit_code(export: Callable[..., Done], tmp_path: Path, to: str, is_made: bool) -> None:
    done = export(LOST, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"redis-tap: {GAP}")
    assert done.stderr.count(GAP) == 1
    assert (tmp_path / "out").exists() == is_made
    done = export(WHOLE_CAPTURE, "--to", to, "-o", tmp_path / "whole")
    assert (done.returncode, "are missing" in done.stderr) == (0, False)


def test_the_rows_that_exist_are_written(export: Callable[..., Done], tmp_path: Path) -> None:
    done = export(LOST, "--to", "jsonl", "-o", tmp_path / "out")
    assert done.stderr.startswith("redis-tap: 40 commands\n")
    assert len((tmp_path / "out").read_bytes().splitlines()) == 40


def test_parquet_lacks_what_the_rows_lack(export: Callable[..., Done], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    done = export(LOST, "--to", "parquet", "-o", tmp_path / "out")
    assert (done.returncode, done.stderr.count(GAP)) == (2, 1)
    assert done.stderr.startswith("redis-tap: 40 commands\n")
    gc.collect()
    done = export(COMPRESSED[0], "--to", "parquet", "-o", tmp_path / "none")
    gc.collect()
    assert (done.returncode, (tmp_path / "none").exists()) == (2, False)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--to", "rdb", "--until", "2485"], 0),
        (["--to", "aof", "--until", "2485"], 0),
        (["--to", "resp", "--until", "2485"], 0),
        (["--to", "resp", "--from", "2577"], 2),  # the lost command is the one that ends there
        (["--to", "resp", "--from", "2578"], 0),
        (["--to", "jsonl", "--until", "2485"], 0),
        (["--to", "jsonl", "--from", "2578", "--key", "*"], 0),
        (["--to", "jsonl", "--until", "2486"], 2),
        (["--to", "jsonl", "--command", "SET"], 2),
        (["--to", "jsonl", "--db", "0"], 2),
    ],
)
def test_a_gap_outside_the_selection_is_ignored(
    export: Callable[..., Done], tmp_path: Path, options: list[str], code: int
) -> None:
    done = export(LOST, *options, "-o", tmp_path / "out")
    assert (done.returncode, GAP in done.stderr) == (code, code == 2), done.stderr
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["rdb", "aof", "resp", "jsonl"])
@pytest.mark.parametrize("path", COMPRESSED, ids=lambda path: str(path.stem))
def test_an_unreadable_stream_is_reported_with_its_offset(
    export: Callable[..., Done], tmp_path: Path, path: Path, to: str
) -> None:
    done = export(path, "--to", to, "-o", tmp_path / "out")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()[-2:]
    assert "bytes of the stream cannot be read, from offset 0 on: " in first
    assert "bytes of the stream cannot be read, from offset 1679 on: " in second
    assert (tmp_path / "out").exists() == (to == "rdb")


@pytest.mark.parametrize("to", ["aof", "rdb"])
def test_a_gap_before_the_rdb_takes_nothing_from_it(export: Callable[..., Done], tmp_path: Path, to: str) -> None:
    first, second = synced(SELECT, SETS[0]), Wire(50001)
    first.flow.skip(1, len(SETS[1]))
    first.send(1, SETS[2] * 3)
    for side in (0, 1):
        first.send(side, flags=FIN)
    second.now = first.now + 10**10
    synced(SELECT, SETS[0], wire=second, offset=BASE + 1000)
    path = file(tmp_path / "later", first.packets + second.packets, "pcapng")
    done = export(path, "--to", to, "-o", tmp_path / "out")
    assert (done.returncode, "are missing" in done.stderr) == (0, False), done.stderr
    assert export(path, "--to", "jsonl", "-o", tmp_path / "rows").returncode == 2


def test_what_a_second_replica_brought_is_not_missing(export: Callable[..., Done], tmp_path: Path) -> None:
    first, second = synced(SELECT, SETS[0]), synced(*WHOLE, wire=Wire(50001))
    first.flow.skip(1, len(SETS[1]))
    for piece in WHOLE[3:]:
        first.send(1, piece)
        first.send(0, command("REPLCONF", "ACK", str(BASE)))
    path = file(tmp_path / "two", sorted(first.packets + second.packets), "pcapng")
    for to in ("aof", "resp", "jsonl"):
        done = export(path, "--to", to, "-o", tmp_path / to)
        assert (done.returncode, "are missing" in done.stderr) == (0, False), done.stderr
    assert export(path, "--to", "jsonl", "--link", "127.0.0.1:6379/1", "-o", tmp_path / "one").returncode == 2


# ---- a stream whose start was not captured ----


@pytest.fixture
def middle(tmp_path: Path) -> Path:
    """From the second SET on; the db is selected again at the end."""
    packets = synced(*WHOLE, command("SELECT", "4"), *SETS[:2]).packets
    first = next(number for number, (_, data) in enumerate(packets) if SETS[1] in data)
    return file(tmp_path / "middle.pcapng", packets[first:], "pcapng")


def test_a_stream_without_its_start_is_copied_and_its_db_reported_as_unknown(
    export: Callable[..., Done], middle: Path
) -> None:
    done = export(middle, "--to", "resp", "-o", "-")
    assert (done.returncode, done.stdout) == (0, b"".join([*WHOLE[2:], command("SELECT", "4"), *SETS[:2]]))
    assert done.stderr == (
        "redis-tap: 15 commands from the first whole one on, without offsets, as the start of the stream was not "
        "captured\n"
        "redis-tap: the db of the first 12 of them is not known, as no SELECT stands before them; redis-tap replay --to "
        "sends them with --assume-db N\n"
    )
    done = export(middle, "--to", "resp", "-o", "-", "--from", "2001-09-09T01:46:40.020Z")
    assert done.stdout == b"".join([*WHOLE[7:], command("SELECT", "4"), *SETS[:2]])
    done = export(middle, "--to", "resp", "-o", "-", "--until", "2001-09-09T01:46:40.020Z")
    assert done.stdout == b"".join(WHOLE[2:8])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--to", "resp", "--from", "1100"],
            "--from and --until: the start of the stream was not captured",
        ),
        (["--to", "aof"], "no RDB with a stream up to the end without a hole; the recording has no whole RDB"),
        (["--to", "rdb"], "no whole RDB; the recording has none"),
    ],
)
def test_a_stream_without_its_start_says_what_it_lacks(
    export: Callable[..., Done], middle: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    done = export(middle, *options, "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr


def test_one_of_several_streams_without_offsets_can_be_chosen(export: Callable[..., Done], tmp_path: Path) -> None:
    packets = [one for port in (50000, 50001) for one in synced(*WHOLE, wire=Wire(port)).packets[-10:]]
    path = file(tmp_path / "two.pcapng", sorted(packets), "pcapng")
    done = export(path, "--to", "resp", "-o", tmp_path / "out")
    assert done.returncode == 2
    found = re.findall(r"\n  (127\.0\.0\.1:6379/\d): \d+ bytes without offsets, of a stream", done.stderr)
    assert len(found) == 2
    for place in found:
        done = export(path, "--to", "resp", "-o", "-", "--link", place)
        assert (done.returncode, done.stdout) == (0, b"".join(WHOLE[-5:]))


def test_streams_without_offsets_beside_one_with_offsets_are_named(export: Callable[..., Done], tmp_path: Path) -> None:
    late = synced(*WHOLE, wire=Wire(50001)).packets
    path = file(tmp_path / "two.pcapng", sorted(synced(*WHOLE).packets[-20:] + late), "pcapng")
    done = export(path, "--to", "resp", "-o", "-")
    assert (done.returncode, done.stdout) == (0, b"".join(WHOLE))
    assert re.search(r"left out, as its offsets are not known: 127\.0\.0\.1:6379/\d: \d+ bytes", done.stderr)
