"""A script of a user: a file of Python whose functions on_<event> are called with the events of that name.

    def on_full_resync(told):      # a tap.bus.Told: time, link, connection, replica and event
        ...

    def on_event(told):            # every event
        ...

The functions run in a process of their own (scripted.py), one call after the other: in the tap's process, one that
computes would hold the GIL and delay the links. The queue of events is bounded: a script that is too slow loses commands,
keys and ACKs, and on_events_dropped receives their number. An exception is reported, and the function is called with the
next event: a webhook that was down may be up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from tap.bus import COUNTLESS, Inbox, Told
from tap.config import Config
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.observers.observer import Observed, Observer
from tap.observers.scripted import PREFIX, Message, ScriptTrouble, Through, calls, message
from tap.replication import events

END_SECONDS = 0.3  # for the events that wait at the end, and then for the process to exit
POLL_SECONDS = 0.05
MAX_MESSAGE = 2**24  # bytes
# Limits of a batch: pickling a hundred events holds the GIL for 0.3 ms.
BATCH_EVENTS = 100
BATCH_BYTES = 65536

# The process finds modules where the tap does, except in the current directory, which -m would put before the standard
# library.
BEGIN = "import sys; sys.path[:] = sys.argv[3:]; from tap.observers.scripted import main; main()"


_GARBLED = "something in its process has written to a descriptor that it did not open: the connection with the tap"


class Script(Observer):
    """Calls the functions of a file. The bus never waits for it."""

    def __init__(self, path: Path, *, on_screen: bool = False) -> None:
        """Start the process, and wait until it has loaded the file. Raises ConfigError for a file that is refused.

        on_screen: a full screen is drawn. The script's output to the same terminal would tear it, and is not shown.
        """
        self._process = _Process(path, subprocess.DEVNULL if on_screen and os.isatty(2) else None)
        self._wants_all = events.Event.kind in self._process.kinds
        self.name = f"script {path.name}"
        self.without = [kind for kind in COUNTLESS if not self._wants(kind)]
        self.inbox: Inbox = Inbox(self._overrun)
        self._batch: list[Told] = []  # handed over, and not all calls have returned
        self._failures = 0
        self._failures_reported = 0
        self._closing = False  # it receives the events that wait, and no others
        self._is_over = False  # it receives no more events
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    @classmethod
    def configured(cls, config: Config) -> Script | None:
        return None if config.script is None else cls(config.script, on_screen=config.ui == "live")

    def event(self, told: Told) -> None:
        if self._wants(type(told.event)):
            self.inbox.offer(told)

    def _wants(self, kind: type[events.Event]) -> bool:
        return self._wants_all or kind.kind in self._process.kinds

    def _overrun(self) -> None:
        waiting = self.inbox.qsize()
        self._tell(f"is too slow: {waiting} events wait for it; it loses commands, keys and ACKs until it catches up")

    def start(self, tap: Observed) -> None:
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._through = asyncio.Event()  # it has received its last event
        self._ended = asyncio.Event()
        self._thread.start()

    async def stop(self) -> None:
        """Give the script END_SECONDS for the events that wait, and as long to exit; then kill it."""
        if self._closing:
            return
        self._closing = True
        if self._loop is None:
            self._process.end()
            return
        late = ""
        if not await _in_time(self._through):
            late = self._unfinished()
        elif not await _in_time(self._ended):
            late = "threads that it began, or what it left to atexit, have not ended"
        if late:
            self._is_over = True
            self._tell(f"{late}: it is killed")
            self._process.kill()
            await _in_time(self._ended)
        if self.inbox.dropped:
            self._tell(f"was too slow: it has lost {self.inbox.dropped} events")
        if self._failures > self._failures_reported:
            self._tell(f"has failed {self._failures} times in all")

    def _unfinished(self) -> str:
        waiting = self.inbox.qsize()
        begun = [*calls(self._batch, self._process.kinds)][: self._process.begun()]
        if begun:
            index, kind = begun[-1]
            waiting += len(self._batch) - index - 1
            return f"{PREFIX}{kind} has not returned, and {waiting} more events waited for it"
        return f"it has not come to the last {waiting + len(self._batch)} events"

    def _run(self) -> None:
        """The thread."""
        try:
            while not self._is_over and (batch := self._next()):
                self._batch = batch
                self._failures, is_over = self._process.call(batch, self._failed)
                self._batch = []
                self._is_over |= is_over
            self._in_loop(self._has_all)
            self._process.leave()
        except (EOFError, OSError):
            how = self._process.end()
            if not self._is_over:
                self._in_loop(lambda: self._tell(f"its process has ended ({how}), and gets no more events"))
        except _Garbled as error:
            said = str(error)
            self._in_loop(lambda: self._tell(f"{said}; it is killed, and gets no more events"))
        finally:
            self._process.end()
            self._in_loop(self._has_all)
            self._in_loop(self._ended.set)

    def _has_all(self) -> None:
        self._tap.leave()
        self._through.set()

    def _next(self) -> list[Told]:
        """The next batch; an empty one at the end. Raises EOFError when the process has ended."""
        while True:
            try:
                batch = [self.inbox.get(timeout=POLL_SECONDS)]
                break
            except queue.Empty:
                if self.inbox.is_missing_some:
                    self._in_loop(self.inbox.settle)  # which puts an event into the inbox
                elif self._closing:
                    return []
                if not self._process.is_running():
                    raise EOFError from None
        size = _bytes(batch[0])
        while len(batch) < BATCH_EVENTS and size < BATCH_BYTES and not self.inbox.empty():
            batch.append(self.inbox.get(timeout=0))
            size += _bytes(batch[-1])
        return batch

    def _failed(self, trouble: ScriptTrouble) -> None:
        self._failures_reported += 1
        self._in_loop(lambda: self._tell(*trouble))

    def _in_loop(self, call: Callable[[], object]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call)

    def _tell(self, text: str, trace: str | None = None) -> None:
        self._tap.report(text, trace)


async def _in_time(event: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await event.wait()
    return event.is_set()


def _bytes(told: Told) -> int:
    """The size of the parts of an event that can be large."""
    event = told.event
    return event.end - event.start if isinstance(event, events.Command) else 0


class _Stopped(Exception):
    """The process has stopped itself with SIGSTOP while this module waits for it."""


class _Garbled(Exception):
    """The process sent what its main() does not send."""


class _Process:
    """The process of a script, and the connection to it."""

    def __init__(self, path: Path, stderr: int | None) -> None:
        """Start it, and wait until it has loaded the file. stderr: as for Popen.

        Raises ConfigError for a file that is refused, EnvironmentFailure if no process can be started.
        """
        with contextlib.ExitStack() as opened:
            try:
                ours, theirs = socket.socketpair()
                self._connection = opened.enter_context(Connection(ours.detach()))
                with theirs:
                    reading, begun = os.pipe()
                    self._begun = opened.enter_context(open(reading, "rb", buffering=0))
                    with open(begun, "wb"):
                        self._process = subprocess.Popen(
                            [sys.executable, "-P", "-c", BEGIN, str(path), str(begun), *filter(None, sys.path)],
                            stdin=subprocess.PIPE,
                            stdout=theirs.fileno(),
                            stderr=stderr,
                            pass_fds=[begun],
                            process_group=0,  # Ctrl-C in a terminal is for the tap alone, which decides about the end
                        )
            except OSError as error:
                raise EnvironmentFailure(f"{path}: its process cannot be begun: {words(error)}") from None
            assert self._process.stdin is not None
            opened.enter_context(self._process.stdin)  # nothing is written: it stays open while the tap lives
            os.set_blocking(reading, False)
            self._opened = opened.pop_all()
        try:
            said = self._heard(may_stop=False)
        except (EOFError, OSError):
            raise ConfigError(f"{path}: its process has ended ({self.end()}) while it was loaded") from None
        except _Stopped:
            self.end()
            raise ConfigError(f"{path}: its process has stopped itself (SIGSTOP) while it was loaded") from None
        except _Garbled as error:
            self.end()
            raise ConfigError(f"{path}: {error}") from None
        except BaseException:  # Ctrl-C
            self.end()
            raise
        if not isinstance(said, frozenset):
            self.end()
            raise ConfigError(said if isinstance(said, str) else f"{path}: {_GARBLED}")
        self.kinds = said

    def is_running(self) -> bool:
        return self._process.poll() is None

    def call(self, batch: list[Told], tell: Callable[[ScriptTrouble], None]) -> Through:
        """Have the functions called with these events. Raises EOFError or OSError when the process has ended."""
        self._connection.send(batch)
        while not isinstance(said := self._heard(), Through):
            if not isinstance(said, ScriptTrouble):
                raise _Garbled(_GARBLED)
            tell(said)
        self.begun()
        return said

    def _heard(self, *, may_stop: bool = True) -> Message:
        """The next message. Raises EOFError or OSError when the process has ended, even if processes it forked go on, and
        _Garbled for anything else that it sends.
        """
        while not self._connection.poll(POLL_SECONDS):
            if not self.is_running():
                if self._connection.poll():  # it sent a message, and ended, since the last look
                    break
                raise EOFError
            if not may_stop and self._is_stopped():
                raise _Stopped
        try:
            return message(self._connection.recv_bytes(MAX_MESSAGE))
        except ValueError:
            raise _Garbled(_GARBLED) from None
        except OSError as error:
            if error.errno is None and self.is_running():  # multiprocessing's own: the message is too long
                raise _Garbled(_GARBLED) from None
            raise

    def _is_stopped(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def begun(self) -> int:
        """How many calls have begun since the last call of this method."""
        return 0 if self._begun.closed else len(self._begun.read(2 * BATCH_EVENTS) or b"")

    def leave(self) -> None:
        """Ask it to exit, and wait until it has. Raises OSError if it has ended already."""
        self._connection.send([])
        self._process.wait()

    def kill(self) -> None:
        """Kill it, and the processes that it forked."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # there are none; macOS: all have ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> str:
        """Kill it and what it forked, if they still run, and close the connection. Returns how it ended."""
        with self._opened:
            self.kill()
            code = self._process.wait()
        names = {-one.value: one.name for one in signal.Signals}
        return f"exit code {code}" if code >= 0 else names.get(code, f"signal {-code}")
