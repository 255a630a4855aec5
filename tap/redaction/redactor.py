# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Replaces keys or values in a command stream by text of the same length: the hot loop of `--redact`.

A redacted recording must stay useful: the same commands at the same offsets, readable by everything that reads RESP. So
the redactor changes no length and no framing, only the bytes of arguments:

    in    *3\r\n$3\r\nSET\r\n$6\r\nuser:7\r\n$5\r\nAlice\r\n
    out   *3\r\n$3\r\nSET\r\n$6\r\nuser:7\r\n$5\r\nkQ0bX\r\n      (--redact values)

Which arguments. grammars.py gives each command a code per argument: key, value, option, number and so on. The redactor
follows the RESP of the stream with a small state machine (arguments left, bytes left of this one) and looks up the code
of each argument. An argument that no grammar knows counts as a value.

By what. An argument becomes letters and digits drawn from a keyed hash of it (SipHash seeds a generator). Equal
arguments stay equal, so one can still follow a key through a recording; without the key, which is random and exists only
in memory, no guess can be tried. A number becomes a number of the same shape, and the braces of a key stay where a
Cluster looks for a hash tag.

How much must wait. The hash needs the argument, so its bytes are held until HASHED of them are there, or all. Of a
longer argument only the first HASHED bytes and its length count; the rest is replaced as it passes. Memory is therefore
bounded whatever the values are. What is held is not in the recording yet: flush() releases it when nothing follows, with
asterisks in place of whatever has not been decided.

What is not understood. After a byte that cannot be RESP everything becomes asterisks, up to the next flush(): the
redactor never guesses where a command might begin again.

Uncompiled, the hash is a different one; without the key nothing shows it.
"""

import hashlib
import re
from typing import Any

import cython

from tap.redaction.grammars import Grammar, Redact, grammars

COMPILED: bool = cython.compiled

# Leading bytes of an argument that are hashed; of the rest only the length counts.
HASHED = cython.declare(cython.longlong, 64 * 1024)
MOST_DIGITS = cython.declare(cython.longlong, 13)  # of a count or a length
LONGEST_NAME = cython.declare(cython.longlong, 48)
LONGEST_KEPT = cython.declare(cython.longlong, 64)  # no option, time, count or ID is longer
LONGEST_BOUND = cython.declare(cython.longlong, 4)  # of _BOUND_WORDS
LONGEST_NUMBER = cython.declare(cython.longlong, 40)
KEPT = cython.declare(cython.int, 61)  # the code of an option
INT64_DIGITS = cython.declare(cython.longlong, 19)
REPEATS = cython.declare(cython.longlong, 4096)  # bytes after which the letters of a long argument repeat

GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
MIX1 = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)
MIX2 = cython.declare(cython.ulonglong, 0x94D049BB133111EB)
SIP0 = cython.declare(cython.ulonglong, 0x736F6D6570736575)  # "somepseudorandomlygeneratedbytes"
SIP1 = cython.declare(cython.ulonglong, 0x646F72616E646F6D)
SIP2 = cython.declare(cython.ulonglong, 0x6C7967656E657261)
SIP3 = cython.declare(cython.ulonglong, 0x7465646279746573)
WORD = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TO_LETTERS = bytes(LETTERS[byte * 62 >> 8] for byte in range(256))
_UNFINISHED = re.compile(rb"[*$]?[0-9]*\r?\n?")
_ARGUMENT_END = re.compile(rb"\r")
_BOUND_WORDS = frozenset({b"+", b"-", b"inf", b"+inf", b"-inf"})


@cython.cclass
class Redactor:
    """Redacts one stream, from the beginning of a command on. Never raises on any bytes."""

    _grammars: Any
    _key: bytes
    _k0: cython.ulonglong
    _k1: cython.ulonglong
    _held: Any  # a bytearray: bytes that cannot be decided yet
    _needed: cython.longlong  # bytes that must be held before more can be decided
    _args_left: cython.longlong
    _number: cython.longlong  # index of the next argument
    _left: cython.longlong  # bytes left of the current argument; -1 between arguments
    _done: cython.longlong  # bytes of it that have been passed on
    _digest: cython.ulonglong
    _replaces: cython.bint  # whether the current argument is replaced
    _broken: cython.bint
    _name: bytes
    _last_name: bytes  # of the previous command, which most commands share
    _last: Any  # the grammar of that command
    _grammar: Any
    _codes: bytes
    _code: cython.longlong  # index of the next one in _codes
    _loop: cython.longlong  # index in _codes from which they repeat, -1 if they do not
    _in_options: cython.bint
    _listed: cython.longlong  # keys, or keys and values, that a count has announced and that are still to come
    _with_values: cython.bint
    _default: cython.int  # code of arguments that no grammar knows
    _key_code: cython.int

    def __init__(self, key: bytes, redact: frozenset[Redact]) -> None:
        """key: 16 random bytes."""
        self._grammars = grammars(redact)
        self._default = 118 if "values" in redact else 32
        self._key_code = 107 if "keys" in redact else 32
        self._key = key
        if cython.compiled:
            self._k0 = int.from_bytes(key[:8], "little")
            self._k1 = int.from_bytes(key[8:16], "little")
        self._held = bytearray()
        self._last_name = b""
        self._last = self._grammars[b""]
        self._begin()

    def _begin(self) -> None:
        self._needed = 1
        self._args_left = 0
        self._left = -1
        self._broken = False
        self._listed = 0

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take the next bytes. Returns, redacted, all held and new bytes that can be decided now."""
        held = self._held
        held += data
        if len(held) < self._needed:
            return b""
        done = self._redact(held, held)
        self._held = bytearray(memoryview(held)[done:])
        return bytes(memoryview(held)[:done])

    def flush(self) -> bytes:
        """Release the held bytes, redacted: nothing follows them. Afterwards a new stream or command may begin."""
        held = bytes(self._held)
        self._held = bytearray()
        # After the stated length of an argument, anything but its CR is more of the argument, so it is data.
        match = (_ARGUMENT_END if self._left == 0 else _UNFINISHED).match(held)
        kept = match.end() if match else 0
        self._begin()
        return held[:kept] + b"*" * (len(held) - kept)

    @cython.cfunc
    @cython.locals(view="unsigned char[::1]", p=cython.p_uchar, at=cython.longlong, n=cython.longlong)
    @cython.locals(number=cython.longlong, body=cython.longlong, take=cython.longlong)
    def _redact(self, held: bytearray, view: Any) -> int:
        """Redact in place. Returns the number of bytes that are done."""
        n = len(held)
        p = cython.address(view[0]) if cython.compiled else held
        at = 0
        while at < n:
            if self._broken:
                self._blank(p, at, n)
                at = n
            elif self._left > 0:
                take = min(self._left, n - at)
                if self._replaces:
                    self._fill(p, at, take, self._done)
                self._done += take
                self._left -= take
                at += take
            elif self._left == 0:
                if n - at < 2:
                    self._needed = 2
                    return at
                if p[at] != 13 or p[at + 1] != 10:
                    self._broken = True
                    continue
                self._left = -1
                self._args_left -= 1
                at += 2
            elif self._args_left == 0:
                if p[at] == 10:
                    at += 1
                elif p[at] == 13:
                    if n - at < 2:
                        self._needed = 2
                        return at
                    if p[at + 1] != 10:
                        self._broken = True
                        continue
                    at += 2
                else:
                    body = self._line(p, at, n, 42)
                    if body == -1:
                        if self._broken:
                            continue
                        return at
                    self._args_left = self._done
                    self._number = 0
                    at = body
            else:
                body = self._line(p, at, n, 36)
                if body == -1:
                    if self._broken:
                        continue
                    return at
                number = self._done
                if n - body < min(number, HASHED):
                    self._needed = body - at + min(number, HASHED)
                    return at
                self._argument(p, body, number)
                self._number += 1
                self._done = min(number, HASHED)
                self._left = number - self._done
                at = body + self._done
        self._needed = 1
        return at

    @cython.cfunc
    @cython.exceptval(check=False)
    @cython.locals(p=cython.p_uchar, at=cython.longlong, n=cython.longlong, kind=cython.int)
    @cython.locals(i=cython.longlong, number=cython.longlong)
    def _line(self, p: Any, at: cython.longlong, n: cython.longlong, kind: cython.int) -> cython.longlong:
        """The end of the line at *at*, which is *kind* and a number, left in _done. -1: incomplete, or broken."""
        number = 0
        i = at + 1
        if p[at] == kind:
            while i < n and 48 <= p[i] <= 57 and i - at <= MOST_DIGITS:
                number = number * 10 + p[i] - 48
                i += 1
            if i == n:
                self._needed = i - at + 1
                return -1
            if p[i] == 13 and i > at + 1:
                if i + 1 == n:
                    self._needed = i - at + 2
                    return -1
                if p[i + 1] == 10:
                    self._done = number
                    return i + 2
        self._broken = True
        return -1

    # ---- the kinds of arguments ----

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong, code=cython.int, word=bytes)
    def _argument(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        """Redact the argument of *size* bytes at *at*; all of them are there, or at least HASHED bytes."""
        self._replaces = False
        if self._number == 0:
            if size > LONGEST_NAME:
                self._name = b""
                self._letters(p, at, size)
            else:
                self._name = bytes(p[at : at + size])
            if self._name != self._last_name:
                self._last_name = self._name
                self._last = self._grammars.get(self._name.upper()) or self._grammars[b""]
            self._follow(self._last)
            return
        code = self._next_code(p, at, size)
        if code == 32:
            return
        if code == 118:  # v
            self._data(p, at, size)
        elif code == 107:  # k
            self._keyword(p, at, size)
        elif code == 114:  # r
            self._bound(p, at, size)
        elif code == 98:  # b
            if size == 1:
                self._hash(p, at, size)
                p[at] = 48 + (self._byte(0) & 1)
            else:
                self._letters(p, at, size)
        elif code == 115:  # s
            word = bytes(p[at : at + min(size, LONGEST_NAME)]).upper()
            grammar = self._grammars.get(self._name.upper() + b"|" + word)
            if grammar is None:
                self._letters(p, at, size)
            self._follow(grammar or self._grammars[b""])
            if grammar is not None:
                self._next_code(p, at, size)  # skip the code of the subcommand itself
        elif size > LONGEST_KEPT:
            self._letters(p, at, size)
        elif code == 110 or code == 112:  # n, p
            word = bytes(p[at : at + size])
            self._with_values = code == 112
            if word.isdigit() and size < 10:
                self._listed = int(word) * (2 if self._with_values else 1)

    @cython.cfunc
    def _follow(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._codes = grammar.first
        self._code = 0
        self._loop = -1
        self._in_options = True
        self._listed = 0

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong, code=cython.int)
    def _next_code(self, p: Any, at: cython.longlong, size: cython.longlong) -> cython.int:
        if self._listed:
            self._listed -= 1
            return self._key_code if not self._with_values or self._listed & 1 else self._default
        if self._code == len(self._codes) and self._in_options:
            options: dict[bytes, bytes] = self._grammar.options
            if options and size <= LONGEST_NAME:
                following = options.get(bytes(p[at : at + size]).upper())
                if following is not None:
                    self._codes = following
                    self._code = 0
                    return KEPT
            if self._grammar.rest:
                self._in_options = False
                self._codes = self._grammar.rest
                self._code = 0
                self._loop = self._grammar.loop
        if self._code == len(self._codes):
            if self._loop < 0:
                return self._default
            self._code = self._loop
        code = self._codes[self._code]
        if code != 109 or size != 1 or (p[at] != 61 and p[at] != 126):
            self._code += 1
        return code

    # ---- replacements ----

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong)
    def _letters(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        self._hash(p, at, size)
        self._replaces = True
        self._fill(p, at, min(size, HASHED), 0)

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong)
    @cython.locals(i=cython.longlong, begin=cython.longlong, end=cython.longlong)
    def _keyword(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        """Replace a key. If it has text between its first { and the next }, that text decides its slot in a Cluster."""
        begin = end = -1
        if size <= HASHED:
            i = at
            while i < at + size and p[i] != 123:
                i += 1
            begin = i
            while i < at + size and p[i] != 125:
                i += 1
            end = i if i < at + size else -1
        if end <= begin + 1:
            self._letters(p, at, size)
            return
        self._hash(p, at, size)
        self._fill(p, at, begin - at, 0)
        self._fill(p, end + 1, at + size - end - 1, end + 1 - at)
        self._letters(p, begin + 1, end - begin - 1)

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong)
    def _bound(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        if size and (p[at] == 40 or p[at] == 91):  # ( and [
            at += 1
            size -= 1
        if size > LONGEST_BOUND or bytes(p[at : at + size]).lower() not in _BOUND_WORDS:
            self._data(p, at, size)

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong, byte=cython.int)
    @cython.locals(i=cython.longlong, begin=cython.longlong, whole=cython.longlong, end=cython.longlong)
    def _data(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        if size > LONGEST_NUMBER or not size:
            self._letters(p, at, size)
            return
        end = at + size
        begin = at + 1 if p[at] == 43 or p[at] == 45 else at
        whole = _digits(p, begin, end)
        i = whole
        if i < end and p[i] == 46:
            i = _digits(p, i + 1, end)
        if whole == begin or (i < end and not _is_exponent(p, i, end)):
            self._letters(p, at, size)
            return
        self._hash(p, at, size)
        end = i
        for i in range(begin, end):
            if p[i] == 46:
                continue
            byte = self._byte(i - at)
            if i > begin or p[i] == 48 or (whole - begin == 1 and begin == at):
                p[i] = 48 + (byte * 10 >> 8)
            elif whole - begin < INT64_DIGITS:
                p[i] = 49 + (byte * 9 >> 8)  # no leading 0: servers would not take it for a number
            else:
                p[i] = 49

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, i=cython.longlong)
    def _blank(self, p: Any, begin: cython.longlong, end: cython.longlong) -> None:
        for i in range(begin, end):
            p[i] = 42

    # ---- the hash ----

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong)
    def _hash(self, p: Any, at: cython.longlong, size: cython.longlong) -> None:
        """Set _digest to that of the *size* bytes at *at*."""
        if cython.compiled:
            self._digest = _siphash(self._k0, self._k1, cython.address(p[at]), min(size, HASHED), size)
        else:
            digest = hashlib.blake2b(p[at : at + min(size, HASHED)], key=self._key, salt=size.to_bytes(8, "little"))
            self._digest = int.from_bytes(digest.digest()[:8], "little")

    @cython.cfunc
    @cython.exceptval(check=False)
    @cython.locals(position=cython.longlong)
    def _byte(self, position: cython.longlong) -> cython.int:
        """A byte of the digest's sequence."""
        return _mixed(self._digest, position >> 3) >> (8 * (position & 7)) & 0xFF

    @cython.cfunc
    @cython.locals(p=cython.p_uchar, at=cython.longlong, size=cython.longlong, position=cython.longlong)
    @cython.locals(x=cython.ulonglong, end=cython.longlong, digest=cython.ulonglong)
    @cython.locals(alphabet=bytes, letters=cython.p_const_uchar, begin=cython.longlong, stop=cython.longlong)
    def _fill(self, p: Any, at: cython.longlong, size: cython.longlong, position: cython.longlong) -> None:
        """Write letters of the digest's sequence, from number *position* on."""
        if cython.compiled:
            alphabet = LETTERS
            letters = alphabet
            digest = self._digest
            end = at + size
            begin = at
            while at < end:
                if at - begin >= REPEATS:
                    p[at] = p[at - REPEATS]
                    at += 1
                    continue
                x = _mixed(digest, (position & (REPEATS - 1)) >> 3) >> (8 * (position & 7))
                stop = min(end, at + 8 - (position & 7))
                position += stop - at
                while at < stop:
                    p[at] = letters[((x & 0xFF) * 62) >> 8]
                    x >>= 8
                    at += 1
            return
        begin = position % REPEATS
        drawn = hashlib.shake_128(self._digest.to_bytes(8, "little")).digest(min(begin + size, REPEATS))
        p[at : at + size] = (drawn.translate(_TO_LETTERS) * ((begin + size) // REPEATS + 1))[begin : begin + size]


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(p=cython.p_uchar)
def _digits(p: Any, at: cython.longlong, end: cython.longlong) -> cython.longlong:
    """The end of the digits that begin at *at*."""
    while at < end and 48 <= p[at] <= 57:
        at += 1
    return at


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(p=cython.p_uchar)
def _is_exponent(p: Any, at: cython.longlong, end: cython.longlong) -> cython.bint:
    if p[at] != 69 and p[at] != 101:
        return False
    at += 1
    if at < end and (p[at] == 43 or p[at] == 45):
        at += 1
    return at < end and _digits(p, at, end) == end


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(x=cython.ulonglong)
def _mixed(digest: cython.ulonglong, number: cython.longlong) -> cython.ulonglong:
    """Eight bytes of the digest's sequence: SplitMix64's finalizer."""
    x = (digest + GOLDEN * (number + 1)) & WORD
    x = ((x ^ (x >> 30)) * MIX1) & WORD
    x = ((x ^ (x >> 27)) * MIX2) & WORD
    return x ^ (x >> 31)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _turned(x: cython.ulonglong, by: cython.int) -> cython.ulonglong:
    """The bits of x, rotated left. Compiled only."""
    return (x << by) | (x >> (64 - by))


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(
    p=cython.p_uchar,
    v0=cython.ulonglong,
    v1=cython.ulonglong,
    v2=cython.ulonglong,
    v3=cython.ulonglong,
    m=cython.ulonglong,
    i=cython.longlong,
    left=cython.longlong,
    turn=cython.int,
    rounds=cython.int,
    _=cython.int,
)
def _siphash(
    k0: cython.ulonglong, k1: cython.ulonglong, p: Any, size: cython.longlong, whole: cython.longlong
) -> cython.ulonglong:
    """SipHash-2-4 (Aumasson, Bernstein, 2012) of the *size* bytes at p and, as a last word, of *whole*. Compiled only."""
    v0 = k0 ^ SIP0
    v1 = k1 ^ SIP1
    v2 = k0 ^ SIP2
    v3 = k1 ^ SIP3
    i = 0
    left = size // 8 + 3  # words: the data's, its last bytes, its length, and the end
    while left:
        left -= 1
        rounds = 2
        m = 0
        if left > 2:
            m = cython.cast("unsigned long long *", p + i)[0]
            i += 8
        elif left == 2:
            for turn in range(size - i):
                m |= cython.cast(cython.ulonglong, p[i + turn]) << (8 * turn)
        elif left == 1:
            m = whole
        else:
            v2 ^= 0xFF
            rounds = 4
        v3 ^= m
        for _ in range(rounds):
            v0 += v1
            v1 = _turned(v1, 13) ^ v0
            v0 = _turned(v0, 32)
            v2 += v3
            v3 = _turned(v3, 16) ^ v2
            v0 += v3
            v3 = _turned(v3, 21) ^ v0
            v2 += v1
            v1 = _turned(v1, 17) ^ v2
            v2 = _turned(v2, 32)
        v0 ^= m
    return v0 ^ v1 ^ v2 ^ v3
