"""Errors that a master sends without a request, as when it refuses a client on accept.

A server sends one such error and closes. Some other program on that port may send errors without end, so they are
counted, and only the 1st, 10th, 100th and so on is reported, and the last one when the connection ends.
"""

from __future__ import annotations

from collections.abc import Callable


class UnaskedErrors:
    """The unasked errors of one connection."""

    __slots__ = (
        "_count",
        "_last",
        "_next",
        "_reported",
        "_tell",
    )

    def __init__(self, tell: Callable[[bytes, int], None]) -> None:
        """tell: called with a line, without its end, and the number of errors since the last reported one."""
        self._tell = tell
        self._count = 0
        self._reported = 0  # the number of the last reported error
        self._next = 1  # the number of the next error to report
        self._last = b""

    def heard(self, lines: bytes) -> None:
        """Take one or more whole lines, each with its \\n."""
        before = self._count
        self._count += lines.count(b"\n")
        while self._next <= self._count:
            number = self._next - before
            self._tell_one(lines.split(b"\n", number)[number - 1], self._next)
            self._next *= 10
        self._last = lines[lines.rfind(b"\n", 0, -1) + 1 : -1]

    def close(self) -> None:
        if self._count > self._reported:
            self._tell_one(self._last, self._count)

    def _tell_one(self, line: bytes, number: int) -> None:
        more, self._reported = number - self._reported, number
        self._tell(line.removesuffix(b"\r"), more)


def whole_errors(data: bytes, begin: int, most: int) -> int:
    """The end of the last line that is whole in data[begin : begin + most], if all lines there are errors; else -1."""
    end = data.rfind(b"\n", begin, begin + most) + 1
    if not end or data[begin] != 0x2D or data.count(b"\n", begin, end - 1) != data.count(b"\n-", begin, end - 1):
        return -1
    return end
