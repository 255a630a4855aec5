"""What all legs of a tap read into: memory and a pipe that hold nothing between two reads.

One thread reads one socket at a time, and what it read has left the buffer by the time of the next read: written to the
other socket, or copied by the transport that could not write it all. So thousands of legs share one buffer. If a peer
takes no more for now, the transport may still refer to the buffer; then that one is lent until its bytes are sent, and
another one takes its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from tap.relay.setup_queue import SetupQueue
from tap.relay.share import BUFFER_SIZE, FIRST_READ, Thread

PIPE_SIZE = 2**20  # the most that an ordinary user's pipe may hold (Linux: /proc/sys/fs/pipe-max-size)
MAX_SPARE = 16  # buffers to keep; more are freed once a crowd of slow peers has passed
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 0)


class Buffers:
    """The read buffers and the pipe of one tap, and the accounts of the thread that uses them.

    current: the buffer for the next read. first: its beginning, for the first reads of a peer.
    """

    def __init__(self) -> None:
        self._take(memoryview(bytearray(BUFFER_SIZE)))
        self._free: list[memoryview] = []
        self._pipe: tuple[int, int] | None = None
        self.thread = Thread()
        self.setup_queue = SetupQueue(self.thread)

    def close(self) -> None:
        """Give the pipe back to the system, with what is in it. The next use of `pipe` opens another one."""
        for end in self._pipe or ():
            os.close(end)
        self._pipe = None

    @property
    def pipe(self) -> tuple[int, int]:
        """The end to read from and the end to write to. Empty, and to be left empty. Raises OSError."""
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            with contextlib.suppress(PermissionError):  # this user's pipes hold too much already: a small one will do
                fcntl.fcntl(self._pipe[1], _SET_PIPE_SIZE, PIPE_SIZE)
        return self._pipe

    def lend(self) -> memoryview:
        """Hand the current buffer to the caller, who gives it back. Another one becomes the current buffer."""
        lent = self.current
        self._take(self._free.pop() if self._free else memoryview(bytearray(BUFFER_SIZE)))
        return lent

    def give_back(self, buffer: memoryview) -> None:
        if len(self._free) < MAX_SPARE:
            self._free.append(buffer)

    def _take(self, buffer: memoryview) -> None:
        self.current = buffer
        self.first = buffer[:FIRST_READ]  # most connections never read more at once, and a slice costs 50 ns
