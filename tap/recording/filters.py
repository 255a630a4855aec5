"""Filters for what is read from a recording: by link, db, command, key, time and offset."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tap.bus import Told
from tap.glob import matcher
from tap.recording.batch import Batch
from tap.recording.inventory import Inventory
from tap.recording.missing import Account, Missing
from tap.recording.moments import Length, Moment, check_order, outside
from tap.replication import keyspecs
from tap.replication.dbs import EVERY_DB, REACHING, Place, reach
from tap.replication.events import Ack, Command


class Filters:
    """Selects events. An event without an offset counts as at the last offset of its connection.

    links: names, or NAME/CONNECTION. dbs, names, globs: of commands; with any of them, only commands are wanted.
    dbs: where a command is executed, or which it reaches from another db, as FLUSHALL and COPY do; together with globs, a
    matching key has to be in one of these dbs. names: in any case. globs: as for KEYS. begin, end: both inclusive. An
    empty filter, or None, selects everything. Raises ConfigError if the end is before the beginning.
    """

    def __init__(
        self,
        *,
        links: Collection[str] = (),
        dbs: Collection[int] = (),
        names: Collection[str] = (),
        globs: Collection[str | bytes] = (),
        begin: Moment | None = None,
        end: Moment | None = None,
    ) -> None:
        check_order(begin, end)
        self._begin = begin
        self._end = end
        self._links = frozenset(links)
        self._dbs = frozenset(dbs)
        self._names = frozenset(name.upper() for name in names)
        self._globs = [os.fsdecode(glob) for glob in globs]
        self._matchers = [matcher(os.fsencode(glob)) for glob in globs]
        self._bounds = [
            (moment.timestamp(), None, sign) if isinstance(moment, datetime) else (None, moment, sign)
            for moment, sign in ((begin, 1), (end, -1))
            if moment is not None
        ]
        self._offsets: dict[int, int] = {}  # by connection
        self._inventory = Inventory()

    @property
    def only_commands(self) -> bool:
        """Whether only commands are wanted."""
        return bool(self._dbs or self._names or self._matchers)

    def has(self, told: Told) -> bool:
        """Whether an event is wanted; to be called with every event, in order."""
        concerns = self.concerns(told)
        if not self.only_commands:
            return concerns
        return concerns and isinstance(told.event, Command) and self.matches(told.event)

    def concerns(self, told: Told) -> bool:
        """Whether link, time and offset fit; to be called with every event, in order."""
        event = told.event
        offset = getattr(event, "offset", None)
        if isinstance(offset, int) and not isinstance(event, Ack):
            self._offsets[told.connection] = offset
        if not self.has_link(told):
            return False
        if isinstance(event, Command) and self.only_commands:
            self._inventory.command(event.db, event.name)
        return self._is_in_time(told.time, self._offsets.get(told.connection))

    def matches(self, command: Command) -> bool:
        """Whether db, name and keys fit."""
        name = command.name.encode("latin-1")
        if name in REACHING:
            return self._has(command.db, command.name, *reach(name, command.args))
        return self._has(command.db, command.name, keys(command) if self._matchers else (), ())

    def within(self, batch: Batch) -> Batch | None:
        """The batch with only those commands whose link, time and offset fit; None if there are none."""
        heads, base = batch.heads, batch.base
        if not self.has_link(batch):
            return None
        if self.only_commands:
            for head in heads:
                self._inventory.command(head[2], head[3])
        if not self._bounds:
            return batch
        heads = [head for head in heads if self._is_in_time(batch.time, None if base is None else base + head[0])]
        return replace(batch, heads=heads) if heads else None

    def matching(self, batch: Batch) -> Batch:
        """The batch with only those commands whose db, name and keys fit."""
        return (
            replace(batch, heads=[head for head in batch.heads if self._has(*head[2:])]) if self.only_commands else batch
        )

    def may_lack(self, missing: Missing) -> bool:
        """Whether something wanted may be among these missing bytes; filters for commands cannot rule it out."""
        return (
            self.has_link(missing)
            and (missing.may_hold_commands or not self.only_commands)
            and all(_reaches(missing, *bound) for bound in self._bounds)
        )

    def joins(self, link: str, connection: int) -> bool:
        """Whether a connection of a link is wanted."""
        return not self._links or bool({link, f"{link}/{connection}"} & self._links)

    # ---- after all events ----

    @property
    def lacks(self) -> list[str]:
        """What makes the answer incomplete, in sentences: links that are not there, unknown dbs."""
        return [text for text in (self.missing, self._inventory.lacks_places(self._dbs)) if text is not None]

    @property
    def missing(self) -> str | None:
        """A sentence about links that were asked for and are not there; None if all are."""
        return self._inventory.lacks_links(self._links)

    def outside(self, account: Account) -> list[str]:
        """Sentences about moments outside the recording."""
        whole = Length(account.first, account.last) if account.first else None
        return outside(self._begin, self._end, whole, account.offsets(self.joins))

    def remarks(self, account: Account, total: int, count: int, *, grows: bool = False) -> list[str]:
        """Further remarks, in sentences: moments outside the recording, filters that nothing matches.

        total: number of commands on these links and in this time. count: how many of them were wanted. grows: the
        recording may not have ended yet.
        """
        found = [] if grows else self.outside(account)
        if self.only_commands and not count and (total or not found):
            text = f"0 of {total} {'command matches' if total == 1 else 'commands match'} {self._filters}"
            others = self._inventory.lacks_names(self._names)
            found.append(f"{text}; {others}" if others else text)
        absent = self._inventory.lacks_dbs(self._dbs)
        return found if absent is None else [*found, absent]

    @property
    def _filters(self) -> str:
        """The filters as command-line options."""
        dbs = ",".join(map(str, sorted(self._dbs)))
        given = [f"--db {dbs}"] if dbs else []
        given += [f"--command {','.join(sorted(self._names))}"] if self._names else []
        return " ".join([*given, *(f"--key {shlex.quote(glob)}" for glob in self._globs)])

    # ----

    def has_link(self, where: Told | Batch | Missing) -> bool:
        """Whether the link fits."""
        if not self._links:
            return True
        if where.link:  # otherwise the event concerns the whole tap
            self._inventory.link(where.link, where.connection)
        return self.joins(where.link, where.connection)

    def _is_in_time(self, at: float, offset: int | None) -> bool:
        for time, place, sign in self._bounds:
            if time is not None:
                if (at - time) * sign < 0:
                    return False
                continue
            assert place is not None
            if offset is None or (offset - place) * sign < 0:
                return False
        return True

    def _has(self, db: int | None, name: str, named: Iterable[bytes], places: Iterable[Place]) -> bool:
        """named: keys in this db. places: keys in other dbs."""
        if self._names and name not in self._names:
            return False
        if (not self._dbs or db in self._dbs) and self._has_key(named):
            return True
        if any((at in self._dbs or at == EVERY_DB or not self._dbs) and self._has_key(keys) for at, keys in places):
            return True
        if db is None and self._has_key(named):  # and dbs were asked for
            self._inventory.has_no_place(name)
        return False

    def _has_key(self, named: Iterable[bytes]) -> bool:
        return not self._matchers or any(matches(key) for key in named for matches in self._matchers)


def _reaches(missing: Missing, time: float | None, place: int | None, sign: int) -> bool:
    """Whether missing bytes reach past a beginning (sign 1), or start before an end (sign -1)."""
    if time is not None:
        return missing.until >= time if sign > 0 else missing.since <= time
    if place is None:
        return True
    if sign > 0:
        return missing.to_offset is None or missing.to_offset >= place
    return missing.from_offset is None or missing.from_offset < place


def keys(command: Command) -> list[bytes]:
    """The keys that a command writes or reads."""
    return keyspecs.keys(command.name.encode("latin-1"), command.args)


def several(given: Any) -> Collection[Any]:
    """One value, or several, as a collection."""
    return (given,) if isinstance(given, str | bytes | int) else given
