# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Follows requests by their framing, and finds the first that matters: PSYNC, SYNC or REPLCONF.

Only the name of each request is looked at: a PSYNC inside a value does not count. Nothing is kept but the beginning of a
request whose name is incomplete, and no Python objects are created: compiled, following costs about as much as copying.

Source: Redis 7.0 networking.c, processMultibulkBuffer and processInlineBuffer. Written in Cython's pure-Python mode.
"""

from __future__ import annotations

from typing import Any

import cython

from tap.replication import number_lines
from tap.replication.number_lines import MAX_POSITION, can_be_number

if cython.compiled:
    from cython.cimports.libc.string import memchr

COMPILED: bool = cython.compiled

MAX_COUNT = cython.declare(cython.longlong, number_lines.MAX_COUNT)
MAX_LENGTH = cython.declare(cython.longlong, number_lines.MAX_LENGTH)
MAX_DIGITS = cython.declare(cython.int, number_lines.MAX_DIGITS)
ENDED = cython.declare(cython.int, number_lines.ENDED)
# States of a follower of requests.
BOUNDARY = cython.declare(cython.int, 0)  # before a request
COUNT = cython.declare(cython.int, 1)  # in the line *<count>
HEADING = cython.declare(cython.int, 2)  # in the line $<length> of an argument, or before it
NAME = cython.declare(cython.int, 3)  # in the first argument, while it may be a wanted name
BODY = cython.declare(cython.int, 4)  # in an argument
BODY_CR = cython.declare(cython.int, 5)
BODY_LF = cython.declare(cython.int, 6)
WORD = cython.declare(cython.int, 7)  # in the first word of a line, while it may be a wanted name
LINE = cython.declare(cython.int, 8)  # in a line

SYNC = cython.declare(bytes, b"sync")
PSYNC = cython.declare(bytes, b"psync")
REPLCONF = cython.declare(bytes, b"replconf")
LONGEST_NAME = cython.declare(cython.int, 8)


@cython.cclass
class RequestFollower:
    """Finds the first PSYNC, SYNC or REPLCONF. position: bytes followed. requests: number of other requests before it.

    broken: a server would close the connection here, because the bytes are not requests; nothing can be followed.
    """

    _position: cython.longlong
    _requests: cython.longlong
    _broken: cython.bint
    _state: cython.int
    _begin: cython.longlong  # position of the request that is passing
    _number: cython.longlong
    _digits: cython.int
    _is_negative: cython.bint
    _args_left: cython.longlong
    _argument: cython.longlong
    _left: cython.longlong  # bytes left of the argument
    _name: cython.uchar[8]
    _name_length: cython.int
    _wanted: cython.longlong  # the name's length by its header
    _head: bytes  # from earlier data, the beginning of a request whose name is incomplete

    def __init__(self, position: int = 0) -> None:
        self._position = position
        self._requests = 0
        self._broken = False
        self._state = BOUNDARY
        self._begin = position
        self._number = 0
        self._digits = 0
        self._is_negative = False
        self._args_left = 0
        self._argument = 0
        self._left = 0
        self._name_length = 0
        self._wanted = 0
        self._head = b""
        if not cython.compiled:
            self._name = bytearray(LONGEST_NAME)

    @property
    def position(self) -> int:
        return self._position

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def broken(self) -> bool:
        return self._broken

    @property
    def undecided(self) -> int:
        """Position of the first byte of a request whose name is incomplete; else of the next byte."""
        return self._begin if self._is_undecided() else self._position

    @property
    def skippable(self) -> int:
        """How many of the next bytes belong to an argument and may be skipped."""
        return self._left if self._state == BODY else 0

    def skip(self, size: int) -> None:
        """Skip bytes instead of passing them to feed(); at most *skippable*."""
        self._position += size
        self._left -= size
        if self._left == 0:
            self._state = BODY_CR

    def state(self) -> tuple[tuple[int, ...], bytes, bytes]:
        """The arguments for resume()."""
        numbers = (
            self._position, self._state, self._begin, self._number, self._digits, self._is_negative, self._args_left,
            self._argument, self._left, self._wanted,
        )  # fmt: skip
        return numbers, bytes(self._name[: self._name_length]), self._head

    def resume(self, numbers: tuple[int, ...], name: bytes, head: bytes) -> None:
        """Continue where another follower stood. Raises ValueError for an impossible state, as from a damaged file."""
        position, state, begin, number, digits, _, args_left, argument, left, wanted = numbers
        can_be = 0 <= state <= LINE and len(name) <= LONGEST_NAME and can_be_number(number, digits)
        can_be = can_be and all(0 <= one <= MAX_POSITION for one in (position, begin, args_left, argument, left, wanted))
        if not can_be or (state == NAME and not len(name) < wanted <= LONGEST_NAME):
            raise ValueError(f"not a state that requests can have: {numbers}")
        (
            self._position, self._state, self._begin, self._number, self._digits, self._is_negative, self._args_left,
            self._argument, self._left, self._wanted,
        ) = numbers  # fmt: skip
        self._name_length = 0
        for byte in name:
            self._name[self._name_length] = byte
            self._name_length += 1
        self._head = head

    @cython.cfunc
    @cython.exceptval(check=False)
    def _is_undecided(self) -> cython.bint:
        if self._state == COUNT or self._state == NAME or self._state == WORD:
            return True
        return self._argument == 0 and self._state == HEADING

    @cython.locals(
        view="const unsigned char[::1]",
        i=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        take=cython.longlong,
        c=cython.uchar,
        base=cython.longlong,
        found=cython.p_const_uchar,
    )
    def feed(self, data: bytes | memoryview) -> bytes | None:
        """Take the next bytes. Once the name of a wanted request has come, returns a copy of all bytes from it on.

        Nothing may be fed afterwards.
        """
        n = len(data)
        if self._broken or n == 0:
            self._position += n
            return None
        view = data if cython.compiled else bytes(data)
        base = self._position
        i = 0
        while i < n:
            if self._state == BODY:
                take = n - i
                if take > self._left:
                    take = self._left
                i += take
                self._left -= take
                if self._left == 0:
                    self._state = BODY_CR
                continue
            # Fast paths for an argument, and a request's beginning, that are whole in this chunk; the rest goes bytewise.
            if self._state == HEADING and self._argument and self._digits < 0 and view[i] == 36:
                j = i + 1
                take = 0
                while j < n and j < i + 11 and 48 <= view[j] <= 57:
                    take = take * 10 + (view[j] - 48)
                    j += 1
                if (
                    i + 1 < j < n
                    and view[j] == 13
                    and j + take + 4 <= n
                    and view[j + 1] == 10
                    and view[j + 2 + take] == 13
                    and view[j + 3 + take] == 10
                ):
                    i = j + take + 4
                    self._end_argument()
                    continue
            if (
                cython.compiled
                and self._state == BOUNDARY
                and i + 18 <= n
                and view[i] == 42
                and 49 <= view[i + 1] <= 57
                and view[i + 2] == 13
                and view[i + 3] == 10
                and view[i + 4] == 36
                and 49 <= view[i + 5] <= 56
                and view[i + 6] == 13
                and view[i + 7] == 10
            ):
                take = view[i + 5] - 48
                c = view[i + 8] | 0x20
                # not for a wanted name: p of PSYNC, s of SYNC, r of REPLCONF
                if (
                    view[i + 8 + take] == 13
                    and view[i + 9 + take] == 10
                    and not ((take == 5 and c == 112) or (take == 4 and c == 115) or (take == 8 and c == 114))
                ):
                    self._args_left = view[i + 1] - 48
                    self._argument = 0
                    self._requests += 1
                    i += 10 + take
                    self._end_argument()
                    continue
            c = view[i]
            i += 1
            if self._state == BOUNDARY:
                if c == 10 or c == 13 or c == 32 or c == 9:
                    continue
                self._begin = base + i - 1
                self._argument = 0
                self._name_length = 0
                if c == 42:
                    self._begin_number(COUNT)
                else:
                    self._state = WORD
                    self._word(c)
            elif self._state == COUNT or self._state == HEADING:
                if self._state == HEADING and self._digits < 0:
                    if c != 36:
                        return self._break(base + n)
                    self._digits = 0
                elif c == 13 and 0 < self._digits < ENDED:
                    self._digits = ENDED
                elif c == 10:
                    self._end_number()
                elif 48 <= c <= 57 and self._digits < MAX_DIGITS:
                    self._number = self._number * 10 + (c - 48)
                    self._digits += 1
                elif c == 45 and self._digits == 0 and not self._is_negative:
                    self._is_negative = True
                else:
                    return self._break(base + n)
                if self._broken:
                    return self._break(base + n)
            elif self._state == NAME:
                self._name[self._name_length] = c
                self._name_length += 1
                if self._name_length == self._wanted:
                    if self._is_looked_for():
                        return self._found(data, base, n)
                    self._requests += 1
                    self._head = b""
                    self._state = BODY_CR
            elif self._state == BODY_CR:
                if c != 13:
                    return self._break(base + n)
                self._state = BODY_LF
            elif self._state == BODY_LF:
                if c != 10:
                    return self._break(base + n)
                self._end_argument()
            elif self._state == WORD:
                if c != 10 and c != 13 and c != 32 and c != 9:
                    self._word(c)
                elif self._is_looked_for():
                    return self._found(data, base, n)
                else:
                    self._end_word()
                    if c == 10:
                        self._state = BOUNDARY
            else:
                i -= 1
                if cython.compiled:
                    found = cython.cast(cython.p_const_uchar, memchr(cython.address(view[i]), 10, n - i))
                    i = n if found == cython.NULL else found - cython.address(view[0]) + 1
                else:
                    i = view.find(b"\n", i) + 1 or n  # type: ignore[union-attr]
                if view[i - 1] == 10:
                    self._state = BOUNDARY
        self._position = base + n
        if self._is_undecided():
            self._head += bytes(data[max(0, self._begin - base) :])
        return None

    @cython.cfunc
    def _break(self, position: cython.longlong) -> None:
        self._broken = True
        self._position = position
        self._state = BOUNDARY
        self._head = b""

    @cython.cfunc
    def _begin_number(self, state: cython.int) -> None:
        self._state = state
        self._number = 0
        self._is_negative = False
        self._digits = 0 if state == COUNT else -1  # the $ has to come first

    @cython.cfunc
    def _end_number(self) -> None:
        if self._digits == 0 or (self._is_negative and self._state == HEADING):
            self._broken = True
        elif self._state == COUNT:
            if self._number > MAX_COUNT:
                self._broken = True
            elif self._number == 0 or self._is_negative:  # servers ignore such an array
                self._head = b""
                self._state = BOUNDARY
            else:
                self._args_left = self._number
                self._begin_number(HEADING)
        elif self._number > MAX_LENGTH:
            self._broken = True
        elif self._argument == 0 and (self._number == 4 or self._number == 5 or self._number == 8):
            self._wanted = self._number
            self._name_length = 0
            self._state = NAME
        else:
            if self._argument == 0:
                self._requests += 1
                self._head = b""
            self._left = self._number
            self._state = BODY if self._left else BODY_CR

    @cython.cfunc
    def _end_argument(self) -> None:
        self._argument += 1
        self._args_left -= 1
        if self._args_left:
            self._begin_number(HEADING)
        else:
            self._state = BOUNDARY

    @cython.cfunc
    def _word(self, c: cython.uchar) -> None:
        """Take a byte of a line's first word."""
        if self._name_length == LONGEST_NAME:
            self._end_word()
            return
        self._name[self._name_length] = c
        self._name_length += 1

    @cython.cfunc
    def _end_word(self) -> None:
        self._requests += 1
        self._head = b""
        self._name_length = 0
        self._state = LINE

    @cython.cfunc
    @cython.exceptval(check=False)
    @cython.locals(wanted=bytes, letters=cython.p_const_uchar, k=cython.int)
    def _is_looked_for(self) -> cython.bint:
        wanted = SYNC if self._name_length == 4 else PSYNC if self._name_length == 5 else REPLCONF
        if self._name_length != len(wanted):
            return False
        letters = wanted
        for k in range(self._name_length):  # noqa: SIM110  (compiled, a loop without Python objects)
            if self._name[k] | 0x20 != letters[k]:  # only a letter becomes a small letter by this
                return False
        return True

    @cython.cfunc
    def _found(self, data: Any, base: cython.longlong, n: cython.Py_ssize_t) -> bytes:
        self._position = self._begin
        return self._head + bytes(data[max(0, self._begin - base) : n])
