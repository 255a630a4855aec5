"""`show --stats --follow`: what the figures say while the recording grows.

On a terminal, a table that is redrawn; as JSON, a line whenever something has come. Both at most once a second: between
two of them, reading has the time for itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live

from tap.console.figures import seconds, size
from tap.console.stats_report import commands, groups
from tap.console.terminal import Terminal, Words
from tap.recording.stats import LinkStats, Stats

SECONDS = 1.0
COMMANDS = 5  # rows of the table of commands
SHORTEST = 16  # lines that a link needs for its figures, its commands and some groups

Tick = Callable[[], None]


@contextmanager
def drawn(stats: Stats, console: Terminal) -> Iterator[Tick]:
    """A picture of the figures on the whole terminal. Yields what redraws it, to be called often."""
    last = 0.0
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:

        def tick() -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= SECONDS:
                live.update(picture(stats, *console.size), refresh=True)
                last = time.monotonic()

        yield tick


@contextmanager
def in_lines(stats: Stats) -> Iterator[Tick]:
    """A line of JSON whenever the figures have changed. Yields what writes it, to be called often."""
    last, said = time.monotonic(), (0, 0.0)

    def tick() -> None:
        nonlocal last, said
        if time.monotonic() - last < SECONDS:
            return
        figures = sum(link.commands + link.repeated for link in stats.links.values()), _end(stats)
        if figures != said:
            sys.stdout.write(f"{json.dumps(stats.as_dict())}\n")
            sys.stdout.flush()
            said = figures
        last = time.monotonic()

    yield tick


def _end(stats: Stats) -> float:
    return max((link.end for link in stats.links.values()), default=0.0)


def picture(stats: Stats, width: int, height: int) -> RenderableType:
    """The figures for a terminal of that size: the links with most bytes, as many as there is room for."""
    if not stats.links:
        return Words("no commands, and no resyncs yet", style="dim")
    links = sorted(stats.links.items(), key=lambda item: -item[1].bytes)
    shown = links[: max(1, (height - 1) // SHORTEST)]
    lines = height // len(shown) - (len(shown) < len(links))
    parts: list[RenderableType] = []
    for name, link in shown:
        parts += _link(name, link, width, lines)
    if len(shown) < len(links):
        parts.append(Words(f"{len(links) - len(shown)} more links; --link NAME chooses", style="dim"))
    return Group(*parts)


def _link(name: str, link: LinkStats, width: int, lines: int) -> list[RenderableType]:
    rate = f", {size(link.bytes / link.seconds)}/s on average" if link.seconds >= 1 else ""
    busiest = f", busiest second {size(link.busiest.bytes)}" if link.busiest.bytes else ""
    figures = f"{link.commands} commands, {size(link.bytes)} in {seconds(link.seconds)}{rate}{busiest}"
    parts: list[RenderableType] = [
        Words(name, style="bold", no_wrap=True, overflow="ellipsis"),
        Words(figures, no_wrap=True, overflow="ellipsis"),
        Words(),
    ]
    if not link.commands:
        return parts
    named = min(COMMANDS, len(link.names())) + (len(link.names()) > COMMANDS)
    rows = link.groups()
    # A title, a header and an empty line for each table, and a line that explains a sign.
    room = max(1, lines - len(parts) - 1 - named - 2 - 3)
    if rows:
        kept = sorted(sorted(rows, key=lambda row: -row.size)[:room], key=rows.index)
        parts += [groups(kept, link.bytes), Words()]
    return [*parts, commands(link, width, COMMANDS), Words()]
