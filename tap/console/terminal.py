"""The border that text passes on its way to a terminal: nothing that came from outside is a command there, or markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tap.printable import one_line


class Terminal(Console):
    """rich's console, but no string is markup, an emoji's name or a pattern to colour, and no character a command.

    For our own words with markup there is Text.from_markup().
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                text, *more = segment.text.split("\n")  # rich ends lines also within segments
                yield Segment("\n".join(map(one_line, [text, *more])), segment.style)
