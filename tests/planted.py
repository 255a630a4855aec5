"""Harmful text for terminals and logs, planted wherever a type has room for text; and a check that finds it in output.

What is planted follows from the types: made() fills every field of a dataclass, so that a new field is planted, too.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import types
import typing
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tap.replication import events

SEEN = "[/a][red]x[/red]"  # the part of the plant that must be in every output that shows it
FORGED = "FORGED"  # what no line may begin with

PLANT = (
    f"P{SEEN}[link=http://e]l[/link]:smile: {{task}} %s "  # markup, an emoji's name, formats
    "\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://e\x1b\\ \x00\x08\x7f"  # to clear the screen, to fill the clipboard, a link
    "\x9b31m\x90\x85"  # C1: CSI, DCS, the next line
    f"\n{FORGED}\r{FORGED}\r\n  {FORGED}\u2028{FORGED}\u2029{FORGED}"
    "\u202e\u202d\u2066\u2069\u200e\u200f\u061c"  # the direction of writing
    "\u200b\u200d\u2060\ufeff\u00ad\u3164\U000e0041"  # invisible characters
    "\udcff\udc80"  # bytes that are not UTF-8
)
BYTES = PLANT.encode(errors="surrogateescape")
# As much of it as a word of the command line, a line of the protocol, or a text of TOML and of JSON can hold.
WORD = PLANT.replace("\x00", "")
LINE = re.sub(rb"[\r\n]", b" ", BYTES)
TEXT = PLANT.encode(errors="ignore").decode()
NAME = WORD.replace("/", "")  # of a file, with what follows it at most 255 bytes


def harm(output: str | bytes, *, lines: bool = True, below: bool = False) -> str | None:
    """The harmful part of an output, with its surroundings; None if there is none.

    lines: none may be forged. below: but for those of a traceback or a log, which are indented.
    """
    try:
        text = output if isinstance(output, str) else output.decode()
        text.encode()
    except UnicodeError as error:
        return f"no UTF-8: {error}"
    for at, one in enumerate(text):
        if one not in "\n\t" and (unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") or one in "\u3164\u2800"):
            return repr(text[max(0, at - 60) : at + 60])
    begin = "^(?!  )" if below else "^"
    if lines and (forged := re.search(rf"{begin}[^\w\n]*{FORGED}", text, re.MULTILINE)):
        return f"a forged line: {forged[0]!r}"
    if re.search(r"Pxl|Px\b|\U0001f604", text):
        return "markup was obeyed"
    return None


def harm_json(output: str) -> str | None:
    """The same for lines of JSON."""
    for line in output.splitlines():
        json.loads(line)
    return harm(output.replace("\u3164", ""))  # is a letter, by Unicode and so in JSON


# ---- planted by type ----

# Fields whose words are ours alone, and decide what is printed.
OURS: dict[tuple[str, str], Any] = {
    ("ConnectionsRefused", "limit"): "open_files",
    ("ReplicaTalkedBack", "what"): "command",
    ("ResyncSeen", "kind"): "full",
}
KNOWN_KEYS = ("redis-ver", "valkey-ver", "ctime", "used-mem", "repl-id", "repl-offset")  # of mappings: AUX fields


def made(kind: Any, plant: str = PLANT) -> Any:
    """An instance of that class or type, with the plant in all its text."""
    return _made(kind, plant, {})


def _made(kind: Any, plant: str, of: Mapping[str, Any]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return arguments[0]
    if isinstance(kind, types.UnionType) or origin is typing.Union:
        return _made(next(one for one in arguments if one is not types.NoneType), plant, of)
    if origin is tuple:
        several = [arguments[0]] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(_made(one, plant, of) for one in several)
    if origin in (list, Sequence, typing.get_origin(Sequence[int])):
        return [_made(arguments[0], plant, of)] * 2
    if origin in (dict, Mapping, typing.get_origin(Mapping[int, int])):
        keys = [plant, *KNOWN_KEYS] if arguments[0] is str else [_made(arguments[0], plant, of)]
        return {key: _made(arguments[1], plant, of) for key in keys}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = {
            one.name: OURS.get((kind.__name__, one.name)) or _made(hints[one.name], plant, of)  # type: ignore[union-attr]
            for one in dataclasses.fields(kind)
            if one.init
        }
        build: Any = kind
        return build(**given)
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    values: dict[type, Any] = {
        str: plant, bytes: plant.encode(errors="surrogateescape"), bool: False, int: 7, float: 1.5, Path: Path(plant)
    }  # fmt: skip
    return values[kind]


def all_events() -> list[events.Event]:
    """One event of each kind."""
    return [made(kind) for kind in events.EVENTS.values()]
