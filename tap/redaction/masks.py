"""Removes passwords from the requests of replicas and clients, and from the replies to them, at equal length.

Requests: tap.replication.passwords knows whether a word is a secret before its bytes arrive, so bytes are masked as they
come, however they are split. Replies are masked only on connections that have asked for something with passwords in it.
Passwords in them are recognized by what precedes them: matching replies to requests would mean to understand everything
that a client can do.
"""

from __future__ import annotations

import re

from tap.replication.acks import are_acknowledgements
from tap.replication.passwords import LONGEST, QUOTES, RULE, RULES, SECRET, SECRETIVE, SETTING, Secrets

_BLANK = b" \t\r\n\0"
_BEFORE_WORDS = b" \t\r\v\f\0"  # Redis 7.0 sds.c, sdssplitargs
_HEX = b"0123456789abcdefABCDEF"
_ESCAPED_CONTROLS = b"nrtba"
_CONTROL = 0x0A  # stands for all of them: no name has any

# These skip complete requests without secrets, which are most bytes of ordinary clients.
_HEAD = re.compile(rb"\*([1-9]\d{0,5})\r\n\$([1-9]\d?)\r\n")
_ARGUMENT = re.compile(rb"\$(\d{1,9})\r\n")
_NO_LENGTH = re.compile(rb"[^0-9\r]")
_LONGEST_LENGTH = 16
# After bytes that were not seen, only this proves that a request begins.
_REQUEST = re.compile(rb"\n\*[1-9]\d{0,5}\r\n\$[1-9]\d?\r\n")
_REQUEST_SIZE = 32  # bytes that the pattern can match at the most


class Masker:
    """Follows requests in the form of RESP arrays or inline lines; anything else is treated as lines.

    asked: the secrets that replies may contain from now on, see passwords.Secrets.reply and may_be_repeated.
    """

    def __init__(self) -> None:
        self.asked: set[str | int] = set()
        self._secrets = Secrets()
        self._begin()

    def _begin(self) -> None:
        self._line = bytearray()  # the beginning of an incomplete heading
        self._words_left = 0  # of an array
        self._implicit = False  # there is no array, only an argument
        self._bulk_left = 0  # bytes of the argument, including its CRLF
        self._bulk_size = 0
        self._word = bytearray()  # the beginning of the current word
        self._inline = False
        self._in_word = False  # inside a word of an inline request; its quote and escape follow
        self._quote = 0
        self._escape = b""
        self._blind = False
        self._tail = b""  # the last bytes before they were masked
        self._secrets.clear()

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte certainly begins a request."""
        return not (self._line or self._words_left or self._inline or self._blind)

    def resume(self, name: bytes, words_left: int) -> None:
        """Go on after the name of a request: the next byte begins the remaining *words_left* words."""
        self._begin()
        self._secrets.follow(name)
        self._words_left = words_left

    def mask(self, data: bytes) -> bytes:
        """The data with secrets replaced by as many asterisks."""
        if self.is_between_requests and (are_acknowledgements(data) or _after_plain(data, 0) == len(data)):
            return data
        return bytes(self._masked(data, one=False))

    def mask_one(self, data: bytes) -> bytes:
        """As mask(), but only to the end of the current request."""
        return bytes(self._masked(data, one=True))

    def _masked(self, data: bytes, *, one: bool) -> bytearray:
        out = bytearray(data)
        at = 0
        while at < len(out):
            if self._blind:
                at = self._seek(out, at, data)
            elif self._bulk_left:
                at = self._argument(out, at)
            elif self._inline:
                at = self._inline_bytes(out, at)
            else:
                if not self._line and not self._words_left:
                    begin, at = at, _after_plain(data, at)
                    if at > begin:
                        self._secrets.clear()
                        continue
                at = self._heading(out, at)
            if one and self.is_between_requests:
                return out[:at]
        return out

    def lost(self) -> None:
        """Note that bytes were not seen: everything is masked until a request certainly begins."""
        self._begin()
        self._blind = True
        self.asked |= {"settings", "hashes", "errors"}  # the bytes may have asked for any of these

    def _seek(self, out: bytearray, at: int, data: bytes) -> int:
        """Mask everything up to a line that begins an array, and read the array's heading."""
        seen = self._tail + data[at:]
        found = _REQUEST.search(seen)
        stop = len(data) if found is None else at + found.end() - len(self._tail)
        begin = stop if found is None else at + found.start() + 1 - len(self._tail)
        for number in range(at, begin if begin >= at else stop):
            if out[number] not in _BLANK:
                out[number] = 0x2A
        self._tail = seen[-_REQUEST_SIZE:]
        if found is not None:
            count, size = found[0][2:].split(b"\r\n$")
            self._begin()
            self._words_left, self._bulk_size = int(count), int(size)
            self._bulk_left = self._bulk_size + 2
        return stop

    def _heading(self, out: bytearray, at: int) -> int:
        """Read a line that begins an array, one of its arguments, or an inline request.

        An argument that no array has announced belongs to the request before it: garbage may have swallowed the array's
        heading, or a wrong count may have ended the array.
        """
        if not self._line:
            if not self._words_left and out[at] != 0x24:
                self._secrets.clear()
            if out[at] not in b"*$" and not self._words_left:
                return self._begin_line(at, b"")
        end = _NO_LENGTH.search(out, at if self._line else at + 1)
        stop = len(out) if end is None else end.start()
        self._line += out[at:stop]
        if end is None and len(self._line) <= _LONGEST_LENGTH:
            return stop
        line, is_whole = bytes(self._line), stop < len(out) and out[stop] == 0x0A
        self._line.clear()
        number, kind = line[1:].rstrip(b"\r"), line[:1]
        is_number = number.isdigit() and len(line) <= _LONGEST_LENGTH
        if not is_whole or not is_number or kind not in (b"*$" if not self._words_left else b"$"):
            self._words_left = 0  # a protocol error, at which a server closes the connection
            return self._begin_line(stop, line)
        self._implicit = kind == b"$" and not self._words_left
        if kind == b"*":
            self._words_left = int(number)
        else:
            self._words_left = max(self._words_left, 1)
            self._bulk_size = int(number)
            self._bulk_left = self._bulk_size + 2
            self._word.clear()
        return stop + 1

    def _begin_line(self, at: int, word: bytes) -> int:
        """Start an inline request; *word*: its beginning, if that has been read."""
        self._inline, self._in_word, self._quote, self._escape = True, bool(word), 0, b""
        self._word[:] = word[:LONGEST]
        return at

    def _argument(self, out: bytearray, at: int) -> int:
        stop = min(len(out), at + self._bulk_left)
        done = self._bulk_size + 2 - self._bulk_left
        text_stop = min(stop, at + max(0, self._bulk_size - done))
        self._word += out[at : min(text_stop, at + LONGEST - len(self._word))]
        if self._secrets.next == SECRET:
            out[at:text_stop] = b"*" * (text_stop - at)
        elif self._secrets.next == RULE and self._word[:1] and self._word[0] in RULES:
            begin = at if done else at + 1
            out[begin:text_stop] = b"*" * max(0, text_stop - begin)
        ends = out[text_stop:stop]
        self._bulk_left -= stop - at
        if ends and ends != b"\r\n"[2 - self._bulk_left - len(ends) : 2 - self._bulk_left]:
            out[text_stop:stop] = b"*" * len(ends)
            self.lost()  # its size is wrong, so the beginning of the next word is unknown
        elif not self._bulk_left:
            self._words_left -= 1
            self._end_word()
        return stop

    def _end_word(self) -> None:
        secrets = self._secrets
        secrets.follow(bytes(self._word), typed=self._inline, restarts=self._implicit)
        self._word.clear()
        if secrets.reply is not None:
            self.asked.add(secrets.reply)
        if (errors := secrets.may_be_repeated) is not None:
            self.asked.add(errors)

    def _inline_bytes(self, out: bytearray, at: int) -> int:
        while at < len(out):
            byte = out[at]
            if byte == 0x0A:
                if self._in_word:
                    self._end_word()
                self._inline = self._in_word = False
                return at + 1
            if self._quote:
                self._in_quotes(out, at)
            elif byte in _BLANK or (not self._in_word and byte in _BEFORE_WORDS):
                if self._in_word:
                    self._end_word()
                    self._in_word = False
            elif byte in b"\"'":
                self._in_word, self._quote = True, byte
                self._raw(out, at)
            else:
                self._in_word = True
                self._decoded(out, at, byte)
            at += 1
        return at

    def _in_quotes(self, out: bytearray, at: int) -> None:
        """Take a byte between quotes. Source: Redis 7.0 sds.c, sdssplitargs."""
        byte, escape = out[at], self._escape + out[at : at + 1]
        if not self._escape:
            if byte == 0x5C:
                self._escape = escape
                self._raw(out, at)
            elif byte == self._quote:
                self._quote = 0
                self._raw(out, at)
            else:
                self._decoded(out, at, byte)
            return
        if self._quote == 0x22 and (escape == b"\\x" or (len(escape) == 3 and byte in _HEX)):
            self._escape = escape
            self._raw(out, at)
            return
        self._escape = b""
        if len(escape) == 4 and byte in _HEX:
            self._decoded(out, at, bytes.fromhex(escape[2:].decode())[0])
        else:
            self._decoded(out, at, _CONTROL if byte in _ESCAPED_CONTROLS else byte)

    def _decoded(self, out: bytearray, at: int, character: int) -> None:
        """Take a byte of a line that is this character of the word, or ends its escape."""
        self._raw(out, at)
        if len(self._word) < LONGEST:
            self._word.append(character)

    def _raw(self, out: bytearray, at: int) -> None:
        """Take a byte of a line, whether it is a character of the word or only quotes it."""
        kind = self._secrets.next
        if kind == SECRET or (kind == RULE and self._word[:1] and self._word[0] in RULES):
            out[at] = 0x2A


def _after_plain(data: bytes, at: int) -> int:
    """The start of the first request from *at* on that is incomplete or may contain secrets."""
    while (head := _HEAD.match(data, at)) is not None:
        end = head.end() + int(head[2])
        if data[head.end() : end].upper() in SECRETIVE or data[end : end + 2] != b"\r\n":
            return at
        end += 2
        for _ in range(int(head[1]) - 1):
            argument = _ARGUMENT.match(data, end)
            if argument is None:
                return at
            end = argument.end() + int(argument[1])
            if data[end : end + 2] != b"\r\n":
                return at
            end += 2
        at = end
    return at


# ---- replies ----

# A name in the reply to CONFIG GET, and the heading of its value; the heading of a hash, as in ACL GETUSER and GENPASS.
_VALUE = rb"\r\n[^\r\n]{0,64}(?:" + SETTING + rb")[^\r\n]{0,64}\r\n[$=](?P<value>\d{1,9})\r\n"
_HASH = rb"\$(?P<digits>%b)\r\n"
_LISTED = rb" (?P<listed>#)"  # a hash in ACL LIST
_ERROR = rb"\n-[^\r\n]{0,160}?(?P<error>[" + QUOTES + rb"])"
_NO_AUTH = rb"\n-[^\r\n]{0,80}[" + QUOTES + rb"]AUTH[" + QUOTES + rb"][^\r\n]{0,160}?(?P<error>[" + QUOTES + rb"])"
# Bytes of replies searched for the one to AUTH, which most clients send first, and send no other secrets.
_AUTH_WITHIN = 2**18
_REMEMBERED = 512  # bytes; more than any of these patterns matches

_NO_DIGITS = bytes(0x2A if byte in _HEX else byte for byte in range(256))
_HASH_DIGITS = 64  # SHA-256
_NO_HEX = re.compile(rb"[^0-9a-fA-F]")
_BREAK = re.compile(rb"[\r\n]")
# After bytes that were not seen: the end of a line, and the beginning of a reply that is not a string. Lists of passwords
# have no such reply between a name and its value.
_NO_STRING = re.compile(rb"\r\n[-+:*%~>_,#(]")
_UNSEEN = bytes(byte if byte in b"\r\n" else 0x2A for byte in range(256))


class Replies:
    """Masks the secrets in replies that the client has asked for."""

    def __init__(self) -> None:
        self._asked: frozenset[str | int] = frozenset()
        self._auth_left = 0  # bytes, see _AUTH_WITHIN
        self._pattern: re.Pattern[bytes] | None = None
        self._before = b"\n"  # the last bytes that were seen
        self._left = 0  # bytes left of the current secret
        self._digits = False  # mask only its hexadecimal digits
        self._ends: re.Pattern[bytes] | None = None  # what ends a secret whose size is not given
        self._blind = False

    def lost(self) -> None:
        """Note that bytes were not seen: everything is masked until a reply begins that is not a string.

        The next bytes may be the value of a secret whose name was among them.
        """
        self._left, self._digits, self._ends = 0, False, None
        self._before = b""
        self._blind = True

    @property
    def is_looking(self) -> bool:
        return self._pattern is not None

    def look_for(self, asked: set[str | int]) -> None:
        """Look for the secrets that a Masker has in *asked*; "auth" is removed from it."""
        if "auth" in asked:
            asked.discard("auth")
            self._auth_left = _AUTH_WITHIN
        elif asked == self._asked:
            return
        self._asked = frozenset(asked)
        if self._pattern is None:
            self._before = b"\n"
        self._compile()

    def _compile(self) -> None:
        asked = self._asked
        sizes = {size for size in asked if isinstance(size, int)} | ({_HASH_DIGITS} if "hashes" in asked else set())
        patterns = [_VALUE] if "settings" in asked else []
        patterns += [_LISTED] if "hashes" in asked else []
        patterns += [_ERROR] if "errors" in asked else [_NO_AUTH] if self._auth_left else []
        patterns += [_HASH % b"|".join(b"%d" % size for size in sorted(sizes))] if sizes else []
        self._pattern = re.compile(b"|".join(patterns), re.IGNORECASE) if patterns else None

    def mask(self, data: bytes) -> bytes:
        """The next bytes with secrets masked."""
        if self._pattern is None:
            return data
        if self._blind:
            return self._seek(data)
        out, seen, before = bytearray(data), self._before + data, len(self._before)
        done = before + self._go_on(out, 0)
        at = max(0, done - _REMEMBERED)
        while (found := self._pattern.search(seen, at)) is not None:
            at = found.start() + 1
            if found.end() > done:
                self._begin(found)
                done = before + self._go_on(out, found.end() - before)
        self._before = seen[-_REMEMBERED:]
        if self._auth_left:
            self._auth_left = max(0 if self._ends is None else 1, self._auth_left - len(data))
            if not self._auth_left:
                self._compile()
        return bytes(out)

    def _seek(self, data: bytes) -> bytes:
        seen = self._before + data
        found = _NO_STRING.search(seen)
        if found is None:
            self._before = seen[-2:]
            return data.translate(_UNSEEN)
        stop = found.end() - 1 - len(self._before)
        self._blind, self._before = False, b"\n"
        return data[:stop].translate(_UNSEEN) + self.mask(data[stop:])

    def _begin(self, found: re.Match[bytes]) -> None:
        size = found.groupdict().get("value") or found.groupdict().get("digits")
        self._left = int(size or 0)
        self._digits = found.lastgroup in ("digits", "listed")
        self._ends = {"listed": _NO_HEX, "error": _BREAK}.get(str(found.lastgroup))

    def _go_on(self, out: bytearray, at: int) -> int:
        """Mask the current secret. Returns where the rest begins."""
        stop = min(len(out), at + self._left)
        if self._ends is not None:
            end = self._ends.search(out, at)
            stop = len(out) if end is None else end.start()
            self._ends = self._ends if end is None else None
        else:
            self._left -= stop - at
        out[at:stop] = out[at:stop].translate(_NO_DIGITS) if self._digits else b"*" * (stop - at)
        return stop
