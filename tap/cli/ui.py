"""The choice of `--ui` at the start of a verb, and the closing of its lines at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

import typer

from tap.bus import COUNTLESS, Bus
from tap.cli.stdout import leave_stdout
from tap.config.config import Ui
from tap.console.lines import LineWriter, json_lines, log_lines, trouble_lines
from tap.console.terminal import Terminal
from tap.console.trouble import LoopTrouble
from tap.errors import ConfigError, EnvironmentFailure
from tap.replication.events import Ack, Event

if TYPE_CHECKING:
    from tap.console.live import LiveView  # verbs without a live view do not load it


def chosen(ui: Ui, console: Terminal) -> Ui:
    """The value of --ui, with auto resolved for this console. Raises ConfigError if the console cannot show it."""
    drawable = console.is_terminal and not console.is_dumb_terminal
    if ui == "auto":
        return "live" if drawable else "log"
    if ui == "live" and not drawable:
        raise ConfigError("--ui live draws on a terminal, and stdout is not one that can be drawn on; use --ui log")
    return ui


@contextlib.contextmanager
def lines_shown(bus: Bus, ui: Ui) -> Iterator[LineWriter | None]:
    """Write the lines of --ui log, json or none from here to the end. Yields their writer, None without stderr."""
    views: dict[str, tuple[Callable[[TextIO], LineWriter], TextIO | None, tuple[type[Event], ...]]] = {
        "log": (log_lines, sys.stdout, (Ack,)),
        "json": (json_lines, sys.stdout, ()),
        "none": (trouble_lines, sys.stderr, COUNTLESS),
    }
    view, out, without = views[ui]
    if out is None:
        yield None
        return
    lines = view(out)
    bus.subscribe(lines, without=without, inbox=lines.inbox)
    with written(lines) if out is sys.stdout else contextlib.closing(lines):
        yield lines


@contextlib.contextmanager
def live_shown(view: LiveView, bus: Bus) -> Iterator[None]:
    """Show the live view of this bus from here to the end, and leave its summary on the terminal."""
    # Ctrl-Z, or a key read in the background, would stop the process: a tap's links would hang, and watch lose packets.
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    bus.subscribe(view, without=COUNTLESS)
    asyncio.get_running_loop().set_exception_handler(LoopTrouble(view.complain))
    view.start()
    try:
        yield
    finally:
        view.stop()
        print(view.summary())


@contextlib.contextmanager
def written(lines: LineWriter) -> Iterator[None]:
    """Close the writer at the end. If stdout took no more, raise typer.Exit: the lines are the output of the verb.

    Any other error takes precedence.
    """
    cancelled = None
    try:
        yield
    except asyncio.CancelledError as error:
        cancelled = error
    finally:
        lines.close()
        if lines.failure is not None:
            leave_stdout()
    if lines.failure is not None:
        has_left = isinstance(lines.failure, BrokenPipeError)  # the reader has: end as other verbs do
        raise typer.Exit(128 + signal.SIGPIPE if has_left else EnvironmentFailure.exit_code)
    if cancelled is not None:
        raise cancelled
