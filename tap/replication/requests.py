"""What a replica sends: requests as RESP arrays or inline lines, and bare newlines between them.

Requests of the handshake, and acknowledgements, are small, so each request is collected whole, up to a limit.
"""

import re
from dataclasses import dataclass, replace

from tap.replication.events import Handshake
from tap.replication.passwords import hidden
from tap.replication.replies import readable
from tap.replication.strangers import WORDS

# A replica's longest request is a REPLCONF of twenty words, or an AUTH with a token as its password.
MAX_REQUEST = 16 * 1024
MAX_ARGUMENTS = 64
MAX_COUNT = 2**31 - 1  # a server's limit of words in one request: Redis 7.0 networking.c, processMultibulkBuffer

WORD_BYTES = 56  # memory of a short word, including its slot in a tuple; measured with CPython 3.11
SHORT_WORDS = 3  # words kept of a shortened request
SHORT_WORD = 32  # bytes kept of each of these words, enough for the name of any request of a replica
CUT = b"..."

_CRLF = b"\r\n"
_NEWLINES = re.compile(rb"\n+")

# Servers accept any bytes in a line. Requiring text detects other protocols at their first byte.
_NO_TEXT = re.compile(rb"[^\t\r\n\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Request:
    """args: the words, the name first. start <= i < end: positions of the request's bytes on the connection.

    given: the reply from a fault, in the master's place. sent: the words that the master receives instead of args, None
    if it receives args. is_short: args and sent are only the beginnings, without secrets; see shortened().
    """

    args: tuple[bytes, ...]
    start: int
    end: int
    inline: bool
    given: bytes | None = None
    sent: tuple[bytes, ...] | None = None
    is_short: bool = False

    @property
    def name(self) -> bytes:
        return self.args[0].upper()

    @property
    def memory(self) -> int:
        """Approximate memory of the request, in bytes."""
        words = (*self.args, *(self.sent or ()))
        return sum(map(len, words)) + WORD_BYTES * len(words)

    def shortened(self) -> "Request":
        """A copy with only the beginnings of the first words: a few hundred bytes, whatever the peer sent."""
        sent = None if self.sent is None else self._beginning(self.sent)
        return replace(self, args=self._beginning(self.args), sent=sent, is_short=True)

    def _beginning(self, words: tuple[bytes, ...]) -> tuple[bytes, ...]:
        first = hidden(words[:SHORT_WORDS], inline=self.inline)
        cut = tuple(word if len(word) <= SHORT_WORD else word[:SHORT_WORD] + CUT for word in first)
        return cut if len(words) <= SHORT_WORDS else (*cut, CUT)


@dataclass(frozen=True, slots=True)
class Newlines:
    """Bare newlines between requests: keepalives of a loading replica. again: they directly follow other newlines."""

    start: int
    end: int
    again: bool


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Bytes that are not a request. Nothing after them can be read."""

    start: int
    why: str


class RequestReader:
    """Splits the replica's bytes into requests, whatever chunks they arrive in.

    position: the first byte that is not yet part of a returned item; between two requests, the next byte to feed.
    """

    __slots__ = (
        "_after_newline",
        "_buffer",
        "_line_read",
        "is_lenient",
        "position",
    )

    def __init__(self, *, is_lenient: bool = False) -> None:
        """is_lenient: lines may have any bytes, as servers accept them: see replication/talkback.py."""
        self.position = 0
        self.is_lenient = is_lenient
        self._buffer = bytearray()
        self._line_read = 0  # bytes of an inline request at the front that are known to be text without a newline
        self._after_newline = False

    def feed(self, data: bytes | memoryview) -> None:
        self._buffer += data

    @property
    def rest(self) -> bytes:
        """The fed bytes from position on."""
        return bytes(self._buffer)

    def take_array(self) -> bytes:
        """Remove and return the fed bytes from position on, if they begin an array; else b""."""
        if not self._buffer.startswith(b"*"):
            return b""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def skip(self, size: int) -> None:
        """Advance over bytes that the caller has read itself, and not fed. Only between two requests."""
        self.position += size
        self._after_newline = False

    def next(self) -> Request | Newlines | Nonsense | None:
        """The next item, None if it is incomplete. Not to be called again after a Nonsense."""
        buffer = self._buffer
        while buffer:
            start = self.position
            first = buffer[0]
            if first == 0x0A:
                again, self._after_newline = self._after_newline, True
                return Newlines(start, self._take(_NEWLINES.match(buffer).end()), again)  # type: ignore[union-attr]
            self._after_newline = False
            found = self._array() if first == 0x2A else self._line()
            if isinstance(found, str):
                return Nonsense(start, found)
            if found is None:
                # A request that never ends must not be collected without limit. The second test below makes the result
                # the same for a request that arrives in one piece.
                return Nonsense(start, _too_long()) if len(buffer) > MAX_REQUEST else None
            args, size = found
            if size > MAX_REQUEST:
                return Nonsense(start, _too_long())
            end = self._take(size)
            if args:
                return Request(args, start, end, inline=first != 0x2A)
        return None

    def words_so_far(self, limit: int) -> tuple[bytes, ...]:
        """The first whole words, at most *limit*, of the incomplete or malformed request; in upper case."""
        buffer = self._buffer
        words: list[bytes] = []
        if not buffer.startswith(b"*"):
            end = buffer.find(b"\n", self._line_read, MAX_REQUEST)
            if end < 0 or _NO_TEXT.search(buffer, 0, end):
                return ()
            return tuple(bytes(buffer[:end]).upper().split(None, limit)[:limit])
        heading = self._number(0, MAX_COUNT)
        at = heading[1] if isinstance(heading, tuple) else 0
        while at and len(words) < limit and buffer[at : at + 1] == b"$":
            end = buffer.find(_CRLF, at)
            length = buffer[at + 1 : end]
            if end < 0 or not length.isdigit() or len(length) > 3 or len(buffer) < end + 2 + int(length):
                break
            words.append(bytes(buffer[end + 2 : end + 2 + int(length)]).upper())
            at = end + 2 + int(length) + 2
            if buffer[at - 2 : at] != _CRLF:
                break
        return tuple(words)

    def _take(self, size: int) -> int:
        del self._buffer[:size]
        self.position += size
        return self.position

    def _array(self) -> tuple[tuple[bytes, ...], int] | str | None:
        """The arguments and the size of the array at the front; None if it is incomplete; a str: what is wrong."""
        count = self._number(0, MAX_COUNT)
        if not isinstance(count, tuple):
            return count
        args: list[bytes] = []
        at = count[1]
        for number in range(count[0]):
            if number == WORDS and count[0] > MAX_ARGUMENTS:  # not sooner: the first words show what such a client is
                return f"a request of {count[0]} words, of {MAX_ARGUMENTS} at the most"
            if at >= len(self._buffer):
                return None
            if self._buffer[at] != 0x24:
                return f"byte 0x{self._buffer[at]:02x} where an argument's $ was expected"
            length = self._number(at, MAX_REQUEST)
            if not isinstance(length, tuple):
                return length
            at = length[1] + length[0]
            tail = self._buffer[at : at + 2]
            if tail != _CRLF[: len(tail)]:
                return "an argument that is longer than its length says"
            if len(tail) < 2:
                return None
            args.append(bytes(self._buffer[length[1] : at]))
            at += 2
        return tuple(args), at

    def _number(self, at: int, limit: int) -> tuple[int, int] | str | None:
        """The number after the type byte at *at*, and the end of its line; otherwise as _array()."""
        end = self._buffer.find(b"\n", at, at + 24)
        if end < 0:
            return "a length that never ends" if len(self._buffer) >= at + 24 else None
        digits = self._buffer[at + 1 : end - 1]
        if self._buffer[end - 1] != 0x0D or not digits.isdigit():
            return "a length that is not a number"
        if int(digits) > limit:
            return f"a length of {int(digits)}, of {limit} at the most"
        return int(digits), end + 1

    def _line(self) -> tuple[tuple[bytes, ...], int] | str | None:
        """As _array(), for an inline request: words up to a newline. If lenient, those beyond the limit are one word."""
        if self._buffer[0] == 0x16 and not self.is_lenient:
            return "byte 0x16: TLS, which is read only where the tap ends it: --listen-cert, and --tls for the master"
        end = self._buffer.find(b"\n", self._line_read, MAX_REQUEST)
        stop = end if end >= 0 else len(self._buffer)
        strange = None if self.is_lenient else _NO_TEXT.search(self._buffer, self._line_read, stop)
        if strange:
            return f"byte 0x{self._buffer[strange.start()]:02x} in an inline request"
        self._line_read = 0 if end >= 0 else stop
        if end < 0:
            return None
        words = bytes(self._buffer[:end]).split(None, MAX_ARGUMENTS)
        if len(words) > MAX_ARGUMENTS and not self.is_lenient:
            return f"a line of more than {MAX_ARGUMENTS} words"
        return tuple(words), end + 1


def _too_long() -> str:
    return f"a request of more than {MAX_REQUEST} bytes"


# Capabilities whose consequences this tap can read (replication.c of Redis 8.0 and Valkey 9.1), or that have none for
# what is read here: KeyDB's activeExpire, and dragonfly, which all masters but Dragonfly ignore.
UNDERSTOOD = frozenset(
    {"eof", "psync2", "rdb-channel-repl", "dual-channel", "skip-rdb-checksum", "activeexpire", "dragonfly"}
)

# Capabilities that make the master compress the RDB and the stream: in Valkey from 9.2 on, and in its pre-releases.
COMPRESSIONS = frozenset({"lz4", "zstd", "compression"})


def masked(request: Request) -> tuple[str, ...]:
    """The request's words as text, secrets replaced by ***; anything unprintable is escaped as in a bytes literal."""
    words = hidden(request.args, inline=request.inline)
    return tuple(repr(word)[2:-1].replace("\\\\", "\\") for word in words)


def exchange(request: Request | None, line: bytes | None) -> Handshake:
    """The event for a request and the first line of its reply, without secrets. None: that one is not known."""
    reply = None if line is None else readable(line)
    if request is None:
        return Handshake(start=0, end=0, request=(), reply=reply)
    sent = None if request.sent is None else masked(replace(request, args=request.sent))
    return Handshake(start=request.start, end=request.end, request=masked(request), reply=reply, sent=sent)
