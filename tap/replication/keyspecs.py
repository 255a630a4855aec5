"""Which arguments of a command are keys.

Servers publish this as the key specs of COMMAND INFO. The table here covers Redis 6.2 to 8.0, Valkey 8.1 and 9.1, what is
documented of later versions, and the modules that come with Redis 8; a test compares the table with COMMAND GETKEYS of
every available server. Most commands have one key, their first argument, and a command that is not in the table is
assumed to be one of these. Channels, and the patterns of SORT's BY and GET, are not keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Word = bytes | memoryview
LONGEST = 24  # bytes that are read of an argument that may be an option or a number

# The number of arguments that follow an option.
_OF_XREAD = {b"COUNT": 1, b"BLOCK": 1, b"GROUP": 2, b"CLAIM": 1}
_OF_MIGRATE = {b"AUTH": 1, b"AUTH2": 2}


class KeyPlaces(Protocol):
    """The keys of one command. is_key() must be called with every argument in order, from number 1; the name is 0.

    last: no argument after this number is a key, as far as is known so far.
    """

    last: int

    def is_key(self, number: int, argument: Word) -> bool: ...


# Creates the KeyPlaces for a command with this number of words.
Spec = Callable[[int], KeyPlaces]


class _Range:
    """Every step-th argument from *first* to *last*; a negative *last* counts from the end."""

    def __init__(self, first: int, last: int, step: int, count: int) -> None:
        self._first = first
        self._step = step
        self.last = last if last >= 0 else count + last

    def is_key(self, number: int, argument: Word) -> bool:
        return number >= self._first and (number - self._first) % self._step == 0


class _Counted:
    """Argument number *at* says how many keys follow. begins: the first argument is a key as well."""

    def __init__(self, at: int, begins: bool, step: int, count: int) -> None:
        self._at = at
        self._begins = begins
        self._step = step
        self.last = count - 1

    def is_key(self, number: int, argument: Word) -> bool:
        if number == self._at:
            digits = bytes(argument[:LONGEST])
            self.last = min(self.last, number + self._step * int(digits)) if digits.isdigit() else number
        if number <= self._at:
            return self._begins and number == 1
        return (number - self._at - 1) % self._step == 0


class _AfterOptions:
    """The first argument, and the one after each option in *names*; options begin at *start*.

    options: the number of arguments of the other options; a name among these arguments means nothing.
    """

    def __init__(self, start: int, names: frozenset[bytes], options: dict[bytes, int], count: int) -> None:
        self._next = start  # the next argument that can be an option
        self._names = names
        self._options = options
        self._key = 1
        self.last = count - 1

    def is_key(self, number: int, argument: Word) -> bool:
        if number == self._next:
            word = bytes(argument[:LONGEST]).upper()
            self._next += 1 + self._options.get(word, 0)
            if word in self._names:
                self._key = number + 1
                self._next += 1
        return number == self._key


class _Streams:
    """The first half of the arguments after STREAMS; the other half are IDs."""

    def __init__(self, count: int) -> None:
        self._next = 1
        self._first = count
        self.last = count - 1

    def is_key(self, number: int, argument: Word) -> bool:
        if number == self._next:
            word = bytes(argument[:LONGEST]).upper()
            self._next += 1 + _OF_XREAD.get(word, 0)
            if word == b"STREAMS":
                self._first = number + 1
                self.last = number + (self.last - number) // 2
                self._next = -1
        return number >= self._first


class _Migrate:
    """The third argument or, if that is empty, all arguments after KEYS."""

    def __init__(self, count: int) -> None:
        self._next = 6
        self._first = count
        self.last = count - 1

    def is_key(self, number: int, argument: Word) -> bool:
        if number == 3 and argument:
            self.last = 3
            return True
        if number == self._next and self._first > number:
            word = bytes(argument[:LONGEST]).upper()
            self._next += 1 + _OF_MIGRATE.get(word, 0)
            if word == b"KEYS":
                self._first = number + 1
        return number >= self._first


def _range(first: int, last: int, step: int = 1) -> Spec:
    return lambda count: _Range(first, last, step, count)


def _counted(at: int, *, begins: bool = False, step: int = 1) -> Spec:
    return lambda count: _Counted(at, begins, step, count)


def _named(start: int, *names: bytes, **options: int) -> Spec:
    known = {name.encode(): size for name, size in options.items()}
    return lambda count: _AfterOptions(start, frozenset(names), known, count)


_FIRST = _range(1, 1)
_NONE = _range(1, 0)


def _table(of: dict[str, Spec]) -> dict[bytes, Spec]:
    return {name.encode(): spec for names, spec in of.items() for name in names.split()}


_SPECS = _table(
    {
        "BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE": _range(1, 2),
        "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE": _range(1, -1),
        "TOUCH UNLINK WATCH": _range(1, -1),
        "BLPOP BRPOP BZPOPMAX BZPOPMIN": _range(1, -2),
        "MSET MSETNX": _range(1, -1, 2),
        "BITOP": _range(2, -1),
        "MEMORY OBJECT PFDEBUG XGROUP XINFO": _range(2, 2),
        "LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION": _counted(1),
        "BLMPOP BZMPOP EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO": _counted(2),
        "ZDIFFSTORE ZINTERSTORE ZUNIONSTORE": _counted(2, begins=True),
        "MSETEX": _counted(1, step=2),
        "SORT": _named(2, b"STORE", BY=1, GET=1, LIMIT=2),
        "GEORADIUS": _named(6, b"STORE", b"STOREDIST", COUNT=1),
        "GEORADIUSBYMEMBER": _named(5, b"STORE", b"STOREDIST", COUNT=1),
        "XREAD XREADGROUP": _Streams,
        "MIGRATE": _Migrate,
        # modules
        "JSON.MGET": _range(1, -2),
        "JSON.MSET TS.MADD": _range(1, -1, 3),
        "JSON.DEBUG": _range(2, 2),
        "TS.CREATERULE TS.DELETERULE": _range(1, 2),
        "CMS.MERGE TDIGEST.MERGE": _counted(2, begins=True),
        "TFCALL TFCALLASYNC": _counted(2),
    }
)
WITHOUT_KEYS = frozenset(
    b"ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER CLUSTERSCAN COMMAND COMMANDLOG CONFIG DBSIZE DEBUG DISCARD "
    b"ECHO EXEC FAILOVER FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MODULE MONITOR MULTI "
    b"PFSELFTEST PING PSUBSCRIBE PSYNC PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF "
    b"REPLICAOF RESET ROLE RREPLAY SAVE SCAN SCRIPT SELECT SHUTDOWN SLAVEOF SLOWLOG SPUBLISH SSUBSCRIBE SUBSCRIBE "
    b"SUNSUBSCRIBE SWAPDB SYNC TFUNCTION TIME TS.MGET TS.MRANGE TS.MREVRANGE TS.QUERYINDEX UNSUBSCRIBE UNWATCH WAIT "
    b"WAITAOF".split()
)

# Commands whose keys are not just the first argument.
NOT_THE_FIRST = frozenset(_SPECS)
# Those of them whose key is the first argument if there is only one.
FROM_THE_FIRST = frozenset(name for name, spec in _SPECS.items() if spec(2).last == 1 and spec(2).is_key(1, b""))


def has_keys(name: bytes) -> bool:
    """Whether a command has keys. name: in upper case. RediSearch's indexes are not keys, its dictionaries are."""
    if name.startswith((b"FT.", b"_FT.")):
        return name.startswith(b"FT.SUG")
    return name not in WITHOUT_KEYS


def keys(name: bytes, arguments: Sequence[bytes]) -> list[bytes]:
    """The keys of a whole command. name: in upper case."""
    if not has_keys(name):
        return []
    spec = _SPECS.get(name)
    if spec is None:
        return list(arguments[:1])
    places, found = spec(len(arguments) + 1), []
    for number, argument in enumerate(arguments, 1):
        if number > places.last:
            break
        if places.is_key(number, argument):
            found.append(argument)
    return found


class KeyFinder:
    """Finds the keys of one command while its bytes arrive."""

    def __init__(self) -> None:
        self._read = 0  # bytes of the command that have been read
        self._number = -1  # of the next argument; -1 before the array's header
        self._count = 0
        self._places: KeyPlaces | None = None

    def keys(self, command: memoryview) -> tuple[list[bytes], bool]:
        """command: its first bytes, at least as many as in the last call. Returns the keys completed since then, and
        whether there may be more. Bytes that are not a command have no keys.
        """
        found: list[bytes] = []
        while self._number != self._count:
            if self._places is not None and self._number > self._places.last:
                return found, False
            end = _find_line(command, self._read)
            if end < 0:
                return found, True
            digits = bytes(command[self._read + 1 : end])
            if not digits.isdigit() or len(digits) > LONGEST:
                return found, False
            number = int(digits)
            if self._number < 0:
                self._count = number
                self._number = 0
                self._read = end + 2
                continue
            if end + 2 + number + 2 > len(command):
                return found, True
            argument = command[end + 2 : end + 2 + number]
            self._read = end + 2 + number + 2
            if self._places is None:
                name = bytes(argument).upper()
                self._places = (_SPECS.get(name, _FIRST) if has_keys(name) else _NONE)(self._count)
            elif self._places.is_key(self._number, argument):
                found.append(bytes(argument))
            self._number += 1
        return found, False


def _find_line(data: memoryview, at: int) -> int:
    """The end of the line, of at most 32 bytes, that begins at *at*; -1 if it is incomplete."""
    found = bytes(data[at : at + 32]).find(b"\r\n")
    return -1 if found < 0 else at + found
