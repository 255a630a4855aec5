"""What of a recording is meant, as the verbs that ask one take it: --from, --until, --link, --db, --command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.typed import tap
from tests.recording.wires import file, streamed
from tests.relay.wire import command

STREAM = [
    *(command("SELECT", "3"), command("SET", "a", "1"), command("DEL", "a"), command("SELECT", "0")),
    *(command("SET", "b", "2"), command("INCR", "c")),
]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """From 2001-09-09T01:46:40Z on, a millisecond between any two packets, and one a quarter of an hour later."""
    wire = streamed(STREAM)
    wire.send(1, command("SET", "late", "x"), at=wire.now + 15 * 60 * 10**9)
    return file(tmp_path / "capture.pcapng", wire.packets, "pcapng")


def names(path: Path, *options: str) -> list[str]:
    said = tap("show", path, "--commands", "--format", "json", *options)
    assert said.returncode == 0, said.stderr
    told = [json.loads(line) for line in said.stdout.splitlines()]
    return [one["name"] for one in told if one["event"] == "command"]


def test_lists_may_have_commas(capture: Path) -> None:
    assert names(capture, "--command", "del,Incr") == ["DEL", "INCR"]
    assert names(capture, "--command", "del, incr", "--command", "SELECT") == ["SELECT", "DEL", "SELECT", "INCR"]
    assert len(names(capture, "--db", "3,0")) == len(STREAM) + 1
    assert names(capture, "--db", "3") == ["SELECT", "SET", "DEL"]
    assert len(names(capture, "--link", "other,127.0.0.1:6379")) == len(STREAM) + 1
    assert names(capture, "--key", "a,b") == []  # a key may have one


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--command", "SET,"], "--command 'SET,': nothing stands at one side of a comma"),
        (["--command", ""], "--command '': nothing stands at one side of a comma"),
        (["--db", "x"], "--db 'x': a db is a number, as 0; several are written 0,3"),
        (["--db", "0-3"], "--db '0-3': a db is a number"),
        (["--from", "noon"], "--from 'noon': write a time, as 2026-01-31T12:00:00 or 12:00 (local"),
        (["--from", "-10"], "--from '-10': '10' needs its unit: write 10ms or 10s"),
        (["--from", "2000", "--until", "1000"], "from 2000 until 1000: that end comes before the beginning"),
        (
            ["--from", "2001-09-09T01:50:00Z", "--until", "2001-09-09T01:46:40Z"],
            "that end comes before the beginning",
        ),
        (["--from=-1s", "--until", "-1m"], "that end comes before the beginning"),
    ],
)
@pytest.mark.parametrize(
    "verb", [["show"], ["export", "--to", "jsonl", "-o", "out.jsonl"], ["replay", "--to", "redis://127.0.0.1:1"]]
)
def test_what_cannot_be_meant_is_refused(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str], options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = tap(*verb, capture, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "count", "resolved"),
    [
        (["--from", "-10m"], 1, ["--from -10m is 2001-09-09T03:51:40."]),
        (["--from", "-16m"], 7, ["--from -16m is 2001-09-09T03:45:40."]),
        (["--until", "-10m"], 6, ["--until -10m is 2001-09-09T03:51:40."]),
        (["--from", "03:50"], 1, ["--from 03:50 is 2001-09-09T03:50:00+02:00"]),
        (["--until", "03:50"], 6, ["--until 03:50 is 2001-09-09T03:50:00+02:00"]),
        (["--until", "01:50Z"], 6, ["--until 01:50Z is 2001-09-09T03:50:00+02:00"]),
        (
            ["--from", "03:46", "--until", "-0"],
            7,
            ["--from 03:46 is 2001-09-09T03:46:00+02:00", "--until -0 is 2001-09-09T04:01:40."],
        ),
    ],
)
def test_times_are_those_of_the_recording(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], count: int, resolved: list[str]
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    rows = tmp_path / "rows.jsonl"
    verbs: list[list[str | Path]]
    verbs = [["show", capture, "--command", "SET,DEL,INCR,SELECT"], ["export", capture, "--to", "jsonl", "-o", rows]]
    for words in verbs:
        done = tap(*words, *options)
        assert done.returncode == 0, done.stderr
        for sentence, line in zip(resolved, done.stderr.splitlines(), strict=False):
            assert line.startswith(f"redis-tap: {sentence}")
        text = rows.read_text() if words[0] == "export" else done.stdout
        assert len(text.splitlines()) == count
    monkeypatch.undo()
    time.tzset()


def test_of_a_pipe_they_are_not_known(capture: Path) -> None:
    words = [sys.executable, "-m", "tap", "show", "-", "--from", "-10m"]
    done = subprocess.run(words, input=capture.read_bytes(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"--from '-10m': -: where it begins and ends is not known before it is read" in done.stderr
