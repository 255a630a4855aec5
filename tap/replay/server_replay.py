"""What of a recording goes to a server: read, chosen and copied before the first command is sent.

The recording is read twice: once to find its streams, and once to copy the bytes of those that are meant. What is known
of the recording by then (what it lacks of the commands asked for, where a stream has a hole) goes to *remark*, a sentence
each, so that a user reads it before the server changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tap.capture.files import check_again
from tap.errors import ConfigError, RecordingError
from tap.recording.choice import moment_text, stream_text
from tap.recording.comments import check_format
from tap.recording.filters import Filters
from tap.recording.history import Stretch, index
from tap.recording.missing import Account
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replay.client_commands import Choice
from tap.replay.excerpt import Excerpt
from tap.replay.sender import Sender
from tap.replay.stream_parts import copied, streams_of
from tap.servers.target import Target


class ServerReplay:
    """The commands of a recording on their way to one server.

    lacking: what the recording does not hold of the commands asked for, in sentences; known once sender() is entered.
    """

    def __init__(
        self,
        files: Sequence[Path],
        target: Target,
        excerpt: Excerpt,
        choice: Choice,
        *,
        assumed_db: int | None = None,
        remark: Callable[[str], None],
    ) -> None:
        """assumed_db: the db of commands whose db the recording does not give. Raises ConfigError."""
        for path in files:
            check_again(path, check_format)
        if target.db is not None and len(choice.dbs) != 1:
            raise ConfigError(
                f"{target.name}, db {target.db}: each command goes to its own db. Leave the db out of the "
                "URL; or choose, with --db N, one whose commands are to go there"
            )
        self.lacking: list[str] = []
        self._files = files
        self._target = target
        self._excerpt = excerpt
        self._choice = choice
        self._assumed_db = assumed_db
        self._remark = remark
        self._account: Account | None = None  # of the first reading

    @contextlib.contextmanager
    def sender(self) -> Iterator[Sender]:
        """Read the recording. The bytes to send lie in temporary files until the context ends.

        Raises RecordingError if it holds no stream, ConfigError if it lacks what the excerpt names, and
        EnvironmentFailure if there is no room for the copies.
        """
        begin, end, links = self._excerpt.begin, self._excerpt.end, self._excerpt.links
        wanted = Filters(links=links, begin=begin, end=end)
        found = index(self._read)
        assert self._account is not None
        account = self._account
        self.lacking = account.lines(lambda one: one.may_hold_commands and wanted.may_lack(one), wanted.joins)
        self._remark_all(account.remarks, self.lacking)
        streams = streams_of(found, links)
        if not streams:
            raise RecordingError("the recording has no command stream that can be read")
        if not streams[0][0].is_placed and (isinstance(begin, int) or isinstance(end, int)):
            raise ConfigError(
                "--from and --until: the start of the stream was not captured, so give a time, not an offset"
            )
        with contextlib.ExitStack() as copies:
            db = -1 if self._assumed_db is None else self._assumed_db
            parts = copied(self._read, streams, begin, end, copies, db=db)
            if not parts:
                there = "; ".join(map(stream_text, streams))
                raise ConfigError(f"no whole command lies between --from and --until: the recording has {there}")
            holes = [_hole(before.stretches[-1], after.stretches[0]) for before, after in pairwise(parts)]
            self._remark_all(wanted.outside(account), holes)
            yield Sender(self._target, parts, self._choice, self._excerpt.speed, to_db=self._target.db)

    def _remark_all(self, *sentences: list[str]) -> None:
        for some in sentences:
            for sentence in some:
                self._remark(sentence)

    def _read(self, player: Player) -> None:
        self._account = self._account or player.account
        for _ in read(self._files, player):
            pass


def _hole(before: Stretch, after: Stretch) -> str:
    end, begin = before.end_offset, after.offset
    if not before.is_placed:
        return f"what came from {moment_text(after.began)} on is sent to a server that lacks what is missing before it"
    if before.replid == after.replid and end <= begin:
        lost = f"{begin - end} bytes after offset {end}"
        return f"what comes after offset {begin} is sent to a server that lacks the {lost}"
    return f"after offset {end} another history begins, at offset {begin}; it is sent to a server that lacks its RDB"
