"""`--redact` applied to requests, and to replies before the stream: only the words of replication stay.

Everything else is masked at equal length as it comes, because the requests and replies of clients are data.
"""

from __future__ import annotations

from tap.replication.acks import are_acknowledgements
from tap.replication.passwords import QUOTES

_LONGEST_NAME = 16
_BLANK = b" \t\r\n"
_OPEN = frozenset({b"CLIENT", b"PSYNC", b"REPLCONF", b"SELECT", b"SYNC"})  # requests without data and secrets
_NAMES = _OPEN | {b"AUTH", b"HELLO", b"PING"}
_NO_NUMBER = bytes(byte if byte in b"*$0123456789\r\n" else 0x2A for byte in range(256))
_LINE_TYPES = b"+-:$"  # of replies, because a replica may send replies to its master
_REPLY_TYPES = b"+-:$*%~>|!=#,(_\r\n"


class StrictMasker:
    """Follows requests in the form of RESP arrays or inline lines; anything else is treated as lines.

    Only requests of a replica stay. All others are masked, including the names of their commands.
    """

    def __init__(self) -> None:
        self._line = bytearray()  # in an array the heading of it or of an argument; in an inline request its name
        self._words_left = 0  # of an array
        self._bulk_left = 0  # bytes of the argument, including its CRLF
        self._bulk_size = 0
        self._word = 0  # the number of the current word
        self._name = bytearray()
        self._inline = False
        self._inline_blank = True
        self._blind = False

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte certainly begins a request."""
        return not (self._line or self._words_left or self._inline or self._blind)

    def mask(self, data: bytes) -> bytes:
        """The data with secrets replaced by as many asterisks."""
        if self._blind:
            if not are_acknowledgements(data):
                return b"*" * len(data)
            self._blind = False
            self._line.clear()
        if self.is_between_requests and are_acknowledgements(data):
            return data
        out = bytearray(data)
        at = 0
        while at < len(out):
            if self._bulk_left:
                at = self._argument(out, at)
            elif self._inline:
                at = self._inline_bytes(out, at)
            else:
                at = self._heading(out, at)
        return bytes(out)

    def lost(self) -> None:
        """Note that bytes were not seen: everything is masked until acknowledgements come."""
        self.__init__()  # type: ignore[misc]
        self._blind = True

    def _heading(self, out: bytearray, at: int) -> int:
        """Read a line that begins an array, one of its arguments, or an inline request."""
        if not self._line and not self._words_left and out[at] != 0x2A:
            self._inline, self._inline_blank, self._word = True, True, -1
            self._name.clear()
            return at
        end = out.find(b"\n", at)
        stop = len(out) if end < 0 else end + 1
        self._line += out[at:stop]
        out[at:stop] = out[at:stop].translate(_NO_NUMBER)
        if end < 0 and len(self._line) <= 32:
            return stop
        line = bytes(self._line)
        kind, number = line[:1], line[1:].strip()
        self._line.clear()
        if not number.isdigit() or len(number) > 12 or len(line) > 32 or kind != (b"$" if self._words_left else b"*"):
            self._words_left = 0  # a protocol error, at which a server closes the connection
            if end < 0:
                self._inline, self._inline_blank, self._word = True, False, 0
        elif kind == b"*":
            self._words_left, self._word = int(number), 0
            self._name.clear()
        else:
            self._bulk_size = int(number)
            self._bulk_left = self._bulk_size + 2
        return stop

    def _argument(self, out: bytearray, at: int) -> int:
        stop = min(len(out), at + self._bulk_left)
        done = self._bulk_size + 2 - self._bulk_left
        text_stop = min(stop, at + max(0, self._bulk_size - done))
        if self._word == 0:
            for number in range(at, text_stop):
                self._name_byte(out, number)
        elif self._is_secret:
            out[at:text_stop] = b"*" * (text_stop - at)
        self._bulk_left -= stop - at
        if not self._bulk_left:
            self._words_left -= 1
            self._word += 1
        return stop

    def _inline_bytes(self, out: bytearray, at: int) -> int:
        while at < len(out):
            byte = out[at]
            blank = byte in _BLANK
            if byte == 0x0A:
                self._inline = False
                return at + 1
            if not blank:
                self._word += self._inline_blank
                if self._word == 0:
                    self._name_byte(out, at)
                elif self._is_secret:
                    out[at] = 0x2A
            self._inline_blank = blank
            at += 1
        return at

    def _name_byte(self, out: bytearray, at: int) -> None:
        if len(self._name) <= _LONGEST_NAME:
            self._name.append(out[at])
        name = bytes(self._name).upper()
        if not any(one.startswith(name) for one in _NAMES):
            # An asterisk at the beginning of a line would turn it into an array, which a reader cannot follow.
            begins = self._inline and len(self._name) == 1
            out[at] = 0x2A if not begins else out[at] if out[at] in _LINE_TYPES else 0x78

    @property
    def _is_secret(self) -> bool:
        name = bytes(self._name).strip(b"\"'").upper()
        return name not in _OPEN and not (name == b"HELLO" and self._word == 1)  # the version of the protocol


class ReplyMasker:
    """Follows the replies of a master before its stream: first lines stay, the contents of bulk strings are masked.

    An error stays only up to its first quote: what follows may repeat words of a request.
    """

    def __init__(self) -> None:
        self._line = bytearray()  # the beginning of the current line
        self._quoted = False  # inside an error, after its first quote
        self._bulk_left = 0  # bytes of the bulk string, including its CRLF

    def mask(self, data: bytes) -> bytes:
        out = bytearray(data)
        at = 0
        while at < len(out):
            if self._bulk_left:
                stop = min(len(out), at + self._bulk_left)
                text_stop = max(at, min(stop, at + self._bulk_left - 2))
                out[at:text_stop] = b"*" * (text_stop - at)
                self._bulk_left -= stop - at
                at = stop
                continue
            end = out.find(b"\n", at)
            stop = len(out) if end < 0 else end + 1
            self._line += out[at : min(stop, at + 32 - len(self._line))]
            if self._line[0] not in _REPLY_TYPES:
                out[at:stop] = b"*" * (stop - at)
            elif self._line[0] == 0x2D:
                self._mask_error(out, at, stop)
            if end >= 0:
                size = self._line[1:].strip()
                if self._line[0] in b"$=!" and size.isdigit():
                    self._bulk_left = int(size) + 2
                self._line.clear()
                self._quoted = False
            at = stop
        return bytes(out)

    def _mask_error(self, out: bytearray, at: int, stop: int) -> None:
        for number in range(at, stop):
            if self._quoted and out[number] not in b"\r\n":
                out[number] = 0x2A
            elif out[number] in QUOTES:
                self._quoted = True
