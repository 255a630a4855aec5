"""Attaches one observer to the bus: reports its failures, queues events while it is slow, and limits how long it ends."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from typing import Any

from tap.bus import Bus, Inbox, Told
from tap.errors import ConfigError
from tap.observers.observer import Observed, Observer
from tap.observers.scripted import last_line
from tap.replication.events import ObserverTrouble
from tap.status import Status

END_SECONDS = 0.3  # for the events that wait for an async observer at the end, and then for its cancellation
STOP_SECONDS = 2.0  # for stop()
MAX_REPORTS = 100  # of failures, by place and type


class Attached:
    """An observer, from the construction of its tap to the end."""

    def __init__(self, observer: Observer, bus: Bus) -> None:
        """Raises ConfigError for an object that is not an observer."""
        _check(observer)
        self._observer = observer
        self._bus = bus
        self._name = getattr(observer, "name", "") or type(observer).__name__
        self._queue = _Queue(observer, self) if inspect.iscoroutinefunction(observer.event) else None
        self._failures = 0
        self._reported: set[tuple[type[Exception], str, int | None]] = set()
        self._is_stopping = False
        self._leave: Callable[[], None] = lambda: None

    def start(
        self,
        names: Callable[[], tuple[str, ...]],
        status: Callable[[], Status],
        lost_bytes: Callable[[], int | None],
    ) -> None:
        """Start the observer, in the event loop, and let it receive events. The arguments are those of Observed."""
        self._observer.start(Observed(names, status, lost_bytes, self.report, lambda: self._leave()))
        receive: Any = self._observer.event
        inbox = getattr(self._observer, "inbox", None)
        if self._queue is not None:
            self._queue.start(self._name)
            receive, inbox = self._queue.offer, self._queue.inbox
        without = getattr(self._observer, "without", ())
        self._leave = self._bus.subscribe(receive, without=without, inbox=inbox, failed=self.failed)

    async def stop(self) -> None:
        """Let the observer finish; takes at most STOP_SECONDS, and END_SECONDS twice for an async one."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._leave()
        if self._queue is not None:
            await self._queue.finish()
        stopping = asyncio.ensure_future(self._observer.stop())
        try:
            await asyncio.wait([stopping], timeout=STOP_SECONDS)
        finally:  # also if the tap's own end is cancelled
            is_late = stopping.cancel()
        if is_late:
            self.report(f"stop() has not returned within {STOP_SECONDS:g} s: it is cancelled")
        elif not stopping.cancelled() and (error := stopping.exception()) is not None:
            self.report(f"stop() failed: {last_line(error)}", _trace(error))
        if self._failures > len(self._reported):
            self.report(f"has failed {self._failures} times in all")

    def failed(self, error: Exception) -> None:
        """Take an exception of event()."""
        self._failures += 1
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = type(error), last.filename, last.lineno
        if place not in self._reported and len(self._reported) < MAX_REPORTS:
            self._reported.add(place)
            self.report_soon(f"event() failed: {last_line(error)}", _trace(error))

    def report(self, text: str, trace: str | None = None) -> None:
        self._bus.publish("", 0, "", ObserverTrouble(observer=self._name, text=text, traceback=trace))

    def report_soon(self, text: str, trace: str | None = None) -> None:
        """Report once the event that is being published has reached every observer."""
        asyncio.get_running_loop().call_soon(self.report, text, trace)


class _Queue:
    """The queued events of an async observer, which receives them one after the other."""

    def __init__(self, observer: Observer, reports: Attached) -> None:
        self.inbox = Inbox(self._overrun)
        self._observer = observer
        self._reports = reports
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_ending = False

    def start(self, name: str) -> None:
        self._task = asyncio.create_task(self._run(), name=f"observer {name}")

    def offer(self, told: Told) -> None:
        self.inbox.offer(told)
        self._wake.set()

    async def finish(self) -> None:
        """Let the observer receive the queued events, and cancel it if that takes too long."""
        self._is_ending = True
        self._wake.set()
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=END_SECONDS)
        if self._task.cancel():
            waiting = self.inbox.qsize()
            self._reports.report(f"event() has not returned, and {waiting} more events waited for it: it is cancelled")
            await asyncio.wait([self._task], timeout=END_SECONDS)
        if self.inbox.dropped:
            self._reports.report(f"was too slow: it has lost {self.inbox.dropped} events")

    async def _run(self) -> None:
        receive: Any = self._observer.event
        while True:
            self.inbox.settle()
            while self.inbox.empty():
                if self._is_ending:
                    return
                self._wake.clear()
                await self._wake.wait()
                self.inbox.settle()
            try:
                await receive(self.inbox.get(timeout=0))
            except Exception as error:
                self._reports.failed(error)
            await asyncio.sleep(0)  # so that the links have their turn between events that have piled up

    def _overrun(self) -> None:
        waiting = self.inbox.qsize()
        self._reports.report_soon(
            f"is too slow: {waiting} events wait for it; it loses commands, keys and ACKs until it catches up"
        )


def _check(observer: Any) -> None:
    if isinstance(observer, type):
        raise ConfigError(f"{observer.__name__} is a class, and an observer is an object: write {observer.__name__}()")
    for name in ("start", "event", "stop"):
        if not callable(getattr(observer, name, None)):
            what = type(observer).__name__
            raise ConfigError(f"a {what} is not an observer: it has no {name}(); subclass tap.Observer, which has")
    if inspect.iscoroutinefunction(observer.start):
        raise ConfigError(f"start() of {type(observer).__name__} is async, and is called at once: write def start")
    if not inspect.iscoroutinefunction(observer.stop):
        raise ConfigError(f"stop() of {type(observer).__name__} is awaited: write async def stop")


def _trace(error: BaseException) -> str:
    """From the observer's own frame on."""
    trace = error.__traceback__
    inside = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    return "".join(traceback.format_exception(type(error), error, inside)).rstrip()
