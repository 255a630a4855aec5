"""One password planted everywhere, and searched for in everything that the tap writes, shows and hands on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tap.bus import Bus
from tap.recorder.recorder import Recorder
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tests.cli.typed import tap as typed
from tests.recording.plants import (
    ARRAYS,
    DIGEST,
    GARBAGE,
    LINES,
    PASSWORD,
    PLAIN,
    REPLIES,
    Plant,
    errors,
    shows,
)  # fmt: skip
from tests.recording.support import config, connect, content, linked, listening, packets, segments
from tests.relay.wire import BASE, GRANT, REPLID, asks, command, in_front_of
from tests.support import WITHIN, TapThread, client, programs, some_servers, versions, wait_until

# ---- recordings, at every split ----

HANDSHAKE = [(Side.REPLICA, asks(BASE)), (Side.MASTER, GRANT)]
RDB = b"REDIS0011\xff" + bytes(8)
WITH_RDB = [
    (Side.REPLICA, command("PSYNC", "?", "-1")),
    (Side.MASTER, b"+FULLRESYNC %b 0\r\n$%d\r\n" % (REPLID.encode(), len(RDB)) + RDB),
]


def recorded(path: Path, pieces: list[tuple[Side, bytes]], **options: Any) -> tuple[bytes, bytes]:
    """The replica's and the master's bytes in a recording of a conversation with these pieces."""

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, **options)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        for side, data in pieces:
            receive = conversation.receive_from_replica if side is Side.REPLICA else conversation.receive_from_master
            receive(data)
            link.received(side, memoryview(data))
        await writes.close()

    path.unlink(missing_ok=True)
    asyncio.run(record())
    found = segments(path)
    ours = found[0].source
    return tuple(b"".join(one.data for one in found if (one.source == ours) is is_ours) for is_ours in (True, False))  # type: ignore[return-value]


STREAM = b"".join(
    [command("SELECT", "0"), command("SET", "AUTH", "pw")]
    + [plant.said + command("SET", "requirepass", str(number)) for number, plant in enumerate(ARRAYS)]
    + [command("MULTI"), ARRAYS[2].said, command("EXEC")]
)
STREAM_LEFT = STREAM.replace(PASSWORD, b"*" * len(PASSWORD))
for _plant in ARRAYS:  # users are hidden with their passwords
    STREAM_LEFT = STREAM_LEFT.replace(_plant.said.replace(PASSWORD, b"*" * len(PASSWORD)), _plant.left)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10**6])
@pytest.mark.parametrize("before", [HANDSHAKE, WITH_RDB], ids=["partial", "full"])
@pytest.mark.parametrize("without_rdb", [False, True])
def test_passwords_of_replicated_commands_are_masked(
    tmp_path: Path, size: int, before: list[tuple[Side, bytes]], without_rdb: bool
) -> None:
    pieces = [*before, *((Side.MASTER, STREAM[at : at + size]) for at in range(0, len(STREAM), size))]
    _, master = recorded(tmp_path / "one.pcapng", pieces, without_rdb=without_rdb)
    head = before[1][1].removesuffix(RDB if without_rdb else b"")
    assert master == head + STREAM_LEFT


def test_a_password_is_masked_wherever_its_command_is_split(tmp_path: Path) -> None:
    said = command("SET", "a", "b") + ARRAYS[3].said + command("SET", "a", "c")
    left = command("SET", "a", "b") + ARRAYS[3].left + command("SET", "a", "c")
    for cut in range(1, len(said)):
        pieces = [*HANDSHAKE, (Side.MASTER, said[:cut]), (Side.MASTER, said[cut:]), (Side.MASTER, said)]
        assert recorded(tmp_path / "one.pcapng", pieces)[1] == GRANT + left + left, cut


def test_a_password_that_comes_with_the_answer_to_psync_is_masked(tmp_path: Path) -> None:
    pieces = [(Side.REPLICA, asks(BASE)), (Side.MASTER, GRANT + ARRAYS[2].said + command("PING"))]
    assert recorded(tmp_path / "one.pcapng", pieces)[1] == GRANT + ARRAYS[2].left + command("PING")


def test_a_password_after_a_reply_that_is_searched_for_others_is_masked(tmp_path: Path) -> None:
    pieces = [(Side.REPLICA, asks(BASE) + ARRAYS[2].said), (Side.MASTER, GRANT + ARRAYS[2].said + command("PING"))]
    assert recorded(tmp_path / "one.pcapng", pieces)[1] == GRANT + ARRAYS[2].left + command("PING")


@pytest.mark.parametrize(("said", "left"), REPLIES, ids=lambda value: repr(value)[:40])
def test_replies_of_ordinary_connections_are_masked(tmp_path: Path, said: tuple[bytes, bytes], left: bytes) -> None:
    asked, reply = said
    pieces = [(Side.REPLICA, command("GET", "a")), (Side.MASTER, b"$1\r\nb\r\n"), (Side.REPLICA, asked)]
    pieces += [(Side.MASTER, reply[at : at + 5]) for at in range(0, len(reply), 5)]
    pieces += [(Side.REPLICA, command("GET", "b")), (Side.MASTER, b"$6\r\nvalues\r\n")]
    replica, master = recorded(tmp_path / "one.pcapng", pieces)
    assert master == b"$1\r\nb\r\n" + left + b"$6\r\nvalues\r\n"
    assert replica == command("GET", "a") + asked + command("GET", "b")


def test_a_stream_after_replies_with_passwords_is_recorded_unchanged(tmp_path: Path) -> None:
    (asked, reply), left = REPLIES[1]
    stream = command("SET", "k", b"\r\nrequirepass\r\n$3\r\nabc\r\n")
    pieces = [(Side.REPLICA, command("HELLO", "3")), (Side.MASTER, b"+OK\r\n")]
    pieces += [*HANDSHAKE[:1], (Side.MASTER, GRANT + stream), (Side.MASTER, stream)]
    assert recorded(tmp_path / "one.pcapng", pieces)[1] == b"+OK\r\n" + GRANT + stream * 2
    pieces = [(Side.REPLICA, asked), (Side.MASTER, reply)]
    assert recorded(tmp_path / "one.pcapng", pieces)[1] == left


@pytest.mark.parametrize("redact", [("keys",), ("values",)])
@pytest.mark.parametrize("plant", ARRAYS + LINES, ids=repr)
def test_a_redacted_recording_has_no_password_either(tmp_path: Path, redact: tuple[str, ...], plant: Plant) -> None:
    for pieces in (
        [*HANDSHAKE, (Side.MASTER, command("PING") + plant.said + command("PING"))],
        [(Side.REPLICA, plant.said), (Side.MASTER, b"-ERR '%b'\r\n" % PASSWORD)],
    ):
        recorded(tmp_path / "one.pcapng", pieces, redact=redact)
        assert shows((tmp_path / "one.pcapng").read_bytes()) is None


# ---- a tap as users run it ----

SCRIPT = """
from pathlib import Path
def on_event(told):
    with Path({path!r}).open("a") as out:
        print(told.as_dict(), repr(told.event), file=out)
"""


class Master(threading.Thread):
    """Sends passwords in its replies, and answers PSYNC with a stream that has some."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answers = [(asks(BASE), GRANT + STREAM), *(said for said, _ in REPLIES), *errors()]
            asked = b""
            while data := connection.recv(2**20):
                asked += data
                for one in [one for one in answers if one[0] in asked]:
                    answers.remove(one)
                    connection.sendall(one[1])

    def close(self) -> None:
        self._socket.close()


def clients() -> list[list[bytes]]:
    """What each of the tap's clients sends, in pieces."""
    asked = b"".join(one for (one, _), _ in REPLIES) + b"".join(one for one, _ in errors())
    plants = b"".join(plant.said for plant in [*ARRAYS, *LINES, *PLAIN])
    found = [[asked], [command("PING"), plants], [bytes([one]) for one in plants[:300]]]
    found += [[garbage + plant.said] for garbage, plant in itertools.product(GARBAGE, (ARRAYS[0], ARRAYS[3], LINES[2]))]
    found += [[plant.said] for plant in [*ARRAYS, *LINES]]
    found += [[command("PING"), plant.said, command("GET", "a")] for plant in ARRAYS]
    found += [[asks(BASE), command("REPLCONF", "ACK", str(BASE)), plant.said] for plant in (*ARRAYS[:4], LINES[0])]
    return found


def talk(port: int) -> None:
    for pieces in clients():
        with socket.create_connection(("127.0.0.1", port), WITHIN) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                sock.sendall(piece)
            sock.settimeout(0.05)
            with contextlib.suppress(OSError):
                while sock.recv(2**20):
                    pass


@contextlib.contextmanager
def tap(port: int, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int, list[bytes]]]:
    """A tap, its port, and all of its output, on a terminal."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = probe.getsockname()[1]
    program = [sys.executable, "-m", "tap", "run", "--master", f"127.0.0.1:{port}", "--listen", f"127.0.0.1:{listen}"]
    ours, theirs = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                said.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    environment = {**os.environ, "COLUMNS": "200", "LINES": "60", "TERM": "xterm-256color"}
    with subprocess.Popen([*program, *options], stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        reader.start()
        try:
            wait_until(lambda: is_open(listen))
            yield process, listen, said
            process.send_signal(signal.SIGINT)
            process.wait(WITHIN)
        finally:
            process.kill()
    reader.join(WITHIN)
    os.close(ours)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize(
    ("ui", "kind"),
    [
        pytest.param("json", "one.pcapng", marks=pytest.mark.slow),
        pytest.param("log", "one.pcapng", marks=pytest.mark.slow),
        pytest.param("live", "one.pcapng", marks=pytest.mark.slow),
        ("live", "one.pcapng.zst"),
        pytest.param("json", "rotated", marks=pytest.mark.slow),
        ("log", "redacted.pcapng"),
    ],
)
def test_no_output_of_a_tap_shows_a_password(tmp_path: Path, ui: str, kind: str) -> None:
    heard, script = tmp_path / "heard", tmp_path / "script.py"
    script.write_text(SCRIPT.format(path=str(heard)))
    options = ["--ui", ui, "--script", str(script), "-w", str(tmp_path / kind)]
    if kind == "rotated":
        (tmp_path / kind).mkdir()
        options += ["--rotate", "64kb"]
    if kind == "redacted.pcapng":
        options += ["--redact", "values"]
    if ui == "json":
        options.append("--commands")
    master = Master()
    master.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(WITHIN)
        with tap(master.port, *options, "--statsd", f"127.0.0.1:{statsd.getsockname()[1]}") as (_, port, said):
            talk(port)
            wait_until(lambda: heard.exists() and "link_closed" in heard.read_text())
        figures = statsd.recv(2**16)
        statsd.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while datagram := statsd.recv(2**16):
                figures += datagram
    master.close()
    assert shows(figures) is None
    assert b"connections_opened" in figures
    output = b"".join(said)
    assert shows(output) is None
    assert shows(heard.read_bytes()) is None
    assert b"stream" in output or ui == "live"
    files = sorted((tmp_path / kind).iterdir()) if kind == "rotated" else [tmp_path / kind]
    recordings = [content(path) for path in files]
    for path, data in zip(files, recordings, strict=True):
        assert shows(data) is None, path
        assert packets(path)
    if kind != "redacted.pcapng":
        assert b"requirepass" in b"".join(recordings)
        assert b"passwords" in b"".join(recordings)
    for form in ("text", "json"):
        for more in (["--commands", "--rdb-keys"], ["--stats"], ["--stats", "--once"], ["--key", "*", "--once"]):
            shown = typed("show", tmp_path / kind, "--format", form, *more)
            assert shows(shown.stdout + shown.stderr) is None
    shown = typed("export", tmp_path / kind, "--to", "jsonl", "-o", "-")
    assert shows(shown.stdout + shown.stderr) is None


def test_a_crash_of_the_tap_shows_no_password(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(self: Conversation, *arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Conversation, "_requested", crashes)
    with listening() as listener, TapThread(in_front_of(listener.getsockname()[1])) as tapped:
        with linked(tapped, listener) as (replica, master):
            replica.sendall(ARRAYS[0].said)
            assert master.recv(1000)
            wait_until(lambda: "a bug" in caplog.text)
    assert shows(caplog.text) is None
    assert shows(repr(tapped.told)) is None


@pytest.mark.parametrize("server_name", versions(["redis-8.0", "valkey-newest", "redis-6.2"]))
def test_a_real_server_s_answers_are_masked(tmp_path: Path, server_name: str) -> None:
    if server_name not in programs():
        pytest.skip(f"{server_name} is missing")
    path = tmp_path / "one.pcapng"
    with some_servers() as servers:
        server = servers.start(server_name)
        with TapThread(config(server.port, path)) as tapped:
            to = client(tapped.port)
            for words in (
                ("CONFIG", "SET", "masterauth", PASSWORD),
                ("CONFIG", "GET", "masterauth"),
                ("CONFIG", "GET", "*"),
                ("ACL", "SETUSER", "bob", b">" + PASSWORD, b"#" + DIGEST),
                ("ACL", "GETUSER", "bob"),
                ("ACL", "LIST"),
                ("MULTI",),
                ("CONFIG", "GET", "m*"),
                ("EXEC",),
            ):
                answer = to.execute_command(*words)
                assert answer is not None
            with pytest.raises(redis.ResponseError):
                to.execute_command("ACL", "SETUSER", "bob", b"nonsense", b">" + PASSWORD)
            with pytest.raises(redis.ResponseError):
                to.execute_command("ACL", "SETUSER", "bob", b"<" + PASSWORD + b"x")
            generated = to.execute_command("ACL", "GENPASS")
            to.close()
            is_there = client(server).config_get("masterauth")["masterauth"]
    assert str(is_there).encode() == PASSWORD
    data = path.read_bytes()
    assert shows(data) is None
    assert generated not in data
    assert b"maxmemory" in data
    assert json.dumps("masterauth").strip('"').encode() in data
    assert re.search(rb"\$64\r\n[0-9a-f]{64}", data) is None
