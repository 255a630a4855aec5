"""`redis-tap diff` as it is typed: lines, JSON, exit codes, and no temporary files left."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tap.servers.embedded import LOOPBACK
from tests.cli.running import TAP
from tests.cli.typed import tap
from tests.rdb import make
from tests.support import FIXTURES, Servers, client, wait_until

MIXED = FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb"
S = make.string


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_equal_data_end_with_0(tmp_path: Path) -> None:
    said = tap("diff", MIXED, MIXED)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"equal: A {MIXED} (11 keys), B {MIXED} (11 keys)")
    assert list(tmp_path.iterdir()) == []


def test_differences_end_with_1_and_are_named(tmp_path: Path) -> None:
    for name, text in (("a", b"1"), ("b", b"2")):
        keys = (make.key(0, S(b"k%03d" % number), S(text)) for number in range(150))
        (tmp_path / name).write_bytes(make.rdb(12, *keys))
    said = tap("diff", tmp_path / "a", tmp_path / "b")
    lines = said.stdout.splitlines()
    assert said.returncode == 1
    assert lines[0] == "db0 k000: value differs (string)"
    assert lines[100] == "... 50 more, see --limit"
    assert lines[101].startswith("not equal: 150 keys differ (150 in value): A ")
    said = tap("diff", tmp_path / "a", tmp_path / "b", "--json")
    found = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(found) == 151
    assert found[-1]["summary"]["differing"] == 150
    said = tap("diff", tmp_path / "a", tmp_path / "b", "--json", "--limit", "0", "--key", "k00?", "--db", "0,1")
    (found,) = [json.loads(line) for line in said.stdout.splitlines()]
    assert (found["summary"]["differing"], found["summary"]["shown"]) == (10, 0)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([MIXED, "nowhere.rdb"], 2, "nowhere.rdb: No such file or directory"),
        ([MIXED, FIXTURES / "rdb" / "corrupt-bad-magic.rdb"], 2, ""),
        ([MIXED, FIXTURES / "rdb" / "corrupt-lzf-short-output.rdb"], 2, "corrupt-lzf-short-output.rdb: "),
        ([MIXED, MIXED, "--ignore-expiry", "--expiry-within", "1s"], 2, "give one of them"),
        ([MIXED, MIXED, "--expiry-within", "1"], 2, "'1' needs its unit"),
        ([MIXED, MIXED, "--db", "x"], 2, "a db is a number"),
        ([MIXED, f"{LOOPBACK}:1"], 3, f"{LOOPBACK}:1: "),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(words: list[str | Path], code: int, sentence: str) -> None:
    said = tap("diff", *words)
    assert (said.returncode, said.stdout) == (code, "")
    assert sentence in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_a_server_is_compared_with_its_own_rdb(servers: Servers, any_server: str, tmp_path: Path) -> None:
    server = servers.start(any_server)
    client(server).set("k", "v")
    client(server).save()
    saved = shutil.copy(server.directory / "dump.rdb", tmp_path)  # a resync over the disk writes that file anew
    assert tap("diff", server.url, saved).returncode == 0
    client(server).set("k", "w")
    said = tap("diff", server.url, saved)
    assert (said.returncode, said.stdout.splitlines()[0]) == (1, "db0 k: value differs (string)")


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.rdb"
    os.mkfifo(pipe)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    writing = os.open(pipe, os.O_RDWR)
    os.write(writing, b"REDIS0012")
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([*TAP, "diff", str(MIXED), str(pipe)], env=environment, stderr=subprocess.PIPE) as process:
        wait_until(lambda: list(temporary.glob("*/b")))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    os.close(writing)
    assert list(temporary.iterdir()) == []


def test_a_terminal_shows_bars_and_stdout_keeps_the_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make.rdb(12, make.key(0, S(b"k"), S(b"v"))))
    (tmp_path / "b").write_bytes(make.rdb(12))
    ours, theirs = pty.openpty()
    words = [*TAP, "diff", str(tmp_path / "a"), str(tmp_path / "b")]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        assert process.stdout is not None
        drawn = bytearray()
        with contextlib.suppress(OSError):  # the terminal ends with the process
            while data := os.read(ours, 4096):
                drawn += data
        assert process.stdout.readline() == "db0 k: only in A (string)\n"
        assert process.wait(10) == 1
    os.close(ours)
    assert b"1 keys" in drawn
    assert b"only in A" not in drawn
