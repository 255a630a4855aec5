# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Counts whole replies by their framing, so that the one that answers a request is known by its number.

No Python objects are created: compiled, counting costs about as much as copying.

Source: resp3.md of the specification (github.com/redis/redis-specifications) for types and pushes. Written in Cython's
pure-Python mode.
"""

from __future__ import annotations

import cython

from tap.replication import number_lines
from tap.replication.number_lines import MAX_POSITION, can_be_number

if cython.compiled:
    from cython.cimports.libc.string import memchr

COMPILED: bool = cython.compiled

MAX_LENGTH = cython.declare(cython.longlong, number_lines.MAX_LENGTH)
MAX_DIGITS = cython.declare(cython.int, number_lines.MAX_DIGITS)

# States of a counter of replies.
TYPE = cython.declare(cython.int, 0)  # before the type of a reply
NUMBER = cython.declare(cython.int, 1)  # in the header of a bulk or an aggregate
TEXT = cython.declare(cython.int, 2)  # in any other line
BULK = cython.declare(cython.int, 3)  # in a bulk or its CRLF


@cython.cclass
class ReplyCounter:
    """Counts whole RESP2 and RESP3 replies. Pushes are not counted, except those that confirm a subscription.

    replies: number of whole ones. broken: the bytes are not RESP. is_between: the next byte begins a reply.
    """

    _replies: cython.longlong
    _broken: cython.bint
    _state: cython.int
    _type: cython.uchar
    _number: cython.longlong
    _digits: cython.int
    _is_negative: cython.bint
    _left: cython.longlong  # bytes left of a bulk, including its CRLF
    _is_within: cython.bint  # the outermost reply has begun
    _more: cython.longlong  # replies, nested ones included, until the outermost is whole
    _is_push: cython.bint  # the outermost reply is a push
    _is_first: cython.bint  # the next element is the first of a push, which names its kind

    def __init__(self, more: int = 1, left: int = 0) -> None:
        """more, left: for a reply that has begun, the replies until it is whole and the bytes left of a bulk."""
        self._replies = 0
        self._broken = False
        self._state = BULK if left else TYPE
        self._type = 0
        self._number = 0
        self._digits = 0
        self._is_negative = False
        self._left = left
        self._is_within = more > 1 or left > 0
        self._more = more
        self._is_push = False
        self._is_first = False

    @property
    def replies(self) -> int:
        return self._replies

    @property
    def broken(self) -> bool:
        return self._broken

    @property
    def is_between(self) -> bool:
        return self._state == TYPE and not self._is_within

    @property
    def skippable(self) -> int:
        """How many of the next bytes belong to a bulk and may be skipped."""
        return max(0, self._left - 2) if self._state == BULK and not self._is_first else 0

    def skip(self, size: int) -> None:
        """Skip bytes instead of passing them to feed(); at most *skippable*."""
        self._left -= size

    def state(self) -> tuple[int, ...]:
        """The argument for resume()."""
        return (
            self._state, self._type, self._number, self._digits, self._is_negative, self._left, self._is_within,
            self._more, self._is_push, self._is_first,
        )  # fmt: skip

    def resume(self, numbers: tuple[int, ...]) -> None:
        """Continue where another counter stood. Raises ValueError for an impossible state, as from a damaged file."""
        state, kind, number, digits, _, left, _, more, _, _ = numbers
        can_be = 0 <= state <= BULK and 0 <= kind <= 255 and 1 <= more <= MAX_POSITION and 0 <= digits <= MAX_DIGITS
        can_be = can_be and all(0 <= one <= MAX_POSITION for one in (number, left))
        if not can_be or (state == NUMBER and not can_be_number(number, digits)):
            raise ValueError(f"not a state that replies can have: {numbers}")
        (
            self._state, self._type, self._number, self._digits, self._is_negative, self._left, self._is_within,
            self._more, self._is_push, self._is_first,
        ) = numbers  # fmt: skip

    @cython.locals(
        view="const unsigned char[::1]",
        i=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
        take=cython.longlong,
        c=cython.uchar,
        until=cython.longlong,
        found=cython.p_const_uchar,
    )
    def feed(self, data: bytes | memoryview, limit: int = 0) -> int:
        """Take the next bytes, but with a limit stop after that many whole replies. Returns how many bytes were read."""
        n = len(data)
        if self._broken or n == 0:
            return n
        view = data if cython.compiled else bytes(data)
        until = self._replies + limit if limit else -1
        i = 0
        while i < n:
            if self._state == BULK:
                if self._is_first:
                    self._is_first = False
                    c = view[i]
                    # subscribe, psubscribe, unsubscribe and so on; not message, pmessage, smessage, invalidate
                    if self._left >= 11 and (c == 115 or c == 112 or c == 117):
                        self._is_push = False
                take = n - i
                if take > self._left:
                    take = self._left
                i += take
                self._left -= take
                if self._left == 0:
                    self._end_one()
            elif self._state == TEXT:
                if cython.compiled:
                    found = cython.cast(cython.p_const_uchar, memchr(cython.address(view[i]), 10, n - i))
                    if found == cython.NULL:
                        break
                    i = found - cython.address(view[0]) + 1
                else:
                    i = view.find(b"\n", i) + 1  # type: ignore[union-attr]
                    if not i:
                        break
                self._end_one()
            elif self._state == TYPE:
                c = view[i]
                i += 1
                self._type = c
                # $ ! = * % ~ > |
                if c == 36 or c == 42 or c == 62 or c == 37 or c == 126 or c == 124 or c == 33 or c == 61:
                    if not self._is_within:
                        self._is_push = c == 62
                    self._number = 0
                    self._digits = 0
                    self._is_negative = False
                    self._state = NUMBER
                elif c == 43 or c == 45 or c == 58 or c == 95 or c == 44 or c == 35 or c == 40:  # + - : _ , # (
                    self._is_within = True
                    self._is_first = False
                    self._state = TEXT
                else:
                    self._broken = True
                    return n
            else:
                c = view[i]
                i += 1
                if 48 <= c <= 57 and self._digits < MAX_DIGITS:
                    self._number = self._number * 10 + (c - 48)
                    self._digits += 1
                elif c == 10 and self._digits:
                    self._end_number()
                elif c == 45 and self._digits == 0:
                    self._is_negative = True
                elif c != 13:
                    self._broken = True
                    return n
            if until == self._replies:
                return i
        return n

    @cython.cfunc
    def _end_number(self) -> None:
        if self._is_negative:
            self._number = 0
        if self._type == 36 or self._type == 33 or self._type == 61:
            self._is_within = True
            if self._is_negative:
                self._end_one()
            else:
                self._left = self._number + 2
                self._state = BULK
            return
        if self._type == 37 or self._type == 124:
            self._number *= 2
        self._is_first = self._is_push and not self._is_within
        self._is_within = True
        self._more += self._number
        if self._type == 124:  # attributes come before the reply they belong to
            self._more += 1
        if self._more > MAX_LENGTH:
            self._more = MAX_LENGTH
        self._end_one()

    @cython.cfunc
    def _end_one(self) -> None:
        self._state = TYPE
        self._more -= 1
        if self._more == 0:
            self._more = 1
            self._is_within = False
            if not self._is_push:
                self._replies += 1
            self._is_push = False
