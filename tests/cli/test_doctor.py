"""`redis-tap doctor` as it is typed: text, JSON, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import TAP
from tests.cli.typed import tap
from tests.support import Servers, client, follow, is_up, wait_until


def test_a_pair_is_examined_without_a_tap(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    said = tap("doctor", master.url, "--for", "100ms")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[0] == f"WARNING 127.0.0.1:{master.port}  master_without_persistence"
    assert said.stdout.splitlines()[-1].startswith("healthy: nothing is broken (1 warning, ")
    client(replica).execute_command("REPLICAOF", "NO", "ONE")
    said = tap("doctor", master.url, replica.url, "--for", "100ms", "--json")
    assert (said.returncode, said.stderr) == (1, "")
    found = json.loads(said.stdout)
    assert found["findings"][0]["code"] == "not_a_replica"
    assert found["replicas"][0]["role"] == "master"


def test_what_could_not_be_looked_at_ends_with_2(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    client(master).execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "-@all", "+info")
    said = tap("doctor", f"redis://watcher:pw@127.0.0.1:{master.port}", "--for", "10ms")
    assert (said.returncode, said.stderr) == (2, "")
    assert "options_unread" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("nothing broken was found, but not everything could be read")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["127.0.0.1:1"], 3, "127.0.0.1:1: Connection refused"),
        (["127.0.0.1:1", "127.0.0.1:port"], 2, "'port' is not a port"),
        (["127.0.0.1:1", "--for", "3"], 2, "'3' needs its unit"),
        (["127.0.0.1:1", "--for", "0"], 2, "more than 0"),
        (["redis://127.0.0.1:1?colour=red", "--for", "1s"], 2, "unknown option"),
        ([], 2, "MASTER_URL"),
    ],
)
def test_what_cannot_be_examined_is_one_sentence(words: list[str | Path], code: int, sentence: str) -> None:
    said = tap("doctor", *words)
    assert (said.returncode, said.stdout) == (code, "")
    assert sentence in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_ctrl_c_ends_the_watch_and_a_terminal_shows_it(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    ours, theirs = pty.openpty()
    words = [*TAP, "doctor", master.url, "--for", "1h"]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        drawn = b""
        while b"watching" not in drawn:
            drawn += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal ends with the process
            while os.read(ours, 4096):
                pass
        assert process.wait(10) == 130
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
