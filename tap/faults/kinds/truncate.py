"""`truncate`: an RDB ends early as if it were complete, or the connection ends after a number of bytes.

A disk-based RDB is announced with its length: the header is replaced by one with the length that passes. A diskless RDB
ends with a mark: the mark is sent early, and everything up to the end of the real one is swallowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind, Watch
from tap.faults.parameters import param, some_bytes
from tap.faults.scope import Scope
from tap.faults.site import Site
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(Kind):
    """End early: an RDB as if it were complete (at=rdb:...), or the connection after a number of bytes of one side."""

    kind: ClassVar[str] = "truncate"
    damages: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    ends_servers: ClassVar[str] = "truncate at=rdb:50%"
    example: ClassVar[str] = "truncate at=rdb:50%"
    size: int | None = param(some_bytes, "SIZE", "how many bytes pass before the connection is closed", positional=True)

    def wrong(self, when: When, scope: Scope) -> str:
        if (self.size is None) == (when.at is None):
            return f"where? write {self.example!r} for an RDB, or 'truncate 1mb' for a connection after that many bytes"
        if when.at is not None and when.at.place != "rdb":
            return f"only an RDB can end early, as {self.example!r}; to close the link elsewhere, take cut"
        return ""

    def danger(self, when: When) -> str:
        return "a replica that loads half an RDB exits" if when.is_in_rdb else ""

    @property
    def watches(self) -> Watch:
        return Watch.HEADER

    def prepare(self, site: Site) -> None:
        side = site.sides[0]
        if self.size is not None and self.size >= site.lane(side).out:
            site.act_at(side, self.size)

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        if self.size is not None:
            site.close_link(side, position, at_once=at_once)
            return
        lane = site.lane(Side.MASTER)
        lane.insert(site.notes.get("mark", b""))
        lane.skip(on=True)
        site.after_rdb(lambda: lane.skip(on=False))
        site.fired(Side.MASTER, position, 0, "sent the end mark of the RDB, and swallowed the rest")

    def header(self, site: Site, line: bytes, start: int, end: int) -> None:
        if site.when.at is None:
            return
        if not (line[1:].isdigit() and len(line) < 20):
            site.notes["mark"] = line[len(b"$EOF:") :]
        elif start >= site.lane(Side.MASTER).out and site.may_fire():
            self._announce_less(site, int(line[1:]), start, end)

    def _announce_less(self, site: Site, size: int, start: int, end: int) -> None:
        """Announce fewer than *size* bytes, pass that many on, and swallow the rest."""
        assert site.when.at is not None
        lane = site.lane(Side.MASTER)
        amount = size * site.amount / 100 if site.when.at.unit == "percent" else site.amount
        left = int(amount) if amount >= 0 else size + int(amount)
        left = max(0, min(left, size))
        site.is_placed = True
        site.replace(Side.MASTER, start, end, b"$%d\r\n" % left)
        lane.mark(end + left, lambda: lane.skip(on=True))
        lane.mark(end + size, lambda: lane.skip(on=False))
        site.fired(Side.MASTER, end + left, size - left, f"announced {left} bytes of an RDB of {size}")
