"""Which links, dbs and commands a recording has, to be listed when something else was asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tap.errors import did_you_mean
from tap.recording.stats import NOT_WRITES

SHOWN = 20  # names that a sentence lists
MAX_NOTED = 1000  # names of commands, and dbs


class Inventory:
    """Notes everything that comes, and answers afterwards. unplaced: number of commands whose db is not known."""

    def __init__(self) -> None:
        self.unplaced = 0
        self._links: dict[str, dict[int, None]] = {}  # name to connections
        self._dbs: set[int] = set()
        self._names: set[str] = set()

    # ---- input ----

    def link(self, name: str, connection: int) -> None:
        self._links.setdefault(name, {})[connection] = None

    def command(self, db: int | None, name: str) -> None:
        if db is not None and len(self._dbs) < MAX_NOTED:
            self._dbs.add(db)
        if len(self._names) < MAX_NOTED:
            self._names.add(name)

    def has_no_place(self, name: str) -> None:
        """Note a command that may be one of those asked for, but whose db is not known."""
        self.unplaced += name not in NOT_WRITES

    # ---- sentences ----

    def lacks_links(self, asked: Iterable[str]) -> str | None:
        """A sentence about links, or connections as NAME/CONNECTION, that were asked for and are not there."""
        missing = sorted(one for one in asked if not self._has_link(one))
        if not missing or not self._links:
            return None
        link = missing[0].rpartition("/")[0]
        if len(missing) == 1 and link in self._links:
            return f"--link {missing[0]}: not in it; of that link it has {_listed(self._links[link], f'{link}/')}"
        return f"--link {', '.join(missing)}: not in it; its links: {_listed(self._links)}"

    def lacks_dbs(self, asked: Collection[int]) -> str | None:
        return lacks_dbs(asked, self._dbs) if self._names else None

    def lacks_names(self, asked: Iterable[str]) -> str | None:
        missing = sorted(set(asked) - self._names)
        if not missing or not self._names:
            return None
        meant = next((said for one in missing if (said := did_you_mean(one, self._names))), "")
        return f"its commands: {_listed(sorted(self._names))}.{meant}"

    def lacks_places(self, asked: Iterable[int]) -> str | None:
        """A sentence about commands that may or may not be in these dbs."""
        if not self.unplaced:
            return None
        what, them, are = ("command", "it", "it is") if self.unplaced == 1 else ("commands", "them", "they are")
        return (
            f"--db {_joined(asked)}: the db of {self.unplaced} {what} is not known, as the recording has no SELECT "
            f"before {them}; {are} left out"
        )

    def _has_link(self, asked: str) -> bool:
        link, _, number = asked.rpartition("/")
        return asked in self._links or number in map(str, self._links.get(link, {}))


def lacks_dbs(asked: Collection[int], there: Collection[int]) -> str | None:
    """A sentence about dbs in which no command was executed; None if there are none."""
    missing = set(asked).difference(there)
    if not missing:
        return None
    others = f"; its dbs: {_listed(sorted(there))}" if there else ""
    return f"--db {_joined(missing)}: no command was executed in it{others}"


def _joined(dbs: Iterable[int]) -> str:
    return ",".join(map(str, sorted(dbs)))


def _listed(found: Collection[object], prefix: str = "") -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f"{prefix}{one}" for one, _ in zip(found, range(SHOWN), strict=False)) + more
