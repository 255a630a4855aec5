"""The options that select a part of a recording: --from, --until, --link, --db, --command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_export import synced
from tests.cli.typed import tap
from tests.recording.wires import file, streamed
from tests.relay.wire import BASE, command

STREAM = [
    *(command("SELECT", "3"), command("SET", "a", "1"), command("DEL", "a"), command("SELECT", "0")),
    *(command("SET", "b", "2"), command("INCR", "c")),
]


END = BASE + len(b"".join(STREAM)) + len(command("SET", "late", "x"))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """From 2001-09-09T01:46:40Z on, a millisecond between packets, and one a quarter of an hour later."""
    wire = streamed(STREAM)
    wire.send(1, command("SET", "late", "x"), at=wire.now + 15 * 60 * 10**9)
    return file(tmp_path / "capture.pcapng", wire.packets, "pcapng")


@pytest.fixture
def in_zone() -> Iterator[Callable[[str], None]]:
    """Sets the local time zone."""
    with pytest.MonkeyPatch.context() as patch:

        def set_zone(name: str) -> None:
            patch.setenv("TZ", name)
            time.tzset()

        yield set_zone
    time.tzset()


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
    assert len(names(capture, "--link", "127.0.0.1:6379/1,127.0.0.1:6379")) == len(STREAM) + 1
    assert names(capture, "--key", "a,b") == []  # a key may contain one


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--command", "SET,"], "--command 'SET,': a name is missing next to a comma"),
        (["--command", ""], "--command '': a name is missing next to a comma"),
        (["--db", "x"], "--db 'x': a db is a number, as 0; several are written 0,3"),
        (["--db", "0-3"], "--db '0-3': a db is a number"),
        (["--db", "²"], "--db '²': a db is a number"),
        (["--db", "9" * 400], f"--db '{'9' * 400}': a db is a number"),
        (["--from", "-" + "9" * 400 + "s"], f"'{'9' * 400}s' is longer than 100 years"),
        (["--from", "noon"], "--from 'noon': write a time, as 2026-01-31T12:00:00 or 12:00 (local"),
        (["--from", "-10"], "--from '-10': '10' needs its unit: write 10ms or 10s"),
        (["--from", "2000", "--until", "1000"], "from 2000 until 1000: the end is before the beginning"),
        (
            ["--from", "2001-09-09T01:50:00Z", "--until", "2001-09-09T01:46:40Z"],
            "the end is before the beginning",
        ),
        (["--from=-1s", "--until", "-1m"], "the end is before the beginning"),
    ],
)
@pytest.mark.parametrize(
    "verb", [["show"], ["export", "--to", "jsonl", "-o", "out.jsonl"], ["replay", "--to", "redis://127.0.0.1:1"]]
)
def test_contradictory_options_are_refused(
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
def test_times_are_resolved_in_the_recording(
    capture: Path, tmp_path: Path, in_zone: Callable[[str], None], options: list[str], count: int, resolved: list[str]
) -> None:
    in_zone("Europe/Berlin")
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--command", "GTE,sett"],
            ["0 of 7 commands match --command GTE,SETT; its commands: DEL, INCR, SELECT, SET. Did you mean 'SET'?"],
        ),
        (
            ["--command", "GTE", "--db", "3"],
            ["0 of 7 commands match --db 3 --command GTE; its commands: DEL, INCR, SELECT"],
        ),
        (["--command", "SET", "--key", "x y", "--key", "z"], ["0 of 7 commands match --command SET --key 'x y' --key z"]),
        (["--db", "9"], ["0 of 7 commands match --db 9", "--db 9: no command was executed in it; its dbs: 0, 3"]),
        (["--db", "9,0,8"], ["--db 8,9: no command was executed in it; its dbs: 0, 3"]),
        (["--key", "a", "--from", "-1m"], ["--from -1m is ", "0 of 1 command matches --key a"]),
        (
            ["--key", "*", "--from", "2001-09-09T02:01:41Z"],
            ["--from 2001-09-09T02:01:41+00:00 lies after the end of the recording, 2001-09-09T02:01:40."],
        ),
        (
            ["--until", "2001-09-09T02:01:41Z"],
            ["--until 2001-09-09T02:01:41+00:00 lies after the end of the recording, 2001-09-09T02:01:40."],
        ),
        (
            ["--until", "2001-09-09T01:46:39Z"],
            ["--until 2001-09-09T01:46:39+00:00 lies before the recording, which begins 2001-09-09T01:46:40."],
        ),
        (["--from", "2001-09-09T01:46:39Z", "--until", "-1s"], ["--until -1s is 2001-09-09T02:01:39."]),
        (["--from", str(END + 1)], [f"--from {END + 1} is more than the highest offset in the recording, {END}"]),
        (["--from", str(BASE), "--until", str(END)], []),
        (["--until", str(END + 1)], [f"--until {END + 1} is more than the highest offset in the recording, {END}"]),
        (["--until", str(BASE)], [f"--until {BASE}: the recording begins after offset {BASE}"]),
    ],
)
@pytest.mark.parametrize(
    "verb",
    [["show", "--commands"], ["show", "--stats"], ["export", "--to", "jsonl", "-o"]],
    ids=["show", "stats", "export"],
)
def test_a_selection_without_results_is_explained(
    capture: Path, tmp_path: Path, in_zone: Callable[[str], None], verb: list[str], options: list[str], said: list[str]
) -> None:
    in_zone("UTC")
    rows = [str(tmp_path / "rows.jsonl")] if verb[0] == "export" else []
    done = tap(*verb, *rows, capture, *options)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if not re.fullmatch(r"redis-tap: \d commands?", line)]
    assert len(lines) == len(said), lines
    for line, sentence in zip(lines, said, strict=True):
        assert line.startswith(f"redis-tap: {sentence}")


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ("orders", "--link orders: not in it; its links: 127.0.0.1:6379"),
        ("orders,127.0.0.1:6379", "--link orders: not in it; its links: 127.0.0.1:6379"),
        ("127.0.0.1:6379/7", "--link 127.0.0.1:6379/7: not in it; of that link it has 127.0.0.1:6379/1"),
    ],
)
def test_an_absent_link_is_reported_with_those_that_exist(capture: Path, tmp_path: Path, links: str, said: str) -> None:
    for verb in (["show"], ["show", "--stats"], ["export", "--to", "jsonl", "-o", str(tmp_path / "rows.jsonl")]):
        done = tap(*verb, capture, "--link", links)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"redis-tap: {said}")


def test_commands_with_an_unknown_db_are_reported_if_a_db_is_selected(tmp_path: Path) -> None:
    stream = [command("PING"), command("SET", "x", "1"), command("SET", "y", "1"), command("FLUSHALL"), *STREAM]
    path = file(tmp_path / "capture.pcapng", streamed(stream).packets, "pcapng")
    text = "redis-tap: --db 3: the db of 2 commands is not known, as the recording has no SELECT before them; they are"
    for verb in (["show"], ["show", "--stats"], ["export", "--to", "jsonl", "-o", str(tmp_path / "rows.jsonl")]):
        done = tap(*verb, path, "--db", "3")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith(text)
        (tmp_path / "rows.jsonl").unlink(missing_ok=True)
        done = tap(*verb, path, "--db", "3", "--key", "a")
        assert done.returncode == 0, done.stderr
        (tmp_path / "rows.jsonl").unlink(missing_ok=True)
    assert "FLUSHALL" in tap("show", path, "--db", "3").stdout


@pytest.mark.parametrize("form", ["aof", "rdb", "resp"])
def test_a_restore_reports_that_it_ends_before_the_time_asked_for(tmp_path: Path, form: str) -> None:
    path = file(tmp_path / "capture.pcapng", synced(*STREAM).packets, "pcapng")
    done = tap("export", path, "--to", form, "-o", tmp_path / "out", "--until", "2030-01-01T00:00:00Z")
    assert done.returncode == 0, done.stderr
    assert re.search(r"--until 20\S+ lies after the end of the recording, 2001-09-0", done.stderr)


def test_a_pipe_has_no_known_beginning_and_end(capture: Path) -> None:
    words = [sys.executable, "-m", "tap", "show", "-", "--from", "-10m"]
    done = subprocess.run(words, input=capture.read_bytes(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"--from '-10m': -: a pipe can be read only once" in done.stderr
