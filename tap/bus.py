"""The one way from the tap to whoever watches it."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tap.replication.events import Ack, Command, Event, RdbKey, as_dict

# They come by the thousand and by the million. None is made for nobody.
COUNTLESS: tuple[type[Event], ...] = (Ack, Command, RdbKey)

INBOX_EVENTS = 10_000
LARGE = 4096  # bytes of a command, from which on only so many may wait:
MAX_LARGE = 32

log = logging.getLogger(__name__)


@dataclass(slots=True)  # not frozen: one is made for every event, and that would take twice the time
class Told:
    """An event, and when and where it happened. Many have it: nobody changes it.

    time: seconds since the epoch. link: the configured link's name. connection: number of the replica's connection,
    counted by the tap from 1. replica: the address the replica announces, its source host before it did.
    """

    time: float
    link: str
    connection: int
    replica: str
    event: Event

    def as_dict(self) -> dict[str, Any]:
        """One flat object, as the JSON readers see it."""
        said = as_dict(self.event)
        kind = said.pop("event")
        return {
            "event": kind,
            "time": self.time,
            "link": self.link,
            "connection": self.connection,
            "replica": self.replica,
            **said,
        }


Observer = Callable[[Told], None]


class Inbox(queue.SimpleQueue[Told]):
    """Events on their way to what may be slower than the links: lines, a script. Full, it takes no more.

    dropped: how many it did not take. A SimpleQueue, for to put into it never waits: a lock that another thread holds
    while it waits for the interpreter would hold up the links for each event.
    """

    def __init__(self, overrun: Callable[[], None] = lambda: None) -> None:
        """overrun: called when it drops the first one."""
        super().__init__()
        self.dropped = 0
        self._overrun = overrun

    @property
    def has_room(self) -> bool:
        return self.qsize() < INBOX_EVENTS

    def drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            self._overrun()

    def offer(self, told: Told) -> None:
        """Take it, or drop it. For the one thread that puts events in."""
        event = told.event
        is_large = isinstance(event, Command) and event.end - event.start > LARGE
        # a queue of events is bounded, of megabytes each it would not be
        if self.qsize() < (MAX_LARGE if is_large else INBOX_EVENTS):
            self.put(told)
        else:
            self.drop()


class Bus:
    """Hands every event to every observer, in order, at once. An observer must not block."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._hear: dict[type[Event], list[Observer]] = {kind: [] for kind in COUNTLESS}  # those of them that do
        self._inboxes: dict[Observer, Inbox] = {}

    def subscribe(
        self, observer: Observer, *, without: Collection[type[Event]] = (), inbox: Inbox | None = None
    ) -> Callable[[], None]:
        """From now on call observer with each event. Returns what ends that.

        without: those of COUNTLESS that it has no use for. inbox: where it puts what it is called with; while that is
        full, and nobody else wants them, those of COUNTLESS are not even made, and counted as dropped.
        """
        self._observers.append(observer)
        for kind, observers in self._hear.items():
            if kind not in without:
                observers.append(observer)
        if inbox is not None:
            self._inboxes[observer] = inbox
        return lambda: self._drop(observer)

    def _drop(self, observer: Observer) -> None:
        for observers in (self._observers, *self._hear.values()):
            if observer in observers:
                observers.remove(observer)
        self._inboxes.pop(observer, None)

    def takes(self, kind: type[Event]) -> bool:
        """Whether to make the next event of this kind, one of COUNTLESS."""
        inboxes = []
        for observer in self._hear[kind]:
            inbox = self._inboxes.get(observer)
            if inbox is None or inbox.has_room:
                return True
            inboxes.append(inbox)
        for inbox in inboxes:
            inbox.drop()
        return False

    def publish(self, link: str, connection: int, replica: str, event: Event) -> None:
        """Tell the observers. One that raises is dropped with its traceback in the log: the link goes on."""
        observers = self._hear.get(type(event), self._observers)
        if not observers:
            return
        told = Told(time.time(), link, connection, replica, event)
        for observer in tuple(observers):
            try:
                observer(told)
            except Exception:
                log.exception("an observer failed and is dropped: %r", observer)
                self._drop(observer)
