"""`redis-tap run` from its start to its end: what it says of its ports and masters."""

from __future__ import annotations

import json
import socket

import pytest

from tests.cli.test_cli import running
from tests.cli.typed import tap
from tests.support import WITHIN, expect_reset, wait_until


def test_a_program_learns_the_port_from_the_first_event() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        address = f"127.0.0.1:{master.getsockname()[1]}"
        with running("--master", address, "--listen", "127.0.0.1:0", "--ui", "json") as one:
            said = json.loads(wait_until(lambda: one.lines)[0])
            assert said.pop("time") > 0
            assert said == {
                "event": "listening",
                "link": "main",
                "connection": 0,
                "replica": "",
                "address": f"127.0.0.1:{one.port}",
                "host": "127.0.0.1",
                "port": one.port,
                "master": address,
            }
            socket.create_connection(("127.0.0.1", said["port"]), WITHIN).close()
            assert one.end() == ""


@pytest.mark.parametrize(
    ("master", "text"),
    [
        ("127.0.0.1:{nobody}", "Connection refused"),
        ("no.such.host.invalid:6379", "the name cannot be resolved"),
        ("unix:/no/such/socket", "No such file or directory"),
    ],
)
@pytest.mark.parametrize("ui", ["json", "log", "none"])
def test_a_master_that_cannot_be_reached_is_said_at_once_and_the_tap_goes_on(
    master: str, text: str, ui: str, nobody: int
) -> None:
    master = master.format(nobody=nobody)
    with running("--master", master, "--ui", ui) as one:
        said = f"the master {master} cannot be reached: {text}"
        if ui == "log":
            wait_until(lambda: any(said in line for line in one.lines))
            assert one.end() == ""
        else:
            assert one.process.stderr is not None
            assert one.process.stderr.readline().startswith(f"redis-tap: WARNING: link main: {said}")
            expect_reset(one.port)
            assert one.end() == ""
        assert one.process.returncode == 0
    if ui == "json":
        event = next(one for one in map(json.loads, one.lines) if one["event"] == "master_unreachable")
        assert (event["link"], event["master"], event["connection"]) == ("main", master, 0)
        assert event["text"].startswith(text)


def test_a_master_that_is_there_gets_one_connection_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        master.settimeout(WITHIN)
        with running("--master", f"127.0.0.1:{master.getsockname()[1]}", "--ui", "json") as one:
            with master.accept()[0] as connection:
                assert connection.recv(1) == b""
            assert one.end() == ""
            assert [json.loads(line)["event"] for line in one.lines] == ["listening"]


def test_links_with_the_same_master_dial_it_once_and_are_told_of_each(nobody: int) -> None:
    said = tap(
        *("run", "--ui", "json", "--duration", "1s"),
        *("--link", f"a=127.0.0.1:0->127.0.0.1:{nobody}", "--link", f"b=127.0.0.1:0->127.0.0.1:{nobody}"),
    )
    told = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(one["event"], one["link"]) for one in told] == [
        ("listening", "a"),
        ("listening", "b"),
        ("master_unreachable", "a"),
        ("master_unreachable", "b"),
    ]
