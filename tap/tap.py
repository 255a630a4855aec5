"""A tap: listeners, the connections they accept, and the bus that carries their events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from tap.bus import COUNTLESS, Bus, Told
from tap.conditions import Conditions, check, check_link, check_reported, event_named, matches
from tap.config.config import Config, Redact, of_a_tap
from tap.config.link_config import LinkConfig, one_link
from tap.errors import ConfigError, TapError
from tap.faults import Plan, parse
from tap.hints import OnlyAsync, no_attribute, refuse
from tap.kept_events import KeptEvents
from tap.link_set import LinkSet
from tap.observers.attached import Attached
from tap.observers.observer import Observer
from tap.observers.registry import configured
from tap.recorder.recorder import Recorder
from tap.relay.admission import Admission, most_by_files
from tap.relay.connection import Connection
from tap.relay.dial import trouble_reaching
from tap.relay.listener import Listener
from tap.replication.events import Event, MasterUnreachable
from tap.replication.inspected import Inspected
from tap.replication.phase import Phase
from tap.status import AlertFigures, Status
from tap.units import Limits, parse_duration
from tap.url import Address, Url
from tap.verdict.loops import Loops

if TYPE_CHECKING:
    from tap.config.keywords import Keywords
    from tap.control.api import Api

TICK_SECONDS = 0.1  # interval of the ticks by which faults keep time, and by which some events wait for a pause
SAID_SECONDS = 15.0  # for which a verdict goes by a master's answer; its settings are asked for every ten
API_CLOSE_SECONDS = 0.3  # for clients of the API, which get the last events

E = TypeVar("E", bound=Event)


_HINTS = {
    "start": "write 'async with Tap(...) as tap'",
    "stop": "await tap.close(), which 'async with Tap(...) as tap' does at its end",
    "run": "write 'async with Tap(...) as tap'",
    "add": "tap.faults.add('cut at=rdb:50%'), or await tap.add_link(name='orders', master='10.0.0.5:6379')",
    "link": "tap.links are the open connections; await tap.add_link(name='orders', master='10.0.0.5:6379') adds a link",
    "events": "await tap.wait_for('full_resync') waits for one, tap.bus.subscribe(function) hears each; their classes "
    "are in the module tap.events: from tap.events import FullResync",
    "told": "tap.bus.subscribe(function) hears each event: told = []; tap.bus.subscribe(told.append)",
    "subscribe": "tap.bus.subscribe(function)",
    "add_fault": "tap.faults.add('cut at=rdb:50%')",
    "fault": "tap.faults.add('cut at=rdb:50%')",
    "cut": "tap.faults.add('cut'), or link.close() for one of tap.links",
    "seed": "tap.config.seed",
    "recording": "tap.recorder.path; from tap import recording reads it",
}


def recorder_of(config: Config, bus: Bus, clock: Callable[[], int] = time.time_ns) -> Recorder | None:
    """The recorder that the configuration asks for, if any. clock: see Recorder."""
    if config.record_to is None:
        return None
    return Recorder(
        config.record_to,
        bus,
        sync=config.record_sync,
        without_rdb=config.record_without_rdb,
        rotate=Limits.parse(config.record_rotate),
        keep=Limits.parse(config.record_keep),
        on_rotate=config.record_on_rotate,
        redact=config.record_redact,
        clock=clock,
    )


class Tap(OnlyAsync):
    """A tap, which runs inside one event loop, between __aenter__ and __aexit__:

    async with Tap("127.0.0.1:6379") as tap:
        tap.faults.add("cut at=offset:+1mb")
        resync = await tap.wait_for(PartialResync, within=10)

    faults: the plan of faults; may be changed at any time. recorder: None if the configuration has no record_to. loops:
    of full resyncs, as found so far. api: None if the configuration has no api.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute("a Tap", name, dir(self), _HINTS)

    def __init__(
        self,
        config: Config | Address | Url | str | int | None = None,
        *,
        observers: Iterable[Observer] = (),
        **options: Unpack[Keywords],
    ) -> None:
        """config: a whole Config; or the master's address, with any fields of LinkConfig and Config as *options*:
        Tap("127.0.0.1:6379", listen="127.0.0.1:6400", seed=7). Without listen the system chooses the port.

        observers: the caller's own; see tap.observers.observer for their life cycle. They start before those that the
        options ask for.

        Raises ConfigError, also for an impossible fault, a script that cannot be loaded, and observers that are none.
        """
        config = of_a_tap(config, options)
        self.bus = Bus()
        self.loops = Loops(self._loaded, self._said)
        self.recorder = recorder_of(config, self.bus)
        self._has_begun = False
        self.most_connections = config.max_connections  # lowered at the start if the limit of open files requires it
        self._ticker: asyncio.TimerHandle | None = None
        self.faults = Plan(
            config.seed,
            lambda event: self.bus.publish("", 0, "", event),
            self._now,
            links=(),
            destructive=config.destructive,
            read_only=config.read_only,
        )
        self._links = LinkSet(config, self.bus, self.faults, self.recorder)
        self._first_faults = [parse(spec) for spec in config.faults]
        self.faults.check(*self._first_faults)
        self.kept_events = KeptEvents()
        self._waited_for = 0  # the number of those that wait_for() has passed
        if isinstance(observers, str) or not isinstance(observers, Iterable):
            raise ConfigError(f"a {type(observers).__name__} is not a list of observers: write observers=[...]")
        self._observers = [Attached(one, self.bus) for one in observers]
        self.api = self._make_api()  # None if the configuration has no api
        self._observers += [Attached(one, self.bus) for one in configured(config)]  # last, because one starts a process

    async def __aenter__(self) -> Tap:
        """Listen. Raises EnvironmentFailure if a port or the file to record to cannot be opened."""
        if self._has_begun:
            raise ConfigError("this Tap has been started before: make another one")
        self._has_begun = True
        if self.recorder is not None:
            try:
                self.recorder.open()
            except TapError:
                await self.close()
                raise
        self.bus.subscribe(self.kept_events.add, without=COUNTLESS)
        self.bus.subscribe(self._count, without=COUNTLESS)
        self.bus.subscribe(self._judge, without=COUNTLESS)
        for fault in self._first_faults:
            self.faults.add(fault)
        self.faults.changed = self._follow_plan
        admission = Admission(
            self.config.max_connections, self.config.max_connections_per_address, most_by_files=most_by_files()
        )
        self.most_connections = admission.most
        try:
            for observer in self._observers:
                observer.start(self._link_names, self.status, self._lost_bytes)
            await self._links.open(admission)
            if self.api is not None:
                await self.api.open()
        except BaseException:
            await self.close()
            if self.recorder is not None:
                self.recorder.discard()
            raise
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and end every connection, within a second; then stop the observers."""
        if self._ticker is not None:
            self._ticker.cancel()
        try:
            await self._links.close()
        finally:  # also after a cancellation
            self.faults.clear()
            if self.recorder is not None:
                await self.recorder.close()
            ending = [observer.stop() for observer in self._observers]
            await asyncio.gather(*ending, *([] if self.api is None else [self.api.close(API_CLOSE_SECONDS)]))

    async def look_for_masters(self, names: Container[str] | None = None) -> None:
        """Connect to every link's master once, and close. Reports a MasterUnreachable for each that cannot be reached.

        names: of the links to look for; None for all. Disabled links are left out.
        """
        found = [one.config for one in self.listeners if names is None or one.config.name in names]
        links = [link for link in found if link.enabled]

        async def look(master: Address) -> None:
            text = await trouble_reaching(master, self.config.connect_timeout)
            for link in links:
                if text and link.master == master:
                    self.bus.publish(link.name, 0, "", MasterUnreachable(master=str(master), text=text))

        await asyncio.gather(*(look(master) for master in {link.master for link in links} if master is not None))

    # ---- recordings ----

    def start_recording(self, path: Path | str, *, without_rdb: bool = False, redact: Iterable[Redact] = ()) -> Recorder:
        """Record from here on, into a new file. Open connections are in it from one of their next commands on.

        Opaque ones are not. What the configuration leaves out of recordings, or replaces in them, is left out here, too.
        Needs an API, because only then does a tap look out for passwords that a later recording must not hold. Raises
        ConfigError while something is recorded and for a file that exists, and EnvironmentFailure if it cannot be made.
        """
        if self.recorder is not None:
            raise ConfigError(f"this tap records into {self.recorder.path} already: stop that first")
        self._check_may_record()
        config = replace(
            self.config,
            record_to=path,
            record_without_rdb=self.config.record_without_rdb or without_rdb,
            record_redact=tuple(dict.fromkeys((*self.config.record_redact, *redact))),
        )
        recorder = recorder_of(config, self.bus)
        assert recorder is not None
        recorder.open()
        self.recorder = recorder
        self._links.record(recorder)
        return recorder

    async def stop_recording(self) -> Recorder:
        """Record no more, and close the file. Returns what has recorded. Raises ConfigError if nothing does."""
        self._check_may_record()
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            raise ConfigError("nothing is being recorded")
        self._links.record(None)
        await recorder.close()
        return recorder

    def _check_may_record(self) -> None:
        if self.config.api is None:
            raise ConfigError("a tap without an API records from its start to its end: Tap(..., record_to=...)")

    # ---- links ----

    @property
    def config(self) -> Config:
        """The configuration, with the links as they are now."""
        return self._links.config

    @property
    def listeners(self) -> list[Listener]:
        """The links, in the order in which they were added."""
        return self._links.listeners

    async def add_link(self, link: LinkConfig | Address | Url | str | int | None = None, **options: Any) -> Listener:
        """Add a link while the others run: a LinkConfig, "orders=127.0.0.1:6400->10.0.0.5:6379", or fields of one:

        listener = await tap.add_link(name="orders", master="10.0.0.5:6379")

        Returns once it listens; listener.address is where. Raises ConfigError, also for a name that is taken, and
        EnvironmentFailure if the port cannot be opened; then nothing has changed.
        """
        return await self._links.add(one_link(link, options))

    async def remove_link(self, name: str) -> None:
        """Close a link's port and end its connections; no other link notices. The faults for this link alone are over.

        Raises ConfigError if no link has that name.
        """
        await self._links.remove(name)

    async def change_link(self, name: str, /, **options: Any) -> Listener:
        """Change fields of a link, as change_link("orders", master="10.0.0.6:6379"), or enabled=False.

        Its connections go on if only listen, alerts or inspect change; else they end, and replicas connect again. A port
        that the system chose stays the same. No other link notices.

        Raises ConfigError, and EnvironmentFailure if a port cannot be opened; then nothing has changed.
        """
        return await self._links.change(name, options)

    @property
    def links(self) -> list[Connection]:
        """The open connections, oldest first."""
        found = [one for listener in self.listeners for one in listener.connections]
        return sorted(found, key=lambda one: one.number)

    def status(self, most: int | None = None) -> Status:
        """The present state of every link and connection. Takes about a microsecond for each idle connection.

        most: the number of connections to describe, the oldest first, and no ordinary ones; the others are only counted.
        So a caller that shows some of them has an answer in a bounded time.
        """
        links = []
        for listener in self.listeners:
            links.append(listener.status(most))
            if most is not None:
                most = max(0, most - len(links[-1].connections))
        return Status(time.time(), tuple(links))

    @property
    def address(self) -> Address:
        """The address on which the first link listens. Raises ConfigError before it listens, or without a link."""
        if self._has_begun and not self.listeners:
            raise ConfigError("this Tap has no link, and so no address: await tap.add_link(...) makes one")
        if not self.listeners:
            raise ConfigError("a Tap listens inside 'async with Tap(...) as tap', and has no port before")
        return self.listeners[0].address

    @property
    def port(self) -> int:
        """The port of *address*."""
        return self.address.port

    @overload
    async def wait_for(
        self,
        kind: type[E] | tuple[type[E], ...],
        within: float | str = ...,
        *,
        where: Conditions | Callable[[E], bool] | None = ...,
        link: str | None = ...,
    ) -> E: ...

    @overload
    async def wait_for(
        self,
        kind: str,
        within: float | str = ...,
        *,
        where: Conditions | Callable[[Any], bool] | None = ...,
        link: str | None = ...,
    ) -> Any: ...

    async def wait_for(
        self,
        kind: type[Event] | tuple[type[Event], ...] | str,
        within: float | str = 10.0,
        *,
        where: Conditions | Callable[[Any], bool] | None = None,
        link: str | None = None,
        **wrong: object,
    ) -> Event:
        """Wait for the next event of a kind after the one that the last call returned; none between two calls is missed.

        High-volume events (Ack, Command, RdbKey) are not kept: for these, the next one from now on.

        kind: a class, a tuple of classes, or a name such as "partial_resync". within: seconds, or text such as "500ms".
        where: required values of fields, such as {"reason.code": "offset_*"}, or a condition to call with the event.
        link: accept only events of this link. Raises TimeoutError, and ConfigError for an event that can never come.
        """
        refuse("wait_for()", wrong, ["within", "where", "link"], {"timeout": "within=10", "count": "a loop"})
        kinds = _kinds(kind)
        self._check(kinds, where, link)
        seconds = parse_duration(within) if isinstance(within, str) else within

        def fits(told: Told) -> bool:
            if not isinstance(told.event, kinds) or link not in (None, told.link):
                return False
            return where is None or (where(told.event) if callable(where) else matches(told, where))

        forgotten = max(0, self.kept_events.first - self._waited_for)
        meanwhile: Counter[str] = Counter()
        for number, told in self.kept_events.since(self._waited_for):
            if fits(told):
                self._waited_for = number + 1
                return told.event
            meanwhile[told.event.kind] += 1
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def hear(told: Told) -> None:
            if found.done():
                return
            meanwhile[told.event.kind] += 1
            try:
                if fits(told):
                    self._waited_for = self.kept_events.end
                    found.set_result(told.event)
            except Exception as error:  # raised by the caller's condition
                found.set_exception(error)

        # Subscribed after kept_events, whose end already counts the event when hear() runs.
        end_hearing = self.bus.subscribe(hear, without=[one for one in COUNTLESS if not issubclass(one, kinds)])
        try:
            async with asyncio.timeout(seconds):
                return await found
        except TimeoutError:
            names = " or ".join(one.kind for one in kinds)
            others = ", ".join(f"{count} x {name}" for name, count in meanwhile.items()) or "nothing"
            lost = f"; {forgotten} events before that are no longer known" if forgotten else ""
            raise TimeoutError(f"no {names} within {seconds:g} s; reported meanwhile: {others}{lost}") from None
        finally:
            end_hearing()

    def _check(self, kinds: tuple[type[Event], ...], where: object, link: str | None) -> None:
        """Raise ConfigError for an event that can never come."""
        if not self._has_begun:
            raise ConfigError("a Tap reports nothing before 'async with Tap(...) as tap'")
        for kind in kinds:
            if isinstance(where, Mapping):
                check(kind, where)
            elif where is not None and not callable(where):
                raise ConfigError(f"where {where!r}: write fields and their values, as {{'reason.code': 'first_sync'}}")
            check_reported(kind, every_command=self.config.every_command, every_key=self.config.every_key)
        names = [one.name for one in self.config.links]
        if link is None or link in names or any(one.transparent for one in self.config.links):
            return
        if not any(told.link == link for _, told in self.kept_events.since(0)):  # a removed link may have events there
            check_link(link, names)

    def _now(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            raise ConfigError(
                "faults are added while the tap runs, inside 'async with Tap(...) as tap'; or give Tap(..., faults=[...])"
            ) from None

    def _make_api(self) -> Api | None:
        if self.config.api is None:
            return None
        from tap.control.api import Api  # FastAPI takes longer to import than all of a tap

        return Api(self)

    def _link_names(self) -> tuple[str, ...]:
        """Those of the links that are not transparent."""
        return tuple(link.name for link in self.config.links if not link.transparent)

    def _count(self, told: Told) -> None:
        self._links.alerts.event(told, asyncio.get_running_loop().time())

    def _judge(self, told: Told) -> None:
        for said in self.loops.take(told):
            # Once this event has reached every observer.
            asyncio.get_running_loop().call_soon(self._tell, said)

    def _tell(self, told: Told) -> None:
        self.bus.publish(told.link, told.connection, told.replica, told.event)

    def _loaded(self) -> set[int]:
        """The numbers of the connections whose replicas have acknowledged a stream."""
        return {one.number for listener in self.listeners for one in listener.connections if one.acked is not None}

    def _said(self, link: str) -> Inspected | None:
        """What the master of a configured link said of itself last, if that was not long ago."""
        said = next((one.memory.inspected for one in self.listeners if one.config.name == link), None)
        is_old = said is None or asyncio.get_running_loop().time() - said.at > SAID_SECONDS
        return None if is_old else said

    def _figures(self, wanted: Mapping[str, Container[str]]) -> dict[str, list[AlertFigures]]:
        """Those that alerts want, of the replicas of each link."""
        now = asyncio.get_running_loop().time()
        return {
            listener.config.name: [
                one.figures(names, now) for one in listener.connections if one.conversation.phase is not Phase.ORDINARY
            ]
            for listener in self.listeners
            if (names := wanted.get(listener.config.name))
        }

    def _lost_bytes(self) -> int | None:
        return None if self.recorder is None else self.recorder.lost_bytes

    def _follow_plan(self) -> None:
        for listener in self.listeners:
            listener.follow_plan()
            for one in tuple(listener.connections):
                one.arm()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)
        self.faults.tick(loop.time())
        for told in self.loops.tick(time.time()):
            self._tell(told)
        for listener in self.listeners:
            listener.follow_plan()
            for one in tuple(listener.connections):
                if one.has_a_clock:
                    one.tick(loop.time())
        self._links.alerts.tick(self._figures, loop.time())


def _kinds(kind: object) -> tuple[type[Event], ...]:
    """The classes meant by a class, a tuple of classes, or a name. Raises ConfigError for anything else."""
    if isinstance(kind, str):
        return (event_named(kind),)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    for one in kinds:
        if not (isinstance(one, type) and issubclass(one, Event)):
            raise ConfigError(f"{one!r} is not a kind of event: write its class, as events.FullResync, or 'full_resync'")
    return kinds
