# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False
"""The sizes that a server's replies announce, checked before a parser acts on them.

hiredis allocates a list of as many items as an array announces before the first of them has arrived, and buffers a reply
until it is complete. So ten bytes from a server that lies, or from something that is not a server, would reserve
gigabytes. The bytes of all replies pass through here on their way to hiredis. Written in Cython's pure-Python mode,
because a replay reads a reply to each command.
"""

from __future__ import annotations

import cython

from tap.servers.failures import InvalidReply

MAX_ITEMS = 2**26  # of one reply; a list of that many takes 512 MB
MAX_BYTES = 2**31  # of one reply; a server keeps no string of more than 512 MB (proto-max-bulk-len)

_HUGE = cython.declare(cython.longlong, 10**15)  # larger numbers count as this one


@cython.cclass
class ReplySizes:
    """Follows the replies of one connection, however their bytes are cut. max_items, max_bytes: of one reply."""

    _max_items: cython.longlong
    _max_bytes: cython.longlong
    _kind: cython.int  # the first byte of the line that is not whole yet; 0 between lines
    _number: cython.longlong  # in that line, -1 if it holds something else
    _skip: cython.longlong  # bytes to come of a string, with its line end
    _items: cython.longlong  # to come until the outermost array is whole
    _bytes: cython.longlong  # of the reply that is not whole yet, up to the end of what is announced

    def __init__(self, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._kind = 0
        self._number = self._skip = self._items = self._bytes = 0

    @property
    def is_between(self) -> bool:
        """Whether all replies so far are whole."""
        return bool(self._kind == 0 and self._items == 0 and self._bytes == 0)

    @cython.locals(
        q=cython.p_const_uchar, at=cython.Py_ssize_t, size=cython.Py_ssize_t, taken=cython.Py_ssize_t, byte=cython.int
    )
    def feed(self, data: bytes) -> None:
        """Raises InvalidReply if a reply announces more items or bytes than the limits allow."""
        at, size = 0, len(data)
        q = cython.cast(cython.p_const_uchar, data) if cython.compiled else data
        while at < size:
            if self._skip:
                taken = min(self._skip, size - at)
                self._skip -= taken
                at += taken
                if self._skip == 0:
                    self._end_item()
                continue
            byte = q[at]
            at += 1
            self._bytes += 1
            if byte == 10:
                self._end_line()
            elif self._kind == 0:
                self._kind = byte
                self._number = 0
            elif 48 <= byte <= 57 and self._number >= 0:
                self._number = min(self._number * 10 + byte - 48, _HUGE)
            elif byte != 13:
                self._number = -1
        if self._bytes > self._max_bytes:
            self._refuse_bytes()

    @cython.cfunc
    @cython.locals(more=cython.longlong)
    def _end_line(self) -> None:
        kind, self._kind = self._kind, 0
        more = 0
        if self._number >= 0:
            if kind in (36, 61, 33):  # $ = !
                self._skip = self._number + 2
                self._bytes += self._skip
                if self._bytes > self._max_bytes:
                    self._refuse_bytes()
                return
            if kind in (42, 126, 62):  # * ~ >
                more = self._number
            elif kind in (37, 124):  # % |
                more = 2 * self._number
            if kind == 124:  # attributes precede the reply that they belong to
                more += 1
        if more:
            more += max(self._items - 1, 0)
            if more > self._max_items:
                raise InvalidReply(f"it announces a reply of {more} items, redis-tap reads up to {self._max_items}")
            self._items = more
        else:
            self._end_item()

    @cython.cfunc
    def _end_item(self) -> None:
        if self._items:
            self._items -= 1
        if self._items == 0:
            self._bytes = 0

    @cython.cfunc
    def _refuse_bytes(self) -> None:
        raise InvalidReply(f"its reply is longer than the {self._max_bytes} bytes that redis-tap reads")
