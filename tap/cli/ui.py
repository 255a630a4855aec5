"""The choice of `--ui` at the start of a verb, and the closing of its lines at the end."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import typer

from tap.cli.stdout import leave_stdout
from tap.config.config import Ui
from tap.console.lines import LineWriter
from tap.console.terminal import Terminal
from tap.errors import ConfigError, EnvironmentFailure


def chosen(ui: Ui, console: Terminal) -> Ui:
    """The value of --ui, with auto resolved for this console. Raises ConfigError if the console cannot show it."""
    drawable = console.is_terminal and not console.is_dumb_terminal
    if ui == "auto":
        return "live" if drawable else "log"
    if ui == "live" and not drawable:
        raise ConfigError("--ui live draws on a terminal, and stdout is not one that can be drawn on; use --ui log")
    return ui


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
