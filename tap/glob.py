"""Patterns for keys, as KEYS and SCAN take them."""

import re
from collections.abc import Callable, Iterable


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    r"""Whether a key matches: * any bytes, ? one byte, [ab] [a-z] [^a] one of a set, \ takes the next byte as it is.

    Redis 7.0 util.c, stringmatchlen: a set that does not end reaches to the end of the pattern.
    """
    found = b""
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            found += b".*"
        elif byte == b"?":
            found += b"."
        elif byte == b"[":
            members, at = _set(pattern, at)
            found += members
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            found += re.escape(byte)
    compiled = re.compile(found, re.DOTALL)
    return lambda key: compiled.fullmatch(key) is not None


def _set(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The set that begins behind its bracket, as a regular expression, and where it ends."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
            members.add(pattern[at])
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at], pattern[at + 2]))
            members |= set(range(low, high + 1))
            at += 2
        else:
            members.add(pattern[at])
        at += 1
    if not members:
        return (b"." if negated else rb"(?!)"), at + 1
    inside = b"".join(re.escape(bytes([member])) for member in sorted(members))
    return b"[" + (b"^" if negated else b"") + inside + b"]", at + 1


def prefix(patterns: Iterable[bytes]) -> bytes:
    """What every key begins with that matches one of them, as far as they say so plainly."""
    plain = [re.split(rb"[*?\[\\]", pattern, maxsplit=1)[0] for pattern in patterns]
    if not plain:
        return b""
    first, last = min(plain), max(plain)  # what these two share, all between them share
    same = next((at for at, byte in enumerate(first) if byte != last[at]), len(first))
    return first[:same]
