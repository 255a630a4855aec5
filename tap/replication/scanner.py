# cython: language_level=3
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The command stream, split into commands and counted by name: the hot loop of replication/.

Written in Cython's pure-Python mode. Compiled, it is a byte-wise state machine in C; uncompiled, the same file gives the
same results, and _whole_commands() is the only shortcut, which makes the speed bearable. Only the first bytes of a
command's name are kept, so memory does not depend on the stream.

The grammar (Redis 7.0 networking.c, processMultibulkBuffer): only *<argc>\r\n and then argc times
$<len>\r\n<bytes>\r\n. A bare newline between commands is skipped by servers and counted in the offset.

An active KeyDB wraps what it sends: RREPLAY <uuid> <commands> [<db> [<mvcc>]], where <commands> is one argument in the
same grammar: mostly one command, which is another RREPLAY if KeyDB forwards it. The inner commands are reported in place
of the wrapper: the first from the wrapper's beginning, the last to its end, so that together they have all its bytes. The
inner commands are executed in <db>, which stays in force after the wrapper. A wrapper that holds anything but whole
commands is reported as RREPLAY. (KeyDB 6.3 replication.cpp, replicaReplayCommand and replicationFeedSlavesCore.)
"""

import re
from collections import deque
from typing import Any

import cython

from tap.replication.passwords import SECRETIVE

COMPILED: bool = cython.compiled

# States of the scanner, by what the next byte must be.
BOUNDARY = cython.declare(cython.int, 0)  # the * of a command, or a newline
BOUNDARY_LF = cython.declare(cython.int, 1)  # the newline of an empty line
ARGC = cython.declare(cython.int, 2)  # a digit of argc, or its CR
ARGC_LF = cython.declare(cython.int, 3)
DOLLAR = cython.declare(cython.int, 4)
LENGTH = cython.declare(cython.int, 5)  # a digit of the argument's length, or its CR
LENGTH_LF = cython.declare(cython.int, 6)
NAME = cython.declare(cython.int, 7)  # a byte of the first argument
BODY = cython.declare(cython.int, 8)  # a byte of any other argument
BODY_CR = cython.declare(cython.int, 9)
BODY_LF = cython.declare(cython.int, 10)
BROKEN = cython.declare(cython.int, 11)

# A master forwards its clients' commands, whose limits can be configured; a length beyond these is not plausible.
MAX_ARGC = cython.declare(cython.longlong, 2**31 - 1)  # INT_MAX, as in processMultibulkBuffer
MAX_LENGTH = cython.declare(cython.longlong, 2**40)

NAME_SIZE = cython.declare(cython.int, 48)  # more than the longest name in real servers and their modules
MAX_NAMES = cython.declare(cython.int, 1000)  # more than any server has
OTHER = b"(other)"  # stands for longer names, and for new names once MAX_NAMES are known

NEVER = cython.declare(cython.longlong, 2**62)  # a position that is never reached

SLOTS = cython.declare(cython.int, 64)  # a name's slot is given by the upper six bits of its hash
GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Fibonacci hashing

# Commands that affect how later ones are understood; their names as big-endian numbers.
SELECT = cython.declare(cython.ulonglong, 0x53454C454354)
MULTI = cython.declare(cython.ulonglong, 0x4D554C5449)
EXEC = cython.declare(cython.ulonglong, 0x45584543)
DISCARD = cython.declare(cython.ulonglong, 0x44495343415244)
RREPLAY = cython.declare(cython.ulonglong, 0x525245504C4159)

MAX_NESTING = cython.declare(cython.int, 8)  # depth of RREPLAY in RREPLAY: one level for each forwarding master
MAX_INSIDE = cython.declare(cython.int, 1000)  # commands in one RREPLAY; KeyDB writes one or two
MAX_DB = cython.declare(cython.longlong, 2**31)

# A command in an RREPLAY: upper-case name, first byte, end, and the first byte and end of the outermost wrapper.
Inside = tuple[bytes, int, int, int, int]

# Commands that may carry passwords: tap.replication.passwords.SECRETIVE.
ACL = cython.declare(cython.ulonglong, 0x41434C)
AUTH = cython.declare(cython.ulonglong, 0x41555448)
CONFIG = cython.declare(cython.ulonglong, 0x434F4E464947)
HELLO = cython.declare(cython.ulonglong, 0x48454C4C4F)
MIGRATE = cython.declare(cython.ulonglong, 0x4D494752415445)
SENTINEL = cython.declare(cython.ulonglong, 0x53454E54494E454C)

# How a command matches: see watch().
NO = cython.declare(cython.int, 0)
BY_NAME = cython.declare(cython.int, 1)
BY_KEY = cython.declare(cython.int, 2)

WATCHED = cython.declare(cython.int, 256)  # names that can be watched; with more, every command matches

SELECTS_KEPT = 256  # changes of the db that are remembered, see db_at()

# For the shortcut of the uncompiled scanner: the headers of a command and its name, the header of an argument, and the
# commands that it leaves to the byte-wise loop.
_HEAD = re.compile(rb"\*([1-9]\d{0,8})\r\n\$(0|[1-9]\d?)\r\n")
_ARGUMENT = re.compile(rb"\$(0|[1-9]\d{0,9})\r\n")
_STATEFUL = frozenset({b"SELECT", b"MULTI", b"EXEC", b"DISCARD", b"RREPLAY"})
_LEFT = _STATEFUL | SECRETIVE


def db_at(position: int, selects: Any, begin: int, first_db: int) -> int | None:
    """The database in force after *position* bytes; None if unknown.

    selects: (end of a command, the database that it selects), the oldest first. first_db: the database before the first
    of them, from position *begin* on; negative if unknown.
    """
    for at, db in reversed(selects):
        if at <= position:
            return db if db >= 0 else None
    return first_db if first_db >= 0 and position >= begin else None


@cython.cclass
class StreamScanner:
    """Splits one command stream, from the stream's first byte on.

    position: bytes fed. boundary: position after the last whole command. db: the database in force, None if unknown.
    commands, command_bytes: whole commands, and their bytes, since the last take(). in_transaction: between MULTI
    and EXEC. broken: "" or what is wrong with the byte at position broken_at; from then on feed() only counts.
    """

    _position: cython.longlong
    _boundary: cython.longlong
    _state: cython.int
    _number: cython.longlong
    _digits: cython.int
    _left: cython.longlong  # bytes left of the current argument
    _args_left: cython.longlong
    _argument: cython.longlong  # the current argument's number; 0 is the name
    _begin: cython.longlong  # position of the current command
    _name: cython.uchar[48]
    _name_length: cython.longlong
    _key: cython.ulonglong  # the first eight bytes of the name as a number; most names have no more
    _key2: cython.ulonglong  # the next eight
    _selected: cython.longlong
    _db: cython.longlong  # -1: unknown
    _in_transaction: cython.bint
    _commands: cython.longlong
    _command_bytes: cython.longlong
    _slot_key: cython.ulonglong[64]
    _slot_key2: cython.ulonglong[64]
    _slot_length: cython.longlong[64]
    _slot_commands: cython.longlong[64]
    _slot_bytes: cython.longlong[64]
    _slots_used: cython.int
    _by_name: dict[bytes, list[int]]
    _selects: Any  # deque of (end, db); Cython would mistake a Deque annotation for a type of its own
    _selects_begin: cython.longlong  # before this position db_at() knows nothing
    _first_db: cython.longlong
    _ends: Any
    _nested: Any  # the scanner of the commands in the current RREPLAY, None before their first byte
    _nesting: cython.int
    _inner_commands: Any  # of a nested scanner: (name, first byte, end, db or -1, in a transaction) by command; else None
    _insides: Any
    _inside: Any
    _watches: cython.bint
    _otherwise: cython.int  # how names that are not in the table match: NO, BY_NAME, BY_KEY
    _watch_slot: cython.int[512]  # open addressing: the index in the table plus 1; 0: empty
    _watch_key: cython.ulonglong[256]
    _watch_key2: cython.ulonglong[256]
    _watch_length: cython.longlong[256]
    _watch_kind: cython.int[256]
    _watch_kinds: Any
    _prefix: cython.uchar[64]
    _prefix_length: cython.longlong
    _prefix_at: cython.longlong  # bytes of the first argument that equal the prefix so far
    _waits: cython.bint  # whether the current command matches depends on its first argument, which is incomplete
    _name_end: cython.longlong
    _is_match: cython.bint  # the current command matches
    _was_match: cython.bint  # the previous command matched
    _heads: Any
    _match_ends: Any
    _next_ends: Any
    _notice: Any  # see notice_secrets()
    _noticed: cython.longlong  # position of the last command passed to _notice
    _seek: cython.longlong  # the lowest position in _seeks; NEVER if there is none
    _seeks: Any
    _landed: Any
    _broken: str
    _broken_at: cython.longlong

    @cython.locals(slot=cython.int)
    def __init__(self, db: int | None = None, *, keep_ends: bool = False, in_transaction: bool = False) -> None:
        """db, in_transaction: in force where the stream starts. keep_ends: remember each command for take_ends()."""
        self._position = 0
        self._boundary = 0
        self._state = BOUNDARY
        self._number = 0
        self._digits = 0
        self._left = 0
        self._args_left = 0
        self._argument = 0
        self._begin = 0
        self._name_length = 0
        self._key = 0
        self._selected = -1
        self._db = -1 if db is None else db
        self._in_transaction = in_transaction
        self._commands = 0
        self._command_bytes = 0
        self._slots_used = 0
        self._by_name = {}
        self._selects = deque()
        self._selects_begin = 0
        self._first_db = self._db
        self._ends = [] if keep_ends else None
        self._nested = None
        self._nesting = 0
        self._inner_commands = None
        self._insides = {}
        self._inside = {}
        self._watches = False
        self._otherwise = NO
        self._watch_kinds = {}
        self._prefix_length = 0
        self._waits = False
        self._is_match = False
        self._was_match = False
        self._heads = []
        self._match_ends = []
        self._next_ends = []
        self._notice = None
        self._noticed = -1
        self._seek = NEVER
        self._seeks = []
        self._landed = []
        self._broken = ""
        self._broken_at = -1
        if cython.compiled:
            for slot in range(SLOTS):
                self._slot_length[slot] = 0
            for slot in range(512):
                self._watch_slot[slot] = 0
        else:
            self._name = bytearray(NAME_SIZE)

    @property
    def position(self) -> int:
        return self._position

    @property
    def boundary(self) -> int:
        return self._boundary

    @property
    def commands(self) -> int:
        return self._commands

    @property
    def command_bytes(self) -> int:
        return self._command_bytes

    @property
    def db(self) -> int | None:
        return None if self._db < 0 else self._db

    @property
    def in_transaction(self) -> bool:
        return self._in_transaction

    @property
    def broken(self) -> str:
        return self._broken

    @property
    def broken_at(self) -> int:
        return self._broken_at

    @property
    def unfinished(self) -> bytes:
        """Bytes that bring a new scanner with the same db and in_transaction into this one's state; b"" between commands.

        A few bytes without the stream's data: only names that matter here, the number of a db, and a replacement for the
        commands in an RREPLAY.
        """
        if self._state == BOUNDARY or self._state == BOUNDARY_LF or self._state == BROKEN:
            return b""
        digits = b"%d" % self._number if self._digits else b""
        if self._state == ARGC:
            return b"*" + digits
        if self._state == ARGC_LF:
            return b"*" + digits + b"\r"
        name = bytes(self._name[: min(self._name_length, NAME_SIZE)])
        if not any(one.startswith(name) for one in _STATEFUL) or (self._argument > 1 and name == b"SELECT"):
            name = b"x" * len(name)
        head, told = b"*%d\r\n" % self._args_left, name
        if self._argument and name == b"RREPLAY":
            selected = b"%d" % self._selected if self._selected >= 0 else b""
            words = [name, b"", self._stand_in(), selected, b""]
            passed = words[: min(self._argument, 5)]
            head = b"*%d\r\n" % (self._args_left + len(passed))
            head += b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in passed)
            told = words[min(self._argument, 4)]
        elif self._argument:
            head = b"*%d\r\n$%d\r\n%b\r\n" % (self._args_left + 1, len(name), name)
            told = b"%d" % self._selected if self._argument == 1 and name == b"SELECT" and self._selected >= 0 else b""
        if self._state == DOLLAR:
            return head
        if self._state == LENGTH:
            return head + b"$" + digits
        if self._state == LENGTH_LF:
            return head + b"$" + digits + b"\r"
        left = self._left if self._state == NAME or self._state == BODY else 0
        return head + b"$%d\r\n" % (len(told) + left) + told + (b"\r" if self._state == BODY_LF else b"")

    def take(self) -> dict[str, tuple[int, int]]:
        """Return and reset the commands and bytes by upper-case name since the last take()."""
        if self._slots_used:
            self._empty_slots()
        taken = self._by_name
        self._by_name = {}
        self._commands = 0
        self._command_bytes = 0
        return {name.decode("latin-1"): (pair[0], pair[1]) for name, pair in taken.items()}

    def keep_ends(self, keeps: bool) -> None:
        """From the next command on, remember each for take_ends(), or none."""
        self._ends = [] if keeps else None
        if not keeps and self._insides:
            self._insides = {}

    def take_ends(self) -> list[tuple[int, int, int, bool]]:
        """(first byte, end, db or -1, in a transaction) of each whole command since the last take_ends()."""
        taken: list[tuple[int, int, int, bool]] = self._ends
        self._ends = []
        self._inside = self._insides
        if self._insides:
            self._insides = {}
        return taken

    @property
    def inside(self) -> dict[int, Inside]:
        """The commands in an RREPLAY among the last take_ends(), by the first byte given there."""
        inside: dict[int, Inside] = self._inside
        return inside

    # ---- for faults: which commands match, and where they are ----

    @cython.locals(number=cython.int, slot=cython.ulonglong)
    def watch(
        self, names: frozenset[bytes] | None, keyed: frozenset[bytes] | None = frozenset(), prefix: bytes = b""
    ) -> None:
        """From the next name on, note commands with one of these upper-case names. None: every command.

        keyed: names of commands that match if their first argument begins with prefix; None: all other names. Commands
        that have already matched are not affected, and their ends are still noted. Names are compared by their first
        sixteen bytes and their length, so a longer name may match by mistake.
        """
        prefix = prefix[:64]
        kinds = {(name[:16], len(name)): BY_KEY for name in keyed or ()}
        kinds |= {(name[:16], len(name)): BY_NAME for name in names or ()}
        self._otherwise = BY_NAME if names is None else BY_KEY if keyed is None else NO
        if names is None or len(kinds) > WATCHED:
            kinds, self._otherwise = {}, BY_NAME
        self._watches = self._otherwise != NO or bool(kinds)
        if self._waits:  # for the previous prefix: report a possible match, which the caller has to check itself
            self._found(self._watches)
        self._watch_kinds = kinds
        self._prefix_length = len(prefix)
        if not cython.compiled:
            self._prefix = bytearray(prefix)
            return
        for number in range(len(prefix)):
            self._prefix[number] = prefix[number]
        for number in range(512):
            self._watch_slot[number] = 0
        for number, ((name, length), kind) in enumerate(kinds.items()):
            self._watch_key[number] = int.from_bytes(name[:8], "big")
            self._watch_key2[number] = int.from_bytes(name[8:], "big")
            self._watch_length[number] = length
            self._watch_kind[number] = kind
            slot = ((self._watch_key[number] ^ self._watch_key2[number]) * GOLDEN) >> 55
            while self._watch_slot[slot]:
                slot = (slot + 1) & 511
            self._watch_slot[slot] = number + 1

    def take_matches(self) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        """What has become known of the matching commands since the last call; three lists, each in the stream's order.

        (first byte, end of the name); the command's end; the end of the next command.
        """
        taken = self._heads, self._match_ends, self._next_ends
        self._heads, self._match_ends, self._next_ends = [], [], []
        return taken

    @property
    def undecided(self) -> int | None:
        """First byte of a command that may still turn out to match; None if there is none."""
        if not self._watches or self._state == BROKEN or self._state == BOUNDARY or self._state == BOUNDARY_LF:
            return None
        return self._begin if self._argument == 0 or self._state < DOLLAR or self._waits else None

    def seek(self, position: int, outside: bool) -> None:
        """Find the first command's end at or after position; outside: the first with no open transaction."""
        self._seeks.append((position, outside))
        self._seek = min(self._seek, position)

    def take_landed(self) -> dict[tuple[int, bool], int]:
        """The ends found since the last call, by the arguments of seek()."""
        landed: dict[tuple[int, bool], int] = dict(self._landed)
        self._landed = []
        return landed

    def _reached(self, end: int) -> None:
        left = []
        for position, outside in self._seeks:
            if position <= end and not (outside and self._in_transaction):
                self._landed.append(((position, outside), end))
            else:
                left.append((position, outside))
        self._seeks = left
        self._seek = min((position for position, _ in left), default=NEVER)

    @cython.cfunc
    @cython.locals(number=cython.int, slot=cython.ulonglong, kind=cython.int)
    def _end_name(self, end: cython.longlong) -> None:
        """The current command's name is whole, and some names are watched."""
        kind = self._otherwise
        if cython.compiled:
            slot = ((self._key ^ self._key2) * GOLDEN) >> 55
            while self._watch_slot[slot]:
                number = self._watch_slot[slot] - 1
                if (
                    self._watch_key[number] == self._key
                    and self._watch_key2[number] == self._key2
                    and self._watch_length[number] == self._name_length
                ):
                    kind = self._watch_kind[number]
                    break
                slot = (slot + 1) & 511
        else:
            kind = self._watch_kinds.get((bytes(self._name[: min(self._name_length, 16)]), self._name_length), kind)
        self._name_end = end
        self._prefix_at = 0
        if kind == BY_NAME:
            self._found(True)
        elif kind == BY_KEY:
            self._waits = True

    @cython.cfunc
    def _found(self, matches: cython.bint) -> None:
        """Note whether the current command matches, once that is known."""
        self._waits = False
        if matches:
            self._is_match = True
            self._heads.append((self._begin, self._name_end))

    @cython.cfunc
    def _end_watched(self, end: cython.longlong) -> None:
        self._waits = False
        if self._was_match:
            self._next_ends.append(end)
        self._was_match = self._is_match
        if self._is_match:
            self._match_ends.append(end)
        self._is_match = False

    def db_at(self, position: int) -> int | None:
        """The database in force after the first *position* bytes; None if unknown or no longer remembered."""
        return db_at(position, self._selects, self._selects_begin, self._first_db)

    def dbs(self) -> tuple[list[tuple[int, int]], int, int]:
        """The last three arguments for the function db_at()."""
        return list(self._selects), self._selects_begin, self._first_db

    @cython.boundscheck(False)
    @cython.wraparound(False)
    @cython.locals(
        view="const unsigned char[::1]",
        i=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
        take=cython.Py_ssize_t,
        c=cython.uchar,
        state=cython.int,
        number=cython.longlong,
        digits=cython.int,
        base=cython.longlong,
        key=cython.ulonglong,
    )
    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes, in chunks of any size. Never raises because of their contents: see broken."""
        n = len(data)
        base = self._position
        self._position = base + n
        if self._state == BROKEN or n == 0:
            return None
        view = data if cython.compiled else bytes(data)
        state = self._state
        number = self._number
        digits = self._digits
        i = 0
        while i < n:
            if state == BODY:
                take = n - i
                if take > self._left:
                    take = self._left
                if self._argument == 1 and self._key == SELECT and self._name_length == 6:
                    for j in range(i, i + take):
                        c = view[j]
                        if 48 <= c <= 57 and self._selected < 2**31:
                            self._selected = c - 48 if self._selected < 0 else self._selected * 10 + (c - 48)
                if self._key == RREPLAY and self._name_length == 7:
                    if self._argument == 2 and take:
                        self._feed_nested(data, i, i + take, base + i)
                    elif self._argument == 3:
                        for j in range(i, i + take):
                            c = view[j]
                            if self._selected >= MAX_DB or not 48 <= c <= 57:
                                self._selected = MAX_DB
                            else:
                                self._selected = c - 48 if self._selected < 0 else self._selected * 10 + (c - 48)
                if self._waits:
                    for j in range(i, i + take):
                        if view[j] != self._prefix[self._prefix_at]:
                            self._found(False)
                            break
                        self._prefix_at += 1
                        if self._prefix_at == self._prefix_length:
                            self._found(True)
                            break
                i += take
                self._left -= take
                if self._left == 0:
                    state = BODY_CR
                continue
            # Two fast paths for regular parts that are whole in this chunk; everything else goes byte by byte.
            # First, an argument after the name, header and body.
            if (
                cython.compiled
                and state == DOLLAR
                and self._argument
                and view[i] == 36
                and not (self._argument == 1 and self._key == SELECT)
                and self._key != RREPLAY
            ):
                j = i + 1
                number = 0
                while j < n and j < i + 11 and 48 <= view[j] <= 57:
                    number = number * 10 + (view[j] - 48)
                    j += 1
                if (
                    j > i + 1
                    and (view[i + 1] != 48 or j == i + 2)
                    and j + number + 4 <= n
                    and view[j] == 13
                    and view[j + 1] == 10
                    and view[j + 2 + number] == 13
                    and view[j + 3 + number] == 10
                ):
                    if self._waits:
                        take = 0
                        if number >= self._prefix_length:
                            while take < self._prefix_length and view[j + 2 + take] == self._prefix[take]:
                                take += 1
                        self._found(take == self._prefix_length)
                    i = j + number + 4
                    self._argument += 1
                    self._args_left -= 1
                    if self._args_left == 0:
                        self._end_command(base + i)
                        state = BOUNDARY
                    continue
            # Second, the beginning of a command with its name: *<digit>\r\n$<digit>\r\n<name>\r\n.
            if (
                cython.compiled
                and state == BOUNDARY
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
                if view[i + 8 + take] == 13 and view[i + 9 + take] == 10:
                    self._begin = base + i
                    self._args_left = view[i + 1] - 49
                    self._argument = 1
                    self._name_length = take
                    self._selected = -1
                    self._key2 = 0
                    key = 0
                    for j in range(take):
                        c = view[i + 8 + j]
                        if 97 <= c <= 122:
                            c -= 32
                        self._name[j] = c
                        key = key << 8 | c
                    self._key = key
                    i += 10 + take
                    if self._watches:
                        self._end_name(base + i)
                    if self._args_left == 0:
                        self._end_command(base + i)
                    else:
                        state = DOLLAR
                    continue
            if state == NAME and self._left == 0:
                state = BODY_CR
            c = view[i]
            if state == LENGTH or state == ARGC:
                if 48 <= c <= 57:
                    if digits and number == 0:
                        return self._break(base + i, "a length with a leading zero")
                    number = number * 10 + (c - 48)
                    digits += 1
                    if digits > 18:
                        return self._break(base + i, "a length of more than 18 digits")
                elif c != 13 or digits == 0:
                    return self._break(base + i, f"byte 0x{c:02x} where a length was expected")
                elif state == LENGTH:
                    if number > MAX_LENGTH:
                        return self._break(base + i, f"an argument of {number} bytes")
                    state = LENGTH_LF
                else:
                    if number > MAX_ARGC:
                        return self._break(base + i, f"a command of {number} arguments")
                    state = ARGC_LF
            elif state == NAME:
                if 97 <= c <= 122:
                    c -= 32
                if self._name_length < NAME_SIZE:
                    self._name[self._name_length] = c
                    if self._name_length < 8:
                        self._key = self._key << 8 | c
                    elif self._name_length < 16:
                        self._key2 = self._key2 << 8 | c
                self._name_length += 1
                self._left -= 1
            elif state == BODY_CR:
                if c != 13:
                    return self._break(base + i, f"byte 0x{c:02x} where an argument's CR was expected")
                state = BODY_LF
            elif state == BODY_LF:
                if c != 10:
                    return self._break(base + i, f"byte 0x{c:02x} where an argument's LF was expected")
                if self._watches and self._argument == 0:
                    self._end_name(base + i + 1)
                elif self._waits:
                    self._found(False)
                self._argument += 1
                self._args_left -= 1
                if self._args_left:
                    state = DOLLAR
                else:
                    self._end_command(base + i + 1)
                    state = BOUNDARY
            elif state == DOLLAR:
                if c != 36:
                    return self._break(base + i, f"byte 0x{c:02x} where an argument's $ was expected")
                number = 0
                digits = 0
                state = LENGTH
            elif state == LENGTH_LF:
                if c != 10:
                    return self._break(base + i, f"byte 0x{c:02x} where a length's LF was expected")
                self._left = number
                state = BODY if self._argument else NAME
            elif state == BOUNDARY:
                if c == 42:
                    if not cython.compiled:
                        taken = self._whole_commands(view, i)
                        if taken:
                            i += taken
                            continue
                    self._begin = base + i
                    number = 0
                    digits = 0
                    state = ARGC
                elif c == 10:
                    self._boundary = base + i + 1
                elif c == 13:
                    state = BOUNDARY_LF
                else:
                    return self._break(base + i, f"byte 0x{c:02x} where a command's * was expected")
            elif state == ARGC_LF:
                if c != 10:
                    return self._break(base + i, f"byte 0x{c:02x} where a count's LF was expected")
                self._argument = 0
                self._args_left = number
                self._name_length = 0
                self._key = 0
                self._key2 = 0
                self._selected = -1
                state = DOLLAR
                if number == 0:  # servers ignore *0
                    self._boundary = base + i + 1
                    state = BOUNDARY
            else:  # BOUNDARY_LF
                if c != 10:
                    return self._break(base + i, f"byte 0x{c:02x} where an empty line's LF was expected")
                self._boundary = base + i + 1
                state = BOUNDARY
            i += 1
        self._state = state
        self._number = number
        self._digits = digits
        if self._notice is not None and DOLLAR <= state < BROKEN and self._argument and self._is_secretive():
            self._notice_secrets(self._args_left + self._argument)
        return None

    @cython.cfunc
    def _break(self, position: cython.longlong, why: str) -> None:
        self._state = BROKEN
        self._broken = why
        self._broken_at = position

    @cython.cfunc
    @cython.locals(size=cython.longlong, known=cython.bint)
    def _end_command(self, end: cython.longlong) -> None:
        if self._key == RREPLAY and self._name_length == 7 and self._end_wrapper(end):
            return
        size = end - self._begin
        self._boundary = end
        self._commands += 1
        self._command_bytes += size
        if not cython.compiled or not self._count_in_slot(size):
            name = OTHER if self._name_length > NAME_SIZE else bytes(self._name[: self._name_length])
            self._add(name, 1, size)
            if self._notice is not None and self._is_secretive():
                self._notice_secrets(self._argument)
        known = self._name_length <= 8
        if known and self._key == SELECT and self._argument == 2:  # servers refuse any other number of arguments
            self._set_db(self._selected, end)
        elif known and self._key == MULTI:
            self._in_transaction = True
        if self._ends is not None:
            self._ends.append((self._begin, end, self._db, bool(self._in_transaction)))
        if self._inner_commands is not None and len(self._inner_commands) <= MAX_INSIDE:
            name = OTHER if self._name_length > NAME_SIZE else bytes(self._name[: self._name_length])
            self._inner_commands.append((name, self._begin, end, self._db, bool(self._in_transaction)))
        if known and (self._key == EXEC or self._key == DISCARD):
            self._in_transaction = False
        if self._watches or self._is_match or self._was_match:
            self._end_watched(end)
        if end >= self._seek:
            self._reached(end)

    # ---- what is wrapped in an RREPLAY ----

    def _stand_in(self) -> bytes:
        """Bytes with the same effect on a scanner as the wrapper's argument so far, without its data."""
        nested = self._nested
        if nested is None:
            return b""
        if nested.broken:
            return b"?"
        text = b"" if nested.db is None else b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%d\r\n" % (len(str(nested.db)), nested.db)
        if nested.in_transaction != self._in_transaction:
            text += b"*1\r\n$5\r\nMULTI\r\n" if nested.in_transaction else b"*1\r\n$4\r\nEXEC\r\n"
        unfinished: bytes = nested.unfinished
        return text + unfinished

    def _begin_inside(self, position: int, nesting: int) -> None:
        """Become the scanner of a wrapper's argument. position: its first byte. nesting: number of wrappers around it."""
        self._position = self._boundary = position
        self._nesting = nesting
        self._inner_commands = []

    def _end_inside(self) -> list[tuple[bytes, int, int, int, bool]]:
        """The commands of the wrapper's argument; none if the argument is anything but whole commands."""
        whole = self._state == BOUNDARY and self._boundary == self._position
        return self._inner_commands if whole and len(self._inner_commands) <= MAX_INSIDE else []

    @cython.cfunc
    def _feed_nested(
        self, data: Any, begin: cython.Py_ssize_t, end: cython.Py_ssize_t, position: cython.longlong
    ) -> None:
        if self._nested is None:
            if self._nesting == MAX_NESTING:
                return
            self._nested = StreamScanner(in_transaction=self._in_transaction)
            self._nested._begin_inside(position, self._nesting + 1)
            self._nested.notice_secrets(self._notice)
        self._nested.feed(memoryview(data)[begin:end])

    @cython.cfunc
    @cython.locals(begin=cython.longlong, db=cython.longlong, own=cython.longlong, last=cython.longlong)
    def _end_wrapper(self, end: cython.longlong) -> cython.bint:
        """The current RREPLAY is whole. Returns whether its inner commands have been reported instead of it."""
        nested = self._nested
        self._nested = None
        if self._argument > 3:
            if self._selected < 0 or self._selected >= MAX_DB:  # servers refuse it
                return False
            self._set_db(self._selected, end)
        told = [] if nested is None else nested._end_inside()
        if not told:
            return False
        self._boundary = end
        self._command_bytes += end - self._begin
        self._commands += len(told)
        begin = self._begin
        left = len(told)
        own = self._db
        for name, first, last, db, in_transaction in told:
            left -= 1
            if db < 0:
                db = own
            if self._inner_commands is not None:
                if len(self._inner_commands) <= MAX_INSIDE:
                    self._inner_commands.append((name, first, last, db, in_transaction))
            elif self._ends is not None:
                self._insides[begin] = (name, first, last, self._begin, end)
            if not left:
                last = end
            if self._ends is not None:
                self._ends.append((begin, last, db, in_transaction))
            self._count(name, last - begin)
            begin = last
        if nested.db is not None:
            self._set_db(nested.db, end)
        self._in_transaction = nested.in_transaction
        if self._watches or self._is_match or self._was_match:
            self._end_watched(end)
        if end >= self._seek:
            self._reached(end)
        return True

    @cython.cfunc
    def _set_db(self, db: cython.longlong, end: cython.longlong) -> None:
        if db == self._db:
            return
        self._db = db
        self._selects.append((end, db))
        if len(self._selects) > SELECTS_KEPT:
            self._selects_begin = self._selects.popleft()[0]
            self._first_db = -1

    @cython.cfunc
    def _count(self, name: bytes, size: cython.longlong) -> None:
        """Count a command with this name, which is not the current command's."""
        if name != OTHER:
            self._key = int.from_bytes(name[:8], "big")
            self._key2 = int.from_bytes(name[8:16], "big")
            self._name_length = len(name)
            if cython.compiled and self._count_in_slot(size):
                return
        self._add(name, 1, size)

    # Compiled, commands are counted in a small hash table, by their names of at most sixteen bytes, without touching a
    # Python object. Longer names, and those that find the table full, are counted in the dictionary.

    @cython.cfunc
    @cython.exceptval(check=False)
    @cython.locals(slot=cython.int)
    def _count_in_slot(self, size: cython.longlong) -> cython.bint:
        if self._name_length > 16 or self._name_length == 0:
            return False
        slot = ((self._key ^ self._key2) * GOLDEN) >> 58
        while self._slot_length[slot]:
            if (
                self._slot_key[slot] == self._key
                and self._slot_key2[slot] == self._key2
                and self._slot_length[slot] == self._name_length
            ):
                self._slot_commands[slot] += 1
                self._slot_bytes[slot] += size
                return True
            slot = (slot + 1) & (SLOTS - 1)
        if self._slots_used >= SLOTS // 2 or len(self._by_name) + self._slots_used >= MAX_NAMES:
            return False
        if self._is_secretive():  # no slot, because _end_command() passes each of these to _notice
            return False
        self._slots_used += 1
        self._slot_key[slot] = self._key
        self._slot_key2[slot] = self._key2
        self._slot_length[slot] = self._name_length
        self._slot_commands[slot] = 1
        self._slot_bytes[slot] = size
        return True

    # ---- for recordings: commands that may carry passwords ----

    def notice_secrets(self, notice: Any) -> None:
        """Call notice(name, position, words) for each such command once its name has come, before that feed() returns.

        position: of the first byte after the name. words: how many follow the name.
        """
        self._notice = notice

    @cython.cfunc
    @cython.exceptval(check=False)
    def _is_secretive(self) -> cython.bint:
        """Whether the current command's name is one of SECRETIVE; servers propagate none of these."""
        if self._name_length == 4:
            return self._key == AUTH
        if self._name_length == 6:
            return self._key == CONFIG
        if self._name_length == 3:
            return self._key == ACL
        if self._name_length == 5:
            return self._key == HELLO
        if self._name_length == 7:
            return self._key == MIGRATE
        return self._name_length == 8 and self._key == SENTINEL

    @cython.cfunc
    def _notice_secrets(self, argc: cython.longlong) -> None:
        if self._begin != self._noticed:
            self._noticed = self._begin
            name = bytes(self._name[: self._name_length])
            head = b"*%d\r\n$%d\r\n%b\r\n" % (argc, len(name), name)  # the only spelling that the grammar allows
            self._notice(name, self._begin + len(head), argc - 1)

    @cython.locals(slot=cython.int, length=cython.longlong)
    def _empty_slots(self) -> None:
        for slot in range(SLOTS):
            length = self._slot_length[slot]
            if length:
                key, key2 = int(self._slot_key[slot]), int(self._slot_key2[slot])
                name = key.to_bytes(min(length, 8), "big")
                if length > 8:
                    name += key2.to_bytes(length - 8, "big")
                self._by_name[name] = [self._slot_commands[slot], self._slot_bytes[slot]]
                self._slot_length[slot] = 0
        self._slots_used = 0

    @cython.cfunc
    def _add(self, name: bytes, commands: cython.longlong, size: cython.longlong) -> None:
        share = self._by_name.get(name)
        if share is None:
            if len(self._by_name) + self._slots_used >= MAX_NAMES:
                name = OTHER
            share = self._by_name.setdefault(name, [0, 0])
        share[0] += commands
        share[1] += size

    def _whole_commands(self, data: Any, start: int) -> int:
        """Uncompiled only: take the plain commands that are whole in data[start:], and return their number of bytes.

        Stops at a command that is incomplete, stateful or unusual, and leaves it to the byte-wise loop.
        """
        base = self._position - len(data)
        begin = start
        while (head := _HEAD.match(data, begin)) is not None:
            end = head.end() + int(head[2])
            name = data[head.end() : end].upper()
            if data[end : end + 2] != b"\r\n" or name in _LEFT or len(name) > NAME_SIZE:
                break
            if self._was_match or self._otherwise != NO or (name[:16], len(name)) in self._watch_kinds:
                break
            end += 2
            for _ in range(int(head[1]) - 1):
                argument = _ARGUMENT.match(data, end)
                if argument is None:
                    break
                end = argument.end() + int(argument[1])
                if data[end : end + 2] != b"\r\n":
                    argument = None
                    break
                end += 2
            else:
                if base + end >= self._seek:
                    break
                self._add(name, 1, end - begin)
                self._commands += 1
                self._command_bytes += end - begin
                if self._ends is not None:
                    self._ends.append((base + begin, base + end, self._db, self._in_transaction))
                if self._inner_commands is not None and len(self._inner_commands) <= MAX_INSIDE:
                    self._inner_commands.append((name, base + begin, base + end, self._db, self._in_transaction))
                begin = end
                continue
            break
        if begin > start:
            self._boundary = base + begin
        return begin - start
