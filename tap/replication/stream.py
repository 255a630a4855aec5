"""The command stream of one connection: its offsets, its commands, and the replica's progress.

A byte's place can be given in three ways, and only this module converts one into another:

    position   the master's bytes before it on the connection, replies and RDB included; used by events, faults and
               recordings
    count      bytes of the stream before it; used by the scanner
    offset     its replication offset, which a master announces and a replica acknowledges

               0                  begins_at             boundary      received so far
    position   |-- replies, RDB --|---- commands -------|--- a part --|
    count                         0                     scanner.boundary
    offset                        base                  base + scanner.boundary

The base is the offset before the first byte: announced with the RDB, or requested in PSYNC. It is None in a
two-connection sync until the other connection announces it, and again once an acknowledgement contradicts it; positions
are then known, and offsets are not.

A decoder may precede the scanner, for a dialect that encodes its stream (see decoder.py). Positions then count the bytes
on the wire, counts and offsets the decoded bytes. A plain stream has no decoder: its bytes reach the scanner without a
copy or a call in between.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.replication import events
from tap.replication.catching_up import CatchingUp
from tap.replication.command_arguments import ArgumentReader
from tap.replication.decoder import Decoder
from tap.replication.events import Event
from tap.replication.head_samples import HeadSamples, SampledScanner
from tap.replication.heads import Head, HeadReader
from tap.replication.lag import MORE_THAN_A_READ, OVERDUE_SECONDS, UNKNOWN, Lag, Reached
from tap.replication.lag_clock import LagClock
from tap.replication.memory import Memory, Track
from tap.replication.scanner import StreamScanner

MAX_COMMAND = 2**20  # bytes; a larger command is reported with only some of its arguments
MAX_HELD = 2**20  # bytes of commands that wait until the beginning of the stream has been reported
# A batch of commands is reported with an acknowledgement, which normally comes once a second. Clients' WAIT may cause
# thousands a second, hence the minimum between two batches; the maximum is for a replica that does not acknowledge.
ACK_BATCH_SECONDS = 0.5
BATCH_SECONDS = 1.0


class Stream:
    """The stream from its first byte, after an RDB, a +CONTINUE or a +RDBCHANNELSYNC.

    replid: the history; None until the other connection of the sync announces it. received: bytes of the stream,
    including those not understood. is_padded: a fault has sent the replica additional bytes, so its ACKs may be ahead of
    *received*. compares_acks: check ACKs against *received*; allowed only if that is all that the master sent. measures:
    report CaughtUp; allowed only if the ticks say when the master could not send.
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
        measures: bool = True,
        notices_secret: Callable[[bytes, int, int], None] | None = None,
        decoder: Decoder | None = None,
        samples: HeadSamples | None = None,
    ) -> None:
        """position: of the first byte. base: the offset before it. unfinished: StreamScanner.unfinished, if the first
        bytes are the rest of a command; the stream then begins after that command.

        tell_heads: called with the commands as they are completed, unless every_command is set. wants: called before
        each Ack and each Command is constructed. notices_secret: called with the name of a command that may carry
        passwords, the position after that name, and the number of words that follow, before receive() of the first of
        these words returns. decoder: None for a plain stream; not allowed together with unfinished. samples: take some
        of the commands, unless all are taken.
        """
        self._tell = tell
        self._memory = memory
        self._every_command = every_command
        self._max_command = max_command
        self._start = position
        self._decoder = decoder
        self._sought: dict[tuple[int, bool], set[int]] = {}  # by the scanner's (count, outside), the positions of seek()
        self.replid = replid
        self._base = base
        self.received = 0
        self.acked: int | None = None
        self.is_padded = False
        self.compares_acks = compares_acks
        self._doubted: int | None = None  # the base, until an acknowledgement made it doubtful
        self._tells_ahead = True
        self.acked_at: float | None = None  # the time of the last ACK, on the clock of receive()
        self._acked_lag: tuple[int | None, float | None, bool, str] = UNKNOWN  # at that time
        self._looked_at = float("-inf")  # the last time of an ACK at which other connections were asked
        self._sent = 0  # bytes received at the last tick, and those that the system held then
        self._held_back = False  # the master was not read then
        self._is_bound = False  # the master may have written more than it has sent
        self._ticked = -1  # bytes received by then
        self.has_begun = False  # StreamStarted has been reported
        self.pings = 0  # in the batches reported so far
        self._unfinished = unfinished
        # Called with the bytes before the scanner gets them; None for nearly every stream.
        self._prepare: Callable[[bytes], bytes] | None = self._after_unfinished if unfinished else None
        if decoder is not None:
            assert not unfinished
            self._prepare = decoder.feed
        self._tell_heads = tell_heads
        self._notices_secret = notices_secret
        self._wants = wants
        self._samples = samples
        self._scan(db, in_transaction)
        self._lag = LagClock(memory.ack_times)
        self.previous: str | None = None  # the ID that the replica asked for, if another one was granted
        self._measures = measures
        self._catching_up: CatchingUp | None = None
        self._batch_at = float("-inf")
        self._track: Track | None = None
        if not unfinished:
            self._remember()

    def _scan(self, db: int | None, in_transaction: bool) -> None:
        """Start a new scanner at the next byte."""
        keep_ends = self._every_command or self._tell_heads is not None
        self._scanner = StreamScanner(db, keep_ends=keep_ends, in_transaction=in_transaction)
        self._words = ArgumentReader(self._scanner, self._max_command) if self._every_command else None
        self._heads = None if self._tell_heads is None or self._every_command else HeadReader(self._scanner)
        self._sampled: SampledScanner | None = None
        if self._samples is not None and self._samples.take is not None and not keep_ends:
            self._sampled = SampledScanner(self._scanner, self._samples)
        if self._notices_secret is not None:
            self._scanner.notice_secrets(self._secret)

    def _secret(self, name: bytes, position: int, words: int) -> None:
        assert self._notices_secret is not None
        self._notices_secret(name, self.position_after(position), words)

    def _remember(self) -> None:
        if self.replid is not None and self._base is not None:
            self._track = Track(self._base, self._scanner, self._memory.master)
            self._memory.history(self.replid).add(self._track)

    @property
    def granted(self) -> int | None:
        """The offset before the first byte by the master's grant, even if an acknowledgement has contradicted it."""
        return self._base if self._doubted is None else self._doubted

    # ---- where a byte is ----

    @property
    def begins_at(self) -> int:
        """Position of the stream's first byte."""
        return self._start

    @property
    def is_placed(self) -> bool:
        """Whether the offsets are known."""
        return self._base is not None

    def position_after(self, count: int) -> int:
        """The position after *count* bytes of the stream; with a decoder, after the wire bytes that encode them."""
        return self._start + (count if self._decoder is None else self._decoder.wire_bytes(count))

    def count_at(self, position: int) -> int:
        """The number of stream bytes before a position; 0 before the stream."""
        passed = max(0, position - self._start)
        return passed if self._decoder is None else self._decoder.stream_bytes(passed)

    def offset_at(self, position: int) -> int | None:
        """The replication offset of the last byte before a position; None while offsets are unknown.

        For positions before the stream, the offset of the RDB.
        """
        return None if self._base is None else self._base + self.count_at(position)

    def position_at(self, offset: int) -> int | None:
        """The position after the byte with that offset; None while offsets are unknown, and for one below the base."""
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
        """Position after the last whole command that was understood."""
        return self.position_after(self._scanner.boundary)

    @property
    def understood_to(self) -> int:
        """Position of the first byte that is not understood; if all are, after the last one received."""
        return self.position_after(self._scanner.broken_at if self._scanner.broken else self.received)

    @property
    def is_broken(self) -> bool:
        """Whether the stream is not understood any more."""
        return bool(self._scanner.broken)

    @property
    def first_db(self) -> int | None:
        """The database in force before the first byte, None if unknown."""
        db: int | None = self._scanner.db_at(0)
        return db

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open after the last whole command."""
        return bool(self._scanner.in_transaction)

    @property
    def unfinished(self) -> bytes:
        """See StreamScanner.unfinished."""
        return bytes(self._scanner.unfinished)

    # ---- for faults: where commands are, as positions on the connection ----

    def seek(self, position: int, *, outside: bool) -> None:
        """Find where the first command ends at or after a position; outside: the first with no open transaction."""
        place = self.count_at(position), outside
        self._sought.setdefault(place, set()).add(position)
        self._scanner.seek(*place)

    def take_landed(self) -> dict[tuple[int, bool], int]:
        """The ends found since the last call, by the position and *outside* given to seek()."""
        landed = self._scanner.take_landed()
        return {
            (position, place[1]): self.position_after(end)
            for place, end in landed.items()
            for position in self._sought.pop(place, ())
        }

    def is_at_end(self, position: int, *, outside: bool) -> bool:
        """Whether all bytes received end at a position, where a command ends; outside: and no transaction is open."""
        scanner, count = self._scanner, self.count_at(position)
        return scanner.position == scanner.boundary == count and not (outside and scanner.in_transaction)

    def watch(self, names: frozenset[bytes] | None, keyed: frozenset[bytes] | None, prefix: bytes) -> None:
        """Watch for commands by their names, or by name and a prefix of the first argument; see StreamScanner.watch()."""
        self._scanner.watch(names, keyed, prefix)

    def take_matches(self) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        """What has become known of the watched commands since the last call; three lists, each in the stream's order.

        (first byte, end of the name); the command's end; the end of the next command.
        """
        heads, ends, next_ends = self._scanner.take_matches()
        if not (heads or ends or next_ends):
            return heads, ends, next_ends
        at = self.position_after
        return [(at(begin), at(end)) for begin, end in heads], [at(end) for end in ends], [at(end) for end in next_ends]

    def undecided(self, limit: int) -> int | None:
        """First byte of a command that may still turn out to match; None if there is none, or beyond *limit* bytes."""
        scanner = self._scanner
        undecided = scanner.undecided
        if undecided is None or scanner.position - undecided > limit:
            return None
        return self.position_after(undecided)

    # ---- progress of both sides ----

    @property
    def offset(self) -> int | None:
        """Replication offset of the last byte received; None while unknown.

        None also if not even the first byte was understood: the stream may be compressed (Valkey from 9.2 on), and
        offsets then do not count the bytes received.
        """
        return None if self._base is None or self._scanner.broken_at == 0 else self._base + self.received

    def lag(self, at: float) -> Lag:
        """How far the replica lags its master at this time.

        Between two acknowledgements the figures are those of the last one: later bytes could not be acknowledged yet, and
        a lag that rises and falls each second would mean nothing. Once the next acknowledgement is overdue, all bytes
        that are not acknowledged count, and the time since the last acknowledgement. They count at once while the replica
        takes no more.
        """
        if self.acked is None or self.acked_at is None:
            return UNKNOWN
        silent = at - self.acked_at
        if silent > OVERDUE_SECONDS:
            return self._behind(self.acked, silent, at)
        return self._behind(self.acked, self._acked_lag[1], at) if self._held_back else Lag(*self._acked_lag)

    def _behind(self, acked: int, seconds: float | None, at: float) -> Lag:
        reached = self._reached(at)
        if reached is None:
            return Lag(None, seconds)
        return Lag(max(0, reached.offset - acked), seconds, reached.at_least, reached.known_from)

    def _reached(self, at: float) -> Reached | None:
        """What the master has written; None while offsets are unknown. See lag.py."""
        offset = self.offset
        if offset is None:
            return None
        is_bound = self._is_bound
        sent, shown = offset + max(0, self._sent - self.received), self._shown_elsewhere()
        if shown is not None and shown >= sent:
            return Reached(shown, False, "link" if shown > sent or is_bound else "wire")
        said = None if self.replid is None else self._memory.said(self.replid, at)
        if said is not None and said.offset is not None and (said.offset > sent or is_bound):
            return Reached(max(said.offset, sent), False, "master")
        return Reached(sent, is_bound, "wire")

    def _shown_elsewhere(self) -> int | None:
        """The offset that other connections to this master show it to have written by now; None if none does."""
        return None if self.replid is None else self._memory.shown(self.replid, self._track)

    @property
    def db(self) -> int | None:
        db: int | None = self._scanner.db
        return db

    def rebase(self, replid: str, base: int) -> None:
        """Set the history and the base, which the other connection of the sync has announced."""
        self.replid = replid
        self._base = base
        self._remember()

    # ---- bytes ----

    def receive(self, data: bytes | memoryview, at: float) -> tuple[int, str] | None:
        """Take the next bytes. When they stop being understood, returns the position and the reason, once; else None."""
        if self._prepare is not None:
            data = self._prepare(bytes(data))
        scanner = self._scanner
        understood = not scanner.broken
        self.received += len(data)
        if self._sampled is None:
            scanner.feed(data)
        else:
            self._sampled.feed(data, at)
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
            self._catching_up = None
            self.begin(buffered=scanner.broken_at)
            self.tell_batch()
            number = "" if self._base is None else f" (offset {self._base + scanner.broken_at + 1})"
            return self.position_after(scanner.broken_at), f"in the stream{number}: {scanner.broken}"
        return None

    def _after_unfinished(self, data: bytes) -> bytes:
        """The data after the end of the command during which the stream was joined."""
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
        """The replica has applied the stream up to *offset*; bytes start <= i < end of its direction say so."""
        self.begin()
        if at - self._batch_at >= ACK_BATCH_SECONDS:
            self._batch_at = at
            self.tell_batch()
        sent = self.offset
        if sent is not None and offset > sent and self.compares_acks:
            self._ahead(offset, sent, start, end)
        self.acked = offset
        if self._base is None or sent is None:
            self._acked_lag = UNKNOWN
        else:
            seconds = self._lag.acked(offset - self._base, at)
            if self._is_bound or (self.received == self._ticked and at - self._looked_at >= ACK_BATCH_SECONDS):
                self._looked_at = at
                self._acked_lag = self._behind(offset, seconds, at)
            else:  # the usual case, thousands of times a second if clients WAIT
                self._acked_lag = (sent - offset if sent > offset else 0), seconds, False, "wire"
        self.acked_at = at
        if not self._wants(events.Ack):
            return
        lag_bytes, lag_seconds, lag_at_least, _ = self._acked_lag
        self._tell(
            events.Ack(
                start=start,
                end=end,
                offset=offset,
                fsynced=fsynced,
                lag_bytes=lag_bytes,
                lag_seconds=lag_seconds,
                lag_at_least=lag_at_least,
            )
        )

    def _ahead(self, offset: int, sent: int, start: int, end: int) -> None:
        """The replica has acknowledged more than was received, which cannot be true."""
        self.begin()
        if self._tells_ahead:
            self._tells_ahead = False
            self._tell(events.AckAheadOfMaster(start=start, end=end, offset=offset, sent=sent, by_fault=self.is_padded))
        if not self.is_padded:
            self.doubt()

    def doubt(self) -> None:
        """Make the offsets unknown from here on, because an ACK contradicts them."""
        if self._base is None:
            return
        self.tell_batch()
        self._doubted, self._base = self._base, None
        if self._track is not None:
            self._track.is_doubted = True

    def tick(self, at: float, *, held_back: bool, waiting: int = 0) -> None:
        """Report what is due by time; see Conversation.tick()."""
        track = self._track
        if track is not None and not track.is_settled:
            track.sent, track.is_current = track.end + waiting, not held_back and waiting < MORE_THAN_A_READ
        self._sent, self._held_back, self._ticked = self.received + waiting, held_back, self.received
        if self._catching_up is not None:
            self._measure(self._catching_up, at, held_back)
        self._is_bound = held_back or waiting >= MORE_THAN_A_READ or self._catching_up is not None
        if self.has_begun and at - self._batch_at >= BATCH_SECONDS:
            self._batch_at = at
            self.tell_batch()

    def rests(self, at: float) -> bool:
        """Whether, after the tick at this time, further ticks report nothing until something else happens."""
        return self._catching_up is None and (not self.has_begun or (not self._scanner.commands and self._batch_at == at))

    def catch_up(self, batch_at: float) -> None:
        """Make up for the ticks that were left out while rests() was true. batch_at: the last batch among them."""
        self._batch_at = batch_at

    def _measure(self, catching_up: CatchingUp, at: float, held_back: bool) -> None:
        shown = self._shown_elsewhere()
        written = None if shown is None or self._base is None else shown - self._base
        said = None if self.replid is None else self._memory.said(self.replid, at)
        if said is not None and said.offset is not None and self._base is not None:
            catching_up.told(said.offset - self._base, said.asked)
        found = catching_up.measured(self.received, self._lag.passed_at, at, held_back=held_back, written=written)
        if found is None:
            return
        self._catching_up = None
        self._tell(
            events.CaughtUp(
                start=self._start,
                end=self.position_after(found.at_most),
                offset=None if self._base is None else self._base + found.at_most,
                bytes=found.bytes,
                at_least=found.at_least,
                at_most=found.at_most,
                seconds=found.seconds,
                known_from=found.known_from,
            )
        )

    # ---- events ----

    def continues(
        self,
        previous: str | None,
        start: int,
        end: int,
        at: float,
        *,
        previous_link: str | None,
        at_least: int,
    ) -> None:
        """Begin as the stream of a partial resync, granted by bytes start <= i < end.

        previous: the ID asked for, if another one was granted; previous_link: see events.PartialResync. at_least: bytes
        that the replica certainly lacks.
        """
        self.previous = previous
        self._tell(
            events.PartialResync(
                start=start,
                end=end,
                replid=self.replid,
                previous_replid=previous,
                previous_link=previous_link,
                offset=self._base,
                bytes_behind=None,
                bytes_behind_at_least=at_least,
            )
        )
        self.begin()
        if self._measures:
            self._catching_up = CatchingUp(at, at_least)
            self._is_bound = True

    @property
    def is_within_command(self) -> bool:
        """Whether all bytes received so far belong to the command during which the stream was joined."""
        return bool(self._unfinished)

    @property
    def is_read(self) -> bool:
        """Whether the stream is understood up to its last byte."""
        return not self._unfinished and not self._scanner.broken

    def begin(self, buffered: int = 0) -> None:
        """Report StreamStarted, once. buffered: see events.StreamStarted."""
        if self.has_begun:
            return
        self.has_begun = True
        self._tell(
            events.StreamStarted(
                start=self._start,
                end=self._start,
                replid=self.replid,
                offset=self._base,
                db=self.first_db,
                buffered=buffered,
            )
        )
        if self._words is not None:
            self._tell_each(self._words)

    def end(self) -> None:
        """The connection has ended: report what is pending."""
        self.tell_batch()
        if self._track is not None:
            self._track.settle()

    def tell_batch(self) -> None:
        """Report the whole commands since the last batch, if there are any."""
        scanner = self._scanner
        count, size, boundary = scanner.commands, scanner.command_bytes, scanner.boundary
        if not count:
            return
        taken = scanner.take()
        pings, ping_bytes = taken.get("PING", (0, 0))
        self.pings += pings
        if self._track is not None and self._base is not None and ping_bytes < size:  # the PINGs may have come last
            self._track.data_end = self._base + boundary - ping_bytes, self._base + boundary
        by_name = sorted(taken.items(), key=lambda item: -item[1][1])
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

    def _tell_each(self, words: ArgumentReader) -> None:
        """Report each whole command."""
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
