"""`redis-tap show` as a user types it: what it prints of a file, and what it says of one that it cannot read."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap.cli.show import show as run
from tests.recording.test_reader import STREAM, Wire, file, streamed
from tests.relay.wire import BASE, command
from tests.support import WITHIN, wait_until

TAP = [sys.executable, "-m", "tap", "show"]


def show(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TAP, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng")


def test_the_text_is_that_of_the_log(capture: Path) -> None:
    said = show(capture)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.search(
        r"127\.0\.0\.1:6379/1 127\.0\.0\.1 partial resync: goes on with 8371b4fb… after offset 1000", said.stdout
    )
    assert "SET" not in said.stdout


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
        (["--commands", "--link", "other"], 0),
        (["--key", "*", "--from", "2001-09-09T01:46:41Z"], 0),
        (["--key", "*", "--from", "2001-09-09T01:46:40Z"], 60),
    ],
)
def test_filters_choose_commands(capture: Path, options: list[str], count: int) -> None:
    said = show(capture, *options)
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.splitlines()) == count


def test_a_moment_that_is_none_is_said(capture: Path) -> None:
    said = show(capture, "--until", "noon")
    assert said.returncode == 2
    assert said.stderr.startswith("redis-tap: --until 'noon': write a time")


def test_figures_are_told_for_people(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = show(capture, "--stats")
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said.stdout
    assert "commands  61" in lines[2]
    for title in ("bytes per second", "commands per second", "keys by writes", "keys by bytes", "largest commands"):
        assert any(line.startswith(title) for line in lines), title
    assert re.search(r"partial resync: goes on with 8371b4fb… after offset\s+1000", said.stdout)


def figures(capsys: pytest.CaptureFixture[str], path: Path, **options: Any) -> Any:
    run([path], form="json", stats=True, **options)
    return json.loads(capsys.readouterr().out)["links"]


@pytest.mark.parametrize(
    ("options", "writes"),
    [
        ({}, 60),
        ({"command": ["set"]}, 60),
        ({"command": ["select"]}, 0),
        ({"key": ["key:5?"]}, 10),
        ({"db": [3]}, 60),
        ({"db": [0]}, 0),
        ({"key": ["*"], "from_": str(offset(50)), "until": str(offset(52))}, 3),
        ({"link": ["127.0.0.1:6379/1"]}, 60),
    ],
)
def test_figures_are_of_what_is_chosen(
    capsys: pytest.CaptureFixture[str], capture: Path, options: dict[str, Any], writes: int
) -> None:
    (link,) = figures(capsys, capture, **options)
    assert link["writes"] == writes
    assert sum(one["writes"] for one in link["keys_by_writes"]) == min(10, writes)


def test_figures_of_nothing_are_none(capsys: pytest.CaptureFixture[str], capture: Path) -> None:
    assert figures(capsys, capture, link=["other"]) == figures(capsys, capture, from_="2001-09-09T01:46:41Z") == []


def test_figures_are_told_instead_of_events(capture: Path) -> None:
    said = show(capture, "--stats", "--commands")
    assert said.returncode == 2
    assert said.stderr == "redis-tap: --stats tells figures instead of events: leave out --commands and --rdb-keys\n"


def other(path: Path) -> None:
    web = Wire(40000)
    web.open()
    web.send(0, b"GET / HTTP/1.1\r\n\r\n")
    file(path, web.packets, "pcapng")


def cut(path: Path) -> None:
    path.write_bytes(file(path, streamed(STREAM).packets, "pcapng").read_bytes()[:-7])


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
        (lambda path: path.write_text("some text\n"), "it is no capture, neither pcapng nor pcap", False),
        (lambda path: None, "No such file", False),
        (other, "no replication in it: 1 TCP connections", False),
        (cut, r"cut off: the last \d+ bytes, from byte \d+ on", True),
        (flipped, r"bytes \d+ to \d+ are damaged; read on behind them", True),
    ],
)
def test_what_cannot_be_read_is_one_line_and_the_rest_is_shown(
    tmp_path: Path, spoil: Callable[[Path], object], says: str, shows: bool
) -> None:
    path = tmp_path / "spoilt"
    spoil(path)
    said = show(path, "--commands")
    assert said.returncode == 2
    assert re.fullmatch(rf"redis-tap: {re.escape(str(path))}: {says}[^\n]*\n", said.stderr)
    assert ("SET key:59" in said.stdout) == shows


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
