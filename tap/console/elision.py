"""Names that are too long for their column, shortened so that those which differ are told apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from rich.cells import cell_len

ELLIPSIS = "…"
_WORDS = re.compile(r"([-_.:/]+)")


def apart(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name in at most *width* columns of a terminal; names that differ look different.

    Of names that are made of as many words, those words are left out that all have, from the middle on. Any other long
    name loses its middle. Names that then look alike are shown from where they first differ. If that is not enough
    either, they are numbered in the order of the alphabet.
    """
    shown = {name: _without_middle(name, width) for name in dict.fromkeys(names)}
    shown |= _without_common_words([name for name in shown if cell_len(name) > width], width)
    for _ in range(2):  # they may differ once more, further on
        for alike in _alike(shown):
            for name in alike:
                shown[name] = _from(name, _common(alike), width)
    taken = set(shown.values())
    for still in _alike(shown):
        number = 1
        for name in still[1:]:
            form = shown[name]
            while form in taken:
                number += 1
                mark = f"~{number}"
                form = _head(shown[name], max(0, width - len(mark))) + mark
            shown[name] = form
            taken.add(form)
    return shown


def _without_common_words(names: list[str], width: int) -> dict[str, str]:
    """The names with as few as possible of their common words left out; empty if that does not tell them apart."""
    parts = [_WORDS.split(name) for name in names]
    if len(parts) < 2 or len({len(one) for one in parts}) != 1:
        return {}
    common = [at for at, words in enumerate(zip(*parts, strict=True)) if len(set(words)) == 1 and at % 2 == 0]
    middle = len(parts[0]) / 2
    out: set[int] = set()
    for at in sorted(common, key=lambda at: (at == 0, abs(at - middle))):
        out.add(at)
        shown = {name: _left_out(one, out) for name, one in zip(names, parts, strict=True)}
        if all(cell_len(form) <= width for form in shown.values()):
            return shown if len(set(shown.values())) == len(names) else {}
    return {}


def _left_out(parts: list[str], out: set[int]) -> str:
    """The words, and what stands between them, with one ellipsis for each run that is left out."""
    said = ""
    for at, part in enumerate(parts):
        if at in out:
            said += "" if said.endswith(ELLIPSIS) else ELLIPSIS
        elif at % 2 and {at - 1, at + 1} <= out:
            continue
        else:
            said += part
    return said


def _common(names: list[str]) -> int:
    """The number of characters with which all of these begin. names: sorted."""
    first, last = names[0], names[-1]
    return next((at for at, one in enumerate(first) if last[at : at + 1] != one), len(first))


def _alike(shown: dict[str, str]) -> list[list[str]]:
    """Groups of names that look the same."""
    by_form: defaultdict[str, list[str]] = defaultdict(list)
    for name, form in shown.items():
        by_form[form].append(name)
    return [sorted(group) for group in by_form.values() if len(group) > 1]


def _without_middle(name: str, width: int) -> str:
    if cell_len(name) <= width:
        return name
    tail = (width - 1) // 2
    return _head(name, width - 1 - tail) + ELLIPSIS + _tail(name, tail)


def _from(name: str, differs: int, width: int) -> str:
    """A short beginning, and what follows the place where the name differs."""
    if cell_len(name) <= width:
        return name
    begin = _head(name[:differs], max(0, min(3, width // 4)))
    rest, room = name[differs:], width - cell_len(begin) - 1
    if cell_len(rest) < room:  # there is room for what stands before it, too
        return begin + ELLIPSIS + _tail(name[len(begin) :], room)
    if cell_len(rest) == room:
        return begin + ELLIPSIS + rest
    return begin + ELLIPSIS + _head(rest, max(0, room - 1)) + ELLIPSIS


def _head(text: str, cells: int) -> str:
    """As many characters from the beginning as fit."""
    if text.isascii():
        return text[: max(0, cells)]
    end = used = 0
    while end < len(text) and used + cell_len(text[end]) <= cells:
        used += cell_len(text[end])
        end += 1
    return text[:end]


def _tail(text: str, cells: int) -> str:
    return _head(text[::-1], cells)[::-1]
