"""`--ui log` and `--ui json`: one line per event, written by a thread that may block where the tap must not."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TextIO

from tap.bus import Told
from tap.console.sentences import sentence
from tap.replication.events import Command

LARGE = 4096  # bytes of a command, from which on only so many may wait:
MAX_LARGE = 32
QUEUE_SIZE = 10_000  # events; when a reader is that far behind, it loses the newest


class LineWriter:
    """Writes what *render* makes of each event. A slow or stopped reader loses events, and is told how many."""

    def __init__(self, out: TextIO, render: Callable[[Told], str | None], dropped: Callable[[int], str]) -> None:
        self._out = out
        self._render = render
        self._dropped_line = dropped
        self._queue: queue.Queue[Told] = queue.Queue(QUEUE_SIZE)
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def __call__(self, told: Told) -> None:
        """An observer of the bus."""
        event = told.event
        if isinstance(event, Command) and event.end - event.start > LARGE and self._queue.qsize() > MAX_LARGE:
            self._dropped += 1  # a queue of events is bounded, of megabytes each it would not be
            return
        try:
            self._queue.put_nowait(told)
        except queue.Full:
            self._dropped += 1

    def close(self, within: float = 0.5) -> None:
        """Write what is still queued, for as long as that takes at most *within* seconds."""
        self._closing.set()
        self._thread.join(within)

    def _write(self) -> None:
        try:
            while not (self._closing.is_set() and self._queue.empty()):
                try:
                    told = self._queue.get(timeout=0.05)
                except queue.Empty:
                    self._out.flush()
                    continue
                line = self._render(told)
                if line is not None:
                    self._out.write(line + "\n")
                if self._queue.empty():
                    if self._dropped:
                        dropped, self._dropped = self._dropped, 0
                        self._out.write(self._dropped_line(dropped) + "\n")
                    self._out.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """The reader has gone. The links stay: whoever relays through this tap depends on it."""
        if sys.stderr is not None:
            print(f"redis-tap: the output cannot be written any more ({error}); still relaying", file=sys.stderr)
        while not self._closing.is_set():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue


def json_lines(out: TextIO) -> LineWriter:
    return LineWriter(
        out,
        lambda told: _json(told.as_dict()),
        lambda count: _json({"event": "events_dropped", "time": time.time(), "count": count}),
    )


def _json(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def log_lines(out: TextIO) -> LineWriter:
    return LineWriter(out, log_line, lambda count: f"({count} lines were lost: the reader was too slow)")


def log_line(told: Told) -> str | None:
    """<local time> <link>/<connection> <replica> <sentence>, None for events that nobody reads in a journal."""
    said = sentence(told.event)
    if said is None:
        return None
    at = datetime.fromtimestamp(told.time).astimezone().isoformat(timespec="milliseconds")
    return f"{at} {told.link}/{told.connection} {told.replica} {said}"
