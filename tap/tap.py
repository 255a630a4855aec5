"""A tap: listeners, the links they make, and the bus that tells of them."""

from __future__ import annotations

import asyncio
import itertools
from types import TracebackType

from tap.bus import Bus
from tap.config import Config
from tap.relay.leg import Buffers
from tap.relay.link import Link
from tap.relay.listener import Listener

TICK_SECONDS = 0.1  # what a quiet moment is, for the events that wait for one
CLOSE_SECONDS = 0.5  # peers that take longer to say goodbye are cut off


class Tap:
    """Runs inside one event loop, between __aenter__ and __aexit__:

    async with Tap(Config(links=(LinkConfig(master=Address("127.0.0.1", 6379)),))) as tap:
        tap.bus.subscribe(print)
        await asyncio.sleep(60)
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.bus = Bus()
        self.listeners: list[Listener] = []
        self._ticker: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Tap:
        """Listen. Raises EnvironmentFailure if a port cannot be had."""
        buffers = Buffers()
        numbers = itertools.count(1)
        try:
            for link in self.config.links:
                listener = Listener(link, self.config, self.bus, buffers, numbers)
                await listener.open()
                self.listeners.append(listener)
        except BaseException:
            await self.close()
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
        await asyncio.gather(*(listener.close(CLOSE_SECONDS) for listener in self.listeners))

    @property
    def links(self) -> list[Link]:
        """The links that are alive, oldest first."""
        links = [link for listener in self.listeners for link in listener.links]
        return sorted(links, key=lambda link: link.number)

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.listeners[0].address.port

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)
        for listener in self.listeners:
            for link in tuple(listener.links):
                link.tick(loop.time())
