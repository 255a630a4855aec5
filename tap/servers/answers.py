"""What servers answer about themselves, as Python values."""

from __future__ import annotations

import re
from typing import Any

from tap.servers.failures import NO_REPLY, InvalidReply

_NUMBER = re.compile(r"-?[0-9]{1,20}")


def settings(reply: Any, *, errors: str = "surrogateescape") -> dict[str, str]:
    """The values by name in an answer to CONFIG GET. errors: what becomes of bytes that are not UTF-8, as in decode().

    Raises InvalidReply.
    """
    if not isinstance(reply, list) or len(reply) % 2:
        raise InvalidReply(NO_REPLY)
    words = [text(word, errors=errors) for word in reply]
    return dict(zip(words[::2], words[1::2], strict=True))


def client_lines(reply: Any) -> list[dict[str, str]]:
    """The fields of each line in an answer to CLIENT LIST or CLIENT INFO."""
    lines = text(reply, errors="replace").splitlines()
    return [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines]


def text(word: Any, *, errors: str = "surrogateescape") -> str:
    return word.decode(errors=errors) if isinstance(word, bytes) else str(word or "")


def number(word: str | None) -> int | None:
    """A whole number; None for anything else."""
    return int(word) if word is not None and _NUMBER.fullmatch(word) else None
