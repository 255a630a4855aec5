"""The faults, and the link's rules, at work on one connection of a replica with its master.

Told by the conversation where in the bytes things are (replication/watcher.py), it marks on the two lanes what is to
happen at which byte; flow.py decides when they go out. It opens no socket, reads no clock and never waits: the relay
hands in bytes and time, and carries out what the lanes' flows give.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial

from tap.faults import flow, places
from tap.faults.commands import CommandFaults
from tap.faults.lane import Lane
from tap.faults.plan import Armed, Plan
from tap.faults.rewriter import Rules, encoded
from tap.faults.values import At
from tap.faults.what import (
    Answer,
    Corrupt,
    Cut,
    Delay,
    Drop,
    Refuse,
    Rewrite,
    Slice,
    Stall,
    Throttle,
    Truncate,
)
from tap.faults.work import Work
from tap.rdb.keys import Key
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Channel, Event, Role, Side
from tap.replication.phase import Phase
from tap.replication.requests import Request
from tap.replication.stream import Stream

MAX_REPLY = 64 * 1024  # bytes that wait until a reply is whole; a longer one is left alone


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
        rules: Rules | None = None,
    ) -> None:
        """link: its name. ordinal: which of its connections this is. opened: when. rules: until it has a stream."""
        self._plan = plan
        self._conversation = conversation
        self._tell = tell
        self._link = link
        self._ordinal = ordinal
        self._opened = opened
        self.now = now
        self.lanes = {Side.MASTER: Lane(conversation.from_master), Side.REPLICA: Lane(conversation.from_replica)}
        self.cut_now: flow.Cut | None = None
        self.works: list[Work] = []
        self._unplaced: list[Work] = []
        self._matched: list[Work] = []  # by a frame that is not passed on yet
        self._phased: list[Work] = []
        self._on_time: list[Work] = []  # act when their time has come
        self._timed: list[Work] = []  # these, and those that end when it has
        self._rules = rules
        self._holds_requests = False
        self._holds_replies = False
        self._commands = CommandFaults(self, self.lanes[Side.MASTER])
        self.wants_keys = False
        self._cut_short = False  # the rest of the RDB is swallowed
        self._keys = 0  # of the RDB that have passed
        conversation.watcher = self
        if conversation.stream is not None:
            self._commands.begin(conversation.stream)
        self.refresh(now)

    # ---- what is armed ----

    def refresh(self, now: float) -> None:
        """The plan has changed: take over what is new, let go of what is over. Everything else goes on undisturbed."""
        self.now = now
        armed_now = [armed for armed in self._plan.armed if self._concerns(armed)]
        for work in self.works:
            if work.armed not in armed_now:
                self._let_go(work)
                work.telling.rest()
                for lane in self.lanes.values():
                    lane.forget(work)
        known = {work.armed: work for work in self.works}
        self.works = [known.get(armed) or self._new(armed) for armed in armed_now]
        self._unplaced = [work for work in self.works if work.fault.when.at is not None and not work.is_placed]
        for side, lane in self.lanes.items():
            lane.flow.shapers = [work.shapers[side] for work in self.works if side in work.shapers]
        self._set_interests()
        self._act_on_time()
        self._place()
        for side, lane in self.lanes.items():
            lane.reach(now)
            lane.decide(self._decided(side), now)

    def _concerns(self, armed: Armed) -> bool:
        scope = armed.fault.scope
        return scope.link in (None, self._link) and not isinstance(armed.fault.what, Refuse)

    def _new(self, armed: Armed) -> Work:
        work = Work(armed, self._plan.rng(armed, self._link, self._ordinal), self._tell)
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
            if what.size >= self.lanes[side].out:
                self._mark(work, side, what.size)
        return work

    def _set_interests(self) -> None:
        """What has to be understood before bytes can go, and who has to be asked often."""
        self._phased = [work for work in self.works if work.fault.when.during is not None]
        self._on_time = [work for work in self.works if work.fault.acts_on_time]
        self._timed = [work for work in self.works if work.fault.spans or work.fault.acts_on_time]
        faults = [work.fault for work in self.works]
        self._holds_requests = any(
            fault.when.request or isinstance(fault.what, Rewrite) or _drops(fault.what, "acks", "keepalives")
            for fault in faults
        )
        self._holds_replies = any(
            fault.when.reply or isinstance(fault.what, Truncate) or _drops(fault.what, "keepalives") for fault in faults
        )
        self.wants_keys = any(fault.when.at and fault.when.at.unit in ("key", "percent") for fault in faults)
        self._commands.watch(self.works)

    @property
    def offset(self) -> int | None:
        """Replication offset of the last byte that was passed on or swallowed; of the RDB before there is one."""
        return places.offset_at(self._conversation, Side.MASTER, self.lanes[Side.MASTER].out)

    @property
    def is_idle(self) -> bool:
        """Whether the link could do without: nothing is armed for it, and nothing is held."""
        is_working = self.works or self._commands.is_busy or self._rules is not None
        return not is_working and all(lane.is_idle for lane in self.lanes.values())

    @property
    def is_stalled(self) -> bool:
        """Whether bytes of one direction wait for nothing but the end of a fault."""
        return any(lane.flow.is_stalled for lane in self.lanes.values())

    def give_up(self, now: float) -> None:
        """Let go of everything, whatever was to become of it."""
        for work in self.works:
            self._let_go(work)
        self.works = []
        self._rules = None
        self._matched.clear()
        self._conversation.watcher = None
        self._commands.close()
        self._commands = CommandFaults(self, self.lanes[Side.MASTER])
        for lane in self.lanes.values():
            lane.give_up(now)

    def catch_up(self, side: Side, data: memoryview, now: float) -> None:
        """Behind give_up(), as receive() failed: let go of those of its bytes that it did not come to."""
        lane, conversation = self.lanes[side], self._conversation
        end = conversation.from_master if side is Side.MASTER else conversation.from_replica
        lane.feed(data[max(0, len(data) - (end - lane.out)) :], end, now)

    # ---- bytes and time ----

    def receive(self, side: Side, data: memoryview, now: float) -> bool:
        """Take the next bytes, which the conversation has read; the lane's flow then has what can go.

        Returns True if no fault wants anything of them: they can go as they are, and the flow does not have them.
        """
        self.now = now
        lane = self.lanes[side]
        if self._unplaced:
            self._place()
        if side is Side.MASTER:
            if self._cut_short and self._conversation.rdb_end is not None:
                self._cut_short = False
                lane.mark(self._conversation.rdb_end, lambda: lane.skip(on=False))
            self._commands.read(data)
            if self._phased:
                self._mark_phases()
        decided = self._decided(side)
        if not self._timed and not self._phased and lane.passes(data, decided):
            return True
        lane.feed(data, decided, now)
        self._commands.limit()
        if self._phased:
            self._follow_phase()
        return False

    def tick(self, now: float) -> None:
        """Some time has passed: ten times a second, and at `wakes`."""
        self.now = now
        self._act_on_time()
        if self._unplaced:
            self._place()
        for lane in self.lanes.values():
            lane.reach(now)
        self._follow_phase()
        if self._rules is not None and not self._is_shaking_hands:
            self._rules = None
            self.lanes[Side.REPLICA].decide(self._decided(Side.REPLICA), now)
        for work in self.works:
            if now >= work.until:
                self._stop(work)
            work.telling.tick(now)

    def ended(self, side: Side, how: flow.End, now: float) -> None:
        """The sender's side ended: passed on behind what it sent."""
        lane = self.lanes[side]
        lane.release(now)
        lane.flow.put(how, now)

    def close(self) -> None:
        """The connection is gone."""
        self._commands.close()
        for work in self._matched:
            work.armed.fired -= 1
        self._matched.clear()
        for work in self.works:
            self._let_go(work)
            work.telling.rest()

    @property
    def wakes(self) -> float:
        """When tick() should be called next, or a lane's flow be asked again."""
        wakes = min(lane.flow.wakes for lane in self.lanes.values())
        for work in self._timed:
            wakes = min(wakes, work.until if work.is_on else work.armed.next_occasion(self.now))
        return wakes

    def _decided(self, side: Side) -> int:
        """Position behind the last byte of which it is clear what becomes of it."""
        if side is Side.MASTER:
            return self._decided_from_master()
        holds = self._holds_requests or self._rules is not None
        return self._conversation.undecided_from_replica if holds else self._conversation.from_replica

    @property
    def _is_shaking_hands(self) -> bool:
        conversation = self._conversation
        return conversation.is_followed or (conversation.stream is None and conversation.phase in _HANDSHAKE)

    def _decided_from_master(self) -> int:
        conversation, stream = self._conversation, self._conversation.stream
        if stream is None:
            undecided = conversation.undecided_from_master if self._holds_replies else conversation.from_master
            is_endless = conversation.from_master - undecided > MAX_REPLY
            return conversation.from_master if is_endless else undecided
        begin = self._commands.undecided()
        return conversation.from_master if begin is None else begin

    # ---- places ----

    def _place(self) -> None:
        """Mark the places that have become known."""
        stream = self._conversation.stream
        if stream is not None:
            landed = stream.take_landed()
            for work in self._unplaced:
                if work.seeks in landed and work.seeks is not None:
                    work.is_placed = True
                    self._mark(work, Side.MASTER, landed[work.seeks])
        for work in self._unplaced:
            at = work.fault.when.at
            if work.is_placed or work.seeks is not None or at is None or not self.is_on_channel(work):
                continue
            found = places.find(work, at, self._conversation, self.lanes[Side.MASTER].out)
            if found is None:
                continue
            side, position = found
            has_passed = position < self.lanes[side].out
            if stream is not None and not has_passed and not places.is_at_edge(work, stream, position):
                work.seeks = position, work.fault.when.edge == "transaction"
                stream.seek(position, outside=work.fault.when.edge == "transaction")
                continue
            work.is_placed = True
            if not has_passed:
                self._mark(work, side, position)
        self._unplaced = [work for work in self._unplaced if not work.is_placed]

    def is_on_channel(self, work: Work, *, is_rdb_channel: bool = False) -> bool:
        """is_rdb_channel: the connection is just saying so."""
        channel = work.fault.scope.channel
        if channel is None:
            return True
        return (is_rdb_channel or self._conversation.role is Role.RDB_CHANNEL) == (channel is Channel.RDB)

    def _is_known_on_channel(self, work: Work) -> bool:
        """As is_on_channel, once the connection has said what it is."""
        return self.is_on_channel(work) and (work.fault.scope.channel is None or self._conversation.role is not None)

    def _mark(self, work: Work, side: Side, position: int) -> None:
        """The fault acts at this byte, if it may by then."""

        def act() -> None:
            if self.is_on_channel(work) and work.armed.is_due(self.now) and work.has_luck:
                work.armed.fired += 1
                self.act(work, side, position)

        self.lanes[side].mark(position, act, work)

    # ---- time ----

    def _act_on_time(self) -> None:
        for work in self._on_time:
            if not self._is_known_on_channel(work):
                continue
            fault = work.fault
            if fault.is_continuous:
                if self._may_go_on(work):
                    work.armed.fired += 1
                    self._begin(work)
                    if work.armed.until < math.inf:
                        work.until = work.armed.until
                continue
            number = work.armed.occasion(self.now, self._opened, work.last_occasion)
            if number is None:
                continue
            work.last_occasion = number
            if not work.is_on and work.has_luck:
                work.armed.take(number)
                side = fault.scope.side or Side.MASTER
                self.act(work, side, self.lanes[side].out, at_once=True)

    def _mark_phases(self) -> None:
        """Mark where the phases begin and end in what the master sends, as far as it has been read."""
        lane = self.lanes[Side.MASTER]
        for work in self._phased:
            if not self._is_known_on_channel(work):
                continue
            begin, end = places.borders(work.fault.when.during, self._conversation)
            for position, act in ((begin, self._enter_phase), (end, self._leave_phase)):
                border = position is begin, position or 0
                if position is None or border in work.borders:
                    continue
                work.borders.add(border)
                if position >= lane.out:
                    lane.mark(position, partial(act, work))

    def _follow_phase(self) -> None:
        """Begin and end what goes on during a phase, where its borders are at no byte of the master."""
        phase = self._conversation.phase
        for work in self._phased:
            during = work.fault.when.during
            if not self._is_known_on_channel(work):
                continue
            if during == phase.value or (during == "handshake" and phase in (Phase.CONNECT, Phase.PSYNC)):
                self._enter_phase(work)
            else:
                self._leave_phase(work)

    def _enter_phase(self, work: Work) -> None:
        if self._may_go_on(work):
            work.armed.fired += 1
            self._begin(work)

    def _leave_phase(self, work: Work) -> None:
        """What is of the phase goes out as it should; behind that it is over."""
        work.has_drawn = False
        if not work.is_on or work.is_ending:
            return
        shaper = work.shapers.get(Side.MASTER)
        if shaper is None:
            self._stop(work)
        else:
            work.is_ending = True
            self.lanes[Side.MASTER].flow.stop_behind(shaper, partial(self._stop, work), self.now)

    def _may_go_on(self, work: Work) -> bool:
        """Whether it begins now what goes on for long. It draws once for that."""
        if work.is_on or work.has_drawn or not work.armed.is_due(self.now):
            return False
        work.has_drawn = True
        return work.has_luck

    # ---- what they do ----

    def act(self, work: Work, side: Side, position: int, *, at_once: bool = False) -> None:
        """The fault has its moment: the lane has passed every byte before this one. at_once: on time, at no byte."""
        what, lane = work.fault.what, self.lanes[side]
        if isinstance(what, Truncate) and what.size is None:
            self._end_rdb(work, position)
        elif isinstance(what, Cut | Truncate):
            reset = isinstance(what, Cut) and what.mode == "reset"
            legs = what.legs if isinstance(what, Cut) else "both"
            cut = flow.Cut(reset, legs, work.armed.name)
            if at_once:  # what other faults hold goes down with the link
                position -= {side: lane.flow.abandon(self.now) for side, lane in self.lanes.items()}[side]
            self.fired(work, side, position, 0, f"cut with {'RST' if reset else 'FIN'}{_LEGS[legs]}")
            if at_once:
                self.cut_now = cut
            else:
                lane.flow.put(cut, self.now)
                lane.stop()
        elif isinstance(what, Corrupt):
            self._corrupt(work, side, position)
        elif isinstance(what, Drop):
            assert isinstance(what.target, int)
            size = what.target
            lane.skip(on=True)
            self._until(work, lane, position + size, lambda: lane.skip(on=False))
            self.fired(work, side, position, size, f"dropped {size} bytes")
        else:
            self._begin(work)

    def _begin(self, work: Work) -> None:
        """Start what goes on for a while."""
        if work.is_on:
            work.armed.fired -= 1  # by what was in the same chunk as its beginning
            return
        what = work.fault.what
        work.is_on = True
        work.armed.at_work += 1
        lasting = work.fault.scope.lasting
        work.until = math.inf if lasting is None else self.now + lasting
        if isinstance(what, Stall):
            work.stalled = list(work.sides)
            for side in work.stalled:
                self.lanes[side].flow.stall(on=True)
        for shaper in work.shapers.values():
            shaper.active = True
        side = work.sides[0]
        text = {Stall: "stalled", Delay: "delaying", Throttle: "throttling", Slice: "slicing"}[type(what)]
        both = "both directions" if len(work.sides) == 2 else f"from the {side.value}"
        self.fired(work, side, self.lanes[side].out, 0, f"{text}, {both}")

    def _stop(self, work: Work) -> None:
        """End it; what it held goes on."""
        if not work.is_on:
            return
        work.is_on = work.is_ending = False
        work.armed.at_work -= 1
        for side in work.stalled:
            self.lanes[side].flow.stall(on=False)
        work.stalled = []
        for side, shaper in work.shapers.items():
            self.lanes[side].flow.stop(shaper, self.now)

    def _until(self, work: Work, lane: Lane, position: int, end: Callable[[], None]) -> None:
        """End what is done to bytes at this one, or when the fault is removed."""

        def act() -> None:
            work.spans.remove(act)
            work.armed.at_work -= 1
            end()

        work.spans.append(act)
        work.armed.at_work += 1
        lane.mark(position, act, work)

    def _let_go(self, work: Work) -> None:
        """End all that it does at the moment."""
        self._stop(work)
        for end in tuple(work.spans):
            end()

    def _end_rdb(self, work: Work, position: int) -> None:
        """Send the mark of a diskless RDB, and swallow what is left of it. Of a disk-based one, the header did it."""
        lane = self.lanes[Side.MASTER]
        lane.insert(work.mark)
        lane.skip(on=True)
        self._cut_short = True
        self.fired(work, Side.MASTER, position, 0, "sent the end mark of the RDB, and swallowed the rest")

    def _corrupt(self, work: Work, side: Side, position: int) -> None:
        what, lane = work.fault.what, self.lanes[side]
        assert isinstance(what, Corrupt)
        mask = what.mask or work.rng.randint(1, 255)
        lane.flip(mask, on=True)
        self._until(work, lane, position + what.bytes, lambda: lane.flip(mask, on=False))
        self.fired(work, side, position, what.bytes, f"flipped bits 0x{mask:02x} of {what.bytes} bytes")

    def fired(self, work: Work, side: Side, position: int, size: int, text: str) -> None:
        work.telling.fired(self._firing(work, side, position, size, text), self.now)

    def _firing(self, work: Work, side: Side, position: int, size: int, text: str) -> events.FaultFired:
        """What is told of it. Made while the byte is read: the conversation goes on."""
        return events.FaultFired(
            fault=work.armed.name,
            spec=work.armed.spec,
            text=text,
            side=side,
            phase=places.phase_at(self._conversation, side, position),
            position=position,
            offset=places.offset_at(self._conversation, side, position),
            bytes=size,
        )

    # ---- the conversation tells ----

    def request(self, request: Request) -> Request:
        lane = self.lanes[Side.REPLICA]
        if request.start < lane.out:
            return request
        is_ack = request.name == b"REPLCONF" and len(request.args) > 1 and request.args[1].upper() == b"ACK"
        says_so = any(option.lower() == b"rdb-channel" for option in request.args[1::2])
        works = [work for work in self.works if self.is_on_channel(work, is_rdb_channel=says_so)]
        for work in works:
            fits = _drops(work.fault.what, "acks") if is_ack else work.fault.when.request == request.name
            if fits and work.matched(self.now):
                self._take(work, Side.REPLICA, request.name, request.start, request.end)
                given = work.fault.what.line if isinstance(work.fault.what, Answer) else None
                return dataclasses.replace(request, given=given)
        return self._rewritten(request, [work for work in works if work.rewriter is not None])

    def _rewritten(self, request: Request, works: list[Work]) -> Request:
        """Let each change what the one before it has left."""
        changed = request
        if self._rules is not None and self._is_shaking_hands:
            changed = dataclasses.replace(request, args=self._rules.applied(request))
        for work in works:
            assert work.rewriter is not None
            rewritten = work.rewriter.rewritten(changed)
            if rewritten is None or not work.matched(self.now):
                continue
            words, text = rewritten
            changed = dataclasses.replace(changed, args=tuple(words))
            self._fires(work, Side.REPLICA, request.start, request.end, text)
            if request.name == b"PSYNC" and words[1:] == [b"?", b"-1"]:
                self._conversation.forced = f"fault {work.armed.name} did: {text}"
        if changed.args == request.args:
            return request
        self._replace(Side.REPLICA, request.start, request.end, encoded(changed.args))
        return dataclasses.replace(request, sent=changed.args)

    def _take(self, work: Work, side: Side, name: bytes, start: int, end: int) -> None:
        """Do it to a frame that is whole and held: a request of this name, or the reply to it."""
        what = work.fault.what
        said = name.decode("latin-1")
        data = b""
        if isinstance(what, Drop):
            text = f"dropped {said}" if side is Side.REPLICA else f"dropped the reply to {said}"
        elif isinstance(what, Answer):
            assert what.line is not None
            text = f"answered {said} with {what.line.decode('utf-8', 'replace')}"
            if side is Side.MASTER:
                data = what.line + b"\r\n"
        else:
            self._act_in(work, side, start, end)
            return
        self._fires(work, side, start, end, text)
        self._replace(side, start, end, data)

    def _act_in(self, work: Work, side: Side, start: int, end: int) -> None:
        is_corrupt = isinstance(work.fault.what, Corrupt)
        edge = work.fault.when.edge or ("inside" if is_corrupt else "start")
        position = {"start": start, "inside": (start + end) // 2, "end": end - is_corrupt}[edge]

        def act() -> None:
            self._matched.remove(work)
            self.act(work, side, position)

        self._matched.append(work)
        self.lanes[side].mark(position, act)

    def _fires(self, work: Work, side: Side, start: int, end: int, text: str) -> None:
        """Tell it once the bytes before it have passed: the link may be cut among them."""
        firing = self._firing(work, side, start, end - start, text)

        def act() -> None:
            self._matched.remove(work)
            work.telling.fired(firing, self.now)

        self._matched.append(work)
        self.lanes[side].mark(start, act)

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
            lane.reach(self.now)

    def reply(self, request: Request, start: int, end: int) -> None:
        if start < self.lanes[Side.MASTER].out or end - start > MAX_REPLY:
            return
        for work in self.works:
            if work.fault.when.reply == request.name and self.is_on_channel(work) and work.matched(self.now):
                self._take(work, Side.MASTER, request.name, start, end)
                return

    def header(self, line: bytes, start: int, end: int) -> None:
        for work in self.works:
            at = work.fault.when.at
            if isinstance(work.fault.what, Truncate) and at is not None and self.is_on_channel(work):
                size = int(line[1:]) if line[1:].isdigit() and len(line) < 20 else None
                if size is None:
                    work.mark = line[len(b"$EOF:") :]
                elif start >= self.lanes[Side.MASTER].out and work.armed.is_due(self.now) and work.has_luck:
                    self._truncate_disk(work, at, size, start, end)

    def _truncate_disk(self, work: Work, at: At, size: int, start: int, end: int) -> None:
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
        self.fired(work, Side.MASTER, end + left, size - left, f"announced {left} bytes of an RDB of {size}")

    def newlines(self, side: Side, start: int, end: int) -> None:
        works = [
            work
            for work in self.works
            if _drops(work.fault.what, "keepalives") and side in work.sides and self.is_on_channel(work)
        ]
        if not works:
            return
        for position in range(max(start, self.lanes[side].out), end):
            for work in works:
                if work.matched(self.now):
                    self._fires(work, side, position, position + 1, "dropped a keepalive")
                    self._replace(side, position, position + 1, b"")
                    break

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        before = self._keys
        self._keys += len(keys)
        for work in self._unplaced:
            at = work.fault.when.at
            if work.is_placed or at is None or not self.is_on_channel(work):
                continue
            position = places.find_behind_key(work, at, self._conversation, keys, before, rdb_start)
            if position is not None:
                work.is_placed = True
                self._mark(work, Side.MASTER, position)

    def other_channel_read(self) -> None:
        if self._unplaced:
            self._place()  # acts with the next bytes, or tick: this is the turn of another link

    def stream_begins(self, stream: Stream) -> None:
        self._commands.begin(stream)
        self._place()


_HANDSHAKE = (Phase.CONNECT, Phase.HANDSHAKE, Phase.PSYNC, Phase.WAITING)
_LEGS = {"both": "", "master": " towards the master", "replica": " towards the replica"}


def _drops(what: object, *targets: str) -> bool:
    return isinstance(what, Drop) and what.target in targets
