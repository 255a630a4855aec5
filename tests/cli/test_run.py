"""`redis-tap run` from start to end: what it prints about its ports and masters."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import running
from tests.cli.typed import tap
from tests.relay.wire import RESET
from tests.support import WITHIN, Servers, client, expect_reset, follow, info_of, is_up, level, wait_until


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
    ("master", "text", "ui"),
    [
        ("127.0.0.1:{nobody}", "Connection refused", "json"),
        ("127.0.0.1:{nobody}", "Connection refused", "log"),
        ("127.0.0.1:{nobody}", "Connection refused", "none"),
        ("no.such.host.invalid:6379", "the name cannot be resolved", "json"),
        ("unix:/no/such/socket", "No such file or directory", "json"),
    ],
)
def test_an_unreachable_master_is_reported_at_once_and_the_tap_continues(
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


def test_a_reachable_master_gets_one_silent_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        master.settimeout(WITHIN)
        with running("--master", f"127.0.0.1:{master.getsockname()[1]}", "--ui", "json") as one:
            with master.accept()[0] as connection:
                assert connection.recv(1) == b""
            assert one.end() == ""
            assert [json.loads(line)["event"] for line in one.lines] == ["listening"]


def test_links_to_one_master_dial_it_once_and_are_both_reported(nobody: int) -> None:
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


def test_a_port_in_use_is_reported_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = tap("run", "--master", "127.0.0.1:1", "--listen", f"127.0.0.1:{port}")
    assert said.returncode == 3
    by = ""
    if sys.platform == "linux":
        by = f", by {Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
    assert said.stderr == f"redis-tap: link main: cannot listen on 127.0.0.1:{port}: Address already in use{by}\n"


def test_a_config_file_is_used_and_flags_override_it(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(
        "ui = 'log'\nduration = '1h'\n[links.orders]\nmaster = '127.0.0.1:1'\n[links.sessions]\nmaster = '/tmp/x'\n"
    )
    began = time.monotonic()
    said = tap("run", "--config", str(path), "--duration", "300ms", "--ui", "json")
    assert said.returncode == 0
    assert time.monotonic() - began < 10
    assert re.search(
        r"link orders: listening on 127.0.0.1:\d+, master 127.0.0.1:1; on the replica: REPLICAOF", said.stderr
    )
    assert "link sessions: " in said.stderr
    assert [json.loads(line)["link"] for line in said.stdout.splitlines()[:2]] == ["orders", "sessions"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_within_a_second(servers: Servers, any_server: str, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this runs under nohup, which redis-tap respects")
    master, replica = servers.start(any_server), servers.start(any_server)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "json") as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        began = time.monotonic()
        assert tap.end(number) == ""
        assert time.monotonic() - began < 4  # a second, on a machine that has the time
        assert tap.process.returncode == 0
        assert json.loads(tap.lines[-1])["event"] == "link_closed"


def test_near_the_limit_of_files_it_refuses_with_an_error_and_recovers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master, contextlib.ExitStack() as stack:
        address = f"127.0.0.1:{master.getsockname()[1]}"
        tap = stack.enter_context(running("--master", address, "--ui", "json", "--max-connections", "5000", files=128))
        tap.process.send_signal(signal.SIGSTOP)  # so that all of them are there when it looks
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN)) for _ in range(200)]
        tap.process.send_signal(signal.SIGCONT)
        line = wait_until(lambda: next((line for line in tuple(tap.lines) if '"connections_refused"' in line), ""))
        told = json.loads(line)
        assert (told["limit"], told["count"]) == ("open_files", 1)
        most = told["most"]
        assert 1 <= most <= 16
        refused = select.select(crowd, [], [], WITHIN)[0]
        while len(refused) < len(crowd) - most:
            refused = select.select(crowd, [], [], WITHIN)[0]
        assert {one.recv(100) for one in refused} == {b"-ERR max number of clients reached\r\n"}
        inside = [one for one in crowd if one not in refused]
        assert len(inside) == most
        for one in inside:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
        wait_until(lambda: sum('"link_closed"' in line for line in tuple(tap.lines)) == most)
        late = stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN))
        wait_until(lambda: sum('"link_opened"' in line for line in tuple(tap.lines)) == most + 1)
        late.close()
        said = tap.end()
    assert said == f"redis-tap: --max-connections 5000: ulimit -n allows {most}, as each takes two files\n"
    refusals = [json.loads(line) for line in tap.lines if '"connections_refused"' in line]
    assert [one["count"] for one in refusals] == [1, len(crowd) - most - 1]


def test_the_json_of_a_first_sync(servers: Servers, server_name: str) -> None:
    """Nothing but JSON lines on stdout, each with event, time and link, in the order of the story."""
    master = servers.start(server_name)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "json", "--commands") as tap:
        began = time.time()
        replica = servers.start(server_name, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        client(master).set("key", "value")
        offset = level(master, replica)
        for kind in ("commands", "ack"):
            wait_until(lambda kind=kind: any(f'"{kind}"' in line and f'"offset":{offset},' in line for line in tap.lines))  # type: ignore[misc]
        tap.end()
    lines = [json.loads(line) for line in tap.lines]
    for line in lines:
        assert {"event", "time", "link", "connection", "replica"} <= line.keys()
        assert line["link"] == "main"
        assert began - 1 < line["time"] < time.time() + 1
    main = [line for line in lines if line["connection"] == 1]
    order = list(dict.fromkeys(line["event"] for line in main))
    expected = "link_opened handshake psync_requested full_resync rdb_started rdb_finished stream_started"
    assert [kind for kind in order if kind in expected.split()] == expected.split()
    one = {line["event"]: line for line in main}
    assert (one["psync_requested"]["replid"], one["psync_requested"]["offset"]) == (None, -1)
    assert one["full_resync"]["replid"] == client(master).info("replication")["master_replid"]
    assert one["full_resync"]["reason"]["code"] == "first_sync"
    assert one["ack"]["offset"] == one["commands"]["offset"] >= offset
    assert one["ack"]["lag_bytes"] == 0
    assert one["ack"]["lag_seconds"] >= 0
    assert {"count", "bytes", "by_name", "db"} <= one["commands"].keys()
    written = next(line for line in main if line["event"] == "command" and line["name"] == "SET")
    assert (written["args"][:2], written["db"]) == (["key", "value"], 0)


def test_the_log_shows_a_cut_link(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "log") as tap:
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: info_of(master, "stats")["sync_partial_ok"] == "1")
        wait_until(lambda: any("partial resync" in line for line in tap.lines))
        tap.end()
    out = "".join(tap.lines)
    assert re.search(
        rf"^\S+ main/\d+ 127.0.0.1:{replica.port} FULL RESYNC, \w{{8}}… at offset \d+. Why: first_sync: ",
        out,
        re.MULTILINE,
    )
    assert re.search(r" closed by the master in phase (stream|loading) at offset \d+ ", out)
    assert re.search(
        r" partial resync: goes on with \w{8}… after offset \d+(, at least \d+ bytes behind)?$", out, re.MULTILINE
    )


def test_every_partial_resync_of_a_flapping_pair_is_written_among_unread_commands(
    servers: Servers, any_server: str
) -> None:
    options = "repl-backlog-size", "16mb"
    master = servers.start(any_server, *options)
    arguments = "--master", f"127.0.0.1:{master.port}", "--ui", "json", "--commands"
    with running(*arguments, reads=False) as tap:
        replica = servers.start(any_server, *options, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(1, 8):
            pipe = writer.pipeline(transaction=False)
            for key in range(4000):
                pipe.set(f"key:{key}", number)
            pipe.execute()
            writer.execute_command("CLIENT", "KILL", "TYPE", "replica")
            wait_until(lambda number=number: writer.info("stats")["sync_partial_ok"] == number)  # type: ignore[misc]
            level(master, replica)
        tap.read()
        wait_until(lambda: sum('"event":"partial_resync"' in line for line in tap.lines) == 7)
        tap.end()
    lines = [json.loads(line) for line in tap.lines]
    dropped = [line for line in lines if line["event"] == "events_dropped"]
    assert dropped
    assert all(line["count"] == sum(line["by_kind"].values()) > 0 for line in dropped)
    assert {kind for line in dropped for kind in line["by_kind"]} <= {"command", "ack"}
    told = sum(line["event"] == "command" for line in lines)
    missing = sum(line["by_kind"].get("command", 0) for line in dropped)
    assert told + missing == sum(line["count"] for line in lines if line["event"] == "commands")
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "cutt"], "unknown fault 'cutt'"),
        (["--inspect", "h:1", "--link", "b=:0->h:2"], "--inspect asks the master of one link"),
        (["--alert", "lag > 10"], "'10' needs its unit; lag is compared with a time or a size, as 'lag > 10s'"),
        (["--fault", "truncate at=rdb:50%"], "is destructive: a replica that loads half an RDB exits"),
        (["--fault", "cut", "--read-only"], "this tap is read-only"),
        (["--fault", "cut at=stream", "--opaque"], "fault 'cut at=stream' needs to parse the traffic"),
        (["--fault", "cut link=other"], "no link is named 'other'; known: main"),
        (["--fault", "cut name=a", "--fault", "stall name=a"], "fault 'stall name=a': another one is named 'a'"),
    ],
)
def test_an_impossible_fault_is_refused_before_anything_listens(arguments: list[str], said: str) -> None:
    done = tap("run", "--master", "127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "listening" not in done.stderr
    assert done.stdout == ""


def test_faults_are_reported_and_the_one_that_never_fired_is_named_at_the_end(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    with running(
        "--master", f"127.0.0.1:{master.port}", "--ui", "json", "--seed", "7",
        "--fault", "cut at=stream name=early", "--fault", "drop command=NOSUCH name=idle",
    ) as one:  # fmt: skip
        follow(replica, one.port)
        wait_until(lambda: is_up(replica) and any('"early","spec"' in line and "fired" in line for line in one.lines))
        said = one.end()
    told = [json.loads(line) for line in one.lines]
    kinds = {(event["event"], event["fault"]) for event in told if "fault" in event}
    assert kinds >= {
        ("fault_armed", "early"),
        ("fault_armed", "idle"),
        ("fault_fired", "early"),
        ("fault_expired", "early"),
    }
    assert {event["seed"] for event in told if event["event"] == "fault_armed"} == {7}
    assert "seed 7" in said
    assert "fault idle never fired: drop command=NOSUCH name=idle" in said
    assert "fault early" not in said
