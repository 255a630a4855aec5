"""SIGHUP to `redis-tap run`: it reopens files, as daemons do; only the end of its terminal ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap import recording
from tap.recording import Recording
from tests.cli.running import TAP, Running, running
from tests.relay.wire import BASE, GRANT, asks, command, receive
from tests.support import WITHIN, wait_until

pytestmark = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="this runs under nohup, which redis-tap respects"
)


class Stream:
    """A made-up pair through a running tap, up to its stream."""

    def __init__(self, *arguments: str) -> None:
        self._stack = contextlib.ExitStack()
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(WITHIN)
        self.tap: Running = self._stack.enter_context(
            running("--master", f"127.0.0.1:{listener.getsockname()[1]}", "--ui", "none", *arguments)
        )
        listener.accept()[0].close()  # it checks whether the master is there
        self.replica = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.tap.port), WITHIN))
        self.master = self._stack.enter_context(listener.accept()[0])
        self.replica.sendall(asks(BASE))
        receive(self.master, len(asks(BASE)))
        self.master.sendall(GRANT)
        receive(self.replica, len(GRANT))

    def write(self, *keys: str) -> None:
        for key in keys:
            said = command("SET", key, "value")
            self.master.sendall(said)
            assert receive(self.replica, len(said)) == said

    def hang_up(self) -> None:
        self.tap.process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def keys(recorded: Recording) -> list[str]:
    return [one.args[0].decode() for one in recorded.commands()]


def test_without_a_recording_it_is_ignored_and_reported() -> None:
    with Stream() as pair:
        assert pair.tap.process.stderr is not None
        for _ in range(2):
            pair.hang_up()
            assert pair.tap.process.stderr.readline() == (
                "redis-tap: SIGHUP is ignored: it reads a --config again and starts a recording's next file, but there "
                "is no --config, and nothing is being recorded\n"
            )
        pair.write("still", "there")
        assert pair.tap.end() == ""
        assert pair.tap.process.returncode == 0


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_recording_in_one_file_continues_in_another(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"today.pcapng{suffix}"
    with Stream("-w", str(path)) as pair:
        pair.write("a", "b")
        pair.hang_up()
        second = wait_until(lambda: [one for one in tmp_path.iterdir() if one != path])[0]
        pair.write("c")
        pair.hang_up()
        third = wait_until(lambda: [one for one in tmp_path.iterdir() if one not in (path, second)])[0]
        pair.write("d")
        assert pair.tap.end() == ""
        assert pair.tap.process.returncode == 0
    for number, one in ((1, second), (2, third)):
        assert re.fullmatch(rf"today_0000{number}_\d{{8}}T\d{{6}}Z\.pcapng{re.escape(suffix)}", one.name)
    parts = [keys(recording.open(one)) for one in (path, second, third)]
    assert parts == [["a", "b"], ["c"], ["d"]]
    with recording.open([path, second, third]) as whole:
        assert keys(whole) == ["a", "b", "c", "d"]
        size = len(command("SET", "a", "value"))
        assert [one.offset for one in whole.commands()] == [BASE + number * size for number in range(1, 5)]
        assert not whole.problems


def test_a_recording_that_was_moved_continues_under_its_name(tmp_path: Path) -> None:
    """As logrotate does it, without copytruncate."""
    path, moved = tmp_path / "today.pcapng", tmp_path / "today.pcapng.1"
    with Stream("-w", str(path)) as pair:
        pair.write("a")
        wait_until(path.exists)
        path.rename(moved)
        pair.write("b")
        pair.hang_up()
        wait_until(path.exists)
        pair.write("c")
        assert pair.tap.end() == ""
    assert (keys(recording.open(moved)), keys(recording.open(path))) == (["a", "b"], ["c"])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["today.pcapng", "today.pcapng.1"]


def test_a_rotation_begins_its_next_file(tmp_path: Path) -> None:
    with Stream("-w", str(tmp_path / "week.pcapng"), "--rotate", "1gb") as pair:
        pair.write("a")
        pair.hang_up()
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        pair.write("b")
        assert pair.tap.end() == ""
    first, second = sorted(tmp_path.iterdir())
    assert (keys(recording.open(first)), keys(recording.open(second))) == (["a"], ["b"])
    assert second.name.startswith("week_00002_")


def test_a_next_file_that_cannot_be_made_is_reported_and_costs_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    path = directory / "today.pcapng"
    with Stream("-w", str(path)) as pair:
        pair.write("a")
        wait_until(path.exists)
        path.rename(tmp_path / "moved.pcapng")
        directory.rmdir()
        pair.hang_up()
        pair.write("b")
        said = pair.tap.end()
        assert pair.tap.process.returncode == 3
    assert "the next file cannot be made: No such file or directory; going on in today.pcapng" in said
    assert keys(recording.open(tmp_path / "moved.pcapng")) == ["a", "b"]


# ---- a terminal ----


@contextlib.contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A tap that leads the session of a terminal, and our end of that terminal."""
    ours, its = pty.openpty()

    def lead() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*TAP, "run", *arguments], stdin=its, stdout=its, stderr=its, preexec_fn=lead, env=os.environ | {"TERM": "xterm"}
    )
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(ours)


def until_said(ours: int, words: bytes) -> None:
    said = b""
    while words not in said:
        said += os.read(ours, 65536)


@pytest.mark.parametrize(("ui", "shows"), [("log", b"listening on"), ("live", b"127.0.0.1:1")])
def test_a_terminal_that_closes_ends_it_as_any_command(ui: str, shows: bytes, tmp_path: Path) -> None:
    path = tmp_path / "kept.pcapng"
    with on_a_terminal("--master", "127.0.0.1:1", "--ui", ui, "-w", str(path)) as (process, ours):
        until_said(ours, shows)
        os.close(ours)
        assert process.wait(WITHIN) == 128 + signal.SIGHUP
    assert [one.name for one in tmp_path.iterdir()] == ["kept.pcapng"]


@pytest.mark.parametrize("ui", ["log", "live"])
def test_a_signal_while_the_terminal_is_there_reopens_files(ui: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.pcapng"
    with on_a_terminal("--master", "127.0.0.1:1", "--ui", ui, "-w", str(path)) as (process, ours):
        until_said(ours, b"127.0.0.1:1")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO, once the tap has gone
            until_said(ours, b"never")
        assert process.wait(WITHIN) == 0
