"""`redis-tap chaos` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.typed import tap
from tests.support import WITHIN, Servers, follow, is_up, programs, wait_until

TAP = [sys.executable, "-m", "tap"]
ENVIRONMENT = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
BRIEF = """
title = "A cut"
why = "It comes back."
steps = [{ fault = "cut mode=reset" }, { wait = "partial_resync" }]
expect = { resync = "partial" }
"""


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    return tap("chaos", *arguments)


@pytest.fixture
def program(any_server: str) -> str:
    return str(programs()[any_server])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "cut.toml"
    path.write_text(BRIEF)
    return path


def test_one_scenario_gets_a_table_and_each_verdict(program: str, scenario: Path) -> None:
    said = chaos(str(scenario), "--server", program, "--seed", "5")
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    for words in (
        "cut mode=reset",
        "stream,",
        "partial",
        "met",
        "resync",
        "sync_partial_ok +1",
        "equal, by digest",
    ):
        assert words in said.stdout


def test_many_runs_get_a_line_each_and_a_matrix(program: str, scenario: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    said = chaos(str(scenario), "--server", program, "--repeat", "13", "--seed", "5", "--junit", str(junit))
    assert said.returncode == 0, said.stdout
    assert said.stdout.count("met      cut") == 13
    assert "met 13/13 partial" in said.stdout
    assert said.stdout.endswith("13 met, 0 not met, 0 skipped; seed 5\n")
    assert junit.read_text().count("<testcase") == 13


def test_an_unmet_run_is_reported_with_its_events_and_how_to_repeat_it(program: str, scenario: Path) -> None:
    scenario.write_text(BRIEF.replace('"partial" }', '"full" }'))
    said = chaos(str(scenario), "--server", program, "--seed", "5")
    assert said.returncode == 1
    repeat = f"repeat it with: redis-tap chaos {scenario} --server {program} --seed 5"
    assert "".join(repeat.split()) in "".join(said.stdout.split())  # however the lines are broken
    assert "FULL RESYNC" in said.stdout
    assert "NOT MET" in said.stdout


def test_json_is_an_object_per_run_and_nothing_else(program: str, scenario: Path) -> None:
    said = chaos(str(scenario), "--server", program, "--repeat", "2", "--json")
    runs = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(runs) == 2
    for run in runs:
        assert run["met"] is True
        assert run["resyncs"][0]["kind"] == "partial"
        assert run["faults"][0]["fired"] == 1
        assert {verdict["name"] for verdict in run["verdicts"]} == {"resync", "link_up", "converged", "tap"}


def test_the_library_is_listed() -> None:
    said = chaos("--list")
    assert said.returncode == 0
    assert "cut-in-command" in said.stdout
    assert "The link is cut in the middle of a command" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give scenarios by file or name, or --all"),
        (["--all", "flapping-link"], 2, "give scenarios by file or name, or --all"),
        (["flaping-link"], 2, "no scenario is called 'flaping-link'"),
        (["flaping-link"], 2, "Did you mean 'flapping-link'?"),
        (["nowhere.toml"], 2, "nowhere.toml: No such file or directory"),
        (["flapping-link", "--master", "h:1"], 2, "with both --master URL and --replica URL"),
        (["flapping-link", "--master", "h:1", "--replica", "h:2", "--server", "x"], 2, "take one of the two"),
        (["flapping-link", "--listen", "h:1"], 2, "--listen is for a given pair"),
        (["flapping-link", "--master", "http://:sesame@h:1", "--replica", "h:2"], 2, "--master: http:// is not the URL"),
        (["flapping-link", "--master", "h:1", "--replica", "redis://:sesame@h:x"], 2, "--replica: this is not an addr"),
        (["flapping-link", "--master", "rediss://h?cacert=/no.pem", "--replica", "h:2"], 2, "--master: /no.pem: No such"),
        (["flapping-link", "--master", "h:1", "--replica", "h:2?colour=red"], 2, "--replica: the URL has an unknown"),
        (["flapping-link", "--server", "/nowhere/redis-server"], 3, "/nowhere/redis-server does not run"),
        (["flapping-link", "--seed", "x"], 2, "invalid value for '--seed'"),
        (["flapping-link", "--junit", "/tmp"], 2, "/tmp is a directory: name a file in it, as /tmp/results"),
        (["flapping-link", "--junit", "/proc/x.xml"], 3, "/proc/x.xml: cannot be written: "),
        (["flapping-link", "--junit", "x" * 300], 3, ": cannot be written: File name too long"),
        (["flapping-link", "--junit", "no/x.xml"], 2, "no/x.xml: there is no directory no; make it first"),
    ],
)
def test_a_mistake_gets_a_clear_line_and_an_exit_code(arguments: list[str], code: int, words: str) -> None:
    said = chaos(*arguments)
    assert said.returncode == code
    assert words in said.stderr
    assert said.stderr.count("\n") == 1
    assert "sesame" not in said.stderr


def test_an_absent_pair_is_a_failure_of_the_environment(scenario: Path) -> None:
    said = chaos(str(scenario), "--master", "redis://ann:sesame@127.0.0.1:1", "--replica", "127.0.0.1:2")
    assert said.returncode == 3
    assert "the master at 127.0.0.1:1 does not answer: Connection refused\n" in said.stdout
    assert "redis://ann:***@127.0.0.1:1" in said.stdout
    assert "sesame" not in said.stdout


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_given_pair_is_first_shown_how_to_undo_the_changes(
    servers: Servers, any_server: str, scenario: Path, option: list[str]
) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    pair = ("--master", f"127.0.0.1:{master.port}", "--replica", f"127.0.0.1:{replica.port}")
    said = chaos(str(scenario), *pair, *option)
    assert said.returncode == 0, said.stdout
    lines = (said.stderr if option else said.stdout).splitlines()
    assert lines[0].startswith("if this run is killed, these commands restore the pair")
    assert lines[1] == f"  redis-cli -h 127.0.0.1 -p {replica.port} REPLICAOF 127.0.0.1 {master.port}"
    assert "UNLINK" in lines[2]


def test_each_unmet_run_of_a_campaign_has_a_line_at_the_end(program: str, scenario: Path) -> None:
    scenario.write_text(BRIEF.replace('"partial" }', '"full" }'))
    said = chaos(str(scenario), "--server", program, "--seed", "5", "--repeat", "2")
    *_, first, second, last = said.stdout.splitlines()
    for seed, line in zip((5, 6), sorted([first, second]), strict=True):
        assert line.startswith("NOT MET  cut  ")
        assert f"seed {seed}: resync: expected full, found partial (sync_full +0, sync_partial_ok +1)" in line
    assert last == "0 met, 2 not met, 0 skipped; seed 5"


def test_what_a_given_pair_cannot_do_is_wrong_use(servers: Servers, any_server: str, scenario: Path) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    scenario.write_text('title = "Kill"\nsteps = [{ do = "kill replica" }]')
    said = chaos(str(scenario), "--master", f"127.0.0.1:{master.port}", "--replica", f"127.0.0.1:{replica.port}")
    assert said.returncode == 2
    assert "'kill replica' is done to servers of our own only" in said.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_with_all_its_servers(
    program: str, tmp_path: Path, scenario: Path, number: int
) -> None:
    scenario.write_text("""
title = "waits for longer than the test does"
both = { repl-timeout = 600 }
steps = [{ fault = "stall from=master" }, { wait = "partial_resync", within = "10m" }]
""")
    directory = tmp_path / "servers"
    directory.mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(directory)}
    command = [*TAP, "chaos", str(scenario), "--server", program, "--repeat", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        wait_until(lambda: len(list(directory.glob("redis-tap-replica-*/log"))) >= 3)
        began = time.monotonic()
        process.send_signal(number)
        process.send_signal(number)
        process.wait(WITHIN)
        assert time.monotonic() - began < 4  # a second, on a machine that has the time
        assert process.returncode == 128 + number
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert not list(directory.iterdir())
        assert str(directory) not in processes()
    finally:
        process.kill()
        process.communicate()


def processes() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)
