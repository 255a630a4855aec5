"""Where the viewer stands in the live view: the page, the row of the cursor, how far a page is moved."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from tap.console.picture import EVENTS, FAULTS, HELP, LINK, OVERVIEW

_PAGES = {"f": FAULTS, "e": EVENTS, "?": HELP, "h": HELP}
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10}
STOPPED = "Ctrl-Z does not stop the tap. q ends it"


class Walk:
    """page: the one shown. key: of the cursor's row; None for the first one. scroll: lines by which the page is moved.

    last: how far it may be moved, as the drawing thread found. notice: to be shown until the next key; "" for none.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        """end: called to end the tap."""
        self.page = OVERVIEW
        self.key: Hashable | None = None
        self.scroll = 0
        self.last = 0
        self.notice = ""
        self._end = end
        self._asked = False  # whether to end

    def press(self, key: str, rows: Sequence[Hashable], links: int) -> None:
        """One key. rows: keys of the rows, from the top. links: number of replicas that the end would disconnect."""
        asked, self._asked, self.notice = self._asked, False, ""
        if key == "q":
            if asked or not links:
                self._end()
                return
            self._asked = True
            them = "a replica loses its link" if links == 1 else f"{links} replicas lose their links"
            self.notice = f"q again ends the tap: {them}. Any other key: go on"
            return
        if asked:
            return
        if key == "ctrl-z":
            self.notice = STOPPED
        elif key in ("esc", "left"):
            self._go(OVERVIEW)
        elif key in _PAGES:
            self._go(OVERVIEW if self.page == _PAGES[key] else _PAGES[key])
        elif self.page == OVERVIEW:
            self._choose(key, rows)
        else:
            self._move(key)

    def _go(self, page: str) -> None:
        self.page, self.scroll, self.last = page, 0, 0

    def _choose(self, key: str, rows: Sequence[Hashable]) -> None:
        if not rows:
            return
        at = self.at(rows)
        if key in ("enter", "right"):
            self.key = rows[at]
            self._go(LINK)
        elif key in _STEPS:
            self.key = rows[min(len(rows) - 1, max(0, at + _STEPS[key]))]
        elif key in ("home", "end"):
            self.key = rows[0 if key == "home" else -1]

    def _move(self, key: str) -> None:
        if key in _STEPS:
            self.scroll = min(self.last, max(0, self.scroll + _STEPS[key]))
        elif key in ("home", "end"):
            self.scroll = 0 if key == "home" else self.last

    def at(self, rows: Sequence[Hashable]) -> int:
        """The index of the cursor's row; 0 if that is not there."""
        return rows.index(self.key) if self.key in rows else 0
