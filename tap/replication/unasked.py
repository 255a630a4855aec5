"""Errors that a master sends without a request, as it does when it refuses a client at accept.

A server sends one, and closes. Whatever else answers may send them all the time, so they are counted, and only the 1st,
10th, 100th and so on is reported, and at the end the last one.
"""

from __future__ import annotations

from collections.abc import Callable


class UnaskedErrors:
    """Of one connection."""

    __slots__ = (
        "_count",
        "_last",
        "_next",
        "_tell",
        "_told",
    )

    def __init__(self, tell: Callable[[bytes, int], None]) -> None:
        """tell: gets a line without its end, and how many have come since the last that was told."""
        self._tell = tell
        self._count = 0
        self._told = 0  # of them
        self._next = 1  # the number of the one to tell next
        self._last = b""

    def heard(self, lines: bytes) -> None:
        """Some more of them, each with its \\n."""
        before = self._count
        self._count += lines.count(b"\n")
        while self._next <= self._count:
            number = self._next - before
            self._tell_one(lines.split(b"\n", number)[number - 1], self._next)
            self._next *= 10
        self._last = lines[lines.rfind(b"\n", 0, -1) + 1 : -1]

    def close(self) -> None:
        if self._count > self._told:
            self._tell_one(self._last, self._count)

    def _tell_one(self, line: bytes, number: int) -> None:
        more, self._told = number - self._told, number
        self._tell(line.removesuffix(b"\r"), more)


def whole_errors(data: bytes, begin: int, most: int) -> int:
    """Where the lines end that begin at data[begin], if all that are whole in so many bytes are errors; else -1."""
    end = data.rfind(b"\n", begin, begin + most) + 1
    if not end or data[begin] != 0x2D or data.count(b"\n", begin, end - 1) != data.count(b"\n-", begin, end - 1):
        return -1
    return end
