"""SIGHUP, for a verb that runs for days: its terminal has gone, or, as for daemons, it should reopen its files."""

from __future__ import annotations

import os
from collections.abc import Callable


class Hangup:
    """A handler of SIGHUP. has_ended: the terminal on which the process was started has gone."""

    def __init__(self, ended: Callable[[], object], reopen: Callable[[], object]) -> None:
        """ended: called if the terminal has gone. reopen: called if it is still there, or if there never was one."""
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
        for number in gone:  # output on the way out is discarded instead of failing
            os.dup2(null, number)
        os.close(null)
        self._ended()
