"""One question put to a recording: what of it is wanted, how much of that there is, and what the answer lacks.

Play the recording to the question's player (reader.py); the answer is complete once the player is closed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tap.bus import Told
from tap.recording.batch import Batch
from tap.recording.filters import Filters
from tap.recording.missing import Joins, Missing
from tap.recording.player import Player
from tap.recording.reader import nothing
from tap.recording.seen_commands import SeenCommands
from tap.recording.stats import Stats
from tap.replication.events import Command, Side
from tap.verdict.loops import judging


class Question(ABC):
    """player: to play the recording to. once: count a command that several connections brought only once.

    total: commands on the selected links and in the selected time; count: those that match.
    """

    player: Player

    def __init__(self, wanted: Filters, *, once: bool) -> None:
        self.total = 0
        self.count = 0
        self._wanted = wanted
        self._once = once

    @property
    def has_answer(self) -> bool:
        """Whether anything that was played can be reported."""
        return bool(self.player.packets) and nothing(self.player) is None

    @property
    def lacking(self) -> list[str]:
        """What the answer lacks, in sentences."""
        lines = self.player.account.lines(self._concerns, self._joins, by_link=not self._once)
        return [*lines, *self._wanted.lacks]

    @property
    def remarks(self) -> list[str]:
        """Other things worth knowing about the recording, in sentences."""
        return self.player.remarks

    def mismatches(self, *, grows: bool) -> list[str]:
        """Which filters match nothing, in sentences. grows: the recording may not have ended yet."""
        if nothing(self.player) is not None:
            return []
        return self._wanted.remarks(self.player.account, self.total, self.count, grows=grows)

    @property
    def _joins(self) -> Joins | None:
        """If a command counts once for several connections, which connections these are."""
        return self._wanted.joins if self._once else None

    @abstractmethod
    def _concerns(self, missing: Missing) -> bool:
        """Whether missing bytes make the answer incomplete."""


class EventQuestion(Question):
    """Which events there are. commands, rdb_keys: include every command of the streams, every key of RDBs."""

    def __init__(
        self, wanted: Filters, put: Callable[[Told], None], *, commands: bool, rdb_keys: bool, once: bool
    ) -> None:
        """put: takes each wanted event."""
        super().__init__(wanted, once=once)
        self.player = Player(judging(self._hear), every_command=commands or wanted.only_commands, every_key=rdb_keys)
        self._put = put
        self._rdb_keys = rdb_keys
        self._seen = SeenCommands() if once else None

    @property
    def remarks(self) -> list[str]:
        return [*super().remarks, *([] if self._seen is None else self._seen.remarks())]

    def _concerns(self, missing: Missing) -> bool:
        return self._wanted.may_lack(missing) and (missing.cause != "rdb_omitted" or self._rdb_keys)

    def _hear(self, told: Told) -> None:
        if self._is_wanted(told):
            self._put(told)

    def _is_wanted(self, told: Told) -> bool:
        event, wanted = told.event, self._wanted
        concerns = wanted.concerns(told)
        if self._seen is not None and not self._seen.first(told, counts=wanted.has_link(told)):
            return False
        if not isinstance(event, Command):
            return concerns and not wanted.only_commands
        self.total += concerns
        is_wanted = concerns and wanted.matches(event)
        self.count += is_wanted
        return is_wanted


class FigureQuestion(Question):
    """What was written, when, to which keys: figures in bounded memory. groups: patterns, see LinkStats."""

    def __init__(self, wanted: Filters, *, once: bool, groups: Sequence[bytes] = ()) -> None:
        super().__init__(wanted, once=once)
        self._figures = Stats(once=once, groups=groups)
        self.player = Player(self._hear, count=self._take)

    @property
    def remarks(self) -> list[str]:
        return [*super().remarks, *self._figures.remarks]

    @property
    def so_far(self) -> Stats:
        """The figures of what has been played, without what they lack."""
        return self._figures

    def answer(self) -> Stats:
        """The figures, with what they lack; to be called once, after the recording has been played."""
        for one in self.player.account.lacking(self._concerns, self._joins, by_link=not self._once):
            self._figures.lacks(one)
        return self._figures

    @property
    def _joins(self) -> Joins | None:
        # Figures count a command once for its link, whichever connection brought it; events belong to each connection.
        return self._wanted.joins

    def _concerns(self, missing: Missing) -> bool:
        may_count = missing.may_hold_commands or (missing.cause == "gap" and missing.side is Side.MASTER)
        return may_count and self._wanted.may_lack(missing)

    def _hear(self, told: Told) -> None:
        if self._wanted.concerns(told):
            self._figures.told(told)

    def _take(self, batch: Batch) -> None:
        if self._wanted.has_link(batch):
            self._figures.take(batch, self._choose)

    def _choose(self, batch: Batch, is_new: bool) -> Batch | None:
        within = self._wanted.within(batch)
        if within is None:
            return None
        matching = self._wanted.matching(within)
        if is_new:
            self.total += len(within.heads)
            self.count += len(matching.heads)
        return matching
