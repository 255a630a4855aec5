"""One RDB on the wire: `$<length>` and that many bytes, or `$EOF:<mark>`, the RDB and the mark again.

The RDB is parsed as it passes, which also shows where it ends. If it cannot be parsed, its frame still shows the end.
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
# The mark may occur inside a value, because masters reuse it: it ends the RDB only after the RDB's own end, a byte 0xFF
# and eight bytes of checksum. If the RDB cannot be parsed, its end shows only by a pause: the master sends nothing more
# until the replica acknowledges (Redis replication.c, repl_start_cmd_stream_on_ack), so the last bytes before an
# acknowledgement, or before the close, decide. Servers acknowledge only after the RDB; other clients do all the time,
# and an acknowledgement that is on its way when the mark passes starts the stream without a pause: see watch().
TAIL_SIZE = MARK_SIZE + 9

MAX_SIZE = 2**50
PROGRESS_STEP = 8 * 2**20  # for a diskless RDB, and the minimum for a disk-based one, whose step is a hundredth
LARGEST = 5  # number of keys that are remembered


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is kept of a parser after it has read all it can."""

    finished: bool
    problem: Problem | None
    version: int
    checksum: str


class Payload:
    """size: bytes of the RDB, None when diskless. received: bytes so far, including a diskless RDB's mark.

    summary: what the RDB holds, as far as it was parsed. joined: its first bytes are missing, see join(). lacks: some of
    its bytes are missing.
    """

    def __init__(self, header: bytes, each: Callable[[list[Key]], None] | None = None) -> None:
        """header: the header line after its $. each: called with the keys as they pass; None: keys are not wanted.

        Raises ValueError if the header has neither form.
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
        self._rdb_end: int | None = None  # where the RDB ends by its own contents
        self._after_rdb = b""
        self._tail = b""
        self._ended = False
        self._watches = False
        self._step = max(PROGRESS_STEP, (self.size or 0) // 100)
        self._milestone = self._step

    def join(self, received: int, *, ended: bool, mark_received: int) -> None:
        """Continue after this many bytes, which are missing: only the end will be found, and no keys.

        ended: the RDB's own end is among the missing bytes. mark_received: how many bytes of the mark are, or seem to
        be. To be called before feed(). Raises ValueError if no payload with this header can have received that.
        """
        most = MAX_SIZE if self.size is None else self.size
        if not 0 <= received <= most or not 0 <= mark_received <= min(received, MARK_SIZE):
            raise ValueError(
                f"{received} bytes of its RDB have come, at most {most} can, and {mark_received} of the mark"
            )
        self.joined = True
        self._continue_after(received, Problem("joined", received, "its beginning is missing", 0, None))
        # If the end comes soon, the bytes before it are missing and cannot be compared: assume that they fit.
        self._tail = (b"\xff" * TAIL_SIZE + self._mark[:mark_received])[-TAIL_SIZE:]
        if ended:
            self._rdb_end = received - mark_received
            self._after_rdb = self._mark[:mark_received]

    def skip(self, size: int) -> int:
        """The next *size* bytes are missing. Returns how many of them are the payload's.

        For a diskless RDB whose own end has not come, that is all of them: whether its mark is among them is unknown.
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
            assert problem is not None  # the parser is not finished
            problem = dataclasses.replace(problem, kind="missing", text=f"{size} bytes are missing")
        self._continue_after(self.received + size, problem)
        return size

    def _continue_after(self, received: int, problem: Problem | None) -> None:
        """From here on only look for the end."""
        parser = self._parser
        self.lacks = True
        self.received = received
        self._milestone = MAX_SIZE * 2
        self._parser = _Verdict(parser.finished, problem, parser.version, parser.checksum)
        self._tail = b"\xff" * TAIL_SIZE  # as in join()

    @property
    def ended(self) -> bool:
        """Whether the RDB's own end has been received."""
        return self._rdb_end is not None

    @property
    def mark_received(self) -> int:
        """The number of bytes of the mark with which the bytes so far end."""
        if self._rdb_end is not None:
            return len(self._after_rdb)
        return next(
            (size for size in range(MARK_SIZE, 0, -1) if self._mark and self._tail.endswith(self._mark[:size])), 0
        )

    def watch(self) -> None:
        """The peer has already acknowledged: the stream may follow the mark without a pause."""
        self._watches = True

    def feed(self, data: bytes | memoryview) -> int:
        """Take payload bytes from the front of data. Returns their number, less than all at a milestone or the end."""
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
        """Returns how many bytes are the payload's, including its mark."""
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
        """Where in data an RDB that cannot be parsed ends and a command or newline begins; None if nowhere."""
        seen = self._tail + bytes(data)
        found = seen.find(self._mark)
        while found >= 0:
            end = found + MARK_SIZE
            if found >= 9 and seen[found - 9] == 0xFF and seen[end : end + 1] in (b"*", b"\n"):
                return end - len(self._tail)
            found = seen.find(self._mark, found + 1)
        return None

    def close(self) -> None:
        """The payload is over, even if the RDB is not: release the parser's buffers, and keep its results."""
        parser = self._parser
        if isinstance(parser, Parser):
            parser.close()
            self._parser = _Verdict(parser.finished, parser.problem, parser.version, parser.checksum)

    # ---- what is known ----

    @property
    def reached_milestone(self) -> bool:
        """Whether the next milestone has been received; true once for each."""
        if self.received < self._milestone:
            return False
        self._milestone += self._step
        return True

    @property
    def is_complete(self) -> bool:
        """Whether the end of the payload has been seen."""
        return self._ended or self.received == self.size

    @property
    def looks_complete(self) -> bool:
        """Whether the bytes so far end as a diskless RDB does; conclusive once the replica acknowledges or leaves."""
        fits = len(self._tail) == TAIL_SIZE and self._tail[0] == 0xFF and self._tail.endswith(self._mark)
        return fits and self.size is None

    @property
    def rdb_bytes(self) -> int:
        """Bytes of the RDB itself, once it is complete."""
        return self.received - len(self._mark)

    @property
    def heading(self) -> dict[str, str] | None:
        """The fields before the first key; None until they are known."""
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
        """See tap.rdb.parser.Parser; "" if the end was not parsed."""
        verdict: str = self._parser.checksum
        return verdict

    @property
    def problem(self) -> Problem | None:
        """Why the RDB could not be parsed further; None if it could."""
        problem: Problem | None = self._parser.problem
        return problem


def _both(first: Callable[[Tape], None], second: Callable[[Tape], None]) -> Callable[[Tape], None]:
    def read(tape: Tape) -> None:
        first(tape)
        second(tape)

    return read
