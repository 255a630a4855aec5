"""SIGHUP, for a verb that runs for days: the end of its terminal, or what daemons take it for, a word to reopen files."""

from __future__ import annotations

import os
from collections.abc import Callable


class Hangup:
    """A handler of SIGHUP. has_ended: the terminal that the process was begun on has gone."""

    def __init__(self, ended: Callable[[], object], reopen: Callable[[], object]) -> None:
        """ended: called when the terminal has gone. reopen: when it is still there, or there was none."""
        self.has_ended = False
        self._ended = ended
        self._reopen = reopen
        self._terminals = [number for number in (0, 1, 2) if os.isatty(number)]

    def __call__(self) -> None:
        gone = [number for number in self._terminals if not os.isatty(number)]
        if not gone:
            self._reopen()
            return
        self.has_ended = True
        null = os.open(os.devnull, os.O_RDWR)
        for number in gone:  # what is still said on the way out goes nowhere, and fails nothing
            os.dup2(null, number)
        os.close(null)
        self._ended()
