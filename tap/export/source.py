"""The recording that an export reads, and what it lacks for the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

from tap.capture.content import is_pipe
from tap.errors import ConfigError, RecordingError
from tap.recording import choice
from tap.recording.filters import Filters
from tap.recording.history import Index, index
from tap.recording.missing import Account, Missing, Whole
from tap.recording.moments import Moment, nanoseconds
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replication.events import Side

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Progress = Callable[[], AbstractContextManager[Callable[[int], None]]]  # entered for each reading; takes packet sizes
Remark = Callable[[str], None]


@contextmanager
def no_progress() -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def no_remark(text: str) -> None: ...


class Source:
    """whole: up to where the answer is known to be whole; to be set once the part to export has been chosen."""

    def __init__(
        self, files: Files, wanted: Filters, *, needs_rdb: bool = False, progress: Progress, remark: Remark
    ) -> None:
        """needs_rdb: a gap in an RDB makes the answer incomplete, too."""
        given = [files] if isinstance(files, str | os.PathLike) else files
        self.files = [Path(path) for path in given]
        self.wanted = wanted
        self.whole = Whole((), None, 0)
        self._needs_rdb = needs_rdb
        self._progress = progress
        self._remark = remark
        self._account: Account | None = None  # of the first reading

    def check_again(self, form: str) -> None:
        """Raise ConfigError for a pipe, which can be read only once. form: of the export."""
        if any(map(is_pipe, self.files)):
            raise ConfigError(f"--to {form} reads a recording more than once: save what comes to a file first")

    def read(self, player: Player) -> None:
        """Play the whole recording to a player, and close the player."""
        with self._progress() as advance:
            for packet in read(self.files, player):
                advance(len(packet.data))
        if self._account is None:
            self._account = player.account
            for remark in self._account.remarks:
                self._remark(remark)

    @property
    def account(self) -> Account:
        return self._account or Account()

    @property
    def lacking(self) -> list[str]:
        """What the answer lacks, in sentences."""
        if self._account is None:
            return []
        return [*self._account.lines(self._concerns, self.wanted.joins), *self.wanted.lacks]

    def _concerns(self, missing: Missing) -> bool:
        may_be_of_it = missing.may_hold_commands or (self._needs_rdb and missing.side is Side.MASTER)
        return may_be_of_it and self.whole.precedes(missing) and self.wanted.may_lack(missing)

    # ---- contents ----

    def index(self, link: str | None, until: Moment | None) -> Index:
        """The index of one link, up to *until* if that is a time. Raises RecordingError, ConfigError."""
        found = index(self.read, nanoseconds(until) if isinstance(until, datetime) else None)
        if self.lacking and not found.links:
            raise RecordingError(*self.lacking)
        return choice.of_link(found, link)

    def nothing(
        self, title: str, link: str | None, lines: Callable[[Index], list[str]], none: str = "the recording has none"
    ) -> RecordingError:
        """An error that lists what the recording has instead. none: the words used if it has nothing."""
        return choice.listed(title, lines(choice.of_link(index(self.read), link)), none)

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Add to a RecordingError what is lacking, which may be the reason for it."""
        try:
            yield
        except RecordingError as error:
            raise RecordingError(*dict.fromkeys((*error.sentences, *self.lacking))) from None
