"""The thread that writes a recording's blocks to its files, whatever the disk does meanwhile."""

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
from typing import Literal

from tap.capture.output import Output, sync_directory
from tap.capture.packets import Blocks
from tap.capture.rotation import Rotation
from tap.errors import words
from tap.recorder.intake import Gathering

Sync = Literal["none", "interval", "always"]

# While something comes it looks that often by itself, and is given what has gathered by the next read of a link, so that
# nothing is older than two looks. To be woken for that costs who wakes it 35 us, which a client's round trip waits for.
GATHER_SECONDS = 0.02
WAKE_SECONDS = 0.001  # until it is woken after a silence: behind the round trip that what came first is a part of
SYNC_SECONDS = 1.0
SYNC_BYTES = 32 * 2**20  # force them to the disk without waiting: few enough that what comes meanwhile finds room
RETRY_SECONDS = 0.5  # after which a disk that took nothing is tried again
CLOSE_SECONDS = 3.0  # for what still waits at the end
MAX_SPARE = 16  # Blocks that are kept to be used again


@dataclass(slots=True)
class _NextFile:
    """What comes behind this goes to the next file, which begins with *head*."""

    head: Blocks


class Writer:
    """taken: bytes that were put and are in a file. full_at: how many of one file's bytes fill it."""

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
    ) -> None:
        """To be made in the event loop, where troubled and no_next are called, with the system's words.

        spoiled: called there, too, with what somebody else did to the file that is written; it should call next_file().
        lost: is told of such a file's bytes once nothing more goes to it.
        given_up: called in the thread for what to write, at the end, in place of what the disk did not take. gathering:
        is passed on in the loop, too, where no read has done it between two looks.
        """
        self.path = output.path  # of the file that is written
        self.taken = 0
        self.full_at = math.inf
        self._output = output
        self._is_spoiled = False  # by somebody else: nothing of that file counts as recorded
        self._look_at = time.monotonic() + SYNC_SECONDS  # when to look at it again
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
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Blocks | _NextFile] = deque()
        self._unwritten: list[Blocks] = []  # was in the queue, and the disk does not take it
        self._spare: deque[Blocks] = deque()
        self._wake = threading.Event()
        self._is_idle = False
        self._closing_at: float | None = None
        self._sync_at = 0.0
        self._filed = 0  # bytes put to the file
        self._is_stopped = False  # the disk does not take it
        self._has_given_up = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    # ---- the event loop calls ----

    def blocks(self) -> Blocks:
        """To be filled and put."""
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
        """Write what waits, for some seconds at most. Returns what the disk does not take by then."""
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
        looks = 0  # in turn, that found nothing
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

    def _rest(self, looks: int) -> None:
        """Until there may be something. looks: how many found nothing before this one."""
        self._gathering.wants = True
        self._is_idle = looks > 0
        if looks == 1:
            self._in_loop(self._gathering.pass_on)
        if not self._queue and self._closing_at is None:
            self._wake.wait(SYNC_SECONDS if self._is_idle else GATHER_SECONDS)
        self._is_idle = False
        self._wake.clear()

    def _write_next(self) -> bool:
        """Write what waits longest. Returns False if nothing does, or it is given up."""
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
        """All of it, or nothing. Returns which."""
        try:
            self._output.append(data)
        except OSError as error:
            self._failed(error)
            return False
        self._is_stopped = False
        return True

    def _flush(self) -> None:
        """What is to be done now and then."""
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
        """At what is at the file's place: a file that somebody deletes takes all that is written to it along."""
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
        """Go on in the next file. Returns False where it cannot be made; then the old one goes on."""
        old = self._output
        try:
            while True:
                with contextlib.suppress(FileExistsError):  # somebody else's
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
        if not self._is_spoiled:  # else what is at its place, if anything, is not ours to delete
            self._rotation.finished(old.path, old.size)
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
        """The file that is written is to be found after a power cut, too."""
        if self._sync != "none":
            try:
                sync_directory(self.path.parent)
            except OSError as error:
                self._failed(error)

    def _tidy(self) -> None:
        """Delete what is older, or more, than was to be kept."""
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
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is there to be told
            self._loop.call_soon_threadsafe(call)
