"""A bounded report of a file's problems: of each kind the first few, the number of further ones, and the last.

A compressed file of a few kilobytes can hold a million damaged blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

SHOWN = 5  # of a kind


class Problems:
    """Iterates as lines for people; kinds appear in the order of their first problem."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}
        self._more: dict[str, tuple[int, str]] = {}  # the number of problems not shown, and the last of them

    def add(self, kind: str, line: str) -> None:
        """kind: the plural noun for such problems, for example "damaged blocks"."""
        shown = self._kinds.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(line)
        else:
            self._more[kind] = self._more.get(kind, (0, ""))[0] + 1, line

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def __len__(self) -> int:
        """The number of problems, not of lines."""
        return sum(map(len, self._kinds.values())) + sum(count for count, _ in self._more.values())

    def __iter__(self) -> Iterator[str]:
        for kind, shown in self._kinds.items():
            yield from shown
            if kind in self._more:
                count, last = self._more[kind]
                yield last if count == 1 else f"and {count} more {kind}; the last: {last}"
