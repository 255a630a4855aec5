"""Recognizes commands that came before on any connection: several replicas of one master get the same stream.

A replication ID names a history, in which each offset stands for one byte. To report every command once, it is enough to
know which offsets of each history have come: one span for each stretch without a hole, no matter how many replicas
brought it, in which order, or how far apart. Bytes that one replica lacks are new when another brings them.

A promoted replica gives its history a new ID (tap/replication/succession.py). The part that both IDs share is kept under
the older one. Commands after the branch are reported under both IDs, so none is left out.

Memory: two numbers a span. Beyond MAX_SPANS spans, the lowest span of the least recently used history is forgotten.
Commands in it would be reported again, which remarks() says.
"""

from __future__ import annotations

from bisect import bisect_right

from tap.bus import Told
from tap.recording.offset_spans import Spans
from tap.replication.events import Command, PartialResync, StreamStarted
from tap.replication.heads import Head
from tap.replication.succession import Succession

MAX_SPANS = 2**16


class SeenCommands:
    """uncertain: number of commands without a known offset, which always count as new."""

    def __init__(self) -> None:
        self.uncertain = 0
        self._seen: dict[str, Spans] = {}  # by replication ID; the one that was used last is last
        self._succession = Succession()
        self._replids: dict[tuple[str, int], str] = {}  # by link and connection
        self._spans = 0
        self._has_forgotten = False

    def remarks(self) -> list[str]:
        """Sentences about commands that may have been reported more than once."""
        found = []
        if self.uncertain:
            what, are = ("command", "it is") if self.uncertain == 1 else ("commands", "they are")
            found.append(f"the offset of {self.uncertain} {what} is not known: {are} reported as often as they came")
        if self._has_forgotten:
            found.append(f"the stream has more than {MAX_SPANS} holes: commands before a hole may be reported twice")
        return found

    # ---- histories ----

    def continues(self, replid: str, previous: str, offset: int) -> None:
        """Note that a history is the same as that of the previous ID up to this offset."""
        before = self._succession.continues(replid, previous, offset)
        seen = self._seen.get(replid)
        if before is not None and seen is not None:
            cuts = sorted(self._succession.branches(replid))  # a span may reach across the beginning of an older ID
            for begin, end in seen.between(before, offset):  # earlier spans have been moved already
                for cut in [*(cut for cut in cuts if begin < cut < end), end]:
                    self._add(self._succession.home(replid, cut), begin, cut)
                    begin = cut

    # ---- events ----

    def first(self, told: Told, *, counts: bool) -> bool:
        """Whether an event is new: False for a command that came before. To be called with every event, in order.

        counts: its link is one that was asked for; commands on other links are not remembered.
        """
        event = told.event
        if isinstance(event, Command):
            return not counts or self._is_new(told, event)
        if isinstance(event, PartialResync):
            if event.replid is not None and event.previous_replid is not None and event.offset is not None:
                self.continues(event.replid, event.previous_replid, event.offset)
        elif isinstance(event, StreamStarted) and event.replid is not None:
            self._replids[told.link, told.connection] = event.replid
        return True

    def _is_new(self, told: Told, command: Command) -> bool:
        replid = self._replids.get((told.link, told.connection))
        if replid is None or command.offset is None:
            self.uncertain += 1
            return True
        end = command.offset
        return self._add(self._succession.home(replid, end), end - (command.end - command.start), end)

    # ---- batches ----

    def new(self, replid: str | None, base: int | None, heads: list[Head]) -> list[Head]:
        """Return those of consecutive commands that are new, and remember them. base: offset before the stream."""
        if not heads:
            return heads
        if replid is None or base is None:
            self.uncertain += len(heads)
            return heads
        begin, end = base + heads[0][0] - heads[0][1], base + heads[-1][0]
        for branch in self._succession.branches(replid):
            if begin < branch < end:
                at = bisect_right(heads, branch - base, key=lambda head: head[0])
                if at:
                    return [*self.new(replid, base, heads[:at]), *self.new(replid, base, heads[at:])]
        home = self._succession.home(replid, end)
        seen = self._seen.get(home)
        if seen is not None and seen.overlaps(begin, end):
            heads = [head for head in heads if not seen.has(base + head[0] - head[1], base + head[0])]
        self._add(home, begin, end)
        return heads

    # ----

    def _add(self, replid: str, begin: int, end: int) -> bool:
        seen = self._seen[replid] = self._seen.pop(replid, Spans())
        before = len(seen.begins)
        is_new = seen.add(begin, end)
        self._spans += len(seen.begins) - before
        while self._spans > MAX_SPANS:
            self._forget()
        return is_new

    def _forget(self) -> None:
        replid, seen = next(iter(self._seen.items()))
        del seen.begins[0], seen.ends[0]
        if not seen.begins:
            del self._seen[replid]
        self._spans -= 1
        self._has_forgotten = True
