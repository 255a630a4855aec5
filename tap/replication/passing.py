# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""An ordinary connection, followed in case it asks to replicate later.

Only PSYNC or SYNC makes a connection a replica's: before it RedisShake sends INFO, KeyDB REPLPING, and a person anything.
So requests are followed by their framing, and only the name of each is looked at: a PSYNC inside a value does not count.
Replies are counted, to know which one answers the request to replicate. Nothing is kept but the beginning of a request
whose name is incomplete, and no Python objects are created: compiled, following costs about as much as copying.

Replies in bulk may be skipped without being read. The count is then lost, and begins again with the request to replicate:
before it clients wait for all replies, because a server refuses PSYNC while replies are pending.

The count is wrong while a server sends data that no request asked for: messages of RESP2 subscriptions and lines of
MONITOR. It is right again after the next pause, because replies are not counted while no request is unanswered. Requests
that get no reply (CLIENT REPLY OFF) make it wrong for good; the answer to PSYNC is then recognized by its words.

Source: Redis 7.0 networking.c, processMultibulkBuffer and processInlineBuffer; resp3.md of the specification
(github.com/redis/redis-specifications) for types and pushes. Written in Cython's pure-Python mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr

COMPILED: bool = cython.compiled

MAX_COUNT = cython.declare(cython.longlong, 2**31 - 1)
MAX_LENGTH = cython.declare(cython.longlong, 2**40)
MAX_DIGITS = cython.declare(cython.int, 18)
ENDED = cython.declare(cython.int, 19)  # value of _digits once the \r after the digits has come
MAX_POSITION = 2**62

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


@dataclass(frozen=True, slots=True)
class PassingStanding:
    """What a follower needs to continue where another one stood. name, head: as latin-1. unanswered: number of requests.

    counts: whether replies are counted.
    """

    requests: tuple[int, ...]
    name: str
    head: str
    replies: tuple[int, ...]
    unanswered: int
    counts: bool


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
        can_be = 0 <= state <= LINE and len(name) <= LONGEST_NAME and _can_be_number(number, digits)
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


def _can_be_number(number: int, digits: int) -> bool:
    """Whether this is a possible state of an unfinished number."""
    return -1 <= digits <= ENDED and 0 <= number < 10 ** min(max(digits, 0), MAX_DIGITS)


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
        if not can_be or (state == NUMBER and not _can_be_number(number, digits)):
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


@cython.cclass
class Passing:
    """Both directions of one ordinary connection. unanswered: number of requests without a whole reply."""

    _requests: RequestFollower
    _replies: ReplyCounter
    _unanswered: cython.longlong
    _counts: cython.bint

    def __init__(self, position: int, unanswered: int, replies: ReplyCounter) -> None:
        """position: of the replica's next byte, between two requests. replies: in the state of the master's last byte."""
        self._requests = RequestFollower(position)
        self._replies = replies
        self._unanswered = unanswered
        self._counts = True

    @property
    def unanswered(self) -> int:
        return self._unanswered if self._counts else 0

    @property
    def broken(self) -> bool:
        """Whether a server would close the connection here, because the bytes are not requests."""
        return self._requests._broken

    @property
    def position(self) -> int:
        """Position of the replica's next byte; once a wanted request was found, of its first byte."""
        return self._requests._position

    @property
    def undecided(self) -> int:
        """See RequestFollower.undecided."""
        return self._requests.undecided

    @property
    def is_between_replies(self) -> bool:
        """Whether the master's next byte begins a reply; true if replies are not counted any more."""
        return self._replies.is_between or not self._counts

    @cython.locals(before=cython.longlong)
    def from_replica(self, data: bytes | memoryview) -> bytes | None:
        """As RequestFollower.feed()."""
        before = self._requests._requests
        found = self._requests.feed(data)
        self._unanswered += self._requests._requests - before
        return found

    @cython.locals(before=cython.longlong, read=cython.longlong)
    def from_master(self, data: bytes | memoryview, limit: int = 0) -> int:
        """As ReplyCounter.feed()."""
        if not self._counts:
            return len(data)
        before = self._replies._replies
        read = self._replies.feed(data, limit)
        if self._replies._broken:
            self._counts = False
        self._unanswered = max(0, self._unanswered - (self._replies._replies - before))
        return read

    def skippable(self, from_master: bool) -> float:
        """How many of a side's next bytes may be skipped. For the master inf outside a bulk: the count is lost there."""
        if not from_master:
            return self._requests.skippable
        return self._replies.skippable or math.inf

    def skip(self, from_master: bool, size: int) -> None:
        """Skip bytes of a side."""
        if not from_master:
            self._requests.skip(size)
        elif size <= self._replies.skippable:
            self._replies.skip(size)
        else:
            self._counts = False

    def standing(self) -> PassingStanding:
        numbers, name, head = self._requests.state()
        return PassingStanding(
            requests=numbers,
            name=name.decode("latin-1"),
            head=head.decode("latin-1"),
            replies=self._replies.state(),
            unanswered=self._unanswered,
            counts=self._counts,
        )

    def stand(self, standing: PassingStanding) -> None:
        """Continue from a standing. Raises ValueError for an impossible one."""
        self._requests.resume(standing.requests, standing.name.encode("latin-1"), standing.head.encode("latin-1"))
        self._replies.resume(standing.replies)
        if not 0 <= standing.unanswered <= MAX_POSITION:
            raise ValueError(f"{standing.unanswered} requests cannot be unanswered")
        self._unanswered = standing.unanswered
        self._counts = standing.counts
