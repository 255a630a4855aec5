"""What is made from the declarations of options: the table of `run` in the reference, and the typed keywords of Tap().

`python -m tests.declared` writes both. tests/test_pages.py and tests/config/test_keywords.py compare them with the
declarations.
"""

from __future__ import annotations

import textwrap
import types
from typing import Any, Literal, Union, get_args, get_origin

from tap.config import Config, LinkConfig
from tap.config.option import Declared, declared
from tests.cli.typed import command
from tests.support import ROOT

PAGE = ROOT / "docs" / "reference" / "options.md"
KEYWORDS = ROOT / "tap" / "config" / "keywords.py"
WIDTH = 122  # of a line
HEAD = "| option | in a file | does |\n| --- | --- | --- |\n"
OF_LINK = {one.name: one for one in declared(LinkConfig)}
OF_TAP = {one.name: one for one in declared(Config)}


# ---- the table ----


def page() -> str:
    """The whole page, with the table from the declarations."""
    before, rest = PAGE.read_text().split(HEAD)
    _, after = rest.split("\n\n", 1)
    return f"{before}{HEAD}{_rows()}\n{after}"


def _rows() -> str:
    rows = []
    for parameter in command("run").params:
        if parameter.name in OF_LINK | OF_TAP:
            rows.append(_row((OF_LINK | OF_TAP)[parameter.name]))
        elif parameter.name != "help":
            rows.append(f"| `{parameter.opts[0]} {parameter.metavar}` | | {_clause(parameter.help)} |\n")
    rows += [_row(one) for one in OF_TAP.values() if one.option.in_file and not one.option.on_command_line]
    return "".join(rows)


def _row(one: Declared) -> str:
    does = one.option.page or _clause(one.option.help)
    if one.option.environment:
        does += f"; the environment's `{one.option.environment}` if not given"
    return f"| {_typed(one)} | {_key(one)} | {does} |\n".replace("|  |", "| |")


def _typed(one: Declared) -> str:
    if not one.option.on_command_line:
        return ""
    words = list(one.words) or one.option.takes.split("|")
    if one.words:
        return ", ".join([f"`{one.flags[0]} {words[0]}`", *(f"`{word}`" for word in words[1:])])
    return ", ".join(f"`{f'{flag} {word}'.strip()}`" for flag in reversed(one.flags) for word in words)


def _key(one: Declared) -> str:
    if not one.option.in_file:
        return ""
    if one.name not in OF_TAP:
        return f"`{one.key}` of a link"
    python = "" if one.key == one.name else f"; in Python `{one.name}`"
    return f"`{one.key}`{', also of a link' if one.name in OF_LINK else ''}{python}"


def _clause(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].removesuffix(".")


# ---- the keywords ----

_HEAD = '''\
"""The keywords of Tap(): those of a LinkConfig and of a Config together, for editors and type checkers.

Written by `python -m tests.declared`. Change the declarations in config.py and link_config.py, not this file.
"""
'''


def keywords() -> str:
    """The whole module."""
    lines = []
    imported: dict[str, set[str]] = {"typing": {"TypedDict"}}
    for one in (OF_LINK | OF_TAP).values():
        kind = _written(one.accepted, imported)
        line = f"    {one.name}: {kind}\n"
        lines.append(line if len(line) <= WIDTH + 1 else f"    {one.name}: (\n        {kind}\n    )\n")
        lines.append(textwrap.indent(textwrap.fill(f'"""{one.option.help}"""', WIDTH - 4), "    ") + "\n")
    heads = [f"from {module} import {', '.join(sorted(names))}\n" for module, names in sorted(imported.items())]
    ours = "".join(head for head in heads if head.startswith("from tap"))
    others = "".join(head for head in heads if not head.startswith("from tap"))
    return f"{_HEAD}\n{others}\n{ours}\n\nclass Keywords(TypedDict, total=False):\n{''.join(lines)}"


def _written(kind: Any, imported: dict[str, set[str]]) -> str:
    """A type as it is written in source, and what has to be imported for it."""
    if kind is types.NoneType:
        return "None"
    if kind is Ellipsis:
        return "..."
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        return " | ".join(_written(one, imported) for one in arguments)
    if origin is Literal:
        imported["typing"].add("Literal")
        words = ", ".join(f'"{word}"' for word in arguments)
        return f"Literal[{words}]"
    if origin is not None:
        return f"{_written(origin, imported)}[{', '.join(_written(one, imported) for one in arguments)}]"
    module = "pathlib" if kind.__name__ == "Path" else kind.__module__
    if module != "builtins":
        imported.setdefault(module, set()).add(kind.__name__)
    return str(kind.__name__)


if __name__ == "__main__":
    PAGE.write_text(page())
    KEYWORDS.write_text(keywords())
