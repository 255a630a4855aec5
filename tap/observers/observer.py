"""The interface of an observer: start(), event() and stop(), of which the first and the last are optional.

    class Pager(Observer):
        async def event(self, told: Told) -> None:
            if isinstance(told.event, FullResync):
                await page(f"{told.replica} resyncs in full")

    async with Tap("127.0.0.1:6379", observers=[Pager()]):
        ...

The life of an observer: start() before the tap listens, then event() for each event in their order, then stop() after the
last link has ended. stop() is called once, also where start() failed or the tap could not begin. event() is not called
after stop().

Who waits. `def event` is called in the event loop, between two bytes of a link, and every link waits until it returns:
it should do no more than count or keep. `async def event` may wait: it has a task of its own, which awaits one call after
the other. Events queue for it meanwhile, and once 10,000 events or 32 MB wait, those of the kinds in COUNTLESS are
dropped, and no others; an EventsDropped stands in their place. `async def` that computes or blocks without awaiting still
holds up the loop: give that to asyncio.to_thread().

What fails. An exception in event() is reported as an ObserverTrouble with its traceback, once for each place in the code
and type of exception, and the observer receives the next event. One in stop(), or a stop() that takes longer than
STOP_SECONDS, is reported too. An exception in start() ends the tap before it listens, where it cannot be overlooked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from tap.bus import Inbox, Told
from tap.replication.events import Event
from tap.status import Status


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observer may ask of the tap that it observes. To be used only in the event loop.

    names, links: of the links that are not transparent, as they are now. status: the present state of every link and
    connection.
    lost_bytes: of the recording, None without one. report: publishes an ObserverTrouble with a text and, if there is one,
    a traceback. leave: ends the observer's events; stop() is called all the same.
    """

    names: Callable[[], tuple[str, ...]]
    status: Callable[[], Status]
    lost_bytes: Callable[[], int | None]
    report: Callable[[str, str | None], None]
    leave: Callable[[], None]

    @property
    def links(self) -> tuple[str, ...]:
        return self.names()


class Observer(Protocol):
    """The base of an observer.

    name: of the observer in an ObserverTrouble; "" for the name of its class. without: kinds in tap.bus.COUNTLESS that it
    does not use; they are not constructed unless another observer wants them. inbox: where event() puts its events, if it
    does: while the inbox is full, events of COUNTLESS kinds are not constructed either.
    """

    name: str = ""
    without: Collection[type[Event]] = ()
    inbox: Inbox | None = None

    def start(self, tap: Observed) -> None:
        """Begin. Called in the event loop."""
        return None  # noqa: RET501  # so that type checkers see a method that may be inherited

    @abstractmethod
    def event(self, told: Told) -> Awaitable[None] | None:
        """Receive an event."""

    async def stop(self) -> None:
        """Finish, within STOP_SECONDS."""
        return None  # noqa: RET501
