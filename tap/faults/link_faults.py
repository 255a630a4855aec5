"""The faults, and the link's rules, applied to one connection between a replica and its master.

The conversation reports where in the bytes things are (replication/watcher.py). The triggers turn that into marks on the
two lanes: what is to happen at which byte. The flow after each lane decides when bytes go out. All decisions follow from
the bytes and times that the relay hands in; the relay carries out what the flows return.

    places, phases, frames, commands     the triggers: what a fault waits for, and at which byte that is
    work                                 one fault on this connection: its draws, its count, its effects in progress
    lane, flow                           which bytes go out, and when

The order of the triggers in receive() is the order of marks at one byte: places, commands, phases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tap.faults.armed import Armed
from tap.faults.commands import CommandFaults
from tap.faults.context import offset_at
from tap.faults.flow_items import CloseLink, End
from tap.faults.frames import FrameFaults
from tap.faults.lane import Lane
from tap.faults.phases import Phases
from tap.faults.places import Places
from tap.faults.plan import Plan
from tap.faults.rules import Rules
from tap.faults.work import Work
from tap.rdb.keys import Key
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.requests import Request
from tap.replication.stream import Stream


class LinkFaults:
    """Implements replication.watcher.Watcher for its conversation, and work.FaultedConnection for its faults.

    lanes: by sender. cut_now: an order to the relay that takes effect at once, not in its turn among the bytes. tell:
    receives the events.
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
        """link: its name. ordinal: which of the link's connections this is. opened: when it opened. rules: the link's."""
        self._plan = plan
        self.conversation = conversation
        self.tell = tell
        self._link = link
        self._ordinal = ordinal
        self._opened = opened
        self.now = now
        self.lanes = {Side.MASTER: Lane(conversation.from_master), Side.REPLICA: Lane(conversation.from_replica)}
        self.cut_now: CloseLink | None = None
        self.works: list[Work] = []
        self.awaited: list[Work] = []
        self.at_rdb_end: list[Callable[[], None]] = []
        self._places = Places(self)
        self._phases = Phases(self)
        self._frames = FrameFaults(self, rules)
        self._commands = CommandFaults(self, self.lanes[Side.MASTER])
        self._on_time: list[Work]  # faults that a timer fires
        self._timed: list[Work]  # faults that a timer fires or ends
        conversation.watcher = self
        if conversation.stream is not None:
            self._commands.begin(conversation.stream)
        self.refresh(now)

    # ---- what is armed ----

    def refresh(self, now: float) -> None:
        """The plan has changed: apply new faults, end removed ones. All others continue undisturbed."""
        self.now = now
        armed_now = [armed for armed in self._plan.armed if self._concerns(armed)]
        origins = {armed.origin: armed for armed in armed_now}
        changed: dict[Armed, Work] = {}  # by the new edition: the fault with its parameters of before
        for work in self.works:
            if work.armed not in armed_now:
                after = origins.get(work.armed.origin)
                if after is None:
                    work.end()
                else:
                    work.give_way()
                    changed[after] = work
                work.reports.flush()
                for lane in self.lanes.values():
                    lane.forget(work)
        known = {work.armed: work for work in self.works}
        self.works = [known.get(armed) or self._new(armed) for armed in armed_now]
        for side, lane in self.lanes.items():
            lane.flow.shapers = [work.shapers[side] for work in self.works if side in work.shapers]
        self._places.refresh(self.works)
        self._phases.refresh(self.works)
        self._frames.refresh(self.works)
        self._commands.watch(self.works)
        self._on_time = [work for work in self.works if work.fault.acts_on_time]
        self._timed = [work for work in self.works if work.fault.spans or work.fault.acts_on_time]
        self._act_on_time()
        for work in self.works:
            if work.armed in changed:
                changed[work.armed].hand_over(work)
        self._places.mark()
        for side, lane in self.lanes.items():
            lane.reach(now)
            lane.decide(self._decided(side), now)

    def _concerns(self, armed: Armed) -> bool:
        return armed.fault.scope.link in (None, self._link) and not armed.fault.what.keeps_out

    def _new(self, armed: Armed) -> Work:
        work = Work(armed, self._plan.rng(armed, self._link, self._ordinal), self)
        work.what.prepare(work)
        return work

    @property
    def offset(self) -> int | None:
        """Replication offset of the last byte that was passed on or swallowed; before the stream, the RDB's offset."""
        return offset_at(self.conversation, Side.MASTER, self.lanes[Side.MASTER].out)

    @property
    def is_idle(self) -> bool:
        """Whether the connection can do without this object: no fault applies to it, and no byte is held."""
        is_working = self.works or self._commands.is_busy or self._frames.rules is not None
        return not is_working and all(lane.is_idle for lane in self.lanes.values())

    @property
    def is_stalled(self) -> bool:
        """Whether a stall holds back one of the directions."""
        return any(lane.flow.is_stalled for lane in self.lanes.values())

    @property
    def is_holding(self) -> bool:
        """Whether a fault keeps bytes of one of the directions for later."""
        return any(lane.flow.is_holding for lane in self.lanes.values())

    def give_up(self, now: float) -> None:
        """A fault raised an exception: end all faults and release all bytes, unchanged."""
        for work in self.works:
            work.let_go()
        self.works, self._on_time, self._timed = [], [], []
        self._places.refresh(())
        self._phases.refresh(())
        self._frames.refresh(())
        self.awaited.clear()
        self.at_rdb_end.clear()
        self.conversation.watcher = None
        self._commands.close()
        self._commands = CommandFaults(self, self.lanes[Side.MASTER])
        self._frames.rules = None
        for lane in self.lanes.values():
            lane.give_up(now)

    def catch_up(self, side: Side, data: memoryview, now: float) -> None:
        """After receive() failed and give_up(): pass on the part of *data* that receive() did not get to."""
        lane, conversation = self.lanes[side], self.conversation
        end = conversation.from_master if side is Side.MASTER else conversation.from_replica
        lane.feed(data[max(0, len(data) - (end - lane.out)) :], end, now)

    # ---- bytes and time ----

    def receive(self, side: Side, data: memoryview, now: float) -> bool:
        """Take the next bytes, which the conversation has read; the lane's flow then holds the bytes that can go.

        Returns True if no fault touches these bytes: the relay sends them as they are, and the flow does not hold them.
        """
        self.now = now
        lane, phased = self.lanes[side], self._phases.works
        if self._places.waiting:
            self._places.mark()
        if side is Side.MASTER:
            if self.at_rdb_end and self.conversation.rdb_end is not None:
                for act in self.at_rdb_end:
                    lane.mark(self.conversation.rdb_end, act)
                self.at_rdb_end.clear()
            self._commands.read(data)
            if phased:
                self._phases.mark()
        decided = self._decided(side)
        if not self._timed and not phased and lane.passes(data, decided):
            return True
        lane.feed(data, decided, now)
        self._commands.limit()
        if phased:
            self._phases.follow()
        return False

    def tick(self, now: float) -> None:
        """Act on time. To be called ten times a second, and at `wakes`."""
        self.now = now
        self._act_on_time()
        if self._places.waiting:
            self._places.mark()
        for lane in self.lanes.values():
            lane.reach(now)
        self._phases.follow()
        if self._frames.end_rules():
            self.lanes[Side.REPLICA].decide(self._decided(Side.REPLICA), now)
        for work in self.works:
            work.call_if_due()
            if now >= work.ends_at and work.is_on:
                work.stop()
                work.what.over(work)
            work.reports.tick(now)

    def _act_on_time(self) -> None:
        for work in self._on_time:
            if work.is_known_on_channel:
                work.act_on_time(self._opened)

    def ended(self, side: Side, how: End, now: float) -> None:
        """The sender's side ended: pass that on after everything it sent."""
        lane = self.lanes[side]
        lane.release(now)
        lane.flow.put(how, now)

    def close(self) -> None:
        """The connection is gone."""
        self._commands.close()
        for work in self.awaited:
            work.armed.fired -= 1
        self.awaited.clear()
        for work in self.works:
            work.let_go()
            work.reports.flush()

    @property
    def wakes(self) -> float:
        """When to call tick() next, or to ask a lane's flow again."""
        wakes = min(lane.flow.wakes for lane in self.lanes.values())
        for work in self._timed:
            wakes = min(wakes, min(work.ends_at, work.calls_at) if work.is_on else work.armed.next_occasion(self.now))
        return wakes

    def _decided(self, side: Side) -> int:
        """Position after the last byte whose marks are all set."""
        conversation = self.conversation
        if side is Side.REPLICA or conversation.stream is None:
            return self._frames.decided(side)
        begin = self._commands.undecided()
        return conversation.from_master if begin is None else begin

    # ---- see replication.watcher.Watcher ----

    @property
    def wants_keys(self) -> bool:
        return any(work.when.at is not None and work.when.at.unit in ("key", "percent") for work in self.works)

    def request(self, request: Request) -> Request:
        return self._frames.request(request)

    def given(self, line: bytes, position: int) -> None:
        lane = self.lanes[Side.MASTER]
        lane.mark(position, lambda: lane.insert(line + b"\r\n"))
        if position <= lane.out:
            lane.reach(self.now)

    def reply(self, request: Request, start: int, end: int) -> None:
        self._frames.reply(request, start, end)

    def header(self, line: bytes, start: int, end: int) -> None:
        self._frames.header(line, start, end)

    def newlines(self, side: Side, start: int, end: int) -> None:
        self._frames.newlines(side, start, end)

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        self._places.keys(keys, rdb_start)

    def other_channel_read(self) -> None:
        if self._places.waiting:
            self._places.mark()  # the marks act with the next bytes or tick(), as another connection called this

    def stream_begins(self, stream: Stream) -> None:
        self._commands.begin(stream)
        self._places.mark()
