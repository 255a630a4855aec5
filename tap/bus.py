"""The one way from the tap to whoever watches it."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tap.replication.events import Ack, Command, Event, as_dict

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


class Inbox(queue.Queue[Told]):
    """Events on their way to a thread that may block where the tap must not. Full, it takes no more."""

    def __init__(self) -> None:
        super().__init__(INBOX_EVENTS)

    def offer(self, told: Told) -> bool:
        """Whether there was room. For the one thread that puts events in."""
        event, waiting = told.event, len(self.queue)  # without its lock: who lags behind is offered them by the million
        if waiting >= self.maxsize:
            return False
        if waiting > MAX_LARGE and isinstance(event, Command) and event.end - event.start > LARGE:
            return False  # a queue of events is bounded, of megabytes each it would not be
        self.put_nowait(told)
        return True


class Bus:
    """Hands every event to every observer, in order, at once. An observer must not block."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._hear_acks: list[Observer] = []  # those of them that do

    def subscribe(self, observer: Observer, *, acks: bool = True) -> Callable[[], None]:
        """From now on call observer with each event. Returns what ends that.

        acks: with each Ack, too. A client's WAIT brings one each time, thousands a second: none is made for nobody.
        """
        self._observers.append(observer)
        if acks:
            self._hear_acks.append(observer)
        return lambda: self._drop(observer)

    def _drop(self, observer: Observer) -> None:
        for observers in (self._observers, self._hear_acks):
            if observer in observers:
                observers.remove(observer)

    def hears_acks(self) -> bool:
        """Whether anybody wants to be told of each Ack."""
        return bool(self._hear_acks)

    def publish(self, link: str, connection: int, replica: str, event: Event) -> None:
        """Tell the observers. One that raises is dropped with its traceback in the log: the link goes on."""
        observers = self._hear_acks if isinstance(event, Ack) else self._observers
        if not observers:
            return
        told = Told(time.time(), link, connection, replica, event)
        for observer in tuple(observers):
            try:
                observer(told)
            except Exception:
                log.exception("an observer failed and is dropped: %r", observer)
                self._drop(observer)
