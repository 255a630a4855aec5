"""Keys of a terminal: how bytes become keys, and what becomes of the terminal's modes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.console.keyboard import Keyboard, KeyDecoder
from tests.support import WITHIN, wait_inside, wait_until

KEYS = {
    b"q": ["q"],
    b"\r": ["enter"],
    b"\n": ["enter"],
    b"\x1b[A": ["up"],
    b"\x1bOB": ["down"],
    b"\x1b[C\x1b[D": ["right", "left"],
    b"\x1b[5~\x1b[6~": ["page up", "page down"],
    b"\x1b[H\x1b[4~": ["home", "end"],
    b"\x1b[1;5A": ["up"],
    b"\x1b[200~pasted\x1b[201~": ["p", "a", "s", "t", "e", "d"],
    b"\x1bq": ["esc", "q"],
    b"\x1b\x1b[A": ["esc", "up"],
    b"\x1a": ["ctrl-z"],
    b"\xc3\xa9\x00\x07f": ["f"],
    b"\x1b[" + b"1" * 100 + b"f": ["1"] * 69 + ["f"],
}


@pytest.mark.parametrize("data", KEYS)
def test_bytes_become_keys_whole_and_one_by_one(data: bytes) -> None:
    assert KeyDecoder().take(data) == KEYS[data]
    decoder = KeyDecoder()
    assert [key for byte in data for key in decoder.take(bytes([byte]))] == KEYS[data]


def test_a_lone_escape_is_the_key_once_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert decoder.take(b"\x1b") == []
    assert decoder.is_within
    assert decoder.pause() == ["esc"]
    assert decoder.take(b"[A") == ["[", "A"]
    assert decoder.take(b"\x1b[") == []
    assert decoder.pause() == []


@given(st.lists(st.binary(max_size=10), max_size=10))
def test_no_bytes_harm_the_decoder(parts: list[bytes]) -> None:
    split, whole = KeyDecoder(), KeyDecoder()
    assert [key for part in parts for key in split.take(part)] == whole.take(b"".join(parts))


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """The descriptors of a new terminal: of the person before it, and of the process."""
    person, process = pty.openpty()
    try:
        yield person, process
    finally:
        os.close(person)
        with contextlib.suppress(OSError):
            os.close(process)


def modes(descriptor: int) -> list[Any]:
    return termios.tcgetattr(descriptor)


def test_keys_are_read_without_echo_and_the_modes_are_restored() -> None:
    async def type_on(person: int, process: int) -> None:
        pressed: list[str] = []
        keyboard, before = Keyboard(pressed.extend, process), modes(process)
        keyboard.keep()
        keyboard.keep()
        assert keyboard.is_read
        assert not modes(process)[3] & (termios.ICANON | termios.ECHO)
        assert modes(process)[3] & termios.ISIG  # Ctrl-C
        os.write(person, b"e\x1b[A")
        await wait_inside(lambda: pressed == ["e", "up"])
        os.write(person, b"\x1b")
        await wait_inside(lambda: pressed == ["e", "up", "esc"])
        keyboard.close()
        assert modes(process) == before
        keyboard.close()

    with terminal() as (person, process):
        asyncio.run(type_on(person, process))


def test_modes_that_a_shell_has_set_meanwhile_are_set_again() -> None:
    async def stop_and_continue(process: int) -> None:
        keyboard, before = Keyboard(lambda keys: None, process), termios.tcgetattr(process)
        keyboard.keep()
        termios.tcsetattr(process, termios.TCSANOW, before)
        keyboard.keep()
        assert not modes(process)[3] & termios.ICANON
        keyboard.close()
        assert modes(process) == before

    with terminal() as (_, process):
        asyncio.run(stop_and_continue(process))


def test_in_the_background_the_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(process: int) -> None:
        keyboard, before = Keyboard(lambda keys: None, process), modes(process)
        monkeypatch.setattr("os.tcgetpgrp", lambda descriptor: -1)
        keyboard.keep()
        assert not keyboard.is_read
        assert modes(process) == before
        monkeypatch.setattr("os.tcgetpgrp", lambda descriptor: os.getpgrp())
        keyboard.keep()
        assert keyboard.is_read
        monkeypatch.setattr("os.tcgetpgrp", lambda descriptor: -1)
        keyboard.keep()
        assert not keyboard.is_read
        keyboard.close()

    with terminal() as (_, process):
        asyncio.run(go(process))


def test_a_terminal_that_goes_away_is_forgotten() -> None:
    async def go(person: int, process: int) -> None:
        keyboard = Keyboard(lambda keys: None, process)
        keyboard.keep()
        os.close(os.dup(person))
        os.close(person)
        await wait_inside(lambda: not keyboard.is_read)
        keyboard.keep()
        keyboard.close()

    person, process = pty.openpty()
    asyncio.run(go(person, process))
    os.close(process)


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    keyboard = Keyboard(lambda keys: None)
    keyboard.keep()
    assert not keyboard.is_read
    keyboard.close()


# ---- a whole tap on a terminal of its own ----

# Makes the terminal the controlling one, as a login does.
LOGIN = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


class OnTerminal:
    """`redis-tap run` in the foreground of a terminal. said: all of its output so far."""

    def __init__(self, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.person, self.terminal = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = modes(self.terminal)
        self.said = b""
        listen = f"127.0.0.1:{self.port}"
        run = [sys.executable, "-m", "tap", "run", "--master", "127.0.0.1:1", "--listen", listen, *options]
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, str(self.terminal), *run],
            pass_fds=[self.terminal],
            env={**environment, "TERM": "xterm-256color"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(self.person, 65536):
                self.said += piece

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def shows(self, words: str) -> None:
        wait_until(lambda: words.encode() in self.said)

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WITHIN)
        os.close(self.terminal)  # which ends the reader
        self._reader.join(WITHIN)
        os.close(self.person)


@pytest.fixture
def tap() -> Iterator[OnTerminal]:
    with contextlib.closing(OnTerminal()) as one:
        one.shows("q quit")
        wait_until(lambda: not one.echoes)
        yield one


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "SIGTERM"])
def test_the_terminal_is_restored_at_each_end_and_the_summary_stays_on_it(tap: OnTerminal, how: str) -> None:
    if how == "SIGTERM":
        tap.process.terminate()
    else:
        tap.type({"q": b"q", "Ctrl-C": b"\x03"}[how])
    assert tap.process.wait(WITHIN) == 0
    assert modes(tap.terminal) == tap.before
    tap.shows("no replica\r\n")
    screen, _, summary = tap.said.decode().rpartition("\x1b[?1049l")
    assert screen.count("\x1b[?1049h") == 1
    assert f"  link main, 127.0.0.1:{tap.port} to 127.0.0.1:1: no replica\r\n" in summary
    assert "^C" not in tap.said.decode()


def test_keys_walk_the_view(tap: OnTerminal) -> None:
    for key, words in ((b"?", "keys, and what the columns mean"), (b"f", "none is armed"), (b"\x1b", "what happened")):
        tap.said = b""
        tap.type(key)
        tap.shows(words)
    tap.type(b"\x1a")
    tap.shows("Ctrl-Z does not stop the tap")
    assert tap.process.poll() is None


def test_a_tap_that_was_stopped_reads_keys_again(tap: OnTerminal) -> None:
    tap.process.send_signal(signal.SIGSTOP)
    termios.tcsetattr(tap.terminal, termios.TCSANOW, tap.before)  # as a shell does when it takes over
    tap.process.send_signal(signal.SIGCONT)
    wait_until(lambda: not tap.echoes)
    tap.type(b"q")
    assert tap.process.wait(WITHIN) == 0
    assert modes(tap.terminal) == tap.before


def test_a_terminal_that_changes_its_size_is_drawn_anew(tap: OnTerminal) -> None:
    tap.said = b""
    fcntl.ioctl(tap.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    tap.process.send_signal(signal.SIGWINCH)
    wait_until(lambda: any(len(line) >= 150 for line in tap.said.decode(errors="ignore").split("\r\n")))
