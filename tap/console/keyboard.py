r"""Single keys from the terminal, read in the event loop without ever blocking it.

The terminal is one object that the process shares with its shell, so its modes are changed only while they are ours:

- While the process is in the foreground the terminal has neither line editing nor echo, and a read returns at once even
  if another process was faster (VMIN 0). Ctrl-C still sends SIGINT. Ctrl-Z becomes a key: a stopped tap stops its links.
- In the background nothing is set or read: the system would stop the process for it. A shell sets its own modes when it
  takes over, so close() has nothing to restore there.
- keep(), called with every frame, looks which of the two it is. So nothing needs to be done for SIGSTOP and SIGCONT: the
  modes that the shell has set meanwhile are found and set again.

Escape sequences. An arrow sends ESC [ A; the key Esc sends ESC alone. The two are told apart by time: a sequence arrives
whole, or nearly so, and ESC followed by nothing for ESCAPE_SECONDS is the key.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import termios
from collections.abc import Callable
from typing import Any

ESCAPE_SECONDS = 0.05
MOST = 4096  # bytes at once; a paste comes in several reads
MOST_SEQUENCE = 32  # bytes of an escape sequence; what is longer is none

_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_NUMBERED = {"1": "home", "4": "end", "5": "page up", "6": "page down", "7": "home", "8": "end"}
_NAMED = {"\r": "enter", "\n": "enter", "\x1a": "ctrl-z", "\x7f": "left", "\x08": "left"}
_LOCAL, _CHARACTERS = 3, 6  # places in the list of termios.tcgetattr()


class KeyDecoder:
    """Makes keys of bytes, however they are cut: "up", "enter", "esc", "q". Unknown sequences are dropped."""

    def __init__(self) -> None:
        self._begun = ""  # of an escape sequence

    @property
    def is_within(self) -> bool:
        """Whether an escape sequence has begun, which may be the key Esc."""
        return bool(self._begun)

    def take(self, data: bytes) -> list[str]:
        """The keys that these bytes complete."""
        keys = []
        for character in data.decode("latin-1"):
            if self._begun:
                keys += self._go_on(character)
            elif character == "\x1b":
                self._begun = character
            elif character in _NAMED:
                keys.append(_NAMED[character])
            elif character.isascii() and character.isprintable():
                keys.append(character)
        return keys

    def pause(self) -> list[str]:
        """Nothing has come for a while: a lone ESC was the key."""
        begun, self._begun = self._begun, ""
        return ["esc"] if begun == "\x1b" else []

    def _go_on(self, character: str) -> list[str]:
        begun = self._begun
        if character == "\x1b":  # it was the key, and another one begins
            return ["esc"] if begun == "\x1b" else []
        if begun == "\x1b":
            if character in "[O":
                self._begun += character
                return []
            self._begun = ""
            return ["esc", *self.take(character.encode("latin-1"))]  # quickly typed; as Alt with a key it means nothing
        self._begun += character
        if "\x40" <= character <= "\x7e":
            self._begun = ""
            key = _NUMBERED.get(begun[2:].partition(";")[0]) if character == "~" else _FINAL.get(character)
            return [] if key is None else [key]
        if len(self._begun) > MOST_SEQUENCE:
            self._begun = ""
        return []


class Keyboard:
    """The keys of the terminal that stdin is. Without one there are no keys, and nothing else changes."""

    def __init__(self, pressed: Callable[[list[str]], None], descriptor: int | None = None) -> None:
        """pressed: called with new keys, in the event loop. descriptor: of the terminal; None for that of stdin."""
        self._pressed = pressed
        self._decoder = KeyDecoder()
        self._descriptor = _terminal() if descriptor is None else descriptor
        self._modes: list[Any] | None = None  # those found at first
        self._loop: asyncio.AbstractEventLoop | None = None  # while keys are read
        self._escape: asyncio.TimerHandle | None = None

    @property
    def is_read(self) -> bool:
        return self._loop is not None

    def keep(self) -> None:
        """Read keys if the terminal is ours at this moment. To be called now and then, in the event loop."""
        descriptor = self._descriptor
        if descriptor is None:
            return
        try:
            if not _in_foreground(descriptor):
                self._leave()
                return
            modes = termios.tcgetattr(descriptor)
            if modes[_LOCAL] & (termios.ICANON | termios.ECHO):
                if self._modes is None:
                    self._modes = termios.tcgetattr(descriptor)
                    atexit.register(self.close)
                modes[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
                modes[_CHARACTERS][termios.VMIN] = modes[_CHARACTERS][termios.VTIME] = 0
                modes[_CHARACTERS][termios.VSUSP] = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes()
                termios.tcsetattr(descriptor, termios.TCSANOW, modes)
            if self._loop is None:
                loop = asyncio.get_running_loop()
                loop.add_reader(descriptor, self._read)
                self._loop = loop
        except (OSError, termios.error):  # the terminal has gone
            self._leave()
            self._descriptor = None

    def close(self) -> None:
        """Read no more, and leave the terminal with the modes in which it was found."""
        self._leave()
        descriptor, modes, self._descriptor, self._modes = self._descriptor, self._modes, None, None
        atexit.unregister(self.close)
        if descriptor is not None and modes is not None:
            with contextlib.suppress(OSError, termios.error):
                if _in_foreground(descriptor):
                    termios.tcsetattr(descriptor, termios.TCSANOW, modes)

    def _leave(self) -> None:
        if self._escape is not None:
            self._escape.cancel()
            self._escape = None
        loop, self._loop = self._loop, None
        if loop is not None and self._descriptor is not None and not loop.is_closed():
            loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        assert self._descriptor is not None
        assert self._loop is not None
        try:
            data = os.read(self._descriptor, MOST)
            if not data:
                termios.tcgetattr(self._descriptor)  # raises if the terminal has gone; else another process was faster
        except (OSError, termios.error):
            self._leave()
            return
        if self._escape is not None:
            self._escape.cancel()
            self._escape = None
        keys = self._decoder.take(data)
        if self._decoder.is_within:
            self._escape = self._loop.call_later(ESCAPE_SECONDS, self._paused)
        if keys:
            self._pressed(keys)

    def _paused(self) -> None:
        self._escape = None
        keys = self._decoder.pause()
        if keys:
            self._pressed(keys)


def _terminal() -> int | None:
    """The descriptor of stdin, if that is a terminal."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # None, closed, or replaced
        return None
    return descriptor if os.isatty(descriptor) else None


def _in_foreground(descriptor: int) -> bool:
    """Whether reading this terminal would not stop the process. Raises OSError if it is none any more."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        if not os.isatty(descriptor):
            raise
        return True  # not our controlling terminal, so without job control
