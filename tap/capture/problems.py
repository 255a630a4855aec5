"""What is told of a recording, summed up: the first few of a kind as they are, then how many more, and the last.

A file can hold a million damaged blocks in a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator

SHOWN = 5  # of a kind


class Problems:
    """Lines for people, in the order of their first."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}
        self._more: dict[str, tuple[int, str]] = {}  # how many, and the last one

    def add(self, kind: str, line: str) -> None:
        """kind: what such problems are called, several of them, as "damaged blocks"."""
        shown = self._kinds.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(line)
        else:
            self._more[kind] = self._more.get(kind, (0, ""))[0] + 1, line

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def __len__(self) -> int:
        """Of the problems, not of the lines."""
        return sum(map(len, self._kinds.values())) + sum(count for count, _ in self._more.values())

    def __iter__(self) -> Iterator[str]:
        for kind, shown in self._kinds.items():
            yield from shown
            if kind in self._more:
                count, last = self._more[kind]
                yield last if count == 1 else f"and {count} more {kind}; the last: {last}"
