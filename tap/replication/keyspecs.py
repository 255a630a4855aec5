"""Where the keys of a command are, among its arguments."""

from __future__ import annotations

# (first, last, step) as COMMAND tells them, the name being number 0; last below 0 counts from the end. Commands that
# masters propagate and whose only key is not their first argument (Redis 8.0, Valkey 9.1: COMMAND INFO).
_SPECS = {
    b"BITOP": (2, -1, 1),
    b"BLMOVE": (1, 2, 1),
    b"BRPOPLPUSH": (1, 2, 1),
    b"COPY": (1, 2, 1),
    b"DEL": (1, -1, 1),
    b"GEOSEARCHSTORE": (1, 2, 1),
    b"LMOVE": (1, 2, 1),
    b"MSET": (1, -1, 2),
    b"MSETNX": (1, -1, 2),
    b"PFMERGE": (1, -1, 1),
    b"RENAME": (1, 2, 1),
    b"RENAMENX": (1, 2, 1),
    b"RPOPLPUSH": (1, 2, 1),
    b"SDIFFSTORE": (1, -1, 1),
    b"SINTERSTORE": (1, -1, 1),
    b"SMOVE": (1, 2, 1),
    b"SUNIONSTORE": (1, -1, 1),
    b"TOUCH": (1, -1, 1),
    b"UNLINK": (1, -1, 1),
    b"XGROUP": (2, 2, 1),
    b"ZRANGESTORE": (1, 2, 1),
}
WITHOUT_KEYS = frozenset(
    b"PING SELECT MULTI EXEC DISCARD REPLCONF PUBLISH SPUBLISH FLUSHALL FLUSHDB SWAPDB SCRIPT FUNCTION EVAL FCALL".split()
)

# Names of which the first argument alone does not tell the keys.
NOT_THE_FIRST = frozenset(_SPECS)
FROM_THE_FIRST = frozenset(name for name, (first, _, _) in _SPECS.items() if first == 1)


class KeyFinder:
    """Finds the keys of one command while it comes in; begin it anew for each."""

    def __init__(self) -> None:
        self._read = 0  # bytes
        self._left = 0  # arguments
        self._number = -1  # of the next one
        self._count = 0
        self._spec: tuple[int, int, int] | None = None

    def keys(self, command: memoryview) -> tuple[list[bytes], bool]:
        """command: its first bytes, at least as many as last time. Returns the keys that have become whole since, and
        whether there will be more. What is no command has none.
        """
        found: list[bytes] = []
        while self._number != self._count:
            if self._number >= 0 and self._spec is not None and self._number > self._last:
                return found, False
            end = _find_line(command, self._read)
            if end < 0:
                return found, True
            digits = bytes(command[self._read + 1 : end])
            if not digits.isdigit():
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
            if self._number == 0:
                name = bytes(argument).upper()
                if name in WITHOUT_KEYS:
                    return found, False
                self._spec = _SPECS.get(name, (1, 1, 1))
            else:
                assert self._spec is not None
                first, _, step = self._spec
                if self._number >= first and (self._number - first) % step == 0 and self._number <= self._last:
                    found.append(bytes(argument))
            self._number += 1
        return found, False

    @property
    def _last(self) -> int:
        assert self._spec is not None
        return self._spec[1] if self._spec[1] >= 0 else self._count + self._spec[1]


def _find_line(data: memoryview, at: int) -> int:
    """Where the line of at most 32 bytes that begins at *at* ends, -1 if it is not whole."""
    found = bytes(data[at : at + 32]).find(b"\r\n")
    return -1 if found < 0 else at + found
