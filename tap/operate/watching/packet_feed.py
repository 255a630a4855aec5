"""From a source that blocks to the event loop: a thread reads packets and hands them over in batches.

The thread waits while MAX_WAITING batches have not been taken. Then the pipe fills, and the program that writes into it
waits, or the kernel drops packets and counts them. So memory is bounded, and a loss is known. In the event loop a batch
takes its turns: SLICE_SECONDS of packets, then everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from tap.capture.content import GoesOn
from tap.capture.pcapng import Packet

BATCH_BYTES = 2**20
MAX_WAITING = 16
SLICE_SECONDS = 0.005
LOOK_EVERY = 16  # packets between two looks at the clock
READY_SECONDS = 0.01  # between two looks at whether packets may be taken again
IDLE_SECONDS = 0.05  # between two looks at a file that does not grow


class PacketFeed:
    """Calls *take* in the event loop with each packet. ended: done once there are no more; its exception is a bug.

    problems: what could not be read; filled in the thread, and complete at the end.
    """

    def __init__(
        self,
        read: Callable[[list[str], GoesOn], Iterator[Packet]],
        take: Callable[[Packet], None],
        *,
        is_pipe: bool,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """read: the packets. is_pipe: reading waits by itself while nothing comes. is_ready: whether to take more."""
        self.problems: list[str] = []
        self._read = read
        self._take = take
        self._is_pipe = is_pipe
        self._is_ready = is_ready
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._room = threading.Semaphore(MAX_WAITING)
        self._stop = threading.Event()
        self._batch: list[Packet] = []
        self._bytes = 0
        self._waiting: deque[Iterator[Packet]] = deque()
        self._thread = threading.Thread(target=self._run, name="packets", daemon=True)  # opening a pipe may block forever

    def start(self) -> None:
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether every packet that has been handed over is taken."""
        return not self._waiting

    async def finish(self, within: float) -> None:
        """Take what comes within this time, to the end of the source; then stop."""
        await asyncio.wait({self.ended}, timeout=within / 2)
        self._stop.set()
        await asyncio.wait({self.ended}, timeout=within / 2)
        self._waiting.clear()

    # ---- in the thread ----

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for packet in self._read(self.problems, self._goes_on):
                self._batch.append(packet)
                self._bytes += len(packet.data)
                if self._bytes >= BATCH_BYTES and not self._hand_over():
                    break
            self._hand_over()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end, error)

    def _goes_on(self, is_idle: bool) -> bool:
        if not self._hand_over():
            return False
        if is_idle and not self._is_pipe:
            self._stop.wait(IDLE_SECONDS)
        return not self._stop.is_set()

    def _hand_over(self) -> bool:
        """Give the batch to the event loop. Returns False if it was stopped instead."""
        if not self._batch:
            return True
        while not self._room.acquire(timeout=IDLE_SECONDS):
            if self._stop.is_set():
                return False
        batch, self._batch, self._bytes = self._batch, [], 0
        try:
            self._loop.call_soon_threadsafe(self._put, batch)
        except RuntimeError:  # the loop is closed
            return False
        return True

    # ---- in the event loop ----

    def _put(self, batch: list[Packet]) -> None:
        self._waiting.append(iter(batch))
        if len(self._waiting) == 1:
            self._go_on()

    def _go_on(self) -> None:
        try:
            self._take_some()
        except Exception as error:
            self._stop.set()
            self._waiting.clear()
            self._end(error)

    def _take_some(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        while self._waiting:
            if not self._is_ready():
                self._loop.call_later(READY_SECONDS, self._go_on)
                return
            batch = self._waiting[0]
            for number, packet in enumerate(batch, 1):
                self._take(packet)
                if number % LOOK_EVERY == 0 and time.perf_counter() >= until:
                    self._loop.call_soon(self._go_on)
                    return
            self._waiting.popleft()
            self._room.release()
            if time.perf_counter() >= until and self._waiting:
                self._loop.call_soon(self._go_on)
                return

    def _end(self, error: Exception | None) -> None:
        if self._waiting and error is None:
            self._loop.call_soon(self._end, None)
        elif self.ended.done():
            return
        elif error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
