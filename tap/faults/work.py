"""One fault on one connection: its draws, its counts, its effects in progress, and how these reach the bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Protocol

from tap.faults.armed import Armed
from tap.faults.context import offset_at, phase_at
from tap.faults.flow_items import CloseLink
from tap.faults.lane import Lane
from tap.faults.reports import Reports
from tap.faults.shaper import Shaper
from tap.faults.site import HandshakeFrame
from tap.glob import matcher
from tap.replication.conversation import Conversation
from tap.replication.events import Channel, Event, FaultFired, Role, Side

_LEGS = {"both": "", "master": " towards the master", "replica": " towards the replica"}


class FaultedConnection(Protocol):
    """What a fault needs from its connection.

    works: of its faults. lanes: by sender. awaited: the faults that have fired on a frame that has not passed yet.
    at_rdb_end: what to do at the end of the RDB that is passing. cut_now: see LinkFaults.
    """

    now: float
    tell: Callable[[Event], None]
    works: list[Work]
    lanes: dict[Side, Lane]
    awaited: list[Work]
    at_rdb_end: list[Callable[[], None]]
    cut_now: CloseLink | None

    @property
    def conversation(self) -> Conversation: ...


class Work:
    """Implements site.Site for its kind.

    origin: bytes of the stream received when the fault came to this connection. seeks: what it asked the stream to find:
    a position, and whether it must be outside a transaction. borders: marked borders of its phase: whether the phase
    begins there, and the position. is_on: its effect lasts at the moment, until ends_at. is_ending: its phase is over,
    but bytes of the phase are still going out. spans: callbacks, each of which ends an effect on a range of bytes.
    """

    def __init__(self, armed: Armed, rng: Random, link: FaultedConnection) -> None:
        self.armed = armed
        self.fault = armed.fault
        self.what = armed.fault.what
        self.when = armed.fault.when
        self.watches = armed.fault.what.watches
        self.rng = rng
        self.notes: dict[str, Any] = {}
        self.is_placed = False
        self.amount = 0.0 if self.when.at is None else self.when.at.draw(rng)
        stream = link.conversation.stream
        self.origin = 0 if stream is None else stream.received
        self.seeks: tuple[int, bool] | None = None
        self.borders: set[tuple[bool, int]] = set()
        self.is_ending = False
        self.last_occasion = -1
        self.is_on = False
        self.was_on = False  # when the fault got other parameters
        self.has_drawn = False  # the chance for this connection, or for this stay in the phase, is drawn
        self.ends_at = math.inf
        self.calls_at = math.inf  # when to call what call_later() was given
        self._call: Callable[[], None] = lambda: None
        self.spans: list[Callable[[], None]] = []
        self.shapers: dict[Side, Shaper] = {}
        self.matches = 0
        self.is_key = None if self.when.key is None else matcher(self.when.key)
        self.reports = Reports(armed, link.tell)
        self._link = link

    # ---- whether it fires ----

    def matched(self) -> bool:
        """Count a matching frame; True if the fault fires on it."""
        if not self.armed.is_due(self._link.now):
            return False
        self.matches += 1
        if self.matches % self.when.nth or not self.has_luck:
            return False
        self.armed.fired += 1
        return True

    def may_fire(self) -> bool:
        if not (self.armed.is_due(self._link.now) and self.has_luck):
            return False
        self.armed.fired += 1
        return True

    @property
    def has_luck(self) -> bool:
        chance = self.when.probability
        return chance is None or self.rng.random() < chance

    @property
    def is_over(self) -> bool:
        return self.armed.is_over

    @property
    def sides(self) -> tuple[Side, ...]:
        side = self.fault.scope.side
        return (Side.MASTER, Side.REPLICA) if side is None else (side,)

    def is_on_channel(self, *, is_rdb_channel: bool = False) -> bool:
        """Whether the fault applies to this channel. is_rdb_channel: the request at hand declares the RDB channel."""
        channel = self.fault.scope.channel
        if channel is None:
            return True
        return (is_rdb_channel or self._link.conversation.role is Role.RDB_CHANNEL) == (channel is Channel.RDB)

    @property
    def is_known_on_channel(self) -> bool:
        """As is_on_channel(), but False until the connection has said which channel it is, if that matters."""
        return self.is_on_channel() and (self.fault.scope.channel is None or self._link.conversation.role is not None)

    # ---- its moment ----

    def lane(self, side: Side) -> Lane:
        return self._link.lanes[side]

    def act(self, side: Side, position: int, *, at_once: bool = False) -> None:
        self.what.act(self, side, position, at_once=at_once)

    def act_at(self, side: Side, position: int) -> None:
        def act() -> None:
            if self.is_on_channel() and self.may_fire():
                self.act(side, position)

        self.lane(side).mark(position, act, self)

    def act_on_time(self, opened: float) -> None:
        """Act if an occasion has come. opened: when the connection opened."""
        if self.fault.is_continuous:
            if self._may_go_on():
                self.armed.fired += 1
                self.go_on()
                if self.armed.until < math.inf:
                    self.ends_at = self.armed.until
            return
        number = self.armed.occasion(self._link.now, opened, self.last_occasion)
        if number is None:
            return
        self.last_occasion = number
        if not self.is_on and self.has_luck:
            self.armed.take(number)
            side = self.sides[0]
            self.act(side, self.lane(side).out, at_once=True)

    def fired(self, side: Side, position: int, size: int, text: str) -> None:
        self.reports.fired(self._firing(side, position, size, text), self._link.now)

    def _firing(self, side: Side, position: int, size: int, text: str) -> FaultFired:
        """The event. To be made while the byte is being read, because the conversation moves on."""
        conversation = self._link.conversation
        return FaultFired(
            fault=self.armed.name,
            spec=self.armed.spec,
            text=text,
            side=side,
            phase=phase_at(conversation, side, position),
            position=position,
            offset=offset_at(conversation, side, position),
            bytes=size,
        )

    # ---- lasting effects ----

    def shape(self, side: Side, shaper: Shaper) -> None:
        self.shapers[side] = shaper

    def _may_go_on(self) -> bool:
        """Whether its lasting effect may begin now. The chance is drawn once."""
        if self.is_on or self.has_drawn or not self.armed.is_due(self._link.now):
            return False
        self.has_drawn = True
        return self.has_luck

    def go_on(self) -> None:
        if self.is_on:
            self.armed.fired -= 1  # an extra firing was counted for a match in the chunk that held the first one
            return
        self.is_on = True
        self.armed.at_work += 1
        lasting = self.fault.scope.lasting
        self.ends_at = math.inf if lasting is None else self._link.now + lasting
        self.what.start(self)
        for shaper in self.shapers.values():
            shaper.active = True
        side = self.sides[0]
        both = "both directions" if len(self.sides) == 2 else f"from the {side.value}"
        self.fired(side, self.lane(side).out, 0, f"{self.what.doing}, {both}")

    def stop(self) -> None:
        """End the effect and release the bytes it holds."""
        if not self.is_on:
            return
        self._end_effect()
        for side, shaper in self.shapers.items():
            self.lane(side).flow.stop(shaper, self._link.now)

    def _end_effect(self) -> None:
        self.is_on = self.is_ending = False
        self.calls_at = math.inf
        self.armed.at_work -= 1
        self.what.stop(self)

    def end(self) -> None:
        """The fault has ended, while the connection goes on: end all effects in progress."""
        was_on = self.is_on
        self.let_go()
        if was_on:
            self.what.over(self)

    def give_way(self) -> None:
        """End the effect, but keep the bytes it holds, for hand_over()."""
        self.was_on = self.is_on
        if self.is_on:
            self._end_effect()

    def hand_over(self, after: Work) -> None:
        """*after* is this fault with other parameters, and at work already if it is to be."""
        for side, shaper in self.shapers.items():
            if side in after.shapers:
                self.lane(side).flow.hand_over(shaper, after.shapers[side], self._link.now)
        if self.was_on and not after.is_on:
            self.what.over(self)

    def call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self.calls_at = self._link.now + seconds
        self._call = act

    def call_if_due(self) -> None:
        """Call what call_later() was given, if its time has come."""
        if self._link.now >= self.calls_at:
            self.calls_at = math.inf
            self._call()

    def enter_phase(self) -> None:
        if self._may_go_on():
            self.armed.fired += 1
            self.go_on()

    def leave_phase(self) -> None:
        """End the effect after the bytes of the phase, which still go out shaped."""
        self.has_drawn = False
        if not self.is_on or self.is_ending:
            return
        shaper = self.shapers.get(Side.MASTER)
        if shaper is None:
            self.stop()
        else:
            self.is_ending = True
            self.lane(Side.MASTER).flow.stop_after(shaper, self.stop, self._link.now)

    def until(self, side: Side, position: int, end: Callable[[], None]) -> None:
        def act() -> None:
            self.spans.remove(act)
            self.armed.at_work -= 1
            end()

        self.spans.append(act)
        self.armed.at_work += 1
        self.lane(side).mark(position, act, self)

    def after_rdb(self, act: Callable[[], None]) -> None:
        self._link.at_rdb_end.append(act)

    def let_go(self) -> None:
        """End all effects in progress."""
        self.stop()
        for end in tuple(self.spans):
            end()

    # ---- frames ----

    def act_in(self, side: Side, position: int) -> None:
        self._await(side, position, partial(self.act, side, position))

    def fires_in(self, frame: HandshakeFrame, text: str) -> None:
        """Report the firing once the bytes before the frame have passed: the link may be cut before the frame."""
        firing = self._firing(frame.side, frame.start, frame.end - frame.start, text)
        self._await(frame.side, frame.start, lambda: self.reports.fired(firing, self._link.now))

    def _await(self, side: Side, position: int, then: Callable[[], None]) -> None:
        def act() -> None:
            self._link.awaited.remove(self)
            then()

        self._link.awaited.append(self)
        self.lane(side).mark(position, act)

    def replace(self, side: Side, start: int, end: int, data: bytes) -> None:
        self.lane(side).replace(start, end, data)

    def replace_frame(self, frame: HandshakeFrame, data: bytes, text: str) -> None:
        self.fires_in(frame, text)
        self.replace(frame.side, frame.start, frame.end, data)

    # ---- the link ----

    def close_link(
        self, side: Side, position: int, *, reset: bool = False, legs: str = "both", at_once: bool = False
    ) -> None:
        link, lane = self._link, self.lane(side)
        order = CloseLink(reset, legs, self.armed.name)
        if at_once:  # bytes that other faults hold are lost with the link
            position -= {side: lane.flow.abandon(link.now) for side, lane in link.lanes.items()}[side]
        self.fired(side, position, 0, f"cut with {'RST' if reset else 'FIN'}{_LEGS[legs]}")
        if at_once:
            link.cut_now = order
        else:
            lane.flow.put(order, link.now)
            lane.stop()

    def order_to_close(self, side: Side, position: int) -> CloseLink:
        self.fired(side, position, 0, "cut with FIN")
        self.lane(side).stop()
        return CloseLink(False, "both", self.armed.name)

    def sent_more(self) -> None:
        if self._link.conversation.stream is not None:
            self._link.conversation.stream.is_padded = True
