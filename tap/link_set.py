"""The links of a running tap, which come, change and go while the others run.

Each change goes three steps. First everything that can be wrong is found out: the whole configuration is checked as it
would be, a certificate is loaded, a port is opened. Then the link is changed, which ends no connections but its own. Then
those follow that know links by name: the plan of faults, alerts, the questions to masters.

Changes of one link happen one after the other; changes of different links do not wait for each other. From the moment a
change is accepted until it is done, the name of its link is taken.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from tap.bus import Bus
from tap.config import Config, LinkConfig
from tap.errors import ConfigError, did_you_mean
from tap.faults.plan import Plan
from tap.relay.admission import Admission
from tap.relay.buffers import Buffers
from tap.relay.listener import Listener
from tap.relay.sink import Sink
from tap.replication.inspected import Inspected
from tap.replication.memory import Memory
from tap.thresholds import Threshold
from tap.url import Url
from tap.verdict.alerts import Alerts
from tap.verdict.pressure import Pressures

if TYPE_CHECKING:
    from tap.observers.inspection import Inspection

CLOSE_SECONDS = 0.5  # peers that take longer to close are cut off


class LinkSet:
    """The links of one tap. config: the tap's configuration, with the links as they are now."""

    def __init__(self, config: Config, bus: Bus, plan: Plan, sink: Sink | None) -> None:
        """Raises ConfigError for an impossible URL of an inspection."""
        self.config = config
        self.listeners: list[Listener] = []
        self._bus = bus
        self._plan = plan
        self._sink = sink
        self._buffers = Buffers()
        self._numbers = itertools.count(1)
        self._admission: Admission | None = None
        self._beside = Memory()  # links share what is in it
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by the name of a link
        self._is_closed = False
        self.alerts = Alerts({}, bus.publish)
        self._pressures = Pressures(bus.publish)
        self._inspections: dict[str, Inspection] = {}
        for link in config.links:
            self._prepare(link)

    async def open(self, admission: Admission) -> None:
        """Listen. Raises EnvironmentFailure if a port cannot be opened; close() is to be called then."""
        self._admission = admission
        for link in self.config.links:
            listener = self._listener(link, admission)
            await listener.open()
            self.listeners.append(listener)
        for inspection in self._inspections.values():
            inspection.start()

    async def add(self, link: LinkConfig) -> Listener:
        """Add a link, and listen. Raises ConfigError, or EnvironmentFailure if its port cannot be opened."""
        async with self._lock(link.name):
            admission = self._running()
            if any(one.name == link.name for one in self.config.links):
                raise ConfigError(f"there is a link named {link.name!r} already; give each its own name")
            self.config = replace(self.config, links=(*self.config.links, link))
            listener = None
            try:
                self._prepare(link)
                listener = self._listener(link, admission)
                await listener.open()
                self._running()
            except BaseException:
                if listener is not None:
                    await listener.close(CLOSE_SECONDS)
                await self._forget(link.name)
                raise
            self.listeners.append(listener)
            if link.name in self._inspections:
                self._inspections[link.name].start()
            listener.follow_plan()
            return listener

    async def remove(self, name: str) -> None:
        """Close a link's port, end its connections, and forget it. Raises ConfigError if no link has that name."""
        async with self._lock(name):
            self._running()
            listener = self.named(name)
            await listener.close(CLOSE_SECONDS, "removed")
            if not self._is_closed:
                self.listeners.remove(listener)
                self._end_pressure(listener)
                await self._forget(name)

    async def change(self, name: str, given: Mapping[str, Any]) -> Listener:
        """Change fields of a link. Raises ConfigError or EnvironmentFailure; then the link is as it was."""
        async with self._lock(name):
            self._running()
            listener = self.named(name)
            before = listener.config
            link = replace(before, **given)
            if link.name != name:
                raise ConfigError(f"link {name} keeps its name: remove it, and add {link.name}")
            if link == before:
                return listener
            config, is_asked_anew = self._with(link), _asked(link) != _asked(before)
            inspection = self._inspection(link) if is_asked_anew else None
            self._tell_plan(link)
            self.config = config
            try:
                await listener.change(link, config, CLOSE_SECONDS)
            except BaseException:
                self.config = self._with(listener.config)
                self._tell_plan(listener.config)
                raise
            self._set_alerts(link)
            if is_asked_anew:
                await self._end_inspection(name)
                self._end_pressure(listener)
            if inspection is not None and not self._is_closed:
                self._inspections[name] = inspection
                inspection.start()
            return listener

    def record(self, sink: Sink | None) -> None:
        """Let this sink have what connections receive from now on; None: no sink."""
        self._sink = sink
        for listener in self.listeners:
            listener.sink = sink
            for one in listener.connections:
                if sink is None:
                    one.sink = None
                else:
                    one.record(sink)

    async def close(self) -> None:
        """End every link, within a second."""
        self._is_closed = True
        await asyncio.gather(*(inspection.stop() for inspection in self._inspections.values()))
        try:
            await asyncio.gather(*(listener.close(CLOSE_SECONDS) for listener in self.listeners))
        finally:  # also after a cancellation
            self._buffers.close()
            self.alerts.end(asyncio.get_running_loop().time())

    def named(self, name: str) -> Listener:
        """The link of this name. Raises ConfigError if there is none."""
        for listener in self.listeners:
            if listener.config.name == name:
                return listener
        names = [one.config.name for one in self.listeners]
        known = f"known: {', '.join(names)}.{did_you_mean(name, names)}" if names else "this tap has no link"
        raise ConfigError(f"no link is named {name!r}; {known}")

    def _running(self) -> Admission:
        """Raises ConfigError unless the tap runs."""
        if self._admission is None or self._is_closed:
            raise ConfigError("links change while the tap runs, inside 'async with Tap(...) as tap'; it does not run")
        return self._admission

    def _lock(self, name: str) -> asyncio.Lock:
        """Held by one change of this link after the other."""
        return self._changing.setdefault(name, asyncio.Lock())

    def _listener(self, link: LinkConfig, admission: Admission) -> Listener:
        return Listener(
            link,
            self.config,
            self._bus,
            self._plan,
            self._buffers,
            self._numbers,
            admission,
            self._sink,
            self._beside,
        )

    def _with(self, link: LinkConfig) -> Config:
        """The configuration with this link in place of the one of its name. Raises ConfigError."""
        return replace(self.config, links=[link if one.name == link.name else one for one in self.config.links])

    # ---- those that know links by name ----

    def _prepare(self, link: LinkConfig) -> None:
        """Have a new link followed. Raises ConfigError."""
        self._tell_plan(link)
        self._set_alerts(link)
        inspection = self._inspection(link)
        if inspection is not None:
            self._inspections[link.name] = inspection

    async def _forget(self, name: str) -> None:
        self.config = replace(self.config, links=[one for one in self.config.links if one.name != name])
        self._plan.drop_link(name)
        self.alerts.drop_link(name, asyncio.get_running_loop().time())
        await self._end_inspection(name)

    def _tell_plan(self, link: LinkConfig) -> None:
        self._plan.set_link(link.name, is_opaque=self.config.is_opaque(link), is_transparent=link.transparent)

    def _set_alerts(self, link: LinkConfig) -> None:
        self.alerts.set_link(link.name, [Threshold.parse(one) for one in self.config.alerts_of(link)])

    def _inspection(self, link: LinkConfig) -> Inspection | None:
        """The questions to the link's master, not started; None if it is not asked."""
        url = _asked(link)
        if url is None:
            return None
        from tap.observers.inspection import Inspection  # redis-py takes a sixth of the time that a tap takes to start

        return Inspection(url, partial(self._bus.publish, link.name, 0, ""), partial(self._learn, link.name))

    async def _end_inspection(self, name: str) -> None:
        inspection = self._inspections.pop(name, None)
        if inspection is not None:
            await inspection.stop()

    def _learn(self, name: str, inspected: Inspected) -> None:
        """The master of a link has said how it stands."""
        listener = self.named(name)
        listener.learn(inspected)
        self._pressures.look(listener.status(), inspected.at)

    def _end_pressure(self, listener: Listener) -> None:
        """End the pressure on a link whose master is asked no longer."""
        listener.memory.inspected = None
        self._pressures.look(listener.status(), asyncio.get_running_loop().time())


def _asked(link: LinkConfig) -> Url | None:
    """Whom to ask about the link's master, if it is to be asked."""
    return link.inspect if link.enabled else None
