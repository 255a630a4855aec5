"""A recording's commands sent to real servers: the resulting data, the reports, and failures on the way."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tap.cli import app
from tap.errors import EnvironmentFailure, TapError
from tap.servers.embedded import Server
from tap.servers.target import Target
from tests.conftest import need
from tests.recording.support import config, listening
from tests.recording.wires import file, streamed
from tests.relay.wire import BASE, command
from tests.replay.commands import SELECT, counted, executed, offset, recorded, url
from tests.support import (
    FIXTURES,
    WITHIN,
    Servers,
    TapThread,
    client,
    digest,
    follow,
    is_up,
    level,
    wait_until,
)

REPLAY = [sys.executable, "-m", "tap", "replay"]


@dataclass(frozen=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


def replay(*arguments: str | Path) -> Said:
    """As in a process of its own, but without its start."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        try:
            code = app(["replay", *(str(one) for one in arguments)], standalone_mode=False) or 0
        except TapError as error:
            print(f"redis-tap: {error}", file=sys.stderr)
            code = error.exit_code
    return Said(code, out.getvalue(), told.getvalue())


# ---- the resulting data ----


def test_the_server_gets_the_data_of_the_recorded_master(tmp_path: Path, servers: Servers) -> None:
    path = tmp_path / "one.pcapng"
    name = need("redis-7.0")
    master, replica, target = (servers.start(name, "repl-backlog-size", "64mb") for _ in range(3))
    with TapThread(config(master.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        for db in (0, 3):
            one = redis.Redis(port=master.port, db=db)
            for number in range(200):
                one.set(f"key:{number}", bytes([number]) * number)
            with one.pipeline(transaction=True) as pipeline:
                for number in range(50):
                    pipeline.incr("counter")
                    pipeline.xadd("stream", {"number": number})
                pipeline.execute()
            one.set("volatile", "x", ex=10_000)
            one.eval("for i = 1, 20 do redis.call('zadd', 'zset', i, 'm' .. i) end", 0)
            one.set("large", b"\r\n*1\r\n" * 200_000)
            tap.cut()  # bytes that a partial resync repeats count once
            wait_until(lambda: is_up(replica))
        level(master, replica)
    said = replay(path, "--to", url(target), "--speed", "max")
    assert (said.returncode, said.stderr) == (0, "")
    assert re.match(r"\d+ commands sent to 127.0.0.1:\d+ in .*: (\d+) replies, 0 errors; up to offset \d+\n", said.stdout)
    assert digest(target) == digest(master)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {0: {"a": "6", "b": "3"}, 3: {"a": "2", "c": "1"}}),
        (["--db", "3"], {3: {"a": "2", "c": "1"}}),
        (["--key", "[bc]"], {0: {"b": "3"}, 3: {"c": "1"}}),
        (["--command", "incr", "--db", "0"], {0: {"a": "6"}}),
    ],
)
def test_filters_select_commands(
    tmp_path: Path, target: Server, options: list[str], expected: dict[int, dict[str, str]]
) -> None:
    stream = [
        SELECT,
        *[command("INCR", "a")] * 6,
        command("SELECT", "3"),
        command("SET", "a", "2"),
        command("SET", "c", "1"),
    ]
    stream += [SELECT, command("SET", "b", "3")]
    said = replay(recorded(tmp_path, *stream), "--to", url(target), "--speed", "max", *options)
    assert said.returncode == 0, said.stderr
    for db, values in expected.items():
        one = redis.Redis(port=target.port, db=db, decode_responses=True)
        assert {key: one.get(key) for key in one.scan_iter()} == values
    assert len(client(target).info("keyspace")) == len(expected)


def test_one_db_can_be_sent_into_another(tmp_path: Path, target: Server) -> None:
    path = recorded(tmp_path, SELECT, command("SET", "a", "1"), command("SELECT", "3"), command("SET", "b", "2"))
    said = replay(path, "--to", f"{url(target)}/5")
    assert said.returncode == 2
    assert "db 5: each command goes to its own db" in said.stderr
    assert replay(path, "--to", f"{url(target)}/5", "--db", "3").returncode == 0
    assert redis.Redis(port=target.port, db=5).get("b") == b"2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--db", "9"], ["0 of 3 commands match", "--db 9: no command was executed in it; its dbs: 0, 3"]),
        (["--db", "9,3"], ["--db 9: no command was executed in it; its dbs: 0, 3"]),
        (["--command", "GET"], ["0 of 3 commands match"]),
        (["--until", "99999999"], ["--until 99999999 is more than the highest offset in the recording, "]),
        (["--until", "2030-01-01"], ["--until 2030-01-01T00:00:00", "lies after the end of the recording, 2001-"]),
    ],
)
def test_a_selection_without_commands_is_reported(
    tmp_path: Path, target: Server, options: list[str], said: list[str]
) -> None:
    path = recorded(tmp_path, SELECT, *[command("INCR", "a")] * 2, command("SELECT", "3"), command("SET", "b", "2"))
    done = replay(path, "--to", url(target), "--speed", "max", *options)
    assert done.returncode == 0
    assert all(sentence in done.stdout + done.stderr for sentence in said), done


def held(target: Server) -> dict[int, set[str]]:
    """The keys of each db that has any."""
    found = {db: set(redis.Redis(port=target.port, db=db, decode_responses=True).scan_iter()) for db in range(16)}
    return {db: names for db, names in found.items() if names}


def test_sending_one_db_touches_no_other(tmp_path: Path, target: Server) -> None:
    texts = ["SET a 1", "SET gone 1", "FLUSHALL", "SET b 2", "SET c 3", "MOVE b 3", "COPY c d DB 3", "SELECT 3"]
    texts += ["SET e 5", "MOVE e 0", "SWAPDB 0 3"]
    stream = [SELECT, *(command(*text.split()) for text in texts)]
    path = recorded(tmp_path, *stream)
    redis.Redis(port=target.port, db=3).set("mine", "x")
    said = replay(path, "--to", url(target), "--speed", "max", "--db", "0", "--yes")
    assert said.returncode == 1
    assert "2 commands were not sent: they bring data of another db into a chosen one" in said.stdout
    assert held(target) == {0: {"c"}, 3: {"mine"}}
    assert replay(path, "--to", f"{url(target)}/7", "--speed", "max", "--db", "0", "--yes").returncode == 1
    assert held(target) == {0: {"c"}, 3: {"mine"}, 7: {"c"}}
    assert replay(path, "--to", url(target), "--speed", "max", "--db", "0", "--db", "3", "--yes").returncode == 0
    assert held(target) == {0: {"b", "d"}, 3: {"c", "e"}, 7: {"c"}}


# ---- reports ----


def test_errors_are_counted_and_the_first_are_shown(tmp_path: Path, target: Server) -> None:
    stream = [SELECT, command("SET", "text", "x"), *[command("INCR", "text")] * 5, command("LPUSH", "text", "y")]
    stream += [command("MULTI"), command("SADD", "text", "z"), command("SET", "b", "1"), command("EXEC")]
    path = recorded(tmp_path, *stream)
    said = replay(path, "--to", url(target), "--speed", "max")
    assert said.returncode == 1
    lines = said.stdout.splitlines()
    assert "11 replies, 7 errors; up to offset" in lines[0]
    assert lines[1:5] == [
        "5 x ERR",
        *[
            f"    offset {offset(stream, number)}, db 0: INCR text: ERR value is not an integer or out of range"
            for number in (3, 4, 5)
        ],
    ]
    assert lines[5] == "2 x WRONGTYPE"
    assert lines[7].startswith(f"    offset {offset(stream, 12)}, db 0: EXEC: WRONGTYPE")
    client(target).flushall()
    told = json.loads(replay(path, "--to", url(target), "--speed", "max", "--ui", "json").stdout)
    assert (told["commands"], told["replies"], told["errors"]["ERR"]["count"]) == (11, 11, 5)


def test_a_server_that_holds_keys_is_asked_about(tmp_path: Path, target: Server) -> None:
    path = recorded(tmp_path, *counted(3))
    redis.Redis(port=target.port, db=2).set("precious", "x")
    said = replay(path, "--to", url(target))
    assert said.returncode == 2
    assert re.fullmatch(
        r"redis-tap: 127.0.0.1:\d+ holds keys: 1 in db 2. Commands would .* --yes sends them all the same\n", said.stderr
    )
    assert client(target).get("key:0") is None
    assert replay(path, "--to", url(target), "--yes").returncode == 0
    assert client(target).get("key:0") == b"1"


@pytest.mark.parametrize(("answer", "sent"), [(b"n\n", None), (b"y\n", b"1")])
def test_on_a_terminal_it_is_a_question(tmp_path: Path, target: Server, answer: bytes, sent: bytes | None) -> None:
    client(target).set("precious", "x")
    ours, theirs = pty.openpty()
    arguments: list[str | Path] = [*REPLAY, recorded(tmp_path, *counted(3)), "--to", url(target), "--speed", "max"]
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"[y/N]: " not in said:
            said += os.read(ours, 1000)
        os.write(ours, answer)
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 1000):
                said += data
    os.close(ours)
    assert b"holds keys: 1 in db 0. Send all the same?" in said
    assert process.returncode == (0 if sent else 1)
    assert (b"3 commands sent" in said) == bool(sent)
    assert client(target).get("key:0") == sent


def test_the_pace_is_that_of_the_recording(tmp_path: Path, target: Server) -> None:
    wire = streamed(counted(2))
    wire.now += 3_600_000_000_000
    wire.send(1, command("SET", "later", "x"))
    path = file(tmp_path / "recording.pcapng", wire.packets, "pcapng")
    with subprocess.Popen(
        [*REPLAY, path, "--to", url(target)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: client(target).get("key:1"))
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=WITHIN)
    assert process.returncode == 130
    after = offset(counted(2), 3)
    assert told == b"redis-tap: ended early; all up to offset %d was acknowledged; go on with --from %d\n" % (
        after,
        after + 1,
    )
    assert b"3 commands" not in out
    assert client(target).get("later") is None
    assert replay(path, "--to", url(target), "--from", str(after + 1), "--yes").returncode == 0
    assert client(target).mget("later", "key:0") == [b"x", b"1"]


# ---- failures ----


def test_a_server_that_dies_leaves_the_offset_to_continue_from(tmp_path: Path, servers: Servers) -> None:
    name = need("redis-7.0")
    target = servers.start(name, "appendonly", "yes", "appendfsync", "always")
    stream = [SELECT, *(command("SET", f"key:{number}", "v") for number in range(1000))]  # two seconds of it
    path = recorded(tmp_path, *stream)
    with subprocess.Popen([*REPLAY, path, "--to", url(target)], stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: client(target).dbsize() > 100)
        target.kill()
        _, told = process.communicate(timeout=WITHIN)
    assert process.returncode == 3
    maybe = r"( \(\d+ commands after it were not acknowledged, and may have been executed, too\))?"
    match = re.fullmatch(
        rf"redis-tap: 127.0.0.1:{target.port}: .+; all up to offset (\d+) was acknowledged{maybe}; go on with .*\n",
        told,
    )
    assert match is not None, told
    target.start()
    acknowledged = sum(offset(stream, 1) < one <= int(match[1]) for one in offsets(stream))
    assert 0 < acknowledged <= client(target).dbsize() < 1000


def offsets(stream: list[bytes]) -> list[int]:
    found, at = [], BASE
    for piece in stream:
        at += len(piece)
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["replicaof", "127.0.0.1 1"], "READONLY You can't write against a read only replica."),
        (["maxmemory", "1"], "OOM command not allowed when used memory > 'maxmemory'."),
        (["requirepass", "secret"], "Authentication required; the URL has to give USER:PASSWORD@"),
    ],
)
def test_a_server_that_refuses_everything_is_reported_once(
    tmp_path: Path, servers: Servers, options: list[str], says: str
) -> None:
    target = servers.start(need("redis-7.0"))
    for name, value in [options] if options[0] != "replicaof" else []:
        client(target).config_set(name, value)
    if options[0] == "replicaof":
        follow(target, 1)
    said = replay(recorded(tmp_path, *counted(500)), "--to", url(target), "--speed", "max")
    assert said.returncode == 3
    assert re.match(rf"redis-tap: 127.0.0.1:\d+: {re.escape(says)}", said.stderr)
    assert len(said.stderr.splitlines()) == 1


def test_an_absent_db_is_reported_before_anything_goes_elsewhere(tmp_path: Path, servers: Servers) -> None:
    target = servers.start(need("redis-7.0"), "databases", "2")
    path = recorded(tmp_path, SELECT, command("SET", "a", "1"), command("SELECT", "5"), command("SET", "b", "2"))
    said = replay(path, "--to", url(target), "--speed", "max")
    assert said.returncode == 3
    assert "db 5 cannot be selected: DB index is out of range" in said.stderr
    assert client(target).keys() in ([], [b"a"])


def test_passwords_are_used_and_never_shown(tmp_path: Path, servers: Servers) -> None:
    target = servers.start(need("redis-7.0"))
    client(target).config_set("requirepass", "p@ss")
    path = recorded(tmp_path, *counted(3))
    for secret, code in (("p%40ss", 0), ("wr0ng", 3), ("wr0ng/p@ss", 2)):
        said = replay(path, "--to", f"redis://default:{secret}@127.0.0.1:{target.port}", "--speed", "max")
        assert said.returncode == code
        assert not re.search("p@ss|p%40ss|wr0ng", said.stdout + said.stderr)


def test_a_target_that_is_not_a_server_is_reported(tmp_path: Path) -> None:
    with listening() as silent:
        port = silent.getsockname()[1]

        def answer() -> None:
            peer, _ = silent.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EnvironmentFailure, match=rf"127.0.0.1:{port}: "):
            asyncio.run(Target(url(port)).keys())
        thread.join()


def test_what_the_recording_lacks_is_reported(tmp_path: Path, target: Server) -> None:
    stream = counted(100)
    wire = streamed(stream)
    assert stream[7] in wire.packets[19][1]
    del wire.packets[19]
    path = file(tmp_path / "recording.pcapng", wire.packets, "pcapng")
    path.write_bytes(path.read_bytes()[:-9])
    said = replay(path, "--to", url(target), "--speed", "max")
    cut, missing, hole = said.stderr.splitlines()
    size, begin, end = len(stream[7]), offset(stream, 7), offset(stream, 8)
    assert re.fullmatch(rf"redis-tap: {re.escape(str(path))}: cut off: .*", cut)
    assert f": {size} bytes of the stream are missing, offsets {begin} to {end} (" in missing
    assert hole == (
        f"redis-tap: what comes after offset {end} is sent to a server that lacks the {size} bytes after offset {begin}"
    )
    assert executed(target) == 6
    assert "\n93 commands were not sent: the recording does not say in which db, see --assume-db\n" in said.stdout
    client(target).flushall()
    said = replay(path, "--to", url(target), "--speed", "max", "--assume-db", "0")
    assert said.returncode == 2
    assert executed(target) == 99


# ---- a stream whose start was not captured ----


def test_a_stream_without_its_start_needs_its_db(tmp_path: Path, target: Server) -> None:
    stream = [*counted(60), *counted(40)]  # each begins with a SELECT
    path = file(tmp_path / "middle.pcapng", streamed(stream).packets[25:], "pcapng")
    said = replay(path, "--to", url(target), "--speed", "max")
    assert said.returncode == 1
    found = re.search(
        r"\n(\d+) commands were not sent: the recording does not say in which db, see --assume-db\n", said.stdout
    )
    assert found
    unknown = int(found[1])
    assert 40 < unknown < 60
    known = executed(target)
    assert known == 40
    client(target).flushall()
    said = replay(path, "--to", url(target), "--speed", "max", "--assume-db", "0")
    assert (said.returncode, executed(target)) == (0, known + unknown)
    assert "offset" not in said.stdout
    said = replay(path, "--to", url(target), "--speed", "max", "--assume-db", "0", "--from", "1500", "--yes")
    assert said.returncode == 2
    assert "the start of the stream was not captured, so give a time, not an offset" in said.stderr


def test_one_of_several_streams_without_offsets_can_be_chosen(tmp_path: Path, target: Server) -> None:
    packets = [streamed(counted(50), (host, "127.0.0.1")).packets[30:] for host in ("127.0.0.2", "127.0.0.3")]
    path = file(tmp_path / "two.pcapng", sorted(itertools.chain(*packets)), "pcapng")
    said = replay(path, "--to", url(target), "--speed", "max", "--assume-db", "0")
    assert said.returncode == 2
    assert "choose with --link 127.0.0.1:6379/1 or --link 127.0.0.1:6379/2" in said.stderr
    said = replay(path, "--to", url(target), "--speed", "max", "--assume-db", "0", "--link", "127.0.0.1:6379/2")
    assert said.returncode == 0
    assert 30 < executed(target) < 50


# ---- what the recording lacks ----


GAP = "10.0.0.1:6379/1: 92 bytes of the stream are missing, offsets 2485 to 2577 (after "


@pytest.mark.parametrize(
    ("options", "count", "code"),
    [
        ([], 39, 2),
        (["--db", "0"], 39, 2),
        (["--command", "DEL"], 0, 2),
        (["--until", "2485"], 16, 0),
        (["--from", "2578"], 23, 0),
    ],
)
def test_a_gap_is_one_line_and_an_exit_code(target: Server, options: list[str], count: int, code: int) -> None:
    lost = FIXTURES / "captures" / "one-command-lost.pcap"
    said = replay(lost, "--to", url(target), "--speed", "max", "--assume-db", "0", *options)
    assert (said.returncode, said.stderr.count(GAP)) == (code, code // 2)
    assert said.stdout.startswith(f"{count} commands sent to ")


@pytest.mark.parametrize("name", ["one-channel-disk", "rdb-channel"])
def test_an_unreadable_stream_is_reported_with_its_offset(target: Server, name: str) -> None:
    said = replay(FIXTURES / "compressed" / f"redis-8.10-zstd-{name}.pcapng", "--to", url(target), "--speed", "max")
    assert said.returncode == 2
    first, second, nothing = said.stderr.splitlines()
    assert "bytes of the stream cannot be read, from offset 0 on: " in first
    assert "bytes of the stream cannot be read, from offset 1679 on: " in second
    assert nothing == "redis-tap: the recording has no command stream that can be read"


def test_a_unix_socket_can_be_a_target(tmp_path: Path, servers: Servers) -> None:
    path = tmp_path / "redis.sock"
    target = servers.start(need("redis-7.0"), "unixsocket", str(path))
    said = replay(recorded(tmp_path, *counted(3)), "--to", f"unix://{path}", "--speed", "max")
    assert said.stdout.startswith(f"3 commands sent to unix:{path} in ")
    assert client(target).get("key:2") == b"1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "http://somewhere"], "--to: http:// is not the URL of a server"),
        (["-"], "-: a replay reads the capture more than once: give a file, not a pipe"),
        (["--from", "noon"], "--from 'noon': write a time"),
        (["--link", "other"], "--link other: no stream of it in the recording, but of 127.0.0.1:6379"),
        (
            ["--from", "99999"],
            "no whole command lies between --from and --until: the recording has 127.0.0.1:6379: offset 1000 to",
        ),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, target: Server, options: list[str], says: str) -> None:
    said = replay(recorded(tmp_path, *counted(3)), "--to", url(target), *options)
    assert said.returncode == 2
    assert said.stderr.startswith(f"redis-tap: {says}")
    assert len(said.stderr.splitlines()) == 1
