"""A user's own observer: a file of Python whose functions are called on_<event>, and get what was told.

    def on_full_resync(told):      # a tap.bus.Told: told.time, told.link, told.connection, told.replica, told.event
        ...

    def on_event(told):            # every event
        ...

The functions run in a thread of their own, one call after the other. What waits for them is bounded: a script that is too
slow loses events. What one raises is told, and the next event is its next chance: a webhook that was down comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import sys
import threading
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tap.bus import COUNTLESS, Bus, Inbox, Told
from tap.errors import ConfigError, did_you_mean
from tap.replication import events

PREFIX = "on_"
END_SECONDS = 0.3  # for what waits at the end
POLL_SECONDS = 0.05
MAX_TOLD = 100  # failures with a traceback; each kind and line is told once

# By name; on_event is for the base of them all.
KINDS = {
    one.kind
    for one in vars(events).values()
    if isinstance(one, type) and issubclass(one, events.Event) and one is not events.WireEvent
}

Function = Callable[[Told], object]


def load(path: Path) -> dict[str, Function]:
    """Run the file; its functions for events, by the event's name. Raises ConfigError."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    module = types.ModuleType(f"redis-tap script {path}")
    module.__file__ = str(path)
    vars(module)["print"] = _print
    sys.modules[module.__name__] = module  # where dataclasses look for it
    sys.path.append(str(path.absolute().parent))  # for what it imports from beside it
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102
    except SyntaxError as error:
        raise ConfigError(f"{error.filename or path}{_line(error.lineno)}: {error.msg}") from None
    except SystemExit as error:
        raise ConfigError(f"{path}{_line(_line_in(path, error))}: it calls sys.exit() while it is loaded") from None
    except Exception as error:
        raise ConfigError(f"{path}{_line(_line_in(path, error))}: {_words(error)}") from None
    functions = {
        name.removeprefix(PREFIX): value
        for name, value in vars(module).items()
        if name.startswith(PREFIX) and callable(value)
    }
    for kind, function in functions.items():
        _check(path, kind, function)
    if not functions:
        raise ConfigError(f"{path}: it has no function for an event: write def on_full_resync(told), or on_event for all")
    return functions


def _print(*values: object, **options: Any) -> None:
    """print() of a script: stdout is the tap's, where with --ui json there is nothing but JSON."""
    print(*values, **{"file": sys.stderr, **options})


def _check(path: Path, kind: str, function: Function) -> None:
    name = PREFIX + kind
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise ConfigError(f"{path}: {name}: unknown event {kind!r}; known: {known}.{did_you_mean(kind, KINDS)}")
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"{path}: {name} is async; it is called in a thread of its own and may block: write def {name}")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ConfigError(f"{path}: {name} has to take one argument, as def {name}(told)") from None


def _line(number: int | None) -> str:
    return "" if number is None else f", line {number}"


def _line_in(path: Path, error: BaseException) -> int | None:
    """Where in the file it was raised, or what it called that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def _words(error: BaseException) -> str:
    """In one line, as Python ends a traceback."""
    return " ".join(traceback.format_exception_only(error)[-1].split())


class Script:
    """An observer of the bus that calls the functions of a file. The bus never waits for it."""

    def __init__(self, path: Path, bus: Bus) -> None:
        """Raises ConfigError for a file that will not do."""
        self._path = path
        self._functions = load(path)
        self._wants_all = events.Event.kind in self._functions
        self._bus = bus
        self._inbox = Inbox(self._overrun)
        self._failures = 0
        self._told: set[tuple[type[BaseException], int | None]] = set()
        self._calling = ""  # the function that has not returned yet
        self._closing = False  # it gets what waits, and nothing else
        self._is_over = False  # it gets nothing any more
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=f"script {path.name}", daemon=True)

    def __call__(self, told: Told) -> None:
        """An observer of the bus."""
        if self._wants(type(told.event)) and not self._is_over:
            self._inbox.offer(told)

    def _wants(self, kind: type[events.Event]) -> bool:
        return self._wants_all or kind.kind in self._functions

    def _overrun(self) -> None:
        self._tell(f"is too slow: {self._inbox.qsize()} events wait for it, and from now on it loses some")

    def start(self) -> None:
        """To be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        unwanted = [kind for kind in COUNTLESS if not self._wants(kind)]
        self._bus.subscribe(self, without=unwanted, inbox=self._inbox)
        self._thread.start()

    async def close(self) -> None:
        """Let it have what waits for it, for a short time. One that does not return is left behind."""
        if self._loop is None or self._closing:
            return
        self._closing = True
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            waits = self._inbox.qsize()
            self._is_over = True
            self._tell(f"{self._calling} has not returned and is left behind; {waits} more events waited for it")
        if self._inbox.dropped:
            self._tell(f"was too slow: it has lost {self._inbox.dropped} events")
        if self._failures > len(self._told):
            self._tell(f"has failed {self._failures} times in all")

    def _run(self) -> None:
        """The thread."""
        while not self._is_over:
            try:
                told = self._inbox.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self._closing:
                    break
                continue
            for kind in (told.event.kind, events.Event.kind):
                if kind in self._functions and not self._is_over:
                    self._call(PREFIX + kind, self._functions[kind], told)
        self._in_loop(self._ended.set)

    def _call(self, name: str, function: Function, told: Told) -> None:
        self._calling = name
        try:
            function(told)
        except SystemExit as error:
            self._is_over = True
            text = f"has called sys.exit(){_line(_line_in(self._path, error))}, and gets no more events"
            self._in_loop(lambda: self._tell(text))
        except BaseException as error:
            self._failed(name, error)

    def _failed(self, name: str, error: BaseException) -> None:
        self._failures += 1
        number = _line_in(self._path, error)
        if (type(error), number) in self._told or len(self._told) == MAX_TOLD:
            return
        self._told.add((type(error), number))
        assert error.__traceback__ is not None
        # without the frame that is ours
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__.tb_next)).rstrip()
        self._in_loop(lambda: self._tell(f"{name}{_line(number)}: {_words(error)}", trace))

    def _in_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(call)

    def _tell(self, text: str, trace: str | None = None) -> None:
        trouble = events.ObserverTrouble(observer=f"script {self._path.name}", text=text, traceback=trace)
        self._bus.publish("", 0, "", trouble)
