"""A tap in a process of its own, as from a shell: for signals, limits, and output while it runs."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from tests.support import WITHIN

TAP = [sys.executable, "-m", "tap"]  # as a process of its own: for signals, limits, and how long it takes to start
OF_MASTER = re.compile(r"redis-tap: WARNING: link \S+: the master \S+ cannot be reached: .*\n")


class Running:
    """A running tap, the port of its first link, and the lines that it has printed."""

    def __init__(self, *arguments: str, files: int | None = None, reads: bool = True) -> None:
        limited = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [*limited, *TAP, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        found = re.search(r"listening on \S+:(\d+)", self.process.stderr.readline())
        assert found
        self.port = int(found[1])
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self.lines.extend, args=(self.process.stdout,))
        if reads:
            self.read()

    def read(self) -> None:
        self._reader.start()

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """Send the signal and wait. Returns what it wrote to stderr, without complaints about absent masters."""
        assert self.process.stderr is not None
        self.process.send_signal(number)
        self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return OF_MASTER.sub("", self.process.stderr.read())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._reader.ident is not None:
            self._reader.join(WITHIN)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def running(*arguments: str, files: int | None = None, reads: bool = True) -> Iterator[Running]:
    """files: limit of open files. reads: whether stdout is read from the start, or only from read() on."""
    with contextlib.closing(Running(*arguments, files=files, reads=reads)) as one:
        yield one
