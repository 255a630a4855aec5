"""A progress bar for a person who waits while a large file is read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

LONG = 64 * 2**20  # bytes from which a bar is shown
STEP = 2**20  # bytes between two updates


@contextlib.contextmanager
def progress(size: int, *, is_compressed: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr if that is a terminal and the size is large. Yields a function to call with the bytes read.

    size: of the files. is_compressed: the number of bytes in them is unknown.
    """
    if size < LONG:
        yield lambda count: None
        return
    from rich.progress import Progress  # takes 40 ms with the import below, which short files should not wait for

    from tap.console.terminal import Terminal

    console = Terminal(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    # rich would send what is printed meanwhile to the bar's terminal, also where stdout is a file.
    with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("reading", total=None if is_compressed else size)
        waiting = 0

        def advance(count: int) -> None:
            nonlocal waiting
            waiting += count
            if waiting > STEP:
                bar.advance(task, waiting)
                waiting = 0

        yield advance
