"""One RDB on the wire: `$<length>` and that many bytes, or `$EOF:<mark>`, the RDB and the mark again.

The RDB is read as it passes, which also tells where it ends. Where it cannot be read, its frame still ends it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from tap.rdb.keys import Key, KeyReader
from tap.rdb.parser import Parser
from tap.rdb.problem import Problem
from tap.rdb.summary import Summary
from tap.rdb.tape import Tape
from tap.replication.events import Transfer

MARK_SIZE = 40
# The mark may occur inside a value, and masters use it again and again: it ends the RDB only behind the RDB's own end,
# a byte 0xFF and eight of checksum. Where the RDB cannot be read, that shows only because the master then falls silent
# until the replica acknowledges (Redis replication.c, repl_start_cmd_stream_on_ack): the last bytes before an
# acknowledgement, or before the close, decide. Servers acknowledge only then; other clients do all the time, and then
# an acknowledgement that was on its way when the mark passed starts the stream: see watch().
TAIL_SIZE = MARK_SIZE + 9

MAX_SIZE = 2**50
PROGRESS_STEP = 8 * 2**20  # of a diskless RDB; a disk-based one counts in hundredths, of this size at the least
LARGEST = 5  # keys that are remembered


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is left of a parser that has no more to read."""

    finished: bool
    problem: Problem | None
    version: int
    checksum: str


class Payload:
    """transfer. size: bytes of the RDB, None when diskless. received: bytes so far, a diskless RDB's mark included.

    summary: what the RDB holds, as far as it was read. joined: its first bytes were not at hand, see join(). lacks: some
    of its bytes were not.
    """

    def __init__(self, header: bytes, each: Callable[[list[Key]], None] | None = None) -> None:
        """header: what follows the $ of its line. each: called with the keys as they pass; None if nobody asks.

        Raises ValueError if the header is of neither form.
        """
        self.transfer = Transfer.DISK
        self.size: int | None = None
        self._mark = b""
        if header.startswith(b"EOF:") and len(header) == len(b"EOF:") + MARK_SIZE:
            self.transfer = Transfer.DISKLESS
            self._mark = header[len(b"EOF:") :]
        elif header.isdigit() and len(header) < 20 and int(header) <= MAX_SIZE:
            self.size = int(header)
        else:
            raise ValueError(header)
        self.header = header
        self.joined = False
        self.lacks = False
        self.received = 0
        self.summary = Summary(LARGEST)
        reader = self.summary if each is None else _both(self.summary, KeyReader(each))
        self._parser: Parser | _Verdict = Parser(reader, size=self.size)
        self._rdb_end: int | None = None  # as the RDB itself says
        self._after_rdb = b""
        self._tail = b""
        self._ended = False
        self._watches = False
        self._step = max(PROGRESS_STEP, (self.size or 0) // 100)
        self._milestone = self._step

    def join(self, received: int, *, ended: bool, mark_received: int) -> None:
        """Go on behind that many bytes, which are not at hand: nothing is known of the keys, only where it ends.

        ended: the RDB's own end is among them. mark_received: of the mark, how many are, or seem to be. Before feed().
        """
        self.joined = True
        self._go_on_behind(received, Problem("joined", received, "its beginning is not at hand", 0, None))
        # The bytes before an end that comes soon cannot be compared: they count as fitting.
        self._tail = (b"\xff" * TAIL_SIZE + self._mark[:mark_received])[-TAIL_SIZE:]
        if ended:
            self._rdb_end = received - mark_received
            self._after_rdb = self._mark[:mark_received]

    def skip(self, size: int) -> int:
        """So many of the next bytes are not at hand. Returns how many of them are the payload's.

        All of them, of a diskless RDB whose own end has not come: that its mark is among them does not show.
        """
        parser = self._parser
        if self.size is not None:
            size = min(size, self.size - self.received)
        elif self._rdb_end is not None:
            self._after_rdb += self._mark[len(self._after_rdb) :][:size]
            size = self._rdb_end + len(self._after_rdb) - self.received
            self._ended = self._after_rdb == self._mark
        problem = parser.problem
        if isinstance(parser, Parser) and not parser.finished and problem is None:
            problem = parser.close()
            assert problem is not None  # for it is not finished
            problem = dataclasses.replace(problem, kind="missing", text=f"{size} bytes are not at hand")
        self._go_on_behind(self.received + size, problem)
        return size

    def _go_on_behind(self, received: int, problem: Problem | None) -> None:
        """Only where it ends is of interest from here on."""
        parser = self._parser
        self.lacks = True
        self.received = received
        self._milestone = MAX_SIZE * 2
        self._parser = _Verdict(parser.finished, problem, parser.version, parser.checksum)
        # The bytes before an end that comes soon cannot be compared: they count as fitting.
        self._tail = b"\xff" * TAIL_SIZE

    @property
    def ended(self) -> bool:
        """Whether the RDB's own end has been received."""
        return self._rdb_end is not None

    @property
    def mark_received(self) -> int:
        """How many bytes of the mark the bytes so far end with."""
        if self._rdb_end is not None:
            return len(self._after_rdb)
        return next(
            (size for size in range(MARK_SIZE, 0, -1) if self._mark and self._tail.endswith(self._mark[:size])), 0
        )

    def watch(self) -> None:
        """The peer acknowledges already now: the stream may follow the mark without a pause."""
        self._watches = True

    def feed(self, data: bytes | memoryview) -> int:
        """Take payload bytes from the front of data; returns how many, fewer at a milestone or where the RDB ends."""
        data = data[: self._milestone - self.received]
        if self.size is not None:
            data = data[: self.size - self.received]
            if isinstance(self._parser, Parser):
                self._parser.feed(data)
            taken = len(data)
        else:
            taken = self._feed_diskless(data)
            self._tail = (self._tail + bytes(data[max(0, taken - TAIL_SIZE) : taken]))[-TAIL_SIZE:]
        self.received += taken
        return taken

    def _feed_diskless(self, data: bytes | memoryview) -> int:
        """Returns how many bytes are the payload's, its mark included."""
        begin = 0
        if self._rdb_end is None and self._parser.problem is None:
            assert isinstance(self._parser, Parser)
            begin = self._parser.feed(data)
            if self._parser.finished:
                self._rdb_end = self.received + begin
            elif self._parser.problem is None:
                return len(data)
        if self._rdb_end is not None and len(self._after_rdb) < MARK_SIZE:
            more = bytes(data[begin : begin + MARK_SIZE - len(self._after_rdb)])
            self._after_rdb += more
            self._ended = self._after_rdb == self._mark
            if self._ended or len(self._after_rdb) < MARK_SIZE:
                return begin + len(more)
        if self._watches:
            end = self._end_in(data)
            if end is not None:
                self._ended = True
                return end
        return len(data)

    def _end_in(self, data: bytes | memoryview) -> int | None:
        """Where in data an RDB that cannot be read ends and a command begins, None if nowhere."""
        seen = self._tail + bytes(data)
        found = seen.find(self._mark)
        while found >= 0:
            end = found + MARK_SIZE
            if found >= 9 and seen[found - 9] == 0xFF and seen[end : end + 1] in (b"*", b"\n"):
                return end - len(self._tail)
            found = seen.find(self._mark, found + 1)
        return None

    def close(self) -> None:
        """The payload is over: what of the RDB has not come never will. The parser's buffers go, what it found stays."""
        parser = self._parser
        if isinstance(parser, Parser):
            parser.close()
            self._parser = _Verdict(parser.finished, parser.problem, parser.version, parser.checksum)

    # ---- what is known ----

    @property
    def reached_milestone(self) -> bool:
        """Whether a fixed number of bytes has been received, told once."""
        if self.received < self._milestone:
            return False
        self._milestone += self._step
        return True

    @property
    def is_complete(self) -> bool:
        """Whether its end has been seen."""
        return self._ended or self.received == self.size

    @property
    def looks_complete(self) -> bool:
        """Whether the bytes so far end as a diskless RDB does. Decides once the replica acknowledges or leaves."""
        fits = len(self._tail) == TAIL_SIZE and self._tail[0] == 0xFF and self._tail.endswith(self._mark)
        return fits and self.size is None

    @property
    def rdb_bytes(self) -> int:
        """Bytes of the RDB itself, once it is complete."""
        return self.received - len(self._mark)

    @property
    def heading(self) -> dict[str, str] | None:
        """The fields that stand before the first key; None until they are known."""
        if self.summary.heading is not None:
            return self.summary.heading
        over = self._parser.finished or self._parser.problem is not None
        return self.summary.aux if over else None

    @property
    def version(self) -> int | None:
        """The RDB version, None until that is known."""
        return self._parser.version or None

    @property
    def checksum(self) -> str:
        """See tap.rdb.parser.Parser; "" if the end was not read."""
        verdict: str = self._parser.checksum
        return verdict

    @property
    def problem(self) -> Problem | None:
        """Why the RDB could not be read on."""
        problem: Problem | None = self._parser.problem
        return problem


def _both(first: Callable[[Tape], None], second: Callable[[Tape], None]) -> Callable[[Tape], None]:
    def read(tape: Tape) -> None:
        first(tape)
        second(tape)

    return read
