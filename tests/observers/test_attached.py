"""An observer at the bus: its life, its failures, its slowness, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tap import Tap
from tap.bus import COUNTLESS, INBOX_EVENTS, Bus, Inbox, Told
from tap.errors import ConfigError
from tap.observers import attached as module
from tap.observers.attached import END_SECONDS, MAX_REPORTS, STOP_SECONDS
from tap.observers.observer import Observed, Observer
from tap.replication import events
from tap.replication.events import Event, EventsDropped, ObserverTrouble
from tap.status import Status
from tests.jumping import acted
from tests.observers.attaching import IDLE, attached

MASTER = "127.0.0.1:1"
OPENED = events.LinkOpened(peer="10.0.0.7:1234", master="10.0.0.5:6379")
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)
COMMAND = events.Command(start=0, end=9, offset=1, db=0, name="SET", args=(b"k",), in_transaction=False)


class Kept(Observer):
    """Keeps what happened to it, in order."""

    def __init__(self) -> None:
        self.life: list[object] = []

    def start(self, tap: Observed) -> None:
        self.life.append("start")
        self.tap = tap

    def event(self, told: Told) -> None:
        self.life.append(told.event)

    async def stop(self) -> None:
        self.life.append("stop")


class Awaited(Kept):
    """An async observer."""

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        super().__init__()
        self._wait = wait

    async def event(self, told: Told) -> None:  # type: ignore[override]
        self.life.append(told.event)
        if self._wait is not None:
            await self._wait()


def publish(bus: Bus, *told: Event) -> None:
    for event in told:
        bus.publish("main", 1, "10.0.0.7:6379", event)


def lived(observer: Observer, *told: Event, links: tuple[str, ...] = ("main",)) -> list[ObserverTrouble]:
    """The troubles of an observer that receives these events, and stops."""

    async def run() -> list[ObserverTrouble]:
        bus, said = Bus(), list[Told]()
        bus.subscribe(said.append)
        one = attached(observer, bus, links=links)
        publish(bus, *told)
        await asyncio.sleep(0)
        await one.stop()
        await one.stop()
        publish(bus, OPENED)
        return [one.event for one in said if isinstance(one.event, ObserverTrouble)]

    return acted(run())


# ---- its life ----


@pytest.mark.parametrize("kind", [Kept, Awaited])
def test_an_observer_starts_receives_events_in_order_and_stops_once(kind: type[Kept]) -> None:
    one = kind()
    assert lived(one, OPENED, KEEPALIVE, COMMAND) == []
    assert one.life == ["start", OPENED, KEEPALIVE, COMMAND, "stop"]


def test_an_observer_knows_the_tap_only_by_what_it_may_ask() -> None:
    one = Kept()
    lived(one, links=("a", "b"))
    assert (one.tap.links, one.tap.status(), one.tap.lost_bytes()) == (("a", "b"), Status(100.0, (IDLE,)), None)


def test_an_observer_may_leave_and_is_stopped_all_the_same() -> None:
    class Leaving(Kept):
        def event(self, told: Told) -> None:
            super().event(told)
            self.tap.leave()

    one = Leaving()
    assert lived(one, OPENED, KEEPALIVE) == []
    assert one.life == ["start", OPENED, "stop"]


def test_start_and_stop_and_the_base_class_are_optional() -> None:
    class Least(Observer):
        def event(self, told: Told) -> None:
            received.append(told.event)

    class Own:
        def start(self, tap: Observed) -> None:
            pass

        def event(self, told: Told) -> None:
            received.append(told.event)
            raise ValueError

        async def stop(self) -> None:
            pass

    received: list[Event] = []
    assert lived(Least(), OPENED) == []
    own: Any = Own()
    assert {one.observer for one in lived(own, KEEPALIVE)} == {"Own"}
    assert received[:2] == [OPENED, KEEPALIVE]


def test_high_volume_events_are_made_only_for_an_observer_that_wants_them_and_has_room() -> None:
    class Full(Kept):
        inbox = Inbox()
        without = (events.Ack,)

    async def run() -> None:
        bus = Bus()
        one = Full()
        attached(one, bus)
        assert [kind for kind in COUNTLESS if bus.takes(kind)] == [events.Command, events.RdbKey]
        for _ in range(INBOX_EVENTS):
            one.inbox.offer(Told(1.0, "", 1, "", COMMAND))
        assert [kind for kind in COUNTLESS if bus.takes(kind)] == []

    asyncio.run(run())


# ---- failures ----


class Failing(Kept):
    name = "pager"

    def event(self, told: Told) -> None:
        super().event(told)
        if isinstance(told.event, events.LinkOpened):
            raise ValueError("no such pager")
        raise KeyError(told.event.kind)


class AwaitedFailing(Failing):
    async def event(self, told: Told) -> None:  # type: ignore[override]
        super().event(told)


@pytest.mark.parametrize("kind", [Failing, AwaitedFailing])
def test_an_exception_is_reported_once_for_each_place_and_the_next_event_is_received(kind: type[Failing]) -> None:
    one = kind()
    said = lived(one, OPENED, OPENED, KEEPALIVE, OPENED)
    assert [event for event in one.life if not isinstance(event, ObserverTrouble)] == [
        "start", OPENED, OPENED, KEEPALIVE, OPENED, "stop"
    ]  # fmt: skip
    texts = [trouble.text for trouble in said]
    assert texts[:2] == ["event() failed: ValueError: no such pager", "event() failed: KeyError: 'keepalive'"]
    assert {trouble.observer for trouble in said} == {"pager"}
    assert texts[-1].startswith("has failed ")
    trace = said[0].traceback
    assert trace is not None
    assert trace.startswith("Traceback")
    assert "tap/observers/attached.py" not in trace
    assert "tap/bus.py" not in trace
    assert 'raise ValueError("no such pager")' in trace


def test_one_failure_is_not_counted_again_at_the_end() -> None:
    class Once(Kept):
        def event(self, told: Told) -> None:
            if isinstance(told.event, events.LinkOpened):
                raise ValueError

    assert [one.text for one in lived(Once(), OPENED)] == ["event() failed: ValueError"]
    assert [one.text for one in lived(Once(), OPENED, OPENED)][-1] == "has failed 2 times in all"


def test_reports_about_an_observer_are_bounded() -> None:
    class Inventive(Kept):
        def event(self, told: Told) -> None:
            raise type(f"Error{len(self.life)}", (Exception,), {}) if not self.life.append(0) else Exception  # type: ignore[func-returns-value]

    said = lived(Inventive(), *[OPENED] * (MAX_REPORTS + 50))
    assert len([one for one in said if one.traceback]) == MAX_REPORTS
    assert said[-1].text.startswith("has failed ")


def test_other_observers_receive_an_event_before_its_failure() -> None:
    async def run() -> list[Event]:
        bus, said = Bus(), list[Event]()
        one = attached(Failing(), bus)
        bus.subscribe(lambda told: said.append(told.event))
        publish(bus, OPENED)
        await asyncio.sleep(0)
        await one.stop()
        return said

    assert asyncio.run(run())[:2] == [
        OPENED,
        ObserverTrouble(observer="pager", text="event() failed: ValueError: no such pager", traceback=_ANY),
    ]


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


_ANY: Any = _Any()


def test_a_failing_stop_is_reported() -> None:
    class Bad(Kept):
        async def stop(self) -> None:
            raise OSError("disk full")

    [said] = lived(Bad())
    assert (said.observer, said.text) == ("Bad", "stop() failed: OSError: disk full")
    assert said.traceback is not None


# ---- slowness ----


def test_a_stop_that_does_not_return_is_cancelled_in_time() -> None:
    was_cancelled = []

    class Slow(Kept):
        async def stop(self) -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                was_cancelled.append(asyncio.get_running_loop().time() - 1000)
                raise

    assert [one.text for one in lived(Slow())] == [f"stop() has not returned within {STOP_SECONDS:g} s: it is cancelled"]
    assert was_cancelled == [STOP_SECONDS]


def test_a_stop_is_cancelled_with_the_end_of_its_tap() -> None:
    class Slow(Kept):
        async def stop(self) -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.life.append("cancelled")
                raise

    one = Slow()

    async def run() -> None:
        stopping = asyncio.create_task(attached(one, Bus()).stop())
        await asyncio.sleep(0.1)
        stopping.cancel()
        await asyncio.wait([stopping])
        await asyncio.sleep(0)

    acted(run())
    assert one.life == ["start", "cancelled"]


def test_an_async_observer_delays_nothing_and_loses_only_high_volume_events() -> None:
    async def run() -> tuple[list[object], list[str]]:
        go_on = asyncio.Event()
        bus, said = Bus(), list[str]()
        one = Awaited(go_on.wait)  # type: ignore[arg-type]
        bus.subscribe(lambda told: said.append(told.event.text) if isinstance(told.event, ObserverTrouble) else None)
        end = attached(one, bus).stop
        publish(bus, OPENED)
        await asyncio.sleep(0)
        publish(bus, *[COMMAND] * (INBOX_EVENTS + 3), OPENED)
        go_on.set()
        await asyncio.sleep(1)  # at once on a clock that jumps, and after everything else
        await end()
        return one.life, said

    life, said = acted(run())
    assert said == [
        f"is too slow: {INBOX_EVENTS} events wait for it; it loses commands, keys and ACKs until it catches up",
        "was too slow: it has lost 3 events",
    ]
    assert life[:2] == ["start", OPENED]
    assert life.count(COMMAND) == INBOX_EVENTS
    [dropped] = [event for event in life if isinstance(event, EventsDropped)]
    assert dropped.by_kind == {"command": 3}
    assert life.index(OPENED, 2) == life.index(dropped) + 1
    assert life[-1] == "stop"


def test_links_have_their_turn_while_queued_events_are_received() -> None:
    async def run() -> int:
        bus, turns = Bus(), 0
        one = Awaited()
        attached(one, bus)
        publish(bus, *[KEEPALIVE] * 100)
        while len(one.life) < 101:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert acted(run()) >= 100


def test_queued_events_are_received_at_the_end_if_time_allows() -> None:
    async def briefly() -> None:
        await asyncio.sleep(END_SECONDS / 10)

    one = Awaited(briefly)
    assert lived(one, *[KEEPALIVE] * 9) == []
    assert one.life == ["start", *[KEEPALIVE] * 9, "stop"]


@pytest.mark.parametrize("swallows", [False, True])
def test_an_event_that_does_not_return_is_cancelled_at_the_end(swallows: bool) -> None:
    ended = []

    async def for_ever() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if swallows:
                await asyncio.sleep(3600)
            raise
        finally:
            ended.append(asyncio.get_running_loop().time() - 1000)

    one = Awaited(for_ever)
    said = lived(one, OPENED, KEEPALIVE, KEEPALIVE)
    assert [trouble.text for trouble in said] == [
        "event() has not returned, and 2 more events waited for it: it is cancelled"
    ]
    assert one.life == ["start", OPENED, "stop"]
    assert ended == [pytest.approx(END_SECONDS * (2 if swallows else 1))]


# ---- at a tap ----


def in_a_tap(*observers: Observer, **options: Any) -> list[Event]:
    async def run() -> list[Event]:
        said: list[Event] = []
        async with Tap(MASTER, observers=observers, **options) as tap:
            tap.bus.subscribe(lambda told: said.append(told.event))
            tap.bus.publish("main", 1, "", OPENED)
        return said

    return asyncio.run(run())


def test_a_tap_takes_observers_beside_a_configuration_and_shows_them_where_it_listens() -> None:
    one, other = Kept(), Awaited()
    in_a_tap(one, other)
    for life in (one.life, other.life):
        kinds = [step if isinstance(step, str) else type(step).__name__ for step in life]
        assert kinds == ["start", "Listening", "LinkOpened", "stop"]
    assert one.tap.links == ("main",)
    assert [link.name for link in one.tap.status().links] == ["main"]


def test_a_start_that_fails_ends_the_tap_and_stops_every_observer() -> None:
    class Bad(Kept):
        def start(self, tap: Observed) -> None:
            raise ValueError("not today")

    first, bad, never = Kept(), Bad(), Kept()
    with pytest.raises(ValueError, match="not today"):
        in_a_tap(first, bad, never)
    assert (first.life, bad.life, never.life) == (["start", "stop"], ["stop"], ["stop"])


class _Async(Kept):
    async def start(self, tap: Observed) -> None:  # type: ignore[override]
        pass


class _Plain(Kept):
    def stop(self) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Kept, "Kept is a class, and an observer is an object: write Kept()"),
        (print, "a builtin_function_or_method is not an observer: it has no start(); subclass tap.Observer, which has"),
        (_Async(), "start() of _Async is async, and is called at once: write def start"),
        (_Plain(), "stop() of _Plain is awaited: write async def stop"),
    ],
)
def test_anything_but_an_observer_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tap(MASTER, observers=[wrong])
    assert str(caught.value) == says


@pytest.mark.parametrize("one", [Kept(), None, 5, "pager"])
def test_observers_that_are_no_list_are_refused(one: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Tap(MASTER, observers=one)
    assert str(caught.value) == f"a {type(one).__name__} is not a list of observers: write observers=[...]"


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (module.END_SECONDS, module.STOP_SECONDS) == (0.3, 2.0)
