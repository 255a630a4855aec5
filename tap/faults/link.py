"""The faults at work on one connection of a replica with its master.

Told by the conversation where in the bytes things are (replication/watcher.py), it marks on the two lanes what is to
happen at which byte; flow.py decides when they go out. It opens no socket, reads no clock and never waits: the relay
hands in bytes and time, and carries out what the lanes' flows give.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from tap.faults import flow
from tap.faults.lane import Lane
from tap.faults.plan import Armed, Plan
from tap.faults.requests import Rewriter, encoded
from tap.faults.values import At
from tap.faults.what import (
    Answer,
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Refuse,
    Reorder,
    Rewrite,
    Slice,
    Stall,
    Throttle,
    Truncate,
)
from tap.glob import matcher
from tap.rdb.keys import Key
from tap.replication import events
from tap.replication.conversation import Conversation, Phase
from tap.replication.events import Channel, Event, Role, Side
from tap.replication.keyspecs import KeyFinder
from tap.replication.requests import Request
from tap.replication.stream import Stream

MAX_HELD = 2**20  # bytes of a command that wait until its keys are known; behind them it counts as no match
MAX_COPIED = 16 * 2**20  # bytes of a command that is sent twice, or later
TOLD_A_SECOND = 10  # firings of one fault on one connection; more are told summed up


class _Work:
    """One fault on one connection."""

    def __init__(self, armed: Armed, rng: Random) -> None:
        self.armed = armed
        self.fault = armed.fault
        self.rng = rng
        self.is_placed = False  # its place on this connection is known, or has passed
        self.amount = 0.0 if self.fault.when.at is None else self.fault.when.at.draw(rng)
        self.origin = 0  # bytes of the stream that had passed when it was armed
        self.seeks: tuple[int, bool] | None = None  # the position and kind of end that the scanner looks for
        self.last_occasion = -1
        self.is_on = False  # goes on at the moment
        self.until = math.inf
        self.shapers: dict[Side, flow.Shaper] = {}
        self.stalled: list[Side] = []
        self.matches = 0
        self.is_key = None if self.fault.when.key is None else matcher(self.fault.when.key)
        self.rewriter = Rewriter(self.fault.what) if isinstance(self.fault.what, Rewrite) else None
        self.mark = b""  # of the diskless RDB that it ends early
        self.second = -1.0  # in which so many firings were told
        self.told = 0
        self.untold: events.FaultFired | None = None

    def matched(self, now: float) -> bool:
        """A frame matches; whether the fault fires on it."""
        if not self.armed.is_due(now):
            return False
        self.matches += 1
        if self.matches % self.fault.when.nth or not self.has_luck:
            return False
        self.armed.fired += 1
        return True

    @property
    def has_luck(self) -> bool:
        chance = self.fault.when.probability
        return chance is None or self.rng.random() < chance

    @property
    def sides(self) -> tuple[Side, ...]:
        side = self.fault.scope.side
        return (Side.MASTER, Side.REPLICA) if side is None else (side,)


class _Hit:
    """A command whose name is watched for, until it is clear what becomes of it. Positions are the connection's."""

    def __init__(self, number: int, begin: int, name_end: int) -> None:
        self.number = number
        self.begin = begin
        self.name_end = name_end
        self.finder = KeyFinder()
        self.keys: list[bytes] = []


class _Taken:
    """A command that a fault took, until its end, or that of the next one, is known."""

    def __init__(self, work: _Work, hit: _Hit) -> None:
        self.work = work
        self.hit = hit
        self.copied = bytearray()
        self.on_end: Callable[[int], None] | None = None
        self.on_next_end: Callable[[int], None] | None = None
        self.give_up: Callable[[], None] | None = None


class LinkFaults:
    """Implements replication.watcher.Watcher for its conversation.

    lanes: by who sends. cut_now: what the relay has to do at once, not in its turn among the bytes.
    """

    def __init__(
        self,
        plan: Plan,
        conversation: Conversation,
        tell: Callable[[Event], None],
        *,
        link: str,
        ordinal: int,
        opened: float,
        now: float,
    ) -> None:
        """link: its name. ordinal: which of its connections this is. opened: when."""
        self._plan = plan
        self._conversation = conversation
        self._tell = tell
        self._link = link
        self._ordinal = ordinal
        self._opened = opened
        self._now = now
        self.lanes = {Side.MASTER: Lane(conversation.from_master), Side.REPLICA: Lane(conversation.from_replica)}
        self.cut_now: flow.Cut | None = None
        self._works: list[_Work] = []
        self._unplaced: list[_Work] = []
        self._holds_requests = False
        self._holds_replies = False
        self._watched: frozenset[bytes] | None = frozenset()
        self.wants_keys = False
        self._cut_short = False  # the rest of the RDB is swallowed
        self._keys = 0  # of the RDB that have passed
        self._hits: deque[_Hit] = deque()
        self._taken: dict[int, _Taken] = {}
        self._heads_seen = 0
        self._ends_seen = 0
        self._next_ends_seen = 0
        conversation.watcher = self
        self.refresh(now)

    # ---- what is armed ----

    def refresh(self, now: float) -> None:
        """The plan has changed: take over what is new, let go of what is over. Everything else goes on undisturbed."""
        self._now = now
        armed_now = [armed for armed in self._plan.armed if self._concerns(armed)]
        for work in self._works:
            if work.armed not in armed_now:
                self._stop(work)
                self._tell_rest(work)
        known = {work.armed: work for work in self._works}
        self._works = [known.get(armed) or self._new(armed) for armed in armed_now]
        self._unplaced = [work for work in self._works if work.fault.when.at is not None and not work.is_placed]
        for side, lane in self.lanes.items():
            lane.flow.shapers = [work.shapers[side] for work in self._works if side in work.shapers]
        self._set_interests()
        self._act_on_time()
        self._place()
        for lane in self.lanes.values():
            lane.reach(now)

    def _concerns(self, armed: Armed) -> bool:
        scope = armed.fault.scope
        return scope.link in (None, self._link) and not isinstance(armed.fault.what, Refuse)

    def _new(self, armed: Armed) -> _Work:
        work = _Work(armed, self._plan.rng(armed, self._link, self._ordinal))
        stream = self._conversation.stream
        work.origin = 0 if stream is None else stream.received
        what = work.fault.what
        for side in work.sides:
            if isinstance(what, Delay):
                assert what.latency is not None
                work.shapers[side] = flow.Delay(what.latency, what.jitter, what.distribution == "normal", work.rng)
            elif isinstance(what, Throttle):
                assert what.rate is not None
                work.shapers[side] = flow.Throttle(what.rate, what.burst)
            elif isinstance(what, Slice):
                work.shapers[side] = flow.Slice(what.size, what.gap)
        if isinstance(what, Truncate) and what.size is not None:
            side = work.fault.scope.side or Side.MASTER
            self._mark(work, side, what.size)
        return work

    def _set_interests(self) -> None:
        """What has to be understood before bytes can go."""
        faults = [work.fault for work in self._works]
        self._holds_requests = any(
            fault.when.request or isinstance(fault.what, Rewrite) or _drops(fault.what, "acks", "keepalives")
            for fault in faults
        )
        self._holds_replies = any(
            fault.when.reply or isinstance(fault.what, Truncate) or _drops(fault.what, "keepalives") for fault in faults
        )
        self.wants_keys = any(fault.when.at and fault.when.at.unit in ("key", "percent") for fault in faults)
        names = {fault.when.command for fault in faults if fault.when.command}
        if any(_drops(fault.what, "pings") for fault in faults):
            names.add(b"PING")
        every = any(fault.when.key is not None and fault.when.command is None for fault in faults)
        watched = None if every else frozenset(names)
        if watched != self._watched:
            self._watched = watched
            if self._conversation.stream is not None:
                self._conversation.stream.scanner.watch(watched)

    @property
    def is_idle(self) -> bool:
        """Whether the link could do without: nothing is armed for it, and nothing is held."""
        return not self._works and not self._taken and all(lane.is_idle for lane in self.lanes.values())

    def give_up(self, now: float) -> None:
        """Let go of everything, whatever was to become of it."""
        for work in self._works:
            self._stop(work)
        self._works = []
        self._conversation.watcher = None
        for lane in self.lanes.values():
            lane.release(now)

    # ---- bytes and time ----

    def receive(self, side: Side, data: memoryview, now: float) -> None:
        """Take the next bytes, which the conversation has read; the lane's flow then has what can go."""
        self._now = now
        lane = self.lanes[side]
        if self._unplaced:
            self._place()
        if side is Side.MASTER:
            if self._cut_short and self._conversation.rdb_end is not None:
                self._cut_short = False
                lane.mark(self._conversation.rdb_end, lambda: lane.skip(on=False))
            if self._conversation.stream is not None and (self._watched is None or self._watched or self._taken):
                self._read_commands(lane, lane.peek(data))
            decided = self._decided_from_master()
        elif self._holds_requests:
            decided = self._conversation.undecided_from_replica
        else:
            decided = self._conversation.from_replica
        lane.feed(data, decided, now)
        for taken in tuple(self._taken.values()):
            if len(taken.copied) > MAX_COPIED and taken.give_up is not None:
                taken.give_up()
        if self._works and any(work.fault.when.during for work in self._works):
            self._follow_phase()

    def tick(self, now: float) -> None:
        """Some time has passed: ten times a second, and at `wakes`."""
        self._now = now
        self._act_on_time()
        if self._unplaced:
            self._place()
            for lane in self.lanes.values():
                lane.reach(now)
        self._follow_phase()
        for work in self._works:
            if work.is_on and now >= work.until:
                self._stop(work)
            if work.untold is not None and now - work.second >= 1:
                self._tell_rest(work)

    def ended(self, side: Side, how: flow.End, now: float) -> None:
        """The sender's side ended: passed on behind what it sent."""
        lane = self.lanes[side]
        lane.release(now)
        lane.flow.put(how, now)

    def close(self) -> None:
        """The connection is gone."""
        for work in self._works:
            self._stop(work)
            self._tell_rest(work)

    @property
    def wakes(self) -> float:
        """When tick() should be called next, or a lane's flow be asked again."""
        wakes = min(lane.flow.wakes for lane in self.lanes.values())
        for work in self._works:
            if work.is_on:
                wakes = min(wakes, work.until)
            elif not work.fault.matches and work.fault.when.at is None:
                wakes = min(wakes, work.armed.next_occasion(self._now))
        return wakes

    def _decided_from_master(self) -> int:
        conversation, stream = self._conversation, self._conversation.stream
        if stream is None:
            return conversation.undecided_from_master if self._holds_replies else conversation.from_master
        decided = conversation.from_master
        if self._hits:
            decided = min(decided, self._hits[0].begin)
        if self._watched is None or self._watched:
            undecided = stream.scanner.undecided
            if undecided is not None:
                decided = min(decided, stream.start + undecided)
        return decided

    # ---- places ----

    def _place(self) -> None:
        """Mark the places that have become known."""
        if self._conversation.stream is not None:
            landed = self._conversation.stream.scanner.take_landed()
            for work in self._unplaced:
                if work.seeks in landed and work.seeks is not None:
                    work.is_placed = True
                    self._mark(work, Side.MASTER, self._conversation.stream.start + landed[work.seeks])
        for work in self._unplaced:
            at = work.fault.when.at
            if work.is_placed or work.seeks is not None or at is None or not self._is_on_channel(work):
                continue
            found = self._found(work, at)
            if found is not None:
                side, position = found
                work.is_placed = True
                if position >= self.lanes[side].out:
                    self._mark(work, side, position)
        self._unplaced = [work for work in self._unplaced if not work.is_placed]

    def _found(self, work: _Work, at: At) -> tuple[Side, int] | None:
        """Where the place is, None while that is not known."""
        conversation = self._conversation
        stream = conversation.stream
        if at.place == "connect":
            return Side.REPLICA, 0
        if at.place == "handshake":
            return (Side.REPLICA, 0) if conversation.from_replica else None
        if at.place == "waiting":
            return None if conversation.waiting_from is None else (Side.MASTER, conversation.waiting_from)
        if at.place == "rdb":
            return self._found_in_rdb(work, at)
        if at.place == "loading":
            if conversation.rdb_end is not None:
                return Side.MASTER, conversation.rdb_end
            if conversation.rdb_channel is not None and conversation.phase is Phase.LOADING:
                return Side.MASTER, self.lanes[Side.MASTER].out
            return None
        if stream is None:
            return None
        position = int(work.amount)
        if at.unit == "relative":
            position += work.origin
        elif at.unit == "absolute":
            if stream.base is None:
                return None
            position -= stream.base
            if position < 0:
                return Side.MASTER, -1
        if work.fault.when.edge in ("command", "transaction"):
            work.seeks = position, work.fault.when.edge == "transaction"
            stream.scanner.seek(*work.seeks)
            return None
        return Side.MASTER, stream.start + position

    def _found_in_rdb(self, work: _Work, at: At) -> tuple[Side, int] | None:
        start, rdb = self._conversation.rdb_start, self._conversation.rdb
        if start is None or rdb is None or at.unit == "key":
            return None
        if at.unit == "":
            return Side.MASTER, start
        if at.unit == "percent":
            if rdb.size is not None:
                return Side.MASTER, start + int(rdb.size * work.amount / 100)
            end = self._conversation.rdb_end
            return None if end is None else (Side.MASTER, end)  # of an RDB without keys; see keys()
        if work.amount >= 0:
            return Side.MASTER, start + int(work.amount)
        if rdb.size is not None:
            return Side.MASTER, max(start, start + rdb.size + int(work.amount))
        return None

    def _is_on_channel(self, work: _Work) -> bool:
        channel = work.fault.scope.channel
        if channel is None:
            return True
        return (self._conversation.role is Role.RDB_CHANNEL) == (channel is Channel.RDB)

    def _mark(self, work: _Work, side: Side, position: int) -> None:
        """The fault acts at this byte, if it may by then."""

        def act() -> None:
            if not work.armed.is_over and work.armed.is_due(self._now) and work.has_luck:
                work.armed.fired += 1
                self._act(work, side, position)

        self.lanes[side].mark(position, act)

    # ---- time ----

    def _act_on_time(self) -> None:
        for work in self._works:
            fault = work.fault
            if fault.matches or fault.when.at is not None or isinstance(fault.what, Rewrite | Truncate):
                continue
            if isinstance(fault.what, Drop) and isinstance(fault.what.target, str):
                continue
            if fault.when.during is not None or not self._is_on_channel(work):
                continue
            if fault.is_continuous:
                if not work.is_on and work.armed.is_due(self._now):
                    work.armed.fired += 1
                    self._begin(work)
                    if work.armed.until < math.inf:
                        work.until = work.armed.until
                continue
            number = work.armed.occasion(self._now, self._opened, work.last_occasion)
            if number is None:
                continue
            work.last_occasion = number
            if work.has_luck:
                work.armed.take(number)
                side = fault.scope.side or Side.MASTER
                self._act(work, side, self.lanes[side].out, at_once=True)

    def _follow_phase(self) -> None:
        """Begin and end what goes on during a phase."""
        phase = self._conversation.phase
        for work in self._works:
            during = work.fault.when.during
            if during is None or not self._is_on_channel(work):
                continue
            in_phase = during == phase.value or (during == "handshake" and phase in (Phase.CONNECT, Phase.PSYNC))
            if in_phase and not work.is_on and work.armed.is_due(self._now):
                work.armed.fired += 1
                self._begin(work)
            elif not in_phase and work.is_on:
                self._stop(work)

    # ---- what they do ----

    def _act(self, work: _Work, side: Side, position: int, *, at_once: bool = False) -> None:
        """The fault has its moment: the lane has passed every byte before this one. at_once: on time, at no byte."""
        what, lane = work.fault.what, self.lanes[side]
        if isinstance(what, Truncate) and what.size is None:
            self._end_rdb(work, position)
        elif isinstance(what, Cut | Truncate):
            reset = isinstance(what, Cut) and what.mode == "reset"
            legs = what.legs if isinstance(what, Cut) else "both"
            cut = flow.Cut(reset, legs, work.armed.name)
            self._fired(work, side, position, 0, f"cut with {'RST' if reset else 'FIN'}{_LEGS[legs]}")
            if at_once:
                self.cut_now = cut
            else:
                lane.flow.put(cut, self._now)
                lane.stop()
        elif isinstance(what, Corrupt):
            self._corrupt(work, side, position)
        elif isinstance(what, Drop):
            assert isinstance(what.target, int)
            size = what.target
            lane.skip(on=True)
            lane.mark(position + size, lambda: lane.skip(on=False))
            self._fired(work, side, position, size, f"dropped {size} bytes")
        else:
            self._begin(work)

    def _begin(self, work: _Work) -> None:
        """Start what goes on for a while."""
        if work.is_on:
            return
        what = work.fault.what
        work.is_on = True
        work.armed.at_work += 1
        lasting = work.fault.scope.lasting
        work.until = math.inf if lasting is None else self._now + lasting
        if isinstance(what, Stall):
            work.stalled = list(work.sides)
            for side in work.stalled:
                self.lanes[side].flow.stall(on=True)
        for shaper in work.shapers.values():
            shaper.active = True
        side = work.sides[0]
        text = {Stall: "stalled", Delay: "delaying", Throttle: "throttling", Slice: "slicing"}[type(what)]
        both = "both directions" if len(work.sides) == 2 else f"from the {side.value}"
        self._fired(work, side, self.lanes[side].out, 0, f"{text}, {both}")

    def _stop(self, work: _Work) -> None:
        """End it; what it held goes on."""
        if not work.is_on:
            return
        work.is_on = False
        work.armed.at_work -= 1
        for side in work.stalled:
            self.lanes[side].flow.stall(on=False)
        work.stalled = []
        for side, shaper in work.shapers.items():
            self.lanes[side].flow.stop(shaper, self._now)

    def _end_rdb(self, work: _Work, position: int) -> None:
        """Send the mark of a diskless RDB, and swallow what is left of it. Of a disk-based one, the header did it."""
        lane = self.lanes[Side.MASTER]
        lane.insert(work.mark)
        lane.skip(on=True)
        self._cut_short = True
        self._fired(work, Side.MASTER, position, 0, "sent the end mark of the RDB, and swallowed the rest")

    def _corrupt(self, work: _Work, side: Side, position: int) -> None:
        what, lane = work.fault.what, self.lanes[side]
        assert isinstance(what, Corrupt)
        mask = what.mask or work.rng.randint(1, 255)
        lane.flip(mask, on=True)
        lane.mark(position + what.bytes, lambda: lane.flip(mask, on=False))
        self._fired(work, side, position, what.bytes, f"flipped bits 0x{mask:02x} of {what.bytes} bytes")

    def _fired(self, work: _Work, side: Side, position: int, size: int, text: str) -> None:
        """Tell it; what fires more often than anybody can read is told once a second, summed up."""
        work.armed.bytes += size
        stream = self._conversation.stream
        offset = self._conversation.offset
        if side is Side.MASTER and stream is not None and stream.base is not None and position >= stream.start:
            offset = stream.base + position - stream.start
        event = events.FaultFired(
            fault=work.armed.name,
            spec=work.armed.spec,
            text=text,
            side=side,
            phase=self._conversation.phase.value,
            position=position,
            offset=offset,
            bytes=size,
        )
        if self._now - work.second >= 1:
            self._tell_rest(work)
            work.second, work.told = self._now, 0
        work.told += 1
        if work.told <= TOLD_A_SECOND:
            self._tell(event)
        elif work.untold is None:
            work.untold = event
        else:
            before = work.untold
            work.untold = events.FaultFired(
                fault=event.fault,
                spec=event.spec,
                text=text,
                side=side,
                phase=event.phase,
                position=position,
                offset=offset,
                bytes=before.bytes + size,
                count=before.count + 1,
            )

    def _tell_rest(self, work: _Work) -> None:
        if work.untold is not None:
            self._tell(work.untold)
            work.untold = None

    def _edge(self, work: _Work, default: str, start: int, inside: int, end: int) -> int:
        edge = work.fault.when.edge or default
        return {"start": start, "inside": inside, "end": end}[edge]

    # ---- the conversation tells ----

    def request(self, request: Request) -> bytes | None:
        lane = self.lanes[Side.REPLICA]
        if request.start < lane.out:
            return None
        is_ack = request.name == b"REPLCONF" and len(request.args) > 1 and request.args[1].upper() == b"ACK"
        for work in self._works:
            what = work.fault.what
            if not self._is_on_channel(work):
                continue
            if work.rewriter is not None:
                rewritten = work.rewriter.rewritten(request)
                if rewritten is not None and work.matched(self._now):
                    words, text = rewritten
                    self._replace(Side.REPLICA, request.start, request.end, encoded(words))
                    self._fired(work, Side.REPLICA, request.start, request.end - request.start, text)
                    if isinstance(what, Rewrite) and what.psync == "? -1":
                        self._conversation.forced = f"fault {work.armed.name} did: {text}"
                    return None
                continue
            fits = _drops(what, "acks") if is_ack else work.fault.when.request == request.name
            if fits and work.matched(self._now):
                return self._take_request(work, request)
        return None

    def _take_request(self, work: _Work, request: Request) -> bytes | None:
        what, side = work.fault.what, Side.REPLICA
        name = request.name.decode("latin-1")
        if isinstance(what, Drop):
            self._replace(side, request.start, request.end, b"")
            self._fired(work, side, request.start, request.end - request.start, f"dropped {name}")
        elif isinstance(what, Answer):
            assert what.line is not None
            self._replace(side, request.start, request.end, b"")
            text = f"answered {name} with {what.line.decode('utf-8', 'replace')}"
            self._fired(work, side, request.start, request.end - request.start, text)
            return what.line
        else:
            self._act_in(work, side, request.start, request.end)
        return None

    def _act_in(self, work: _Work, side: Side, start: int, end: int) -> None:
        """On a frame that is whole and held: a request or a reply."""
        inside = (start + end) // 2
        position = self._edge(work, "inside" if isinstance(work.fault.what, Corrupt) else "start", start, inside, end)
        if isinstance(work.fault.what, Corrupt):
            position = min(position, end - 1)
        self.lanes[side].mark(position, lambda: self._act(work, side, position))

    def _replace(self, side: Side, start: int, end: int, data: bytes) -> None:
        lane = self.lanes[side]

        def begin() -> None:
            if data:
                lane.insert(data)
            lane.skip(on=True)

        lane.mark(start, begin)
        lane.mark(end, lambda: lane.skip(on=False))

    def given(self, line: bytes, position: int) -> None:
        lane = self.lanes[Side.MASTER]
        lane.mark(position, lambda: lane.insert(line + b"\r\n"))
        if position <= lane.out:
            lane.reach(self._now)

    def reply(self, request: Request, start: int, end: int) -> None:
        if start < self.lanes[Side.MASTER].out:
            return
        for work in self._works:
            if work.fault.when.reply != request.name or not self._is_on_channel(work) or not work.matched(self._now):
                continue
            what, side = work.fault.what, Side.MASTER
            name = request.name.decode("latin-1")
            if isinstance(what, Drop):
                self._replace(side, start, end, b"")
                self._fired(work, side, start, end - start, f"dropped the reply to {name}")
            elif isinstance(what, Answer):
                assert what.line is not None
                self._replace(side, start, end, what.line + b"\r\n")
                text = f"answered {name} with {what.line.decode('utf-8', 'replace')}"
                self._fired(work, side, start, end - start, text)
            else:
                self._act_in(work, side, start, end)
            return

    def header(self, line: bytes, start: int, end: int) -> None:
        for work in self._works:
            at = work.fault.when.at
            if isinstance(work.fault.what, Truncate) and at is not None and self._is_on_channel(work):
                size = int(line[1:]) if line[1:].isdigit() else None
                if size is None:
                    work.mark = line[len(b"$EOF:") :]
                elif start >= self.lanes[Side.MASTER].out and work.armed.is_due(self._now) and work.has_luck:
                    self._truncate_disk(work, at, size, start, end)

    def _truncate_disk(self, work: _Work, at: At, size: int, start: int, end: int) -> None:
        """Announce less, pass that much on, swallow the rest."""
        lane = self.lanes[Side.MASTER]
        amount = size * work.amount / 100 if at.unit == "percent" else work.amount
        left = int(amount) if amount >= 0 else size + int(amount)
        left = max(0, min(left, size))
        work.is_placed = True
        work.armed.fired += 1
        self._replace(Side.MASTER, start, end, b"$%d\r\n" % left)
        lane.mark(end + left, lambda: lane.skip(on=True))
        lane.mark(end + size, lambda: lane.skip(on=False))
        self._fired(work, Side.MASTER, end + left, size - left, f"announced {left} bytes of an RDB of {size}")

    def newlines(self, side: Side, start: int, end: int) -> None:
        if start < self.lanes[side].out:
            return
        for work in self._works:
            if _drops(work.fault.what, "keepalives") and side in work.sides and work.matched(self._now):
                self._replace(side, start, end, b"")
                self._fired(work, side, start, end - start, "dropped a keepalive")
                return

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        """Place what counts keys: by number, or as a share of those that a diskless RDB announces."""
        rdb = self._conversation.rdb
        before = self._keys
        self._keys += len(keys)
        for work in self._works:
            at = work.fault.when.at
            if work.is_placed or at is None or at.unit not in ("key", "percent") or rdb is None:
                continue
            if at.unit == "key":
                wanted = int(work.amount)
            elif rdb.size is None and rdb.summary.announced:
                wanted = max(1, math.ceil(rdb.summary.announced * work.amount / 100))
            else:
                continue
            if before < wanted <= self._keys and self._is_on_channel(work):
                key = keys[wanted - before - 1]
                work.is_placed = True
                self._mark(work, Side.MASTER, rdb_start + key.position + key.serialized_bytes)

    def stream_begins(self, stream: Stream) -> None:
        self._hits.clear()
        self._heads_seen = self._ends_seen = self._next_ends_seen = 0
        if self._watched is None or self._watched:
            stream.scanner.watch(self._watched)
        self._place()

    # ---- commands ----

    def _read_commands(self, lane: Lane, view: memoryview) -> None:
        """view: what the lane has not decided; view[0] is byte number lane.out."""
        stream = self._conversation.stream
        assert stream is not None
        heads, ends, next_ends = stream.scanner.take_matches()
        for begin, name_end in heads:
            self._hits.append(_Hit(self._heads_seen, stream.start + begin, stream.start + name_end))
            self._heads_seen += 1
        while self._hits and self._is_decided(self._hits[0], lane, view):
            self._hits.popleft()
        for end in ends:
            taken = self._taken.get(self._ends_seen)
            if taken is not None and taken.on_end is not None:
                taken.on_end(stream.start + end)
            self._ends_seen += 1
        for end in next_ends:
            taken = self._taken.pop(self._next_ends_seen, None)
            if taken is not None and taken.on_next_end is not None:
                taken.on_next_end(stream.start + end)
            self._next_ends_seen += 1

    def _is_decided(self, hit: _Hit, lane: Lane, view: memoryview) -> bool:
        """Decide what becomes of a command, if enough of it is there."""
        if hit.begin < lane.out:
            return True
        command = view[hit.begin - lane.out :]
        name = bytes(command[: hit.name_end - hit.begin]).split(b"\r\n", 2)[2][:-2].upper()
        more = True
        if any(work.is_key is not None for work in self._works):
            found, more = hit.finder.keys(command)
            hit.keys += found
        for work in self._works:
            when = work.fault.when
            if when.command is None and when.key is None and not _drops(work.fault.what, "pings"):
                continue
            if name != (when.command or (b"PING" if when.key is None else name)) or not self._is_on_channel(work):
                continue
            if work.is_key is not None and not any(work.is_key(key) for key in hit.keys):
                if more and len(command) < MAX_HELD:
                    return False
                continue
            first = _first_argument(command, hit.name_end - hit.begin)
            if isinstance(work.fault.what, Corrupt) and first is None:
                return False
            if work.matched(self._now):
                self._take(work, hit, lane, name, hit.begin + (first or 0))
                return True
        return True

    def _take(self, work: _Work, hit: _Hit, lane: Lane, name: bytes, first: int) -> None:
        """first: position of the first byte of its first argument."""
        what = work.fault.what
        taken = self._taken[hit.number] = _Taken(work, hit)
        said = name.decode("latin-1")
        if hit.keys:
            said += " " + repr(hit.keys[0])[2:-1]
        begin = hit.begin
        if isinstance(what, Drop):
            lane.mark(begin, lambda: lane.skip(on=True))
            taken.on_end = lambda end: lane.mark(end, lambda: self._swallowed(work, lane, begin, end, said))
        elif isinstance(what, Duplicate | Reorder):
            self._take_copy(taken, lane, said)
        elif isinstance(what, Corrupt):
            edge = work.fault.when.edge or "inside"
            if edge == "end":
                taken.on_end = lambda end: lane.mark(end - 1, lambda: self._act(work, Side.MASTER, end - 1))
            else:
                position = begin if edge == "start" else first
                lane.mark(position, lambda: self._act(work, Side.MASTER, position))
        else:
            edge = work.fault.when.edge or "end"
            if edge == "end":
                taken.on_end = lambda end: lane.mark(end, lambda: self._act(work, Side.MASTER, end))
            else:
                position = begin if edge == "start" else hit.name_end
                lane.mark(position, lambda: self._act(work, Side.MASTER, position))

    def _swallowed(self, work: _Work, lane: Lane, begin: int, end: int, said: str) -> None:
        lane.skip(on=False)
        self._fired(work, Side.MASTER, begin, end - begin, f"dropped {said}")

    def _take_copy(self, taken: _Taken, lane: Lane, said: str) -> None:
        work, begin, copied = taken.work, taken.hit.begin, taken.copied
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
            self._fired(work, Side.MASTER, begin, 0, f"left {said} alone: it has more than {MAX_COPIED} bytes")

        def ended(end: int) -> None:
            taken.give_up = None

            def act() -> None:
                end_copy()
                if not later:
                    lane.insert(bytes(copied))
                    self._fired(work, Side.MASTER, begin, len(copied), f"sent {said} twice")

            lane.mark(end, act)

        def next_ended(end: int) -> None:
            def act() -> None:
                lane.insert(bytes(copied))
                self._fired(work, Side.MASTER, begin, len(copied), f"sent {said} behind the next command")

            lane.mark(end, act)

        lane.mark(begin, start)
        taken.on_end = ended
        taken.give_up = give_up
        if later:
            taken.on_next_end = next_ended


_LEGS = {"both": "", "master": " towards the master", "replica": " towards the replica"}


def _drops(what: object, *targets: str) -> bool:
    return isinstance(what, Drop) and what.target in targets


def _first_argument(command: memoryview, at: int) -> int | None:
    """Where the first byte of the argument whose $ is at *at* is; None while that is not there."""
    head = bytes(command[at : at + 32])
    found = head.find(b"\r\n")
    if not head.startswith(b"$"):
        return max(0, at - 3) if head else None  # no argument: the last byte of the name
    return None if found < 0 else at + found + 2
