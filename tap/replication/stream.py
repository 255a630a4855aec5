"""The command stream of one connection: its offsets, its commands, and how far the replica has come with it.

Three ways to say where a byte is meet here, and only here is one turned into another:

    position   bytes of the master before it on the connection, replies and RDB included; what events, faults and
               recordings speak of
    count      bytes of the stream before it; what the scanner speaks of
    offset     its replication offset, which a master announces and a replica acknowledges

               0                  begins_at             boundary      received so far
    position   |-- replies, RDB --|---- commands -------|--- a part --|
    count                         0                     scanner.boundary
    offset                        base                  base + scanner.boundary

The base is the offset before the first byte: announced with the RDB or asked for in PSYNC. It is None while only another
connection of the sync has said it, and again once an acknowledgement contradicts it; then positions are known, and
offsets are not.

A decoder may stand in front of the scanner, for a dialect that encodes its stream (see decoder.py). Positions then count
the bytes as they came, counts and offsets those that the decoder made of them. A plain stream has none, and its bytes
reach the scanner without a copy or a call in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from tap.replication import events
from tap.replication.continuation import Continuation
from tap.replication.decoder import Decoder
from tap.replication.events import Event
from tap.replication.heads import Head, HeadReader
from tap.replication.lag import LagClock
from tap.replication.memory import Memory, Track
from tap.replication.scanner import StreamScanner
from tap.replication.words import WordReader

MAX_COMMAND = 2**20  # bytes of one command that are collected to tell it whole
MAX_HELD = 2**20  # bytes of commands that wait until the beginning of the stream has been reported
# A batch of commands is reported with an acknowledgement, which comes once a second; but not with each of the thousands
# that a client's WAIT can bring, and without one in time not later than this.
ACK_BATCH_SECONDS = 0.5
BATCH_SECONDS = 1.0

RATE_TICKS = 20  # over which the rate is taken: about two seconds


class Stream:
    """From the first byte after an RDB, a +CONTINUE or a +RDBCHANNELSYNC on.

    replid: the history; None while only another connection knows it. received: bytes of the stream, including those that
    are not understood. is_padded: a fault has sent the replica more than these, so its ACKs may be ahead of them.
    compares_acks: compare ACKs with what was received, which has to be everything the master sent.
    """

    def __init__(
        self,
        tell: Callable[[Event], None],
        memory: Memory,
        position: int,
        *,
        replid: str | None,
        base: int | None,
        db: int | None,
        every_command: bool,
        unfinished: bytes = b"",
        in_transaction: bool = False,
        max_command: int = MAX_COMMAND,
        tell_heads: Callable[[Stream, list[Head]], None] | None = None,
        wants: Callable[[type[Event]], bool] = lambda kind: True,
        compares_acks: bool = True,
        notices_secret: Callable[[bytes, int, int], None] | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        """position: of the first byte. base: the offset before it. unfinished: StreamScanner.unfinished of the command
        that is passing; the stream then begins at its end.

        tell_heads: receives the commands as they become whole, unless every_command is set. wants: asked before each
        Ack and each Command. notices_secret: receives the name of a command that may carry passwords, the position of the
        first byte after that name, and the number of words that follow; before receive() of that byte returns. decoder:
        None for a plain stream; not together with unfinished.
        """
        self._tell = tell
        self._memory = memory
        self._every_command = every_command
        self._max_command = max_command
        self._start = position
        self._decoder = decoder
        self._sought: dict[tuple[int, bool], set[int]] = {}  # what seek() asked for, as the scanner has it
        self.replid = replid
        self._base = base
        self.received = 0
        self.acked: int | None = None
        self.is_padded = False
        self.compares_acks = compares_acks
        self._doubted: int | None = None  # the base, until an acknowledgement made it doubtful
        self._tells_ahead = True
        self.acked_at: float | None = None  # when it did, on the clock of receive()
        self.acked_lag_bytes: int | None = None  # received and not acknowledged at that moment
        self.lag_seconds: float | None = None  # see events.Ack, of the last one
        self.has_begun = False  # StreamStarted has been told
        self._unfinished = unfinished
        # What the bytes go through before the scanner, None on the path of nearly every stream.
        self._prepare: Callable[[bytes], bytes] | None = self._after_unfinished if unfinished else None
        if decoder is not None:
            assert not unfinished
            self._prepare = decoder.feed
        self._tell_heads = tell_heads
        self._notices_secret = notices_secret
        self._wants = wants
        self._scan(db, in_transaction)
        self._lag = LagClock()
        self.previous: str | None = None  # the ID that the replica asked for, where it was granted another one
        self._continued: Continuation | None = None
        self._batch_at = float("-inf")
        self._course: deque[tuple[float, int]] = deque(maxlen=RATE_TICKS)  # (time, received) at the last ticks
        self._track: Track | None = None
        if not unfinished:
            self._remember()

    def _scan(self, db: int | None, in_transaction: bool) -> None:
        """From the next byte on."""
        keep_ends = self._every_command or self._tell_heads is not None
        self._scanner = StreamScanner(db, keep_ends=keep_ends, in_transaction=in_transaction)
        self._words = WordReader(self._scanner, self._max_command) if self._every_command else None
        self._heads = None if self._tell_heads is None or self._every_command else HeadReader(self._scanner)
        if self._notices_secret is not None:
            self._scanner.notice_secrets(self._secret)

    def _secret(self, name: bytes, position: int, words: int) -> None:
        assert self._notices_secret is not None
        self._notices_secret(name, self.position_after(position), words)

    def _remember(self) -> None:
        if self.replid is not None and self._base is not None:
            self._track = Track(self._base, self._scanner)
            self._memory.history(self.replid).add(self._track)

    @property
    def granted(self) -> int | None:
        """The offset before the first byte as the master gave it, also if an acknowledgement has contradicted it."""
        return self._base if self._doubted is None else self._doubted

    # ---- where a byte is ----

    @property
    def begins_at(self) -> int:
        """Position of the first byte."""
        return self._start

    @property
    def is_placed(self) -> bool:
        """Whether its offsets are known."""
        return self._base is not None

    def position_after(self, count: int) -> int:
        """The position after *count* bytes of the stream. With a decoder: after the wire bytes that brought them."""
        return self._start + (count if self._decoder is None else self._decoder.wire_bytes(count))

    def count_at(self, position: int) -> int:
        """How many bytes of the stream stand before a position; 0 where it has not begun."""
        passed = max(0, position - self._start)
        return passed if self._decoder is None else self._decoder.stream_bytes(passed)

    def offset_at(self, position: int) -> int | None:
        """The replication offset of the last byte before a position; None while offsets are unknown.

        Before the stream begins it is the offset of the RDB.
        """
        return None if self._base is None else self._base + self.count_at(position)

    def position_at(self, offset: int) -> int | None:
        """The position after the byte with that offset; None while offsets are unknown, and before the first byte."""
        return None if self._base is None or offset < self._base else self.position_after(offset - self._base)

    @property
    def begin_offset(self) -> int | None:
        """The replication offset before the first byte of the stream."""
        return self.offset_at(self.begins_at)

    @property
    def boundary_offset(self) -> int | None:
        """The replication offset at *boundary*."""
        return self.offset_at(self.boundary)

    @property
    def boundary(self) -> int:
        """Position after the last whole command; where the stream stops being understood, after the last one before."""
        return self.position_after(self._scanner.boundary)

    @property
    def understood_to(self) -> int:
        """Position of the first byte that is not understood; after the last one received if all are."""
        return self.position_after(self._scanner.broken_at if self._scanner.broken else self.received)

    @property
    def is_broken(self) -> bool:
        """Whether it has stopped being understood."""
        return bool(self._scanner.broken)

    @property
    def first_db(self) -> int | None:
        """The database in force before the first byte, None if unknown."""
        db: int | None = self._scanner.db_at(0)
        return db

    @property
    def in_transaction(self) -> bool:
        """Whether the last whole command stands between MULTI and EXEC."""
        return bool(self._scanner.in_transaction)

    @property
    def unfinished(self) -> bytes:
        """See StreamScanner.unfinished."""
        return bytes(self._scanner.unfinished)

    # ---- for faults: where commands are. All positions are those of the connection ----

    def seek(self, position: int, *, outside: bool) -> None:
        """Note where the first command ends at or after a position. outside: the first that no MULTI holds open."""
        place = self.count_at(position), outside
        self._sought.setdefault(place, set()).add(position)
        self._scanner.seek(*place)

    def take_landed(self) -> dict[tuple[int, bool], int]:
        """The end of the command by position and outside, as seek() had them, of those found since the last call."""
        landed = self._scanner.take_landed()
        return {
            (position, place[1]): self.position_after(end)
            for place, end in landed.items()
            for position in self._sought.pop(place, ())
        }

    def is_at_end(self, position: int, *, outside: bool) -> bool:
        """Whether all up to a position has been read, and a command ends there; outside: and no MULTI is open."""
        scanner, count = self._scanner, self.count_at(position)
        return scanner.position == scanner.boundary == count and not (outside and scanner.in_transaction)

    def watch(self, names: frozenset[bytes] | None, keyed: frozenset[bytes] | None, prefix: bytes) -> None:
        """Note the commands with these names, or names and beginnings of the first argument: see StreamScanner.watch."""
        self._scanner.watch(names, keyed, prefix)

    def take_matches(self) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        """What is known of the watched commands since the last call, each in their order.

        (first byte, end of the name); the command's end; the end of the command after it.
        """
        heads, ends, next_ends = self._scanner.take_matches()
        at = self.position_after
        return [(at(begin), at(end)) for begin, end in heads], [at(end) for end in ends], [at(end) for end in next_ends]

    def undecided(self, limit: int) -> int | None:
        """First byte of the command that may be watched for; None if there is none, or it has come to *limit* bytes."""
        scanner = self._scanner
        undecided = scanner.undecided
        if undecided is None or scanner.position - undecided > limit:
            return None
        return self.position_after(undecided)

    # ---- how far both sides are ----

    @property
    def offset(self) -> int | None:
        """Replication offset of the last byte received.

        None also where not even the first could be read: in a compressed stream (Valkey from 9.2 on) bytes are not what
        offsets count.
        """
        return None if self._base is None or self._scanner.broken_at == 0 else self._base + self.received

    @property
    def lag_bytes(self) -> int | None:
        offset = self.offset
        return None if offset is None or self.acked is None else max(0, offset - self.acked)

    @property
    def rate(self) -> float:
        """Bytes per second over the last ticks."""
        if len(self._course) < 2:
            return 0.0
        (begin, before), (end, after) = self._course[0], self._course[-1]
        return (after - before) / max(end - begin, 0.001)

    @property
    def db(self) -> int | None:
        db: int | None = self._scanner.db
        return db

    def rebase(self, replid: str, base: int) -> None:
        """The other connection of the sync has named the history of this stream, and the offset before its first byte."""
        self.replid = replid
        self._base = base
        self._remember()

    # ---- bytes ----

    def receive(self, data: bytes | memoryview, at: float) -> tuple[int, str] | None:
        """Take the next bytes. Returns where on the connection they stop making sense, and why, the first time."""
        if self._prepare is not None:
            data = self._prepare(bytes(data))
        scanner = self._scanner
        understood = not scanner.broken
        self.received += len(data)
        scanner.feed(data)
        self._lag.passed(self.received, at)
        if self._heads is not None and self._tell_heads is not None and understood:
            heads = self._heads.read(bytes(data))
            if heads:
                self._tell_heads(self, heads)
        if self._words is not None and understood:
            self._words.feed(data)
            if not self.has_begun and self._words.held > MAX_HELD:
                self.begin()
            if self.has_begun:
                self._tell_each(self._words)
        if scanner.broken and understood:
            self.begin(buffered=0 if self.is_continuing else scanner.broken_at)
            self.tell_batch()
            number = "" if self._base is None else f" (offset {self._base + scanner.broken_at + 1})"
            return self.position_after(scanner.broken_at), f"in the stream{number}: {scanner.broken}"
        return None

    def _after_unfinished(self, data: bytes) -> bytes:
        """The data after the end of the command that had begun before the stream was joined."""
        db, in_transaction = self._scanner.db, self._scanner.in_transaction
        probe = StreamScanner(db, in_transaction=in_transaction)
        probe.seek(1, False)
        before = len(self._unfinished)
        probe.feed(self._unfinished + data)
        ends = probe.take_landed()
        if ends or probe.broken:
            end = max(0, (ends[1, False] if ends else probe.broken_at) - before)
            passed = StreamScanner(db, in_transaction=in_transaction)
            passed.feed(self._unfinished + data[:end])
            self._scan(passed.db, passed.in_transaction)
            self._unfinished, self._prepare = b"", None
        else:
            end = len(data)
            self._unfinished = probe.unfinished
        self._start += end
        if self._base is not None:
            self._base += end
        if not self._unfinished:
            self._remember()
        return data[end:]

    def acknowledge(self, offset: int, fsynced: int | None, start: int, end: int, at: float) -> None:
        """The replica has applied the stream up to *offset*, said in bytes start <= i < end of its direction."""
        if self._continued is None:
            self.begin()
            if at - self._batch_at >= ACK_BATCH_SECONDS:
                self._batch_at = at
                self.tell_batch()
        sent = self.offset
        if sent is not None and offset > sent and self.compares_acks:
            self._ahead(offset, sent, start, end)
        self.acked = offset
        lag_bytes, self.lag_seconds = None, None
        if self._base is not None and sent is not None:
            lag_bytes, self.lag_seconds = max(0, sent - offset), self._lag.acked(offset - self._base, at)
        self.acked_at, self.acked_lag_bytes = at, lag_bytes
        if self._continued is None and not self._wants(events.Ack):
            return
        ack = events.Ack(
            start=start, end=end, offset=offset, fsynced=fsynced, lag_bytes=lag_bytes, lag_seconds=self.lag_seconds
        )
        if self._continued is None:
            self._tell(ack)
        else:
            self._continued.last_ack = ack

    def _ahead(self, offset: int, sent: int, start: int, end: int) -> None:
        """It cannot have applied so much."""
        self.begin()
        if self._tells_ahead:
            self._tells_ahead = False
            self._tell(events.AckAheadOfMaster(start=start, end=end, offset=offset, sent=sent, by_fault=self.is_padded))
        if not self.is_padded:
            self.doubt()

    def doubt(self) -> None:
        """Its offsets are unknown from here on: an ACK and what has come cannot both be right."""
        if self._base is None:
            return
        self.tell_batch()
        self._doubted, self._base = self._base, None
        if self._track is not None:
            self._track.is_doubted = True

    def tick(self, at: float, *, held_back: bool) -> None:
        """Some time has passed; see Conversation.tick."""
        self._course.append((at, self.received))
        if self._continued is not None and self._continued.is_measured(self.received, held_back):
            self.begin()
        if self.has_begun and at - self._batch_at >= BATCH_SECONDS:
            self._batch_at = at
            self.tell_batch()

    def rests(self, at: float) -> bool:
        """Whether, after the tick at that time, further ones tell nothing until something else happens."""
        return self._continued is None and (not self.has_begun or (not self._scanner.commands and self._batch_at == at))

    def catch_up(self, ticks: Iterable[float], batch_at: float | None) -> None:
        """Be as after ticks that were left out while it rested.

        ticks: the times of the last RATE_TICKS of them. batch_at: when the last of its batches would have begun.
        """
        self._course.extend((at, self.received) for at in ticks)
        if batch_at is not None:
            self._batch_at = batch_at

    # ---- events ----

    def continues(
        self,
        previous: str | None,
        start: int,
        end: int,
        *,
        previous_link: str | None,
        least: int,
        expected: int | None,
    ) -> None:
        """It is a partial resync, granted in bytes start <= i < end; begin() will tell it.

        previous: the ID asked for, where another one was granted; previous_link: see events.PartialResync. least,
        expected: bytes that the replica certainly, and probably, had missed.
        """
        self.previous = previous
        self._continued = Continuation(previous, previous_link, start, end, least, expected)

    @property
    def is_within_command(self) -> bool:
        """Whether all received so far is of a command that had begun before the stream was joined."""
        return bool(self._unfinished)

    @property
    def is_read(self) -> bool:
        """Whether it is understood, up to its last byte."""
        return not self._unfinished and not self._scanner.broken

    @property
    def is_continuing(self) -> bool:
        """Whether it is a partial resync that begin() has yet to tell."""
        return self._continued is not None

    def begin(self, buffered: int = 0) -> None:
        """Tell that the stream has started, once; buffered: see events.StreamStarted."""
        if self.has_begun:
            return
        self.has_begun = True
        continued, scanner = self._continued, self._scanner
        if continued is not None:
            self._tell(
                events.PartialResync(
                    start=continued.start,
                    end=continued.end,
                    replid=self.replid,
                    previous_replid=continued.previous,
                    previous_link=continued.previous_link,
                    offset=self._base,
                    bytes_behind=continued.missed(scanner.broken_at if scanner.broken else self.received),
                )
            )
        self._continued = None
        self._tell(
            events.StreamStarted(
                start=self._start,
                end=self._start,
                replid=self.replid,
                offset=self._base,
                db=scanner.db_at(0),
                buffered=buffered,
            )
        )
        if self._words is not None:
            self._tell_each(self._words)
        if continued is not None and continued.last_ack is not None:
            self.tell_batch()
            self._tell(continued.last_ack)

    def end(self) -> None:
        """The connection is gone: tell what was kept back."""
        if self._continued is not None:
            self.begin()
        self.tell_batch()
        if self._track is not None:
            self._track.settle()

    def tell_batch(self) -> None:
        """Tell the whole commands since the last batch, if there are any."""
        scanner = self._scanner
        count, size, boundary = scanner.commands, scanner.command_bytes, scanner.boundary
        if not count:
            return
        by_name = sorted(scanner.take().items(), key=lambda item: -item[1][1])
        self._tell(
            events.Commands(
                start=self.position_after(boundary - size),
                end=self.position_after(boundary),
                offset=None if self._base is None else self._base + boundary,
                count=count,
                bytes=size,
                by_name={name: events.Share(count=share[0], bytes=share[1]) for name, share in by_name},
                db=scanner.db,
                in_transaction=scanner.in_transaction,
            )
        )

    def _tell_each(self, words: WordReader) -> None:
        """Tell one by one the commands that are whole."""
        first, is_encoded = self._start, self._decoder is not None
        for begin, end, db, in_transaction in self._scanner.take_ends():
            if not self._wants(events.Command):
                continue
            name, args, omitted = words.words(begin, end)
            self._tell(
                events.Command(
                    start=self.position_after(begin) if is_encoded else first + begin,
                    end=self.position_after(end) if is_encoded else first + end,
                    offset=None if self._base is None else self._base + end,
                    db=None if db < 0 else db,
                    name=name.decode("latin-1"),
                    args=args,
                    in_transaction=in_transaction,
                    omitted_bytes=end - begin if omitted else 0,
                )
            )
        words.drop_read()
