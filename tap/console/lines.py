"""`--ui log` and `--ui json`: one line per event, written by a thread, because writing may block and the tap must not."""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from tap.bus import Inbox, Told
from tap.console.figures import times
from tap.console.levels import for_journal, is_journal, level, with_word
from tap.console.sentences import is_in_vain, sentence
from tap.console.stderr import say
from tap.errors import words
from tap.printable import one_line, paragraph
from tap.replication import events
from tap.replication.events import (
    Event,
    LinkClosed,
    LinkOpened,
    ObserverTrouble,
    RecordingGap,
    Secured,
    Side,
    StreamStarted,
)

MAX_TRYING = 1000  # replicas, or connections, that are remembered; lines of further ones are not summed up
QUIET_SECONDS = 60.0
SLICE_SECONDS = 0.0001  # spent on making lines before the event loop serves the links again
MAX_MADE = 64  # slices of lines that wait to be written
BLOCKED_SECONDS = 0.05  # between two looks at an output that is blocked


class LineWriter:
    """Writes the line that *render* makes of each event. If the reader is slow, commands, keys and ACKs are left out, and
    the output says where and how many: see tap.bus.Inbox.

    Lines are made in the event loop, a slice at a time: a thread that made them would hold the interpreter's lock for
    milliseconds whenever the links wait for bytes. They are written by a thread, because that may block.
    """

    def __init__(
        self,
        out: TextIO,
        render: Callable[[Told], str | None],
        only: type[Event] = Event,
    ) -> None:
        """Create, call and close it in the event loop.

        failure: the error that ended writing to *out*; None until then.
        """
        self.failure: OSError | ValueError | None = None
        self._out = out
        self._render = render
        self._only = only
        self.inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._is_over = False
        self._made: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def __call__(self, told: Told) -> None:
        """Take an event, as an observer of the bus."""
        if self._is_over or not isinstance(told.event, self._only):
            return
        self.inbox.offer(told)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._go_on)

    def close(self, within: float = 1.0) -> None:
        """Write what waits, for at most *within* seconds; if time runs short, without the high-volume kinds of events.

        What cannot be written even then is reported on stderr.
        """
        end = time.perf_counter() + within
        for share in (0.4, 0.7):
            while not (self._is_over or self.inbox.empty()) and time.perf_counter() < end - (1 - share) * within:
                self._make(SLICE_SECONDS)
            self.inbox.leave_out_countless()
        self._made.put(None)
        self._thread.join(end - time.perf_counter())
        left = self.inbox.qsize()
        if not self._is_over and (left or self._thread.is_alive()):
            what = f"{left} events, and what waited before them," if left else "the last lines"
            say(f"the output was not read in time: {what} may not be in it")
        self._is_over = True

    def _go_on(self) -> None:
        if self._is_over:
            return
        if self._made.qsize() >= MAX_MADE:
            self._loop.call_later(BLOCKED_SECONDS, self._go_on)
            return
        self._make(SLICE_SECONDS)
        if self.inbox.empty():
            self._is_due = False
        else:
            self._loop.call_soon(self._go_on)

    def _make(self, within: float) -> None:
        lines = []
        give_up = time.perf_counter() + within
        while not self.inbox.empty() and time.perf_counter() < give_up:
            line = self._render(self.inbox.get())
            if line is not None:
                lines.append(f"{line}\n")
            if self.inbox.empty():
                self.inbox.settle()
        if lines:
            self._made.put("".join(lines))

    def _write(self) -> None:
        """Write the lines; runs in the thread."""
        try:
            while (lines := self._made.get()) is not None:
                self._out.write(lines)
                if self._made.empty():
                    self._out.flush()
        except (OSError, ValueError) as error:
            self.failure = error
            self._is_over = True
            # The links stay open: replicas depend on them.
            say(f"the output can no longer be written: {words(error)}; all else goes on")


def json_lines(out: TextIO) -> LineWriter:
    return LineWriter(out, json_line)


def json_line(told: Told) -> str:
    # JSON is UTF-8 (RFC 8259, 8.1); for an output with another encoding it is ASCII with JSON's own escapes.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if encoding.lower() in ("utf-8", "utf8"):
        return events.json_line(told.as_dict())
    return json.dumps(told.as_dict(), separators=(",", ":"))


def log_lines(out: TextIO) -> LineWriter:
    return LineWriter(out, ConciseLog(_leveled(out)))


def trouble_lines(out: TextIO) -> LineWriter:
    """A writer of trouble with observers, and of no other events."""
    return LineWriter(out, _leveled(out), only=ObserverTrouble)


def _leveled(out: TextIO) -> Callable[[Told], str | None]:
    """As log_line(), with levels as the reader of this output wants them."""
    mark = for_journal if is_journal(out) else with_word

    def line(told: Told) -> str | None:
        said = log_line(told)
        return None if said is None else mark(level(told.event), said)

    return line


def log_line(told: Told) -> str | None:
    """<local time> <link>/<connection> <replica> <sentence>; None for events that do not belong in a journal."""
    said = sentence(told.event)
    if said is None:
        return None
    at = datetime.fromtimestamp(told.time).astimezone().isoformat(timespec="milliseconds")
    where = f"{told.link}/{told.connection} {told.replica}"
    if not told.connection:  # the event concerns the whole tap, or a link rather than one of its connections
        where = told.link or "tap"
    if isinstance(told.event, ObserverTrouble) and told.event.traceback is not None:
        return paragraph(f"{at} {where} {said}", *told.event.traceback.splitlines())
    return one_line(f"{at} {where} {said}")


@dataclass(slots=True)
class _Trying:
    """A replica whose master cannot be reached. said: the time of the last line about it."""

    words: str
    said: float
    times: int = 1


class ConciseLog:
    """As log_line(), without its repetitions.

    A replica that cannot reach its master tries once a second: the first attempt is reported, and then one a minute. Of
    the packets that a capture cut short, the first one of each connection is reported.
    """

    def __init__(self, line: Callable[[Told], str | None] = log_line) -> None:
        self._line = line
        self._trying: dict[tuple[str, str], _Trying] = {}
        # The links, connections and sides with cut packets, and whether a gap has been left out since the stream began.
        self._cut: dict[tuple[str, int, Side], bool] = {}
        self._opened: dict[int, tuple[_Trying, str]] = {}  # by connection, lines held until its outcome is known

    def __call__(self, told: Told) -> str | None:
        event = told.event
        if isinstance(event, RecordingGap) and event.is_cut:
            return self._cut_short(told, event)
        if isinstance(event, StreamStarted) and self._cut.get((told.link, told.connection, Side.MASTER)):
            self._cut[told.link, told.connection, Side.MASTER] = False
            return None
        line = self._line(told)
        key = told.link, told.replica
        trying = self._trying.get(key)
        if isinstance(event, LinkOpened) and trying is not None and line is not None and len(self._opened) < MAX_TRYING:
            self._opened[told.connection] = trying, line
            return None
        before, opened = self._opened.pop(told.connection, (None, None))
        if isinstance(event, Secured) and before is not None:
            self._opened[told.connection] = before, f"{opened}\n{line}"
            return None
        if isinstance(event, LinkClosed) and is_in_vain(event):
            if trying is None:
                if len(self._trying) >= MAX_TRYING:
                    self._trying.clear()
                self._trying[key] = _Trying(event.text, told.time)
                return line
            trying.times += 1
            if trying.words == event.text and told.time - trying.said < QUIET_SECONDS:
                return None
            trying.words, trying.said = event.text, told.time
            return f"{line} (so far {times(trying.times)} in vain)"
        if before is None:
            return line
        self._trying = {key: one for key, one in self._trying.items() if one is not before}
        opened = f"{opened} (after trying {times(before.times)} in vain)"
        return opened if line is None else f"{opened}\n{line}"

    def _cut_short(self, told: Told, gap: RecordingGap) -> str | None:
        place = told.link, told.connection, gap.side
        if place in self._cut:
            self._cut[place] = True
            return None
        if len(self._cut) >= MAX_TRYING:
            self._cut.clear()
        self._cut[place] = False
        return f"{self._line(told)}; packets are cut short, and further ones are not reported one by one"
