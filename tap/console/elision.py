"""Names that are too long for their column, shortened so that those which differ are told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.cells import cell_len

ELLIPSIS = "…"


def apart(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name in at most *width* columns of a terminal; names that differ look different.

    A long name loses its middle. Names that then look alike are shown from where they first differ. If that is not enough
    either, they are numbered in the order of the alphabet.
    """
    shown = {name: _without_middle(name, width) for name in dict.fromkeys(names)}
    for alike in _alike(shown):
        for name in alike:
            shown[name] = _from(name, _common(alike), width)
    for again in _alike(shown):  # they differ once more, further on
        for name in again:
            shown[name] = _from(name, _common(again), width)
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
