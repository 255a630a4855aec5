"""What `--ui` comes to, at the start and at the end."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import typer

from tap.cli.output import leave_stdout
from tap.config import Ui
from tap.console.lines import LineWriter
from tap.console.terminal import Terminal
from tap.errors import ConfigError, EnvironmentFailure


def chosen(ui: Ui, console: Terminal) -> Ui:
    """Of auto, what it stands for on this console. Raises ConfigError for what that cannot do."""
    drawable = console.is_terminal and not console.is_dumb_terminal
    if ui == "auto":
        return "live" if drawable else "log"
    if ui == "live" and not drawable:
        raise ConfigError("--ui live draws on a terminal, and stdout is none that can be drawn on; take --ui log")
    return ui


@contextlib.contextmanager
def written(lines: LineWriter) -> Iterator[None]:
    """Close it at the end. Where stdout took no more, that ends the verb with typer.Exit: what happens is its output.

    An error of another kind comes first.
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
        has_left = isinstance(lines.failure, BrokenPipeError)  # the reader: end as other verbs do then
        raise typer.Exit(128 + signal.SIGPIPE if has_left else EnvironmentFailure.exit_code)
    if cancelled is not None:
        raise cancelled
