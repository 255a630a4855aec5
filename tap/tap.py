"""A tap: listeners, the links they make, and the bus that tells of them."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from tap.bus import COUNTLESS, Bus, Told
from tap.config import TLS_OPTIONS, Config, LinkConfig
from tap.errors import TapError
from tap.faults import Plan, parse
from tap.observers.script import Script
from tap.observers.statsd import StatsD
from tap.recording.recorder import Recorder
from tap.relay.dial import trouble_reaching
from tap.relay.leg import Buffers
from tap.relay.link import Link
from tap.relay.listener import Listener
from tap.replication.events import Event, MasterUnreachable
from tap.units import Limits
from tap.url import Address

TICK_SECONDS = 0.1  # what a quiet moment is, for the events that wait for one
KEPT = 10_000  # events, for wait_for()
CLOSE_SECONDS = 0.5  # peers that take longer to say goodbye are cut off

E = TypeVar("E", bound=Event)


class Tap:
    """Runs inside one event loop, between __aenter__ and __aexit__:

    async with Tap("127.0.0.1:6379") as tap:
        tap.faults.add("cut at=offset:+1mb")
        resync = await tap.wait_for(PartialResync, within=10)

    faults: what goes wrong on purpose; may change at any time. recorder: of what the configuration wants recorded.
    """

    def __init__(self, config: Config | str, **options: Any) -> None:
        """config: all of it; or the master's address, a port of the system's choosing, and of Config what *options* name.

        Those of TLS that LinkConfig has may be among them. Raises ConfigError, also for a fault that cannot be, and for a
        script that cannot be loaded.
        """
        if isinstance(config, str):
            of_link = {name: options.pop(name) for name in TLS_OPTIONS if name in options}
            config = Config(links=(LinkConfig(master=config, **of_link),), **options)
        self.config = config
        self.bus = Bus()
        self._buffers = Buffers()
        self.listeners: list[Listener] = []
        self.recorder: Recorder | None = None
        if config.record_to is not None:
            self.recorder = Recorder(
                config.record_to,
                self.bus,
                sync=config.record_sync,
                without_rdb=config.record_without_rdb,
                rotate=Limits.parse(config.record_rotate),
                keep=Limits.parse(config.record_keep),
                redact=config.record_redact,
            )
        self._ticker: asyncio.TimerHandle | None = None
        self.faults = Plan(
            config.seed,
            lambda event: self.bus.publish("", 0, "", event),
            lambda: asyncio.get_running_loop().time(),
            links=[link.name for link in config.links if not link.transparent],
            by_address=any(link.transparent for link in config.links),
            destructive=config.destructive,
            read_only=config.read_only,
            opaque=config.opaque,
        )
        self._first_faults = [parse(spec) for spec in config.faults]
        self.faults.check(*self._first_faults)
        self._journal: deque[Told] = deque(maxlen=KEPT)
        self._journal_end = 0  # events that were ever in it
        self._waited_for = 0  # how many of them lie behind
        self._observers: list[StatsD | Script] = []
        if config.statsd is not None:
            names = [link.name for link in config.links if not link.transparent]
            self._observers.append(StatsD(config.statsd, self.bus, names, lambda: self.links, self._lost_bytes))
        if config.script is not None:  # last, for it begins a process
            self._observers.append(Script(config.script, self.bus, on_screen=config.ui == "live"))

    async def __aenter__(self) -> Tap:
        """Listen. Raises EnvironmentFailure if a port cannot be had, or a file that is to be recorded to."""
        numbers = itertools.count(1)
        if self.recorder is not None:
            try:
                self.recorder.open()
            except TapError:
                await self.close()
                raise
        self.bus.subscribe(self._remember, without=COUNTLESS)
        for observer in self._observers:
            observer.start()
        for fault in self._first_faults:
            self.faults.add(fault)
        self.faults.changed = self._follow_plan
        try:
            for link in self.config.links:
                beside = self.listeners[0].memory if self.listeners else None
                listener = Listener(
                    link, self.config, self.bus, self.faults, self._buffers, numbers, self.recorder, beside
                )
                await listener.open()
                self.listeners.append(listener)
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
        """Stop listening and end every link, within a second."""
        if self._ticker is not None:
            self._ticker.cancel()
        try:
            await asyncio.gather(*(listener.close(CLOSE_SECONDS) for listener in self.listeners))
        finally:  # also where that is cancelled
            self._buffers.close()
            self.faults.clear()
            if self.recorder is not None:
                await self.recorder.close()
            await asyncio.gather(*(observer.close() for observer in self._observers))

    async def look_for_masters(self) -> None:
        """Dial every link's master once and hang up; a MasterUnreachable is told for each that gives no connection."""
        links = [listener.config for listener in self.listeners]

        async def look(master: Address) -> None:
            text = await trouble_reaching(master, self.config.connect_timeout)
            for link in links:
                if text and link.master == master:
                    self.bus.publish(link.name, 0, "", MasterUnreachable(master=str(master), text=text))

        await asyncio.gather(*(look(master) for master in {link.master for link in links} if master is not None))

    @property
    def links(self) -> list[Link]:
        """The links that are alive, oldest first."""
        links = [link for listener in self.listeners for link in listener.links]
        return sorted(links, key=lambda link: link.number)

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.listeners[0].address.port

    async def wait_for(
        self, kind: type[E], *, within: float, where: Callable[[E], bool] | None = None, link: str | None = None
    ) -> E:
        """The next event of that kind, behind the one that the last call returned, so that none is missed in between.

        Of those that come by the thousand, Ack, Command and RdbKey, the next one from now on.

        within: seconds. where: only one for which this is true. link: only of this link. Raises TimeoutError.
        """

        def fits(told: Told) -> bool:
            event = told.event
            return isinstance(event, kind) and link in (None, told.link) and (where is None or where(event))

        first = self._journal_end - len(self._journal)
        for number, told in enumerate(tuple(self._journal), first):
            if number >= self._waited_for and fits(told):
                self._waited_for = number + 1
                return told.event  # type: ignore[return-value]
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def hear(told: Told) -> None:
            if not found.done() and fits(told):
                self._waited_for = self._journal_end
                found.set_result(told.event)

        end_hearing = self.bus.subscribe(hear)  # behind _remember
        try:
            async with asyncio.timeout(within):
                return await found  # type: ignore[return-value]
        except TimeoutError:
            raise TimeoutError(f"no {kind.kind} within {within:g} s") from None
        finally:
            end_hearing()

    def _remember(self, told: Told) -> None:
        self._journal.append(told)
        self._journal_end += 1

    def _lost_bytes(self) -> int | None:
        return None if self.recorder is None else self.recorder.lost_bytes

    def _follow_plan(self) -> None:
        for listener in self.listeners:
            listener.follow_plan()
            for link in tuple(listener.links):
                link.arm()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)
        self.faults.tick(loop.time())
        for listener in self.listeners:
            listener.follow_plan()
            for link in tuple(listener.links):
                link.tick(loop.time())
