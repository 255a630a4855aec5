# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The path of received bytes into the recording: an ordinary read takes one compiled call.

A client's WAIT waits for everything that happens here between two reads, and in an event loop that does little at a time,
code and data are never in the processor's caches. So bytes that need no decision are handled here in one go; subclasses
of Intake decide about all others. Written in Cython's pure-Python mode.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cython

from tap.capture.segments import MAX_DATA, PUSH
from tap.replication.events import Side

if cython.compiled:
    from cython.cimports.cpython.buffer import Py_buffer, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
    from cython.cimports.posix.time import CLOCK_REALTIME, clock_gettime, timespec
else:
    from tap.capture.packets import Blocks, TcpFlow
    from tap.replication.acks import are_acks

_REPLICA = cython.declare(object, Side.REPLICA)
_MAX_DATA = cython.declare(cython.Py_ssize_t, MAX_DATA)
_PUSH = cython.declare(cython.int, PUSH)
_AROUND = cython.declare(cython.Py_ssize_t, 128)  # bytes: more than a block and its headers need beside the data


class Gathering:
    """The packets of all links on their way to the writer.

    blocks: the packets. limit: the size up to which a link may add its bytes without asking; 0 while each has to ask.
    wants: the writer has nothing to do. pass_on: gives the packets to the writer.
    """

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self.blocks = Blocks()
        self.limit = 0
        self.wants = False
        self.pass_on = pass_on


class Intake:
    """The intake of one link. Sides are numbered as in its TcpFlow.

    tcp: makes its packets; None until there is a master.
    """

    def __init__(self, gathering: Gathering) -> None:
        self.tcp: TcpFlow | None = None
        self._gathering = gathering
        if not cython.compiled:
            self._received = [0, 0]
            self._is_plain = [False, False]
        self._received[0] = self._received[1] = 0
        self.ask()

    def position(self, number: cython.int) -> int:
        """Number of bytes received from a side."""
        return self._received[number]

    def move(self, number: cython.int, position: cython.longlong) -> None:
        """Set the number of bytes received from a side."""
        self._received[number] = position

    def ask(self) -> None:
        """Pass the next bytes of either side to take()."""
        self._is_plain[0] = self._is_plain[1] = False

    def go_on(self, number: cython.int, is_plain: cython.bint) -> None:
        """is_plain: the next bytes of the side become packets unchanged; of the replica, only acknowledgements do."""
        self._is_plain[number] = is_plain

    def take(self, number: int, data: memoryview, begin: int) -> None:
        """Take the next bytes, which need a decision. begin: position of the first one."""
        raise NotImplementedError

    @cython.locals(number=cython.int, n=cython.Py_ssize_t, begin=cython.longlong, q=cython.p_const_uchar)
    def received(self, side: Side, data: memoryview) -> None:
        """See tap.relay.sink.ConnectionSink."""
        number = 0 if side is _REPLICA else 1
        if cython.compiled:
            view = cython.declare(Py_buffer)
            PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
            q, n = cython.cast(cython.p_const_uchar, view.buf), view.len
        else:
            q, n = data, len(data)
        begin = self._received[number]
        self._received[number] += n
        gathering = self._gathering
        try:
            if (
                self._is_plain[number]
                and gathering.blocks.size + n + (n // _MAX_DATA + 1) * _AROUND <= gathering.limit
                and (number or are_acks(q, n))
            ):
                assert self.tcp is not None
                self.tcp.put(gathering.blocks, now(), number, _PUSH, q, n, b"")
                if gathering.wants:
                    gathering.pass_on()
                return
        finally:
            if cython.compiled:
                PyBuffer_Release(cython.address(view))
        self.take(number, data, begin)


def now() -> cython.ulonglong:
    """Nanoseconds since the epoch."""
    if not cython.compiled:
        return time.time_ns()
    at = cython.declare(timespec)
    clock_gettime(CLOCK_REALTIME, cython.address(at))
    return cython.cast(cython.ulonglong, at.tv_sec) * 1000000000 + at.tv_nsec
