"""The command as a user types it: what it prints, where, and how it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text
from typer.testing import CliRunner

from tap import __version__
from tap.cli import VERBS, app
from tests.cli.running import TAP
from tests.cli.test_export import synced
from tests.cli.typed import command, tap
from tests.recording.wires import STREAM, file
from tests.support import FIXTURES, WITHIN


def test_version_says_whether_the_scanners_are_compiled() -> None:
    said = tap("--version")
    assert re.fullmatch(rf"redis-tap {re.escape(__version__)} \(scanners (not )?compiled\)\n", said.stdout)


def test_no_verb_loads_what_only_others_need() -> None:
    """Starting takes most of the time of a short answer: redis-py 0.1 s, pydantic 0.06, the tap itself 0.2."""
    loaded = "import sys; from tap.cli import app; app(['--version'], standalone_mode=False); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout.split()
    assert "tap.cli" in said
    assert not {"redis", "pydantic", "rich", "asyncio", "tap.cli.run", "tap.cli.show", "tap.tap"} & set(said)


def test_a_tap_that_asks_no_master_does_not_load_redis_py() -> None:
    loaded = "import sys, tap.cli.run, tap.tap; tap.tap.Tap('127.0.0.1:1'); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout.split()
    assert "tap.tap" in said
    assert "redis" not in said


def test_help_names_every_option() -> None:
    said = tap("run", "--help").stdout
    for option in ("--master", "--listen", "--link", "--config", "--ui", "--commands", "--duration"):
        assert option in said


@pytest.mark.parametrize("arguments", [(), *((verb,) for verb in VERBS)])
def test_no_flag_shows_a_type(arguments: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"}).stdout
    assert "--help" in said
    assert "<bool>" not in said


@pytest.mark.parametrize("verb", VERBS)
def test_no_word_of_a_usage_line_has_double_brackets(verb: str) -> None:
    usage = tap(verb, "--help").stdout.split("\n\n", 1)[0]
    assert verb in usage
    assert not re.search(r"\.\.\.[]}]|\[\[", usage)


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_not_taken_for_markup(verb: str) -> None:
    """Typer passes it to rich, which breaks at [/DB] and leaves out [default: ...]."""
    known = command(verb)
    for said in (known.help, *(getattr(parameter, "help", None) for parameter in known.params)):
        assert said is None or Text.from_markup(said).plain == said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "no link: give --master HOST:PORT"),
        (["run", "--master", "here:port"], 2, "'here:port' is not an address: 'port' is not a port"),
        (["run", "--master", "1:2:3"], 2, "an IPv6 address is written in brackets"),
        (["run", "--master", "h:1", "--listen", "h:70000"], 2, "'70000' is not a port"),
        (["run", "--master", "h:²"], 2, "'²' is not a port"),
        (["run", "--master", "h:" + "1" * 5000], 2, "is not a port"),
        (["run", "--master", "h:1", "--listen", "a..b:6400"], 3, "cannot listen on a..b:6400"),
        (["run", "--master", ""], 2, "write HOST:PORT, as 127.0.0.1:6379"),
        (["run", "--master", "h:"], 2, "write HOST:PORT"),
        (["run", "--master", "h;1"], 2, "'h;1' is not an address"),
        (["run", "--master", "rediss://h:1?cacert=/nowhere.pem"], 2, "/nowhere.pem: No such file or directory"),
        (["run", "--master", "rediss://h:1?colour=red"], 2, "a link's master has no option 'colour'; known: cacert, "),
        (["run", "--master", "h:1", "--listen", "rediss://:6400"], 2, "TLS for replicas needs a certificate: rediss://"),
        (["run", "--master", "h:1", "--listen", "h:1/3"], 2, "where to listen is written without a db"),
        (["run", "--master", "http://user:sekret@h:1"], 2, "http:// is not the URL of a server: write redis://"),
        (["run", "--master", "redis://user:sekret@h:1"], 2, "without a user or a password"),
        (["run", "--master", "h:1", "--listen", "h:1"], 2, "a loop: a connection to h:1"),
        (["run", "--link", "a=:1->127.0.0.1:2", "--link", "b=:2->127.0.0.1:1"], 2, "a loop"),
        (["run", "--master", "h:1", "--ui", "live"], 2, "stdout is not one that can be drawn on"),
        (["run", "--listen", "h:1"], 2, "--master HOST:PORT says to which master"),
        (
            ["run", "--transparent", "--master", "h:1"],
            2,
            "finds the master of each connection by itself: leave --master out",
        ),
        (
            ["run", "--transparent", "--fault", "cut link=main"],
            2,
            "'main'; known: an address of a master, as 10.0.0.5:6379",
        ),
        (["run", "--transparent", "--link", "a=:1->h:1", "--fault", "cut link=[::0]:1"], 2, "'[::0]:1' is not a name"),
        (["run", "--master", "*:1"], 2, "'*:1' is not an address"),
        (["run", "--master", "h:1", "--listen", "*"], 2, "'*' is not an address"),
        (["run", "--link", "a=b"], 2, "'a=b' is not a link: write 'NAME=LISTEN->MASTER', as"),
        (["run", "--link", "a=redis://:sekret@h:1"], 2, "redis-tap: this is not a link: write 'NAME=LISTEN->MASTER', as"),
        (["run", "--link", "a=:1->h:1", "--link", "a=:2->h:2"], 2, "two links are named 'a'"),
        (["run", "--link", "a=:1->h:1", "--link", "b=:1->h:2"], 2, "two links listen on 127.0.0.1:1"),
        (["run", "--master", "h:1", "--duration", "soon"], 2, "'soon' is not a time"),
        (["run", "--master", "h:1", "-w", "no/x.pcapng"], 2, "no/x.pcapng: there is no directory no; make it first"),
        (["run", "--seed", "ten"], 2, "'--seed': a whole number is expected; see redis-tap run --help"),
        (["rdb", "--limit", "0", "x"], 2, "'--limit': 1 or more is expected; see redis-tap rdb --help"),
        (
            ["run", "--master", "h:1", "--zzz", "9"],
            2,
            "redis-tap run: no such option: --zzz; see redis-tap run --help",
        ),
        (["run", "--mastr", "h:1"], 2, "redis-tap run: no such option: --mastr (did you mean --master, --mask?)"),
        (["run", "--maste", "h:1"], 2, "no such option: --maste (did you mean --master, "),
        (["show", "--comand", "SET"], 2, "no such option: --comand (did you mean --command, --commands, "),
        (["run", "--master"], 2, "redis-tap run: option '--master' requires an argument; see redis-tap run --help"),
        (["run", "--commands=3"], 2, "redis-tap run: option '--commands' does not take a value"),
        (["run", "--master", "h:1", "extra"], 2, "redis-tap run: got unexpected extra argument"),
        (["run", "--master", "h:1", "--ui", "tv"], 2, "'--ui': 'tv' is not one of 'auto', 'live', 'log', 'json', 'none'"),
        (["run", "--config", "/nowhere.toml"], 2, "/nowhere.toml: No such file or directory"),
        (["run", "--master", "h:1", "--mask", "psync2"], 2, "'psync2' cannot be masked: write capa: and the name of"),
        (["run", "--master", "h:1", "--announce", "me"], 2, "'--announce': 'me' is not one of 'keep', 'tap'"),
        (["rdb", "redis://:sekret@h:1"], 2, "an RDB is read from a file: redis-cli --rdb FILE fetches one from a server"),
        (["show", "redis://user:sekret@h:1"], 2, "redis:/***@h:1: No such file or directory"),
        (["fly"], 2, "redis-tap: no such command 'fly'"),
        (["--fly"], 2, "redis-tap: no such option: --fly; see redis-tap --help"),
        (["run", "--master", "h:1", "--listen", "192.0.2.1:9999"], 3, "cannot listen on 192.0.2.1:9999"),
        (["run", "--master", "h:1", "--listen", "no.such.host.invalid:1"], 3, "cannot listen on no.such.host.invalid:1"),
        (["export", "x.pcapng"], 2, "missing option '--to'. Choose from: rdb, aof, resp, jsonl, parquet; see"),
    ],
)
def test_mistakes_get_a_clear_line_and_an_exit_code(arguments: list[str], code: int, words: str) -> None:
    said = tap(*arguments)
    assert said.returncode == code
    assert said.stdout == ""
    assert words in said.stderr
    assert "sekret" not in said.stderr
    assert said.stderr.count("\n") == 1


def test_without_a_verb_the_help_is_shown_and_nothing_else_happens() -> None:
    said = tap()
    assert said.returncode == 2
    assert "run" in said.stdout
    assert "demo" in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("words", "within"),
    [
        (["--help"], False),
        (["rdb", "dump.rdb"], False),
        (["show", "recorded", "--format", "json"], False),
        (["--help"], True),
        (["--version"], True),
        (["run", "--help"], True),
        (["faults"], True),
        (["chaos", "--list"], True),
        (["rdb", "dump.rdb"], True),
        (["rdb", "dump.rdb", "--format", "json"], True),
        (["show", "recorded"], True),
        (["show", "recorded", "--format", "json"], True),
        (["show", "recorded", "--stats"], True),
        (["export", "recorded", "--to", "jsonl", "-o", "-"], True),
    ],
)
def test_a_reader_that_closes_the_pipe_ends_a_verb_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], within: bool
) -> None:
    """As `head -1` does; the exit code is that of SIGPIPE. within: in this process."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    file(tmp_path / "recorded", synced(*STREAM).packets, "pcapng")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as nobody_reads:
        if within:
            done = tap(*words, stdout=nobody_reads)
        else:
            done = subprocess.run(
                [*TAP, *words], stdout=nobody_reads, stderr=subprocess.PIPE, text=True, timeout=WITHIN, check=False
            )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
