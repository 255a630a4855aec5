"""The border that text passes on its way to a terminal: nothing that came from outside is a command there, or markup.

Only this module imports rich's Console and Text. The others say Terminal and Words, and put lines below each other with
stacked(): a line break is there where one of them put it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tap.printable import one_line, paragraph

__all__ = ["Terminal", "Text", "Words", "lines", "stacked", "wrapped"]


class Words(Text):
    """rich's Text, of one line whatever the strings hold that it is made of."""

    def __init__(self, text: str = "", style: str | Style = "", **options: Any) -> None:
        super().__init__(one_line(text), style, **options)

    def append(self, text: Text | str, style: str | Style | None = None) -> Self:
        super().append(one_line(text) if isinstance(text, str) else text, style)
        return self

    @classmethod
    def assemble(cls, *parts: str | Text | tuple[str, str | Style], **options: Any) -> Self:
        whole = cls(**options)
        for part in parts:
            whole.append(*part) if isinstance(part, tuple) else whole.append(part)
        return whole


def stacked(*lines: Text) -> Text:
    """Each below the one before."""
    return Text("\n").join(lines)


def lines(text: str) -> Text:
    """A text of lines that is not ours: all but the first are indented, so that they are seen to belong to it."""
    return stacked(*map(Words, paragraph(*(text.splitlines() or [""])).split("\n")))


def wrapped(line: Text, width: int) -> list[Text]:
    """The lines that it takes in so many columns."""
    return list(line.wrap(_MEASURE, width))


class Terminal(Console):
    """rich's console, but no string is markup, an emoji's name or a pattern to colour, no character is a command, and a
    string is one line.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(one_line(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                text, *more = segment.text.split("\n")  # rich ends lines also within segments
                yield Segment("\n".join(map(one_line, [text, *more])), segment.style)


_MEASURE = Terminal(width=80, force_terminal=False)  # whose width nobody asks for
