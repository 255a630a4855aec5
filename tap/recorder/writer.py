"""The thread that writes a recording's blocks to its files, so that the event loop never waits for a disk.

A disk may take nothing for seconds: fsync of a busy device, a network file system that hangs, a device that is full. The
relay must not notice. So the event loop only appends to a queue, and everything that can block runs in this thread:

    event loop                                     thread
      Gathering.blocks   packets gather here
         │ pass_on()
         ▼
      put() ───────────> queue ─────────────────> encode, append to the file, fsync, open the next file, delete old ones
      next_file(head) ─> (deque)                       │
         ▲                                             │ call_soon_threadsafe
         └──── troubled(), spoiled(), lost() <─────────┘

Who owns what. A Blocks belongs to the loop until put(), then to the thread, which hands it back empty through _spare.
The loop writes _closing_at, the thread writes taken, full_at and path. Two flags are written by both, _is_idle and
Gathering.wants; they only decide when the thread looks next, so a race costs a look, never data. deque.append() and
popleft() are atomic: there is no lock for which the loop could wait.

When the thread looks. Waking a sleeping thread costs the loop about 35 µs, and a client's WAIT would pay for it. So while
traffic flows the thread looks by itself every GATHER_SECONDS, and asks through Gathering.wants that the next read passes
on what has gathered: nothing waits longer than two looks. Only a thread that found nothing twice is idle; then put()
wakes it after WAKE_SECONDS, when the reply that the client waits for has been sent.

Order. The queue holds blocks and the beginnings of files (_NextFile) in the order in which the loop made them, so a file
ends exactly where the loop decided. A block is written whole or not at all: what a full disk cut is truncated away, and
the block is tried again every RETRY_SECONDS. Meanwhile the queue grows up to the limit of filling.py, and after that
bytes are left out of the recording, not delayed in the relay.

The end. close() gives the disk CLOSE_SECONDS. If blocks are left then, given_up() turns them into packets that only say
what is missing; these few bytes may find room where the data did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tap.capture.output import Output
from tap.capture.packets import Blocks
from tap.capture.rotation import Rotation
from tap.errors import words
from tap.paths import sync_directory
from tap.recorder.intake import Gathering

Sync = Literal["none", "interval", "always"]

GATHER_SECONDS = 0.02  # between two looks while traffic flows
WAKE_SECONDS = 0.001  # from the first bytes after a silence until the thread is woken: longer than their round trip
SYNC_SECONDS = 1.0
SYNC_BYTES = 32 * 2**20  # unsynced bytes that are forced to the disk at once; the queue has room for as many meanwhile
RETRY_SECONDS = 0.5  # between two attempts on a disk that takes nothing
CLOSE_SECONDS = 3.0  # for the blocks that still wait at the end
MAX_SPARE = 16  # empty Blocks kept for reuse


@dataclass(slots=True)
class _NextFile:
    """Everything after this in the queue goes to the next file, which begins with *head*."""

    head: Blocks


class Writer:
    """taken: bytes that were put and are in a file by now. full_at: how many uncompressed bytes fill a file."""

    def __init__(
        self,
        output: Output,
        heading: bytes,
        rotation: Rotation,
        sync: Sync,
        *,
        troubled: Callable[[str], None],
        no_next: Callable[[str], None],
        spoiled: Callable[[str], None],
        lost: Callable[[int], None],
        given_up: Callable[[Sequence[Blocks]], Blocks],
        gathering: Gathering,
        finished: Callable[[Path], None] = lambda path: None,
    ) -> None:
        """Call it in the event loop, in which all callbacks but given_up are called.

        heading: what each file begins with. troubled, no_next: get the system's words when the disk fails, or when the
        next file cannot be made. spoiled: gets what another process did to the file being written, and should call
        next_file(). lost: gets the bytes of such a file once nothing more goes to it. given_up: called in the thread, at
        the end, for the blocks to write in place of those that the disk did not take. gathering: passed on by the thread
        if no read has done it between two looks. finished: called in the thread with each file to which nothing more is
        written.
        """
        self.path = output.path  # of the file that is written
        self.taken = 0
        self.full_at = math.inf
        self._output = output
        self._is_spoiled = False  # by another process: none of the file's bytes count as recorded
        self._look_at = time.monotonic() + SYNC_SECONDS  # when to check the file again
        self._heading = heading
        self._rotation = rotation
        self._limit = rotation.limits.size
        if self._limit is not None:
            self.full_at = self._limit
        self._sync = sync
        self._troubled = troubled
        self._no_next = no_next
        self._spoiled = spoiled
        self._lost = lost
        self._given_up = given_up
        self._gathering = gathering
        self._finished = finished
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Blocks | _NextFile] = deque()
        self._unwritten: list[Blocks] = []  # taken from the queue, and refused by the disk so far
        self._spare: deque[Blocks] = deque()
        self._wake = threading.Event()
        self._is_idle = False
        self._closing_at: float | None = None
        self._sync_at = time.monotonic()
        self._filed = 0  # bytes put to the file
        self._is_stopped = False  # the last attempt to write failed
        self._has_given_up = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    # ---- the event loop calls ----

    def blocks(self) -> Blocks:
        """Empty blocks to be filled and put."""
        return self._spare.pop() if self._spare else Blocks()

    def put(self, blocks: Blocks) -> None:
        self._gathering.wants = False
        self._queue.append(blocks)
        if self._is_idle:
            self._is_idle = False
            self._loop.call_later(WAKE_SECONDS, self._wake.set)

    def next_file(self, head: Blocks) -> None:
        self._queue.append(_NextFile(head))

    async def close(self) -> list[Blocks]:
        """Write what waits, for some seconds at most. Returns the blocks that the disk has not taken by then."""
        self._closing_at = time.monotonic() + CLOSE_SECONDS
        self._wake.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS + 1)
        return self._left

    # ---- the thread ----

    @property
    def _left(self) -> list[Blocks]:
        return [*self._unwritten, *(blocks for blocks in tuple(self._queue) if isinstance(blocks, Blocks))]

    def _run(self) -> None:
        self._sync_names()
        looks = 0  # in a row that found nothing
        try:
            while True:
                closing = self._closing_at is not None
                if self._write_next():
                    looks = 0
                    continue
                if self._has_given_up:
                    self._write(self._output.encode_anew(self._given_up(self._left).view()))
                    break
                if closing:
                    break
                self._rest(looks)
                looks += 1
                self._flush()
        finally:
            self._finish(self._output)
            if not self._is_spoiled:
                self._finished(self._output.path)

    def _rest(self, looks: int) -> None:
        """Wait until there may be something to write. looks: how many in a row have found nothing."""
        self._gathering.wants = True
        self._is_idle = looks > 0
        if looks == 1:
            self._in_loop(self._gathering.pass_on)
        if not self._queue and self._closing_at is None:
            self._wake.wait(SYNC_SECONDS if self._is_idle else GATHER_SECONDS)
        self._wake.clear()

    def _write_next(self) -> bool:
        """Write the first item of the queue. Returns False if it is empty, or after giving up."""
        if not self._queue:
            return False
        if self._closing_at is not None and time.monotonic() > self._closing_at:
            self._has_given_up = True
            return False
        item = self._queue.popleft()
        if isinstance(item, _NextFile):
            if not self._open_next():
                return True
            item = item.head
        else:
            self._unwritten.append(item)
        encoded = self._output.encode(item.view())
        while not self._write(encoded):
            if self._closing_at is not None and time.monotonic() > self._closing_at - CLOSE_SECONDS / 2:
                self._has_given_up = True
                return False
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()
        if self._unwritten:
            self._unwritten.clear()
            self.taken += item.size
        self._filed += item.size
        if self._limit is not None:
            self.full_at = self._limit * self._filed / self._output.size
        if len(self._spare) < MAX_SPARE:
            item.clear()
            self._spare.append(item)
        self._flush()
        return True

    def _write(self, data: bytes | memoryview) -> bool:
        """Write all of it or nothing; returns True or False."""
        try:
            self._output.append(data)
        except OSError as error:
            self._failed(error)
            return False
        self._is_stopped = False
        return True

    def _flush(self) -> None:
        """Between two writes: delete old files, check this one, and force it to the disk when it is time."""
        self._tidy()
        if time.monotonic() >= self._look_at:
            self._look(self._output)
        unsynced = self._output.unsynced
        if self._sync == "none" or not unsynced:
            return
        now = time.monotonic()
        if self._sync == "always" or unsynced >= SYNC_BYTES or now >= self._sync_at:
            self._sync_at = now + SYNC_SECONDS
            try:
                self._output.sync()
            except OSError as error:
                self._failed(error)

    def _look(self, output: Output) -> None:
        """Check that the path still names the file: everything written to a deleted file is lost."""
        self._look_at = time.monotonic() + SYNC_SECONDS
        if self._is_spoiled:
            return
        try:
            what = output.what_became_of_it()
        except OSError as error:
            self._failed(error)
            return
        if what:
            self._is_spoiled = True
            self._in_loop(partial(self._spoiled, f"{output.path.name} {what} while it was written"))

    def _open_next(self) -> bool:
        """Go on in the next file. Returns False if it cannot be made; then the old one goes on."""
        old = self._output
        try:
            while True:
                with contextlib.suppress(FileExistsError):  # another process made it; take the next number
                    self._output = Output(self._rotation.next(), self._heading)
                    break
        except OSError as error:
            goes_on = "what comes until it can be is lost" if self._is_spoiled else f"going on in {old.path.name}"
            text = f"the next file cannot be made: {words(error)}; {goes_on}"
            self._in_loop(partial(self._no_next, text))
            return False
        self.path = self._output.path
        self._filed = 0
        self._finish(old)
        if not self._is_spoiled:  # otherwise the file at that path, if any, is not ours to delete
            self._rotation.finished(old.path, old.size)
            self._finished(old.path)
        self._is_spoiled = False
        return True

    def _finish(self, output: Output) -> None:
        self._look(output)
        if self._is_spoiled:
            self._in_loop(partial(self._lost, output.size))
        try:
            output.close(sync=self._sync != "none")
        except OSError as error:
            self._failed(error)
        self._sync_names()

    def _sync_names(self) -> None:
        """Make the name of the file survive a power cut, too."""
        if self._sync != "none":
            try:
                sync_directory(self.path.parent)
            except OSError as error:
                self._failed(error)

    def _tidy(self) -> None:
        """Delete files beyond the age or size that is to be kept."""
        while (path := self._rotation.overdue(self._output.size)) is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                text = f"{path.name} cannot be deleted: {words(error)}"
                self._in_loop(partial(self._troubled, text))

    def _failed(self, error: OSError) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            self._in_loop(partial(self._troubled, words(error)))

    def _in_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, so nothing listens any more
            self._loop.call_soon_threadsafe(call)
