"""Commands of the stream that faults match, by name or by name and key.

The head of a command waits in the lane until its name, or the keys after the name, decide whether it matches, and not a
byte longer. The rest of the command is decided as it arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tap import glob
from tap.faults.kind import Watch
from tap.faults.lane import OPEN, Lane
from tap.faults.taken_command import TakenCommand
from tap.faults.work import FaultedConnection, Work
from tap.replication.keyspecs import NOT_THE_FIRST, KeyFinder
from tap.replication.stream import Stream

MAX_HELD = 2**20  # bytes of a command held back until its keys are known; beyond that it does not match
MAX_NAME = 48  # bytes; a spec cannot give a longer name, see values.word()
MAX_HEAD = 128  # bytes of a command held back until its name is known: the name and the two lengths before it


class _Hit:
    """A command with a watched name, until it is decided. Positions count from the connection's first byte."""

    def __init__(self, begin: int, name_end: int) -> None:
        self.begin = begin
        self.name_end = name_end
        self.finder = KeyFinder()
        self.keys: list[bytes] = []


# The arguments of Stream.watch(): names, names that match only with a certain first argument, and its prefix.
_Wanted = tuple[frozenset[bytes] | None, frozenset[bytes] | None, bytes]


class CommandFaults:
    """The faults that match commands of one stream; lane is the master's."""

    def __init__(self, link: FaultedConnection, lane: Lane) -> None:
        self._link = link
        self._lane = lane
        self._stream: Stream | None = None
        self._wanted: _Wanted = frozenset(), frozenset(), b""
        self._hits: deque[_Hit] = deque()
        self._taken: deque[TakenCommand] = deque()
        self._still: dict[TakenCommand, Work] = {}  # commands with something left to do

    def begin(self, stream: Stream) -> None:
        """The stream begins: no byte of it has been read yet, or every byte read has been passed on."""
        self._stream = stream
        if self._is_watching:
            stream.watch(*self._wanted)

    def watch(self, works: Sequence[Work]) -> None:
        """From the next command on, look for the commands that these faults match."""
        wanted = _wanted(works)
        if wanted != self._wanted:
            self._wanted = wanted
            if self._stream is not None:
                self._stream.watch(*wanted)
                self._note(self._stream.take_matches()[0])  # the command in progress
        if not self._is_watching:
            self._hits.clear()

    @property
    def _is_watching(self) -> bool:
        names, keyed, _ = self._wanted
        return names is None or keyed is None or bool(names or keyed)

    @property
    def is_busy(self) -> bool:
        """Whether the end of a taken command, or of the next one, is still to come."""
        return bool(self._taken)

    def undecided(self) -> int | None:
        """Position of the first undecided command; None if there is none."""
        if self._hits:
            return self._hits[0].begin
        if not self._is_watching:
            return None
        assert self._stream is not None  # nothing of a stream is undecided before it begins
        return self._stream.undecided(MAX_HEAD)

    def read(self, data: memoryview) -> None:
        """The scanner has read these bytes: decide what happens at which of them."""
        stream = self._stream
        if stream is None or not (self._is_watching or self._taken):
            return
        heads, ends, next_ends = stream.take_matches()
        if not (heads or self._hits or self._taken):
            return
        view = self._lane.peek(data)
        self._note(heads)
        ends_left, next_left = deque(ends), deque(next_ends)
        while self._hits:
            self._end(ends_left, next_left, self._hits[0].begin)
            if not self._is_decided(self._hits[0], view):
                break
            self._hits.popleft()
        self._end(ends_left, next_left, OPEN)
        if stream.is_broken:
            self._abandon(stream.understood_to)

    def _note(self, heads: Sequence[tuple[int, int]]) -> None:
        self._hits += (_Hit(begin, name_end) for begin, name_end in heads)

    def _end(self, ends: deque[int], next_ends: deque[int], until: int) -> None:
        """Assign ends up to position *until* to the taken commands: to each its own end and that of the next command.

        Some of the ends belong to commands that no fault took, or that an earlier fault took.
        """
        for taken in self._taken:
            if taken.end is None:
                while ends and ends[0] <= taken.begin:
                    ends.popleft()
                if not ends or ends[0] > until:
                    break
                taken.end = ends[0]
                if taken.on_end is not None:
                    taken.on_end(taken.end)
        while self._taken and (end := self._taken[0].end) is not None:
            while next_ends and next_ends[0] <= end:
                next_ends.popleft()
            if not next_ends or next_ends[0] > until:
                break
            taken = self._taken.popleft()
            if taken.on_next_end is not None:
                taken.on_next_end(next_ends[0])

    def limit(self) -> None:
        """Give up the copies that have grown too large."""
        for taken in self._taken:
            taken.limit()

    def _abandon(self, position: int) -> None:
        """The stream can no longer be parsed: no command will be seen to end any more."""
        self._hits.clear()
        for taken in self._taken:
            if taken.give_up is not None:
                taken.give_up("its end cannot be found in a stream that is no longer understood")
            elif taken.end is not None:
                if taken.on_next_end is not None:
                    taken.on_next_end(position)
            elif taken.on_unread is not None:
                taken.on_unread(position)
            elif taken.on_end is not None:
                taken.close(done=False)
        self._taken.clear()

    def close(self) -> None:
        """The connection is gone, or its faults were given up: end what is being done to commands."""
        for taken in tuple(self._still):
            if taken.copied and taken.on_lost is not None:
                taken.on_lost()
            else:
                taken.close(done=False)

    def _is_decided(self, hit: _Hit, view: memoryview) -> bool:
        """Decide what happens to a command, if enough of it has arrived; view[0] is byte number lane.out."""
        lane = self._lane
        if hit.begin < lane.out:
            return True
        command = view[hit.begin - lane.out :]
        name = bytes(command[: hit.name_end - hit.begin]).split(b"\r\n", 2)[2][:-2].upper()
        fitting = [work for work in self._link.works if _fits(work, name) and work.is_on_channel()]
        if len(name) > MAX_NAME:
            return True
        if any(work.is_key is not None for work in self._link.works):
            found, more = hit.finder.keys(command)
            hit.keys += found
            unclear = (work for work in fitting if work.is_key is not None and not any(map(work.is_key, hit.keys)))
            if more and len(command) < MAX_HELD and any(unclear):
                return False
        first = _first_argument(command, hit.name_end - hit.begin)
        if first is None and any(work.what.needs_argument for work in fitting):
            return False
        comes_first = any(taken.end is not None and taken.on_next_end is not None for taken in self._taken)
        for work in fitting:
            if comes_first and work.what.takes_next:
                continue  # the command before this one waits for it
            fits = work.is_key is None or any(map(work.is_key, hit.keys))
            if fits and work.matched():
                self._take(work, hit, name, hit.begin + (first or 0))
                return True
        return True

    def _take(self, work: Work, hit: _Hit, name: bytes, first: int) -> None:
        """first: position of the first byte of the command's first argument."""
        text = name.decode("latin-1")
        if work.is_key is not None and hit.keys:  # faults without key= do not wait for the keys
            text += " " + repr(hit.keys[0])[2:-1]
        taken = TakenCommand(work, hit.begin, hit.name_end, first, text, self._closed)
        self._taken.append(taken)
        self._still[taken] = work
        work.armed.at_work += 1
        work.what.take_command(work, taken)

    def _closed(self, taken: TakenCommand, done: bool) -> None:
        work = self._still.pop(taken, None)
        if work is not None:
            work.armed.at_work -= 1
            if not done:
                work.armed.fired -= 1


def _wanted(works: Sequence[Work]) -> _Wanted:
    """What the scanner has to look for: as narrow as the faults allow, because each hit costs Python code here."""
    prefix = glob.prefix(work.when.key for work in works if work.when.key is not None)
    names = {b"PING"} if any(work.watches is Watch.PINGS for work in works) else set()
    keyed: set[bytes] = set()
    every = False
    for work in works:
        command, key = work.when.command, work.when.key
        if command is not None:
            (keyed if key is not None and prefix and command not in NOT_THE_FIRST else names).add(command)
        elif key is not None and not prefix:
            return None, frozenset(), b""
        elif key is not None:
            every = True
            names |= NOT_THE_FIRST
    return frozenset(names), None if every else frozenset(keyed - names), prefix


def _fits(work: Work, name: bytes) -> bool:
    """Whether the fault may match a command of this name."""
    when = work.when
    if when.command is not None:
        return name == when.command
    return when.key is not None or (work.watches is Watch.PINGS and name == b"PING")


def _first_argument(command: memoryview, at: int) -> int | None:
    """Index of the first byte of the argument whose $ is at *at*; None until it has arrived."""
    if bytes(command[:4]) == b"*1\r\n":
        return at - 3  # no argument: the last byte of the name
    found = bytes(command[at : at + 32]).find(b"\r\n")
    return None if found < 0 else at + found + 2
