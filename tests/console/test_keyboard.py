"""Keys of a terminal: how bytes become keys, and what becomes of the terminal's modes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.console.keyboard import Keyboard, KeyDecoder
from tests.support import wait_inside

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
    b"\x1bx?": ["?"],
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


def modes(descriptor: int) -> list[object]:
    return list(termios.tcgetattr(descriptor))


def test_keys_are_read_without_echo_and_the_modes_are_restored() -> None:
    async def type_on(person: int, process: int) -> None:
        pressed: list[str] = []
        keyboard, before = Keyboard(pressed.extend, process), modes(process)
        keyboard.keep()
        keyboard.keep()
        assert keyboard.is_read
        assert not modes(process)[3] & (termios.ICANON | termios.ECHO)  # type: ignore[operator]
        assert modes(process)[3] & termios.ISIG  # type: ignore[operator]  # Ctrl-C
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
        assert not modes(process)[3] & termios.ICANON  # type: ignore[operator]
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
