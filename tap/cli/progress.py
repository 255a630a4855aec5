"""How far a long reading is, for a person who waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

LONG = 64 * 2**20  # bytes from which on a person wants to see how far it is
STEP = 2**20  # bytes between two signs of it


@contextlib.contextmanager
def progress(size: int, *, is_compressed: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where a person is looking and it is long; to be told of the bytes that have been read.

    size: of the files; is_compressed: so that nobody knows how many bytes that will be.
    """
    if size < LONG:
        yield lambda count: None
        return
    from rich.progress import Progress  # 40 ms with what is below, which a short reading does not wait for

    from tap.console.terminal import Terminal

    console = Terminal(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None if is_compressed else size)
        waiting = 0

        def advance(count: int) -> None:
            nonlocal waiting
            waiting += count
            if waiting > STEP:
                bar.advance(task, waiting)
                waiting = 0

        yield advance
