"""How the JSON of requests is read: as Go's encoding/json does, on which clients and their users have come to rely.

Only the first value of a body counts. Unknown members are ignored, null is as good as absent, nothing is converted.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

BAD_BODY = "bad request body"
MISSING = "missing required field"
LONGEST_TEXT = 300  # characters; a name stands in every event, metric and list, and no host has as many
_BLANKS = re.compile(r"[ \t\n\r]*")
_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
_INT64 = 2**63


class ToxiproxyError(Exception):
    """A request is refused. status: of HTTP. text: part of the contract, since clients show and compare it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def bad_body(reason: str) -> ToxiproxyError:
    return ToxiproxyError(400, f"{BAD_BODY}: {reason}")


def missing(field: str) -> ToxiproxyError:
    return ToxiproxyError(400, f"{MISSING}: {field}")


def _constant(name: str) -> Any:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def first_value(body: bytes) -> Any:
    """The first JSON value of the body. Raises ToxiproxyError."""
    text = body.decode("utf-8", "replace")
    begin = _BLANKS.match(text).end()  # type: ignore[union-attr]
    if begin == len(text):
        raise bad_body("EOF")
    try:
        return _DECODER.raw_decode(text, begin)[0]
    except json.JSONDecodeError as error:
        raise bad_body("unexpected EOF" if _is_cut_off(error) else _reason(error)) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        raise bad_body(str(error)) from None


def _is_cut_off(error: json.JSONDecodeError) -> bool:
    rest = error.doc[error.pos :].rstrip()
    if error.msg.startswith("Unterminated string") or not rest:
        return True
    if error.msg.startswith("Invalid \\"):
        return len(rest) < 6
    return any(word.startswith(rest) and word != rest for word in ("true", "false", "null", "-0"))


def _reason(error: json.JSONDecodeError) -> str:
    return f"invalid character {error.doc[error.pos]!r}: {error.msg[0].lower()}{error.msg[1:]} at {error.pos}"


class Fields:
    """An object of JSON, whose members are asked for by name and type. Each method raises ToxiproxyError."""

    def __init__(self, value: Any, what: str) -> None:
        """what: the kind of object, for errors."""
        if value is not None and not isinstance(value, dict):
            raise bad_body(f"json: cannot unmarshal {_NAMES[type(value)]} into value of type {what}")
        self._members: Mapping[str, Any] = value or {}
        self._what = what

    def text(self, name: str, default: str) -> str:
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, value, "string")
        if len(value) > LONGEST_TEXT:
            raise bad_body(f"{self._what}.{name} has more than {LONGEST_TEXT} characters")
        # A lone surrogate cannot be written in UTF-8.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def boolean(self, name: str, default: bool) -> bool:
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, value, "bool")
        return value

    def integer(self, name: str, default: int) -> int:
        """Of 64 bits. 1.0 is none."""
        value = self._members.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
            raise self._wrong(name, value, "int64")
        return value

    def number(self, name: str, default: float) -> float:
        value = self._members.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, value, "float64")
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found):
            raise self._wrong(name, value, "float64")
        return found

    def single(self, name: str, default: float) -> float:
        """A number in single precision, as the shortest one that is the same in it."""
        value = self.number(name, default)
        try:
            return shortest(value)
        except OverflowError:
            raise self._wrong(name, value, "float32") from None

    def members(self, name: str) -> Fields:
        """An object in this one."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(name, value, "object")
        return Fields(value, f"{self._what}.{name}")

    def _wrong(self, name: str, value: Any, wanted: str) -> ToxiproxyError:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        what = f"number {value}"[:40] if is_number and wanted != "string" else _NAMES[type(value)]
        return bad_body(f"json: cannot unmarshal {what} into field {self._what}.{name} of type {wanted}")


def shortest(value: float) -> float:
    """The number with the fewest digits that single precision cannot tell from this one. Raises OverflowError."""
    stored = struct.unpack("<f", struct.pack("<f", value))[0]
    for digits in range(1, 10):
        found = float(f"{stored:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", found))[0] == stored:
            return found
    return float(stored)


def written(value: Any) -> bytes:
    """An answer, as compact JSON. A number without a fraction is written without a point."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def plain(value: float) -> float | int:
    """For written(): 1 instead of 1.0."""
    return int(value) if value == int(value) and abs(value) < 1e21 else value
