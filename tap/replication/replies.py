"""Replies of a master before the stream: where each one ends, and its first line.

Replies are matched to requests by count, so the end of each must be found, even if its type is unexpected.
"""

from collections.abc import Callable

# Longest line that is read; replicas themselves read 255 bytes in the handshake, and 1023 for the RDB header.
MAX_LINE = 64 * 1024

_AGGREGATES = {0x2A: 1, 0x7E: 1, 0x3E: 1, 0x25: 2, 0x7C: 2}  # * ~ > and, with two elements for each entry, % |
_BULKS = b"$=!"


class LineReader:
    """Collects one line after another. size: bytes of the last whole line, including its end."""

    __slots__ = (
        "_line",
        "size",
    )

    def __init__(self) -> None:
        self._line = bytearray()
        self.size = 0

    @property
    def unfinished(self) -> bytes:
        """The bytes so far of an incomplete line."""
        return bytes(self._line)

    def feed(self, data: bytes, at: int) -> tuple[int, bytes | None]:
        """Read from data[at:]. Returns where reading stopped, and the line without its end, None if incomplete.

        Raises LineTooLong beyond MAX_LINE.
        """
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        if len(self._line) + stop - at > MAX_LINE:
            raise LineTooLong(at - len(self._line))
        self._line += data[at:stop]
        if end < 0:
            return stop, None
        self.size = len(self._line)
        line = bytes(self._line[:-1]).removesuffix(b"\r")
        self._line.clear()
        return stop, line


class LineTooLong(Exception):
    """Caught by the conversation, which becomes opaque. at: where in data the line begins; negative: in earlier data."""

    def __init__(self, at: int) -> None:
        super().__init__("a line that never ends")
        self.at = at


class ReplyReader:
    """Reads one RESP2 or RESP3 reply after another, and keeps only the first line of each."""

    __slots__ = (
        "_first",
        "_lines",
        "_more",
        "_skip",
    )

    def __init__(self) -> None:
        self._lines = LineReader()
        self._first: bytes | None = None
        self._skip = 0  # bytes left of a bulk, including its CRLF
        self._more = 1  # replies, nested ones included, until the outermost is whole

    @property
    def unfinished(self) -> tuple[int, int, bytes]:
        """The replies left until the outermost is whole, the bytes left of a bulk, and the unfinished line."""
        return self._more, self._skip, self._lines.unfinished

    def feed(
        self, data: bytes, at: int, is_header: Callable[[bytes], bool] = lambda line: False
    ) -> tuple[int, bytes | None]:
        """As LineReader.feed, for a whole reply. is_header: whether a first line stands alone and begins no reply."""
        while at < len(data):
            if self._skip:
                taken = min(self._skip, len(data) - at)
                self._skip -= taken
                at += taken
                if self._skip:
                    break
            else:
                at, line = self._lines.feed(data, at)
                if line is None:
                    break
                if self._first is None:
                    if is_header(line):
                        return at, line
                    self._first = line
                self._more -= 1
                size = int(line[1:]) if line[1:].isdigit() and len(line) < 16 else 0
                if line[:1] and line[0] in _BULKS and line != b"$-1":
                    self._skip = size + 2
                elif line[:1]:
                    self._more += size * _AGGREGATES.get(line[0], 0)
                    if line[0] == 0x7C:
                        self._more += 1  # attributes come before the reply they belong to
            if self._more == 0 and not self._skip:
                first, self._first, self._more = self._first, None, 1
                return at, first
        return at, None


def readable(line: bytes) -> str:
    """A line, or a word, as text; anything unprintable is escaped as in a Python bytes literal."""
    text = line.decode("latin-1")
    return text if text.isascii() and text.isprintable() else repr(line)[2:-1]
