"""The one path from the tap to its observers: a bus, and an inbox for observers that may be slow."""

from __future__ import annotations

import inspect
import logging
import queue
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from tap.errors import ConfigError
from tap.replication.events import Ack, Command, Event, EventsDropped, RdbKey, as_dict
from tap.replication.head_samples import HeadSamples

# High-volume events: constructed only when an observer wants them, and the only ones that a slow observer loses.
COUNTLESS: tuple[type[Event], ...] = (Ack, Command, RdbKey)

INBOX_EVENTS = 10_000
INBOX_BYTES = 32 * 2**20  # a limit of its own, because each command may have a megabyte
# All other events are few and are always taken, up to this limit of about 100,000 events. It is reached only if clients
# connect thousands of times a second while the reader is blocked.
LAST_RESORT_BYTES = 64 * 2**20
EVENT_BYTES = 512  # memory of a small event with its Told; measured with CPython 3.11

log = logging.getLogger(__name__)


@dataclass(slots=True)  # not frozen: one is created for every event, and freezing would double the time for that
class Told:
    """An event, and when and where it happened. All observers share the object, so it must not be changed.

    time: seconds since the epoch. link: the configured link's name. connection: number of the replica's connection,
    counted by the tap from 1. replica: the address that the replica announces, or its source address if it announces
    none; its source host until that is known.
    """

    time: float
    link: str
    connection: int
    replica: str
    event: Event

    def as_dict(self) -> dict[str, Any]:
        """The event as one flat object: the form of its JSON."""
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


class Inbox:
    """Events on their way to an observer that may be slower than the links: a writer of lines, a script.

    Events of the COUNTLESS kinds are taken while there is room for them. After a drop none of them is taken until half
    of the room is free again, so that a few long stretches are missing rather than every second event. All other events
    are taken up to LAST_RESORT_BYTES. An EventsDropped stands in the place of events that are missing.

    One thread offers events, and one gets them. dropped: the total number of events not taken.
    """

    # SimpleQueue.put() never blocks; queue.Queue could stall the event loop on a lock held by a thread that waits for
    # the GIL. Each of the two byte counts is written by one thread only, so they need no lock either.

    def __init__(self, overrun: Callable[[], None] = lambda: None) -> None:
        """overrun: called when the first event is dropped."""
        self.dropped = 0
        self._queue: queue.SimpleQueue[tuple[Told, int]] = queue.SimpleQueue()
        self._bytes_in = 0
        self._bytes_out = 0
        self._missing: dict[str, int] = {}  # by kind, events dropped after the last one that was taken
        self._missing_since = 0.0
        self._most_events = INBOX_EVENTS  # for the COUNTLESS kinds; half of it after a drop
        self._most_bytes = INBOX_BYTES
        self._drops_all = False
        self._overrun = overrun

    @property
    def has_room(self) -> bool:
        """Whether an event of a COUNTLESS kind is taken."""
        return self._queue.qsize() < self._most_events and self._bytes_in - self._bytes_out < self._most_bytes

    @property
    def is_missing_some(self) -> bool:
        """Whether events were dropped after the last one that was taken, and settle() has not said so yet."""
        return bool(self._missing)

    def offer(self, told: Told) -> None:
        """Take an event, or drop it if there is no room."""
        kind = type(told.event)
        if kind in COUNTLESS:
            if not self.has_room:
                self.drop(kind)
                return
            self._most_events, self._most_bytes = INBOX_EVENTS, INBOX_BYTES
        else:
            limit = LAST_RESORT_BYTES // 2 if self._drops_all else LAST_RESORT_BYTES
            self._drops_all = self._bytes_in - self._bytes_out >= limit
            if self._drops_all:
                self.drop(kind)
                return
        if self._missing:
            self.settle()
        self._put(told)

    def drop(self, kind: type[Event]) -> None:
        """Count an event that is not taken."""
        self.dropped += 1
        self._most_events, self._most_bytes = INBOX_EVENTS // 2, INBOX_BYTES // 2
        if kind.kind in self._missing:  # the fast path: whole streams may be dropped
            self._missing[kind.kind] += 1
        else:
            self._miss({kind.kind: 1}, time.time())
        if self.dropped == 1:
            self._overrun()

    def settle(self) -> None:
        """Insert an EventsDropped if events are missing. Call it in the thread that offers; offer() does so itself."""
        if self._missing:
            missing, self._missing = self._missing, {}
            self._put(Told(self._missing_since, "", 0, "", EventsDropped(count=sum(missing.values()), by_kind=missing)))

    def leave_out_countless(self) -> None:
        """Drop the waiting events of COUNTLESS kinds. Allowed only if one thread both offers and gets the events."""
        self.settle()
        for told in [self.get() for _ in range(self.qsize())]:
            if isinstance(told.event, EventsDropped):
                self._miss(told.event.by_kind, told.time)
            elif isinstance(told.event, COUNTLESS):
                self.dropped += 1
                self._miss({told.event.kind: 1}, told.time)
            else:
                self.settle()
                self._put(told)
        self.settle()

    def get(self, timeout: float | None = None) -> Told:
        """Return the oldest event; wait if there is none. Raises queue.Empty after *timeout* seconds."""
        told, size = self._queue.get(timeout=timeout)
        self._bytes_out += size
        return told

    def empty(self) -> bool:
        return self._queue.empty()

    def qsize(self) -> int:
        return self._queue.qsize()

    def _miss(self, by_kind: Mapping[str, int], since: float) -> None:
        if not self._missing:
            self._missing_since = since
        for kind, count in by_kind.items():
            self._missing[kind] = self._missing.get(kind, 0) + count

    def _put(self, told: Told) -> None:
        size = EVENT_BYTES + memory_of(told.event)
        self._bytes_in += size
        self._queue.put((told, size))


def memory_of(value: Any) -> int:
    """The number of bytes and characters in the strings of an event, or of a part of one."""
    kind = type(value)
    if kind not in _MEASURES:
        _MEASURES[kind] = _measure(kind)
    measure = _MEASURES[kind]
    return 0 if measure is None else measure(value)


def _measure(kind: type) -> Callable[[Any], int] | None:
    """What measures values of this class; None if they hold no strings."""
    if issubclass(kind, Command):
        return lambda command: command.end - command.start - command.omitted_bytes
    if issubclass(kind, RdbKey):
        return lambda key: len(key.key)
    if issubclass(kind, Ack):
        return None
    if issubclass(kind, str | bytes):
        return len
    if issubclass(kind, Mapping):
        return lambda mapping: sum(memory_of(key) + memory_of(one) for key, one in mapping.items())
    if issubclass(kind, tuple):
        return lambda parts: sum(map(memory_of, parts))
    if is_dataclass(kind):
        return _measure_of_fields([one.name for one in fields(kind)])
    return None


def _measure_of_fields(names: Sequence[str]) -> Callable[[Any], int]:
    """Nearly all fields are strings or have none in them: each event is measured, so those are not looked up."""

    def measure(record: Any) -> int:
        size = 0
        for name in names:
            value = getattr(record, name)
            kind = type(value)
            if kind is str:
                size += len(value)
            elif kind not in _STRINGLESS:
                size += memory_of(value)
        return size

    return measure


_STRINGLESS = frozenset({int, float, bool, type(None)})
_MEASURES: dict[type, Callable[[Any], int] | None] = {}


class Bus:
    """Calls every observer with every event, in order and synchronously. An observer must not block."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._hear: dict[type[Event], list[Observer]] = {kind: [] for kind in COUNTLESS}  # observers of these kinds
        self._inboxes: dict[Observer, Inbox] = {}
        self.samples = HeadSamples()  # commands for an observer that does not want each of them
        self._failed: dict[Observer, Callable[[Exception], None]] = {}

    def subscribe(
        self,
        observer: Observer,
        *,
        without: Collection[type[Event]] = (),
        inbox: Inbox | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> Callable[[], None]:
        """From now on call the observer with each event. Returns a function that unsubscribes it.

        without: the COUNTLESS kinds that the observer does not want.
        inbox: where the observer puts its events. While that is full, and no other observer wants them, events of
        COUNTLESS kinds are not constructed, only counted as dropped.
        failed: called with each exception that the observer raises; if None, the first one unsubscribes it.
        Raises ConfigError if the observer is not callable, or is async.
        """
        if not callable(observer):
            raise ConfigError(f"{observer!r} cannot be called: an observer is a function, as def hear(told)")
        if inspect.iscoroutinefunction(observer):
            raise ConfigError(
                f"{getattr(observer, '__name__', observer)} is async, and an observer is called at once: write def"
            )
        self._observers.append(observer)
        for kind, observers in self._hear.items():
            if kind not in without:
                observers.append(observer)
        if inbox is not None:
            self._inboxes[observer] = inbox
        if failed is not None:
            self._failed[observer] = failed
        return lambda: self._drop(observer)

    def _drop(self, observer: Observer) -> None:
        for observers in (self._observers, *self._hear.values()):
            if observer in observers:
                observers.remove(observer)
        self._inboxes.pop(observer, None)
        self._failed.pop(observer, None)

    def takes(self, kind: type[Event]) -> bool:
        """Whether to construct the next event of this kind, which is one of COUNTLESS."""
        inboxes = []
        for observer in self._hear[kind]:
            inbox = self._inboxes.get(observer)
            if inbox is None or inbox.has_room:
                return True
            inboxes.append(inbox)
        for inbox in inboxes:
            inbox.drop(kind)
        return False

    def publish(self, link: str, connection: int, replica: str, event: Event) -> None:
        """As tell(), of an event that happens now."""
        if self._hear.get(type(event), self._observers):
            self.tell(Told(time.time(), link, connection, replica, event))

    def tell(self, told: Told) -> None:
        """Call the observers. An exception goes to *failed*; without that, to the log, and the observer is dropped."""
        for observer in tuple(self._hear.get(type(told.event), self._observers)):
            try:
                observer(told)
            except Exception as error:
                failed = self._failed.get(observer)
                if failed is not None:
                    failed(error)
                else:
                    log.exception("an observer failed and is dropped: %r", observer)
                    self._drop(observer)
