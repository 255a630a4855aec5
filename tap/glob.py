"""Glob patterns for keys, in the syntax of KEYS and SCAN."""

import re
from collections.abc import Callable, Iterable


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    r"""A function that says whether a key matches the pattern.

    * any bytes, ? one byte, [ab] [a-z] [^a] one byte of a set, \ the next byte literally. A set without its closing
    bracket extends to the end of the pattern. Source: Redis 7.0 util.c, stringmatchlen.
    """
    parts = [bytearray()]  # between the stars; each matches a fixed number of bytes
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            parts.append(bytearray())
        elif byte == b"?":
            parts[-1] += b"."
        elif byte == b"[":
            members, at = _set(pattern, at)
            parts[-1] += members
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            parts[-1] += re.escape(byte)
    first, *others = parts
    # The first place where a part fits is as good as any: it leaves the most room for the rest. Atomic groups keep the
    # engine from trying the others, which would take practically forever with 20 stars.
    between = b"".join(b"(?>.*?%b)" % bytes(part) for part in others[:-1] if part)
    compiled = re.compile(bytes(first) + between + (b".*" + others[-1] if others else b""), re.DOTALL)
    return lambda key: compiled.fullmatch(key) is not None


def _set(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The set whose opening bracket is before *at*, as a regular expression, and the place after its end."""
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
    """The longest literal prefix that all keys matching any of the patterns share."""
    plain = [re.split(rb"[*?\[\\]", pattern, maxsplit=1)[0] for pattern in patterns]
    if not plain:
        return b""
    first, last = min(plain), max(plain)  # the prefix these two share is shared by all between them
    same = next((at for at, byte in enumerate(first) if byte != last[at]), len(first))
    return first[:same]
