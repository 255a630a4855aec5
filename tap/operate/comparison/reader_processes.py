"""Two sides are read at the same time, each in a process of its own: the reading is computation, and takes a core.

The parent sends a Job to each process, pickled, over a connection of its own; the process answers with Progress, again
and again, and in the end with a SideSnapshot, or with the Failure that ended it. A process ends with its parent: then
its connection breaks.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from tap import errors
from tap.errors import EnvironmentFailure, Sentence, TapError
from tap.operate.comparison.job import Job, SideSnapshot
from tap.operate.comparison.side_snapshot import take

BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from tap.operate.comparison.reader_processes import main; main()"
REPORT_SECONDS = 0.1


class Progress(NamedTuple):
    """read, total: bytes; total is None if it is unknown."""

    read: int
    total: int | None
    keys: int


class Failure(NamedTuple):
    """An exception of errors.py: the name of its class, and its sentences."""

    kind: str
    sentences: tuple[Sentence, ...]


class _ReaderProcess:
    def __init__(self, job: Job) -> None:
        try:
            ours, theirs = socket.socketpair()
            self.connection = Connection(ours.detach())
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", BEGIN, *filter(None, sys.path)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C in a terminal is for the parent, which ends its children
                )
        except OSError as error:
            raise EnvironmentFailure(f"a process cannot be started: {errors.words(error)}") from None
        self._name = job.name
        self.connection.send(job)

    def receive(self) -> Progress | SideSnapshot:
        """The next message. Raises the exception that ended the process."""
        try:
            said: Any = self.connection.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            raise EnvironmentFailure(f"{self._name}: the process that reads it has ended ({code})") from None
        if isinstance(said, Failure):
            kind: type[TapError] = getattr(errors, said.kind)
            raise kind(*said.sentences)
        assert isinstance(said, Progress | SideSnapshot)
        return said

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()


def read(jobs: Sequence[Job], advance: Callable[[int, Progress], None]) -> list[SideSnapshot]:
    """Carry out the jobs side by side. advance: called with the number of a job and how far it is.

    Raises what take() raises, of the job that failed first.
    """
    with contextlib.ExitStack() as ending:
        processes = []
        for job in jobs:
            processes.append(_ReaderProcess(job))
            ending.callback(processes[-1].end)
        done: dict[int, SideSnapshot] = {}
        while len(done) < len(jobs):
            left = {one.connection: number for number, one in enumerate(processes) if number not in done}
            for connection in wait(list(left)):
                assert isinstance(connection, Connection)
                number = left[connection]
                said = processes[number].receive()
                if isinstance(said, SideSnapshot):
                    done[number] = said
                    advance(number, Progress(said.size, said.size, said.keys))
                else:
                    advance(number, said)
        return [done[number] for number in range(len(jobs))]


# ---- in the process ----


def main() -> None:
    """Carry out the job that comes over stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, EOFError), Connection(0) as connection:
        job = connection.recv()
        try:
            connection.send(take(job, _reporter(connection)))
        except TapError as error:
            connection.send(Failure(type(error).__name__, error.sentences))
        except MemoryError:
            connection.send(Failure("EnvironmentFailure", (f"{job.name}: there is not enough memory to read it",)))


def _reporter(connection: Connection) -> Callable[[int, int | None, int], None]:
    reported = time.monotonic()

    def report(read: int, total: int | None, keys: int) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= REPORT_SECONDS:
            reported = now
            connection.send(Progress(read, total, keys))

    return report
