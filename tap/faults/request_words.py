"""Changing the words of a request."""

from __future__ import annotations

from collections.abc import Sequence


def capable(args: list[bytes], sign: str, name: bytes) -> tuple[list[bytes], str] | None:
    pairs = list(zip(args[1::2], args[2::2], strict=False))
    if all(option.lower() != b"capa" for option, _ in pairs):
        return None
    if sign == "+":
        if (b"capa", name) in pairs:
            return None
        return [*args, b"capa", name], f"capa {name.decode()} added"
    # No pair need be left: masters reply +OK to a bare REPLCONF (Redis 6.2 to 8.0, Valkey 8.1 to 9.1).
    left = [pair for pair in pairs if pair[0].lower() != b"capa" or pair[1].lower() != name.lower()]
    if len(left) == len(pairs):
        return None
    return [args[0], *(word for pair in left for word in pair)], f"capa {name.decode()} taken away"


def replaced(args: list[bytes], option: bytes, value: bytes, after: bytes = b"") -> tuple[list[bytes], str] | None:
    """Replace the option's value. after: if the option is missing, append it to a request that has this other option.

    Returns None where there is nothing to change.
    """
    names = [word.lower() for word in args[1::2]]
    if option in names:
        at = 2 + 2 * names.index(option)
        if at >= len(args) or args[at] == value:
            return None
        words = [*args[:at], value, *args[at + 1 :]]
        return words, f"{option.decode()} {value.decode()} instead of {shown(args[at : at + 1])}"
    if after and after in names:
        return [*args, option, value], f"{option.decode()} {value.decode()} added"
    return None


def encoded(words: Sequence[bytes]) -> bytes:
    """Encode words as a RESP array."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def shown(words: list[bytes]) -> str:
    return " ".join(repr(word)[2:-1] for word in words)
