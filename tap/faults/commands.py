"""Commands of the stream that faults wait for: which one matches is clear at its name, or with the keys behind it.

Until then the head of a command waits in the lane, and no byte longer; what becomes of the rest is known as it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tap import glob
from tap.faults.lane import OPEN, Lane
from tap.faults.what import Corrupt, Drop, Duplicate, Reorder
from tap.faults.work import Work
from tap.replication.events import Side
from tap.replication.keyspecs import NOT_THE_FIRST, KeyFinder
from tap.replication.stream import Stream

MAX_HELD = 2**20  # bytes of a command that wait until its keys are known; behind them it counts as no match
MAX_NAME = 48  # bytes; nobody can ask for a longer one, see values.word()
MAX_HEAD = 128  # bytes of a command that wait until its name is known: the name, and the two lengths before it
MAX_COPIED = 16 * 2**20  # bytes of a command that is sent twice, or later


class _Hit:
    """A command whose name is watched for, until it is clear what becomes of it. Positions are the connection's."""

    def __init__(self, begin: int, name_end: int) -> None:
        self.begin = begin
        self.name_end = name_end
        self.finder = KeyFinder()
        self.keys: list[bytes] = []


class _Taken:
    """A command that a fault took, until its end, or that of the next one, is known."""

    def __init__(self, work: Work, hit: _Hit, still: set[_Taken]) -> None:
        """still: those to which something is still to be done."""
        self.work = work
        self.begin = hit.begin
        self.has_ended = False
        self.end = 0  # once it has
        self.copied = bytearray()
        self.on_end: Callable[[int], None] | None = None
        self.on_next_end: Callable[[int], None] | None = None
        self.give_up: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None  # called where the link ends first
        self._still = still
        still.add(self)
        work.armed.at_work += 1

    def close(self, *, done: bool = True) -> None:
        """The fault has done what it does to it, or never will: it has not fired then."""
        if self in self._still:
            self._still.remove(self)
            self.work.armed.at_work -= 1
            if not done:
                self.work.armed.fired -= 1


# As StreamScanner.watch() takes it: names, names whose first argument counts, and how that begins.
_Wanted = tuple[frozenset[bytes] | None, frozenset[bytes] | None, bytes]


class Owner(Protocol):
    """What is needed of the link that the commands flow on."""

    now: float
    works: list[Work]

    def is_on_channel(self, work: Work) -> bool: ...

    def act(self, work: Work, side: Side, position: int) -> None: ...

    def fired(self, work: Work, side: Side, position: int, size: int, text: str) -> None: ...


class CommandFaults:
    """The commands of one stream, on the lane of what the master sends."""

    def __init__(self, owner: Owner, lane: Lane) -> None:
        self._owner = owner
        self._lane = lane
        self._stream: Stream | None = None
        self._wanted: _Wanted = frozenset(), frozenset(), b""
        self._hits: deque[_Hit] = deque()
        self._taken: deque[_Taken] = deque()
        self._still: set[_Taken] = set()  # those to which something is still to be done

    def begin(self, stream: Stream) -> None:
        """The stream begins: nothing of it has been read yet, or everything that has was passed on."""
        self._stream = stream
        if self._is_watching:
            stream.watch(*self._wanted)

    def watch(self, works: Sequence[Work]) -> None:
        """From the next command on, wait for what these faults wait for."""
        wanted = _wanted(works)
        if wanted != self._wanted:
            self._wanted = wanted
            if self._stream is not None:
                self._stream.watch(*wanted)
                self._note(self._stream.take_matches()[0])  # the command that is passing
        if not self._is_watching:
            self._hits.clear()

    @property
    def _is_watching(self) -> bool:
        names, keyed, _ = self._wanted
        return names is None or keyed is None or bool(names or keyed)

    @property
    def is_busy(self) -> bool:
        """Whether it is still to be seen how a command ends."""
        return bool(self._taken)

    def undecided(self) -> int | None:
        """Position of the first command that waits; None if none does."""
        if self._hits:
            return self._hits[0].begin
        if self._stream is None or not self._is_watching:
            return None
        return self._stream.undecided(MAX_HEAD)

    def read(self, data: memoryview) -> None:
        """The scanner has read these bytes: find what is to be done at which of them."""
        stream = self._stream
        if stream is None or not (self._is_watching or self._taken):
            return
        view = self._lane.peek(data)
        heads, ends, next_ends = stream.take_matches()
        self._note(heads)
        behind, behind_next = deque(ends), deque(next_ends)
        while self._hits:
            self._end(behind, behind_next, self._hits[0].begin)
            if not self._is_decided(self._hits[0], view):
                break
            self._hits.popleft()
        self._end(behind, behind_next, OPEN)
        if stream.is_broken:
            self._abandon(stream.understood_to)

    def _note(self, heads: Sequence[tuple[int, int]]) -> None:
        self._hits += (_Hit(begin, name_end) for begin, name_end in heads)

    def _end(self, ends: deque[int], next_ends: deque[int], until: int) -> None:
        """Ends of commands, and of those behind them, up to position *until*. Some are of commands that nobody took, or
        an earlier fault did.
        """
        for taken in self._taken:
            if not taken.has_ended:
                while ends and ends[0] <= taken.begin:
                    ends.popleft()
                if not ends or ends[0] > until:
                    break
                taken.has_ended = True
                taken.end = ends[0]
                if taken.on_end is not None:
                    taken.on_end(taken.end)
        while self._taken and self._taken[0].has_ended:
            while next_ends and next_ends[0] <= self._taken[0].end:
                next_ends.popleft()
            if not next_ends or next_ends[0] > until:
                break
            taken = self._taken.popleft()
            if taken.on_next_end is not None:
                taken.on_next_end(next_ends[0])

    def limit(self) -> None:
        """Let go of the copies that have become too large."""
        for taken in self._taken:
            if len(taken.copied) > MAX_COPIED and taken.give_up is not None:
                taken.give_up()

    def _abandon(self, position: int) -> None:
        """The stream cannot be read on: no command will end any more."""
        self._hits.clear()
        for taken in self._taken:
            if taken.give_up is not None:
                taken.give_up()
            elif taken.has_ended:
                if taken.on_next_end is not None:
                    taken.on_next_end(position)
            elif isinstance(taken.work.fault.what, Drop) and taken.on_end is not None:
                taken.on_end(position)
            else:
                taken.close(done=False)
        self._taken.clear()

    def close(self) -> None:
        """The connection is gone, or the faults are: nothing is done to a command any more."""
        for taken in tuple(self._still):
            if taken.copied and taken.on_lost is not None:
                taken.on_lost()
            else:
                taken.close(done=False)

    def _is_decided(self, hit: _Hit, view: memoryview) -> bool:
        """Decide what becomes of a command, if enough of it is there; view[0] is byte number lane.out."""
        lane = self._lane
        if hit.begin < lane.out:
            return True
        command = view[hit.begin - lane.out :]
        if hit.name_end - hit.begin > MAX_HEAD:
            return True
        name = bytes(command[: hit.name_end - hit.begin]).split(b"\r\n", 2)[2][:-2].upper()
        fitting = [work for work in self._owner.works if _fits(work, name) and self._owner.is_on_channel(work)]
        if not fitting or len(name) > MAX_NAME:
            return True
        more = True
        if any(work.is_key is not None for work in self._owner.works):
            found, more = hit.finder.keys(command)
            hit.keys += found
        if any(work.is_key is not None for work in fitting) and more and len(command) < MAX_HELD:
            unclear = [work for work in fitting if work.is_key is not None and not any(map(work.is_key, hit.keys))]
            if unclear:
                return False
        first = _first_argument(command, hit.name_end - hit.begin)
        if first is None and any(isinstance(work.fault.what, Corrupt) for work in fitting):
            return False
        comes_first = any(taken.has_ended and taken.on_next_end is not None for taken in self._taken)
        for work in fitting:
            if comes_first and isinstance(work.fault.what, Reorder):
                continue  # it is the one that the command before it waits for
            fits = work.is_key is None or any(map(work.is_key, hit.keys))
            if fits and work.matched(self._owner.now):
                self._take(work, hit, name, hit.begin + (first or 0))
                return True
        return True

    def _take(self, work: Work, hit: _Hit, name: bytes, first: int) -> None:
        """first: position of the first byte of its first argument."""
        what, lane = work.fault.what, self._lane
        taken = _Taken(work, hit, self._still)
        self._taken.append(taken)
        said = name.decode("latin-1")
        if work.is_key is not None and hit.keys:  # others do not wait for the keys
            said += " " + repr(hit.keys[0])[2:-1]
        begin = hit.begin
        if isinstance(what, Drop):
            lane.mark(begin, lambda: lane.skip(on=True))
            taken.on_end = lambda end: lane.mark(end, lambda: self._swallowed(taken, end, said))
        elif isinstance(what, Duplicate | Reorder):
            self._take_copy(taken, said)
        elif isinstance(what, Corrupt):
            edge = work.fault.when.edge or "inside"
            if edge == "end":
                taken.on_end = lambda end: lane.mark(end - 1, lambda: self._act(taken, end - 1))
            else:
                position = begin if edge == "start" else first
                lane.mark(position, lambda: self._act(taken, position))
        else:
            edge = work.fault.when.edge or "end"
            if edge == "end":
                taken.on_end = lambda end: lane.mark(end, lambda: self._act(taken, end))
            else:
                position = begin if edge == "start" else hit.name_end
                lane.mark(position, lambda: self._act(taken, position))

    def _act(self, taken: _Taken, position: int) -> None:
        """The byte has come. The fault may have been removed since it took the command: it then does nothing."""
        if not taken.work.armed.is_over:
            self._owner.act(taken.work, Side.MASTER, position)
        taken.close()

    def _swallowed(self, taken: _Taken, end: int, said: str) -> None:
        self._lane.skip(on=False)
        self._owner.fired(taken.work, Side.MASTER, taken.begin, end - taken.begin, f"dropped {said}")
        taken.close()

    def _take_copy(self, taken: _Taken, said: str) -> None:
        lane = self._lane
        work, begin, copied = taken.work, taken.begin, taken.copied
        later = isinstance(work.fault.what, Reorder)

        def start() -> None:
            lane.copy(copied)
            if later:
                lane.skip(on=True)

        def end_copy() -> None:
            lane.end_copy(copied)
            if later:
                lane.skip(on=False)

        def give_up() -> None:
            end_copy()
            if later:
                lane.insert(bytes(copied))
            copied.clear()
            taken.on_end = taken.on_next_end = taken.give_up = None
            self._owner.fired(work, Side.MASTER, begin, 0, f"left {said} alone: it has more than {MAX_COPIED} bytes")
            taken.close()

        def ended(end: int) -> None:
            taken.give_up = None

            def act() -> None:
                end_copy()
                if not later:
                    lane.insert(bytes(copied))
                    if self._stream is not None:
                        self._stream.is_padded = True
                    self._owner.fired(work, Side.MASTER, begin, len(copied), f"sent {said} twice")
                    taken.close()

            lane.mark(end, act)

        def next_ended(end: int) -> None:
            def act() -> None:
                lane.insert(bytes(copied))
                self._owner.fired(work, Side.MASTER, begin, len(copied), f"sent {said} behind the next command")
                taken.close()

            lane.mark(end, act)

        def lost() -> None:
            self._owner.fired(work, Side.MASTER, begin, len(copied), f"lost {said}: no other command came behind it")
            taken.close()

        lane.mark(begin, start)
        taken.on_end = ended
        taken.give_up = give_up
        if later:
            taken.on_next_end = next_ended
            taken.on_lost = lost


def _wanted(works: Sequence[Work]) -> _Wanted:
    """What the scanner has to look for, so that no command is looked at here in vain."""
    prefix = glob.prefix(work.fault.when.key for work in works if work.fault.when.key is not None)
    names = {b"PING"} if any(is_for_pings(work) for work in works) else set()
    keyed: set[bytes] = set()
    every = False
    for work in works:
        command, key = work.fault.when.command, work.fault.when.key
        if command is not None:
            (keyed if key is not None and prefix and command not in NOT_THE_FIRST else names).add(command)
        elif key is not None and not prefix:
            return None, frozenset(), b""
        elif key is not None:
            every = True
            names |= NOT_THE_FIRST
    return frozenset(names), None if every else frozenset(keyed - names), prefix


def _fits(work: Work, name: bytes) -> bool:
    """Whether a command of this name may be what the fault waits for."""
    when = work.fault.when
    if when.command is not None:
        return name == when.command
    return when.key is not None or (is_for_pings(work) and name == b"PING")


def is_for_pings(work: Work) -> bool:
    return isinstance(work.fault.what, Drop) and work.fault.what.target == "pings"


def _first_argument(command: memoryview, at: int) -> int | None:
    """Where the first byte of the argument whose $ is at *at* is; None while that is not there."""
    if bytes(command[:4]) == b"*1\r\n":
        return at - 3  # no argument: the last byte of the name
    found = bytes(command[at : at + 32]).find(b"\r\n")
    return None if found < 0 else at + found + 2
