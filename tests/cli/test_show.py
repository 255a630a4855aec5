"""`redis-tap show` as a user types it: what it prints about a file, and about one that it cannot read."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tap import recording
from tests.cli.typed import tap
from tests.rdb.make import rdb
from tests.recording.support import config, exchange, listening
from tests.recording.wires import STREAM, Wire, file, streamed
from tests.relay.wire import BASE, REPLID, asks, command
from tests.support import FIXTURES, WITHIN, TapThread, wait_until

TAP = [sys.executable, "-m", "tap", "show"]


def show(*arguments: str | Path, width: int = 200) -> subprocess.CompletedProcess[str]:
    return tap("show", *arguments, width=width)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng")


def test_the_text_is_that_of_the_log(capture: Path) -> None:
    said = show(capture)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.search(
        r"127\.0\.0\.1:6379/1 127\.0\.0\.1:50000 partial resync: goes on with 8371b4fb… after offset 1000", said.stdout
    )
    assert "SET" not in said.stdout


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("ascii", ["--commands"]),
        ("ascii", ["--commands", "--format", "json"]),
        ("ascii", ["--stats"]),
        ("latin-1", ["--commands"]),
        ("utf8", ["--commands", "--format", "json"]),
    ],
)
def test_a_character_that_the_locale_lacks_ends_nothing(tmp_path: Path, encoding: str, arguments: list[str]) -> None:
    path = file(tmp_path / "one.pcapng", streamed([command("SET", "\u00e9", "\U0001f600\u2026")]).packets, "pcapng")
    done = tap("show", path, *arguments, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    if "json" in arguments:
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert [one["args"] for one in said if one["event"] == "command"] == [["\u00e9", "\U0001f600\u2026"]]


@pytest.mark.parametrize("options", [[], ["--stats"], ["--commands"]])
def test_an_absent_link_is_reported_with_those_that_exist(capture: Path, options: list[str]) -> None:
    for name, code in (("orders", 2), ("127.0.0.1:6379", 0), ("127.0.0.1:6379/1", 0)):
        said = show(capture, "--link", name, *options)
        assert said.returncode == code
        assert said.stderr == ("" if code == 0 else "redis-tap: --link orders: not in it; its links: 127.0.0.1:6379\n")


def test_json_is_an_object_per_event(capture: Path) -> None:
    said = [json.loads(line) for line in show(capture, "--format", "json", "--commands").stdout.splitlines()]
    assert said[0]["event"] == "link_opened"
    commands = [one for one in said if one["event"] == "command"]
    assert [one["name"] for one in commands] == ["SELECT"] + ["SET"] * 60
    assert commands[0]["offset"] == BASE + len(STREAM[0])


def offset(number: int) -> int:
    return BASE + sum(len(one) for one in STREAM[: number + 1])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--command", "set"], 60),
        (["--command", "select", "--command", "set"], 61),
        (["--key", "key:5?"], 10),
        (["--key", "key:1", "--key", "key:2"], 2),
        (["--db", "3", "--command", "set"], 60),
        (["--db", "0"], 0),
        (["--key", "*", "--from", str(offset(50))], 11),
        (["--key", "*", "--from", str(offset(50)), "--until", str(offset(52))], 3),
        (["--commands", "--key", "*", "--link", "127.0.0.1:6379"], 60),
        (["--commands", "--key", "*", "--link", "127.0.0.1:6379/1"], 60),
        (["--key", "*", "--from", "2001-09-09T01:46:41Z"], 0),
        (["--key", "*", "--from", "2001-09-09T01:46:40Z"], 60),
    ],
)
def test_filters_select_commands(capture: Path, options: list[str], count: int) -> None:
    said = show(capture, *options)
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.splitlines()) == count


def test_a_key_is_found_wherever_the_command_names_it(tmp_path: Path) -> None:
    stream = [
        command("SELECT", "0"),
        command("SORT", "list", "BY", "weight_*", "STORE", "dst"),
        command("SORT", "list", "BY", "dst"),
        command("GEORADIUSBYMEMBER", "places", "dst", "1", "km", "STOREDIST", "dst"),
        command("ZUNIONSTORE", "other", "2", "a", "dst"),
        command("PUBLISH", "dst", "x"),
        command("MSETEX", "2", "a", "dst", "dst", "1"),
    ]
    path = file(tmp_path / "capture.pcapng", streamed(stream).packets, "pcapng")
    names = ["SORT", "GEORADIUSBYMEMBER", "ZUNIONSTORE", "MSETEX"]
    said = show(path, "--key", "dst", "--format", "json")
    assert [json.loads(line)["name"] for line in said.stdout.splitlines()] == names
    (link,) = figures(path, "--key", "dst")
    assert sorted(link["by_name"]) == sorted(names)
    assert {one["key"]: one["writes"] for one in link["keys_by_writes"]}["dst"] == 4


REACHING = [
    *(command("SELECT", "0"), command("SET", "a", "1"), command("FLUSHALL"), command("SWAPDB", "3", "4")),
    *(command("MOVE", "a", "3"), command("COPY", "a", "b", "REPLACE", "DB", "3"), command("COPY", "a", "b")),
    *(command("SELECT", "3"), command("SET", "b", "1")),
]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--db", "0"], "SELECT SET FLUSHALL SWAPDB MOVE COPY COPY"),
        (["--db", "3"], "FLUSHALL SWAPDB MOVE COPY SELECT SET"),
        (["--db", "4"], "FLUSHALL SWAPDB"),
        (["--db", "9"], "FLUSHALL"),
        (["--db", "3", "--key", "a"], "MOVE"),
        (["--db", "3", "--key", "b"], "COPY SET"),
        (["--db", "0", "--key", "b"], "COPY"),
        (["--db", "4", "--db", "9", "--command", "SWAPDB"], "SWAPDB"),
        (["--key", "b"], "COPY COPY SET"),
    ],
)
def test_a_command_that_reaches_a_db_from_another_one_belongs_to_it(
    tmp_path: Path, options: list[str], names: str
) -> None:
    path = file(tmp_path / "capture.pcapng", streamed(REACHING).packets, "pcapng")
    lines = show(path, *options, "--format", "json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == names.split()
    (link,) = figures(path, *options)
    assert {name: share["count"] for name, share in link["by_name"].items()} == Counter(names.split())
    done = exported(path, *options)
    assert [json.loads(line)["name"] for line in done.splitlines()] == names.split()
    with recording.open(path) as opened:
        chosen = opened.commands(
            db=[int(value) for option, value in itertools.pairwise(options) if option == "--db"],
            command=[value for option, value in itertools.pairwise(options) if option == "--command"],
            key=[value for option, value in itertools.pairwise(options) if option == "--key"],
        )
        assert [one.name for one in chosen] == names.split()


def exported(path: Path, *options: str) -> str:
    out = path.with_name("rows.jsonl")
    out.unlink(missing_ok=True)
    tap("export", path, "--to", "jsonl", "-o", out, *options)
    return out.read_text()


def test_a_command_that_is_too_large_to_show_has_a_name_and_keys(tmp_path: Path) -> None:
    large = command("SET", "large", "x" * 3_000_000)
    pieces = [command("SELECT", "3"), *(large[begin : begin + 60_000] for begin in range(0, len(large), 60_000))]
    path = file(tmp_path / "capture.pcapng", streamed([*pieces, command("SET", "b", "1")]).packets, "pcapng")
    for options in (["--key", "large"], ["--command", "SET", "--until", "-0"], ["--db", "3", "--key", "l*"]):
        assert "SET large (2.9 MB, too large to show)" in show(path, *options).stdout
    assert "large" not in show(path, "--key", "b").stdout


def test_a_key_counts_in_the_db_where_it_is(tmp_path: Path) -> None:
    path = file(tmp_path / "capture.pcapng", streamed(REACHING).packets, "pcapng")
    (link,) = figures(path)
    assert {(one["db"], one["key"]): one["writes"] for one in link["keys_by_writes"]} == {
        (0, "a"): 4,  # SET, MOVE, both COPY
        (0, "b"): 1,
        (3, "a"): 1,
        (3, "b"): 2,
    }


def test_an_impossible_moment_is_reported(capture: Path) -> None:
    said = show(capture, "--until", "noon")
    assert said.returncode == 2
    assert said.stderr.startswith("redis-tap: --until 'noon': write a time")


def test_figures_are_shown_for_people(capture: Path) -> None:
    said = show(capture, "--stats", width=80)
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said.stdout
    assert "commands  61" in lines[2]
    for title in (
        "bytes per second",
        "commands per second",
        "groups of keys",
        "keys by writes",
        "keys by bytes",
        "largest commands",
    ):
        assert any(line.startswith(title) for line in lines), title
    assert re.search(r"partial resync: goes on with 8371b4fb… after offset\s+1000", said.stdout)


def figures(path: Path, *options: str) -> Any:
    said = show(path, "--stats", "--format", "json", *options)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)["links"]


@pytest.mark.parametrize(
    ("options", "writes"),
    [
        ([], 60),
        (["--command", "set"], 60),
        (["--command", "select"], 0),
        (["--key", "key:5?"], 10),
        (["--db", "3"], 60),
        (["--db", "0"], 0),
        (["--key", "*", "--from", str(offset(50)), "--until", str(offset(52))], 3),
        (["--link", "127.0.0.1:6379/1"], 60),
    ],
)
def test_figures_cover_the_selection(capture: Path, options: list[str], writes: int) -> None:
    (link,) = figures(capture, *options)
    assert link["writes"] == writes
    assert sum(one["writes"] for one in link["keys_by_writes"]) == min(10, writes)


def test_figures_of_nothing_are_empty(capture: Path) -> None:
    assert figures(capture, "--from", "2001-09-09T01:46:41Z") == []


def test_figures_replace_events(capture: Path) -> None:
    said = show(capture, "--stats", "--commands")
    assert said.returncode == 2
    assert said.stderr == "redis-tap: --stats shows figures instead of events: leave out --commands and --rdb-keys\n"


def test_given_groups_are_counted(capture: Path) -> None:
    (link,) = figures(capture, "--group", "key:?", "--group", "key:1?")
    assert [(one["pattern"], one["writes"]) for one in link["groups"]] == [("key:1?", 10), ("key:?", 10), (None, 40)]
    said = show(capture, "--stats", "--group", "key:?")
    assert re.search(r"\d%\s+10\s+key:\?\s*\n", said.stdout)
    assert re.search(r"\d%\s+50\s+others\s*\n", said.stdout)


def test_groups_are_about_figures(capture: Path) -> None:
    said = show(capture, "--group", "key:*")
    assert (said.returncode, said.stderr) == (2, "redis-tap: --group is about figures: add --stats\n")
    said = show(capture, "--stats", "--group", "")
    assert said.returncode == 2
    assert said.stderr == "redis-tap: a group of keys has an empty pattern: write a glob, as 'session:*'\n"


def other(path: Path) -> None:
    web = Wire(40000)
    web.open()
    web.send(0, b"GET / HTTP/1.1\r\n\r\n")
    file(path, web.packets, "pcapng")


def cut(path: Path) -> None:
    path.write_bytes(file(path, streamed(STREAM).packets, "pcapng").read_bytes()[:-7])


def cut_zstd(path: Path) -> None:
    data = file(path, streamed(STREAM).packets, "pcapng").read_bytes()
    path.write_bytes(zstandard.compress(data[:-10]) + zstandard.compress(data[-10:])[:-2])


def cut_pcap(path: Path) -> None:
    path.write_bytes(file(path, streamed(STREAM).packets, ">us").read_bytes()[:-7])


def flipped_pcap(path: Path) -> None:
    """Damaged in the length of the last packet."""
    data = bytearray(file(path, streamed(STREAM).packets, "<ns").read_bytes())
    at = len(data) - len(streamed(STREAM).packets[-1][1]) - 8
    data[at + 3] ^= 0x10
    path.write_bytes(data)


def unknown_link_type(path: Path) -> None:
    data = bytearray(file(path, streamed(STREAM).packets, "<us").read_bytes())
    data[20:24] = struct.pack("<I", 105)
    path.write_bytes(data)


LACKS = (
    r"127.0.0.1:6379/1: 37 bytes from the replica are missing, bytes 442 to 479 [^\n]*\nredis-tap: "
    r"127.0.0.1:6379/1: 94 bytes of the stream are missing, offsets 1552 to 1646 \(after "
)


def flipped(path: Path) -> None:
    data = bytearray(file(path, streamed(STREAM).packets, "pcapng").read_bytes())
    data[3000] ^= 0xFF
    at = data.index(b"\x06\0\0\0", 3000)
    data[at + 5] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "says", "shows"),
    [
        (lambda path: path.write_bytes(b""), "it is empty", False),
        (lambda path: path.write_text("some text\n"), "it is not a capture, neither pcapng nor pcap", False),
        (lambda path: None, "No such file", False),
        (other, "no replication in it: 1 TCP connection", False),
        (cut, r"cut off: the last \d+ bytes, from byte \d+ on", True),
        (cut_pcap, r"cut off: the last \d+ bytes, from byte \d+ on, are not a whole packet", True),
        (cut_zstd, r"cut off, or still being written: its zstd frame does not end with byte \d+", True),
        (flipped_pcap, r"byte \d+: damaged, a packet of \d+ bytes; the rest is not read", True),
        (
            unknown_link_type,
            r"no replication in it: 0 TCP connections; packets that hold no readable TCP: 12\d of link type 105 \(IEEE",
            False,
        ),
        (Path.mkdir, "no capture in this directory", False),
        (flipped, rf"bytes \d+ to \d+ are damaged; skipped[^\n]*\nredis-tap: {LACKS}", True),
    ],
)
def test_unreadable_files_are_one_line_and_the_rest_is_shown(
    tmp_path: Path, spoil: Callable[[Path], object], says: str, shows: bool
) -> None:
    path = tmp_path / "spoilt"
    spoil(path)
    said = show(path, "--commands")
    assert said.returncode == 2
    assert re.fullmatch(rf"redis-tap: {re.escape(str(path))}: {says}[^\n]*\n", said.stderr)
    assert ("SET key:59" in said.stdout) == shows
    said = show(path, "--stats")
    assert said.returncode == 2
    assert bool(said.stdout) == shows


def test_a_file_that_grows_is_followed(tmp_path: Path) -> None:
    wire = streamed([STREAM[0], *STREAM[1:5]])
    path = file(tmp_path / "growing.pcapng", wire.packets, "pcapng")
    whole = path.read_bytes()
    wire.send(1, command("SET", "later", "x"))
    wire.send(0)
    later = file(tmp_path / "other.pcapng", wire.packets, "pcapng").read_bytes()[len(whole) :]
    lines: list[str] = []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    follow = [*TAP, str(path), "--follow", "--commands"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines += itertools.takewhile(lambda line: "key:3" not in line, process.stdout)
        with path.open("ab") as file_:
            file_.write(later[:10])
            file_.flush()
            file_.write(later[10:])
        assert "SET later" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, WITHIN)
    assert process.returncode == 0


# ---- every kind of capture ----


def ethernet(packet: bytes, kind: bytes = b"") -> bytes:
    return bytes(12) + kind + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet


def cooked(packet: bytes) -> bytes:
    return bytes(14) + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet


def cooked_2(packet: bytes) -> bytes:
    return (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + bytes(18) + packet


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.1"), ("fd00::1", "fd00::2")], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, ethernet),
        (1, lambda packet: ethernet(packet, b"\x81\x00\x00\x05")),
        (1, lambda packet: ethernet(packet, b"\x88\xa8\x00\x05\x81\x00\x00\x06")),
        (113, cooked),
        (276, cooked_2),
        (0, lambda packet: bytes(4) + packet),
        (101, lambda packet: packet),
    ],
    ids=["ethernet", "vlan", "vlan in vlan", "cooked", "cooked v2", "loopback", "raw"],
)
@pytest.mark.parametrize("kind", ["<us", ">us", "<ns", ">ns"])
def test_every_kind_of_capture_is_shown(
    tmp_path: Path, kind: str, link_type: int, frame: Callable[[bytes], bytes], hosts: tuple[str, str]
) -> None:
    wire = streamed(STREAM, hosts)
    path = file(tmp_path / "link.pcap", [(at, frame(data)) for at, data in wire.packets], kind)
    data = bytearray(path.read_bytes())
    data[20:24] = struct.pack(kind[0] + "I", link_type)
    path.write_bytes(data)
    said = show(path, "--command", "set")
    assert (said.returncode, said.stderr) == (0, "")
    assert len(said.stdout.splitlines()) == 60


def test_one_unreadable_file_does_not_affect_the_others(capture: Path) -> None:
    said = show("none.pcapng", capture, "--commands")
    assert (said.returncode, said.stderr) == (2, "redis-tap: none.pcapng: No such file or directory\n")
    assert "SET key:59" in said.stdout


@pytest.mark.parametrize("of", [bytes, zstandard.compress], ids=["plain", "zstd"])
def test_stdin_is_read(capture: Path, of: Callable[[bytes], bytes]) -> None:
    done = subprocess.run(
        [*TAP, "-", "--commands"], input=of(capture.read_bytes()), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"SET key:59" in done.stdout


def test_figures_of_a_file_that_grows_come_as_lines(tmp_path: Path) -> None:
    wire = streamed([STREAM[0], *STREAM[1:5]])
    path = file(tmp_path / "growing.pcapng", wire.packets, "pcapng")
    whole = path.read_bytes()
    wire.send(1, command("SET", "later", "x"))
    later = file(tmp_path / "other.pcapng", wire.packets, "pcapng").read_bytes()[len(whole) :]
    follow = [*TAP, str(path), "--follow", "--stats", "--format", "json"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["links"][0]["writes"] == 4
        with path.open("ab") as file_:
            file_.write(later)
        assert json.loads(process.stdout.readline())["links"][0]["writes"] == 5
        process.send_signal(signal.SIGINT)
        (last,) = process.stdout.read().splitlines()
    assert json.loads(last)["links"][0]["writes"] == 5


def test_a_pipe_that_stays_open_is_followed(capture: Path) -> None:
    follow = [*TAP, "-", "--follow", "--commands"]
    with subprocess.Popen(follow, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(capture.read_bytes()[:-7])
        process.stdin.flush()
        assert any(b"SET key:59" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, WITHIN)
    assert process.returncode == 0


def test_a_reader_may_close_the_pipe_early(capture: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run(
            [*TAP, capture, "--commands"], stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.stderr == b""


# ---- what is missing ----

LOST = FIXTURES / "captures" / "one-command-lost.pcap"
GAP = "redis-tap: 10.0.0.1:6379/1: 92 bytes of the stream are missing, offsets 2485 to 2577 (after "
COMPRESSED = sorted((FIXTURES / "compressed").glob("*.pcapng"))


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--format", "json"],
        ["--commands"],
        ["--stats"],
        ["--stats", "--format", "json"],
        ["--command", "DEL"],
        ["--db", "7"],
        ["--key", "nothing"],
        ["--link", "10.0.0.1:6379"],
        ["--from", "2577"],
        ["--until", "2486"],
        ["--stats", "--until", "2486"],
    ],
)
def test_a_gap_is_one_line_and_an_exit_code(options: list[str]) -> None:
    said = show(LOST, *options)
    assert (said.returncode, said.stderr.count("are missing")) == (2, 1)
    assert said.stderr.startswith(GAP)


@pytest.mark.parametrize("options", [["--until", "2485"], ["--from", "2578"], ["--stats", "--from", "2578"]])
def test_a_gap_outside_the_selection_is_ignored(options: list[str]) -> None:
    assert (show(LOST, *options).returncode, show(LOST, *options).stderr) == (0, "")


@pytest.mark.parametrize("options", [[], ["--format", "json"], ["--commands"], ["--stats"], ["--command", "SET"]])
@pytest.mark.parametrize("path", COMPRESSED, ids=lambda path: str(path.stem))
def test_an_unreadable_stream_is_reported_with_its_offset(path: Path, options: list[str]) -> None:
    said = show(path, *options)
    assert said.returncode == 2
    first, second, *_ = said.stderr.splitlines()
    assert said.stderr.count("cannot be read") == 2
    assert "bytes of the stream cannot be read, from offset 0 on: " in first
    assert "bytes of the stream cannot be read, from offset 1679 on: " in second


def test_figures_show_how_much_is_missing_and_unread() -> None:
    assert "92 B from the master are not recorded, and not counted" in show(LOST, "--stats").stdout
    for path in COMPRESSED:
        (link,) = json.loads(show(path, "--stats", "--format", "json").stdout)["links"]
        assert (link["missing_bytes"], link["unread_bytes"]) == (0, 562)
        assert "562 B from the master could not be read, and are not counted" in show(path, "--stats").stdout


def test_figures_of_a_link_lack_nothing_that_one_of_its_replicas_got(tmp_path: Path) -> None:
    packets = []
    for port, lost in ((50000, 4), (50001, None)):
        wire = Wire(port)
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, b"+CONTINUE %b\r\n" % REPLID.encode())
        for number, piece in enumerate(STREAM[:9]):
            if number == lost:
                wire.flow.skip(1, len(piece))
            else:
                wire.send(1, piece)
            wire.send(0, command("REPLCONF", "ACK", str(BASE)))
        packets += wire.packets
    path = file(tmp_path / "two.pcapng", sorted(packets), "pcapng")
    assert (show(path, "--stats").returncode, show(path, "--stats").stderr) == (0, "")
    assert show(path).returncode == 2  # not all of one connection can be reported
    assert show(path, "--stats", "--link", "127.0.0.1:6379/1").returncode == 2


def test_an_omitted_rdb_is_missed_only_where_it_matters(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    data = rdb(10)
    with listening() as listener, TapThread(config(listener.getsockname()[1], path, record_without_rdb=True)) as tap:
        granted = b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), BASE, len(data))
        ack = command("REPLCONF", "ACK", str(BASE))
        exchange(tap, listener, [(0, command("PSYNC", "?", "-1")), (1, granted + data), (0, ack), (1, STREAM[0])])
    for options in ([], ["--stats"], ["--commands"]):
        assert (show(path, *options).returncode, show(path, *options).stderr) == (0, "")
    said = show(path, "--rdb-keys")
    assert said.returncode == 2
    assert re.fullmatch(r"redis-tap: main/1: \d+ bytes of an RDB were left out of the recording, [^\n]*\n", said.stderr)


# ---- one direction alone ----


def test_a_capture_of_the_master_alone_is_reported_with_one_line_about_it() -> None:
    said = show(FIXTURES / "captures" / "only-from-master.pcap", "--commands")
    assert said.returncode == 0
    assert said.stderr == (
        "redis-tap: 10.0.0.1:6379: only what the master sent was captured; requests and acknowledgements are not "
        "reported\n"
    )
    assert "FULL RESYNC, 12345678… at offset 1000. Why: unknown: the request for it was not seen" in said.stdout
    assert "RDB complete: 42 B; 1 key" in said.stdout
    offsets = re.findall(r" (\d+) db0 SE(?:T|LECT) ", said.stdout)
    assert (len(offsets), offsets[0], offsets[-1]) == (41, "1023", "4693")


def test_an_ordinary_client_without_its_beginning_is_not_replication() -> None:
    path = FIXTURES / "captures" / "client-without-syn.pcap"
    said = show(path, "--commands")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"redis-tap: {path}: no replication in it: 1 TCP connection\n"
