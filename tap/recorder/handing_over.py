"""Hands each finished file of a recording to a command of the user (`--on-rotate`), at least once.

A file is finished when the next one has begun, or when the run ends. A thread then runs the command for it. The thread
that writes and the event loop only append to a queue, so neither a command that hangs nor an object store that is down
delays a link or the recording.

At least once. A command may fail, and the tap may be killed before, during or after it. So beside the recording stands a
journal, <stem>.handed, to which the name of a file is added once its command has ended with 0; the line is forced to the
disk. Every file of the rotation that the journal does not name has still to be handed over. At its start the tap finds
those of earlier runs in the directory, including the one that a crash cut off. A file is handed over twice if the tap
dies between the end of a command and that line: the command must allow that, as copying to the same name does. Names of
files that no longer exist leave the journal at the next start.

    finished ──> queue ──> sh -c CMD, $1 = path ──0──> journal ──> --keep may delete it
                   ^                             │
                   └──── last in the queue, <────┘ else
                         after a pause that doubles

A file that fails goes to the end of the queue, so that one file which the command never accepts does not hold up the
others. The pause after a failure counts for all files: what fails is usually the network, not the file.

--keep must not delete what has not been handed over: Rotation asks is_waiting(). Then the disk may hold more than --keep
allows, and an event says so. If the disk fills, the recording has a gap, and the links go on as always.

The command is run as logrotate and tcpdump -z run theirs: by the shell, with the path as "$1", and with the path appended
if the command does not mention it. It has a session of its own, so that Ctrl-C in a terminal does not end it halfway.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

from tap.errors import words
from tap.paths import sync_directory
from tap.replication.events import Event, HandOverResumed, HandOverTrouble

SUFFIX = ".handed"
VARIABLE = "REDIS_TAP_FILE"
PAUSE_SECONDS = 1.0  # after the first failure; doubled by each further one
MAX_PAUSE_SECONDS = 300.0
MAX_WAITING = 3  # files that may wait before that is reported
END_SECONDS = 10.0  # for the files that still wait at the end of the run
MAX_OUTPUT = 2000  # bytes of a command's output that are searched for its last line
MAX_LINE = 200

_MENTIONS_FILE = re.compile(rf"\$(\{{?(1|@|\*|{VARIABLE})\b|[@*])")


class HandingOver:
    """report: called in the thread with what is to be published."""

    def __init__(self, command: str, journal: Path, report: Callable[[Event], None]) -> None:
        self._command = command if _MENTIONS_FILE.search(command) else f'{command} "$1"'
        self._journal = journal
        self._report = report
        self._handed: set[str] = set()
        self._waiting: deque[Path] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._has_stopped = False
        self._has_trouble = False
        self._failures = 0  # in a row
        self._running: tuple[Path, float] | None = None  # the file being handed over, and since when
        self._thread = threading.Thread(target=self._run, name="on-rotate", daemon=True)

    def start(self, found: Iterable[Path]) -> None:
        """Read the journal, and begin with those of the files found that it does not name. Raises OSError."""
        found = list(found)
        with contextlib.suppress(FileNotFoundError):
            self._handed = set(self._journal.read_text(errors="surrogateescape").splitlines())
        self._handed &= {path.name for path in found}
        lines = "".join(f"{name}\n" for name in sorted(self._handed))
        new = self._journal.with_name(f"{self._journal.name}.new")
        with new.open("w", errors="surrogateescape") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._journal)
        sync_directory(self._journal.parent)
        self._waiting.extend(path for path in found if path.name not in self._handed)
        self._thread.start()

    def finished(self, path: Path) -> None:
        """Nothing more is written to that file. Returns at once."""
        with self._changed:
            self._waiting.append(path)
            count = len(self._waiting)
            running = self._running
            self._changed.notify()
        if count >= MAX_WAITING and running is not None and not self._has_trouble:
            seconds = time.monotonic() - running[1]
            self._trouble(running[0], f"files come faster than it ends: it has run for {seconds:.0f} s", 0.0)

    def is_waiting(self, path: Path) -> bool:
        """Whether the file has still to be handed over."""
        return path.name not in self._handed

    def holds_up(self, path: Path) -> None:
        """Report that a file beyond --keep stays because it has not been handed over; once, until all have been."""
        if not self._has_trouble:
            self._trouble(path, "it is beyond --keep, and stays until it has been handed over", 0.0)

    @property
    def waiting(self) -> list[Path]:
        """The files that have still to be handed over, the one being handed over included."""
        with self._changed:
            return [*([] if self._running is None else [self._running[0]]), *self._waiting]

    def close(self, seconds: float | None = None) -> list[Path]:
        """Hand over what waits, for some seconds at most. Returns the files that are left to the next run.

        A command that still runs goes on by itself, and its file counts as not handed over.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(END_SECONDS if seconds is None else seconds)
        with self._changed:
            self._has_stopped = True
            self._changed.notify()
        return self.waiting

    # ---- the thread ----

    def _run(self) -> None:
        while (path := self._next()) is not None:
            trouble = self._hand_over(path)
            with self._changed:
                self._running = None
                if trouble is None:
                    self._failures = 0
                else:
                    self._failures += 1
                    self._waiting.append(path)
            if trouble is not None:
                pause = min(MAX_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** min(self._failures - 1, 20))
                self._trouble(path, trouble, pause)
                self._rest(pause)
            elif self._has_trouble and not self.waiting:
                self._has_trouble = False
                self._report(HandOverResumed(file=path.name))

    def _next(self) -> Path | None:
        """The next file; None at the end."""
        with self._changed:
            while not self._waiting:
                if self._is_closing or self._has_stopped:
                    return None
                self._changed.wait()
            if self._has_stopped:
                return None
            path = self._waiting.popleft()
            self._running = path, time.monotonic()
            return path

    def _rest(self, seconds: float) -> None:
        """Wait before another attempt; at the end of the run no longer than for one more."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._has_stopped and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, PAUSE_SECONDS) if self._is_closing else left)
                if self._is_closing:
                    return

    def _hand_over(self, path: Path) -> str | None:
        """Run the command for a file, and note its success. Returns what went wrong, None if nothing did."""
        if not path.exists():
            return None  # the user, or another program, has taken it away
        environment: Mapping[str, str] = {**os.environ, VARIABLE: str(path)}
        arguments = ["/bin/sh", "-c", self._command, "redis-tap", str(path)]
        try:
            with tempfile.TemporaryFile() as said:
                done = subprocess.run(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                    check=False,
                )
                if done.returncode:
                    return _ending(done.returncode, _last_line(said))
            self._note(path)
        except OSError as error:
            return words(error)
        return None

    def _note(self, path: Path) -> None:
        """Add a file to the journal. Raises OSError."""
        with self._journal.open("a", errors="surrogateescape") as file:
            file.write(f"{path.name}\n")
            file.flush()
            os.fsync(file.fileno())
        self._handed.add(path.name)

    def _trouble(self, path: Path, text: str, pause: float) -> None:
        self._has_trouble = True
        waiting = self.waiting
        size = 0
        for one in waiting:
            with contextlib.suppress(OSError):
                size += one.stat().st_size
        self._report(
            HandOverTrouble(
                file=path.name,
                text=text,
                attempts=self._failures,
                waiting=len(waiting),
                waiting_bytes=size,
                retry_seconds=pause or None,
            )
        )


def _ending(code: int, last: str) -> str:
    how = f"signal {-code} ended it" if code < 0 else f"it ended with {code}"
    return f"{how}: {last}" if last else how


def _last_line(output: IO[bytes]) -> str:
    """The last line that a command has written."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - MAX_OUTPUT))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:MAX_LINE] if lines else ""
