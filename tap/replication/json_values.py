"""Values of dataclasses as JSON, and back: bytes, enums, tuples, dataclasses inside dataclasses.

Events and what they hold are written in this form in JSON lines, in a recording's comments and in exports.
"""

import base64
import dataclasses
import enum
import functools
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

BASE64 = "base64:"
_UNUSUAL = re.compile(r"[^ -~]")
_hints = functools.cache(typing.get_type_hints)


def plain(value: Any) -> Any:
    """The value for JSON: bytes by as_text(), dataclasses as objects, enums as their values."""
    if isinstance(value, bytes):
        return as_text(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [plain(inner) for inner in value]
    return value


def made(kind: Any, said: Mapping[str, Any]) -> Any:
    """The inverse of plain() for a dataclass. Unknown fields are ignored.

    Raises KeyError, TypeError or ValueError for missing fields and impossible values.
    """
    hints = _hints(kind)
    return kind(
        **{one.name: _valued(hints[one.name], said[one.name]) for one in dataclasses.fields(kind) if one.name in said}
    )


def _valued(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        return (
            None if value is None else _valued(next(one for one in typing.get_args(kind) if one is not type(None)), value)
        )
    if dataclasses.is_dataclass(kind):
        return made(kind, value)
    if typing.get_origin(kind) is tuple:  # of any length, all of one kind
        return tuple(_valued(typing.get_args(kind)[0], one) for one in _valued(list, value))
    if issubclass(kind, enum.Enum):
        return kind(value)
    if not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def as_text(data: bytes) -> str:
    """Bytes for JSON: always a string, so that a column of them has one type. as_bytes() is the inverse.

    UTF-8 text stays as it is. Other bytes, and text that begins with "base64:", become "base64:" and their base64.
    """
    try:
        said = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not said.startswith(BASE64):
            return said
    return BASE64 + base64.b64encode(data).decode()


def as_bytes(said: str) -> bytes:
    """The inverse of as_text(). Raises ValueError for a text that as_text() never returns."""
    return base64.b64decode(said[len(BASE64) :], validate=True) if said.startswith(BASE64) else said.encode()


def json_line(said: Any) -> str:
    """JSON in one line, with all unprintable characters escaped."""
    line = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return line if line.isprintable() else _UNUSUAL.sub(_escaped, line)


def _escaped(match: re.Match[str]) -> str:
    """The character as an escape of JSON (RFC 8259, section 7), unless it is printable."""
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
