"""The gate through which all text reaches a terminal: nothing from outside can act there as a command or as markup.

Only this module imports rich's Console and Text. All others use Terminal and Words, and combine lines with stacked(), so
that a line break appears only where one of them put it.
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
    """rich's Text, but always one line, whatever its strings contain."""

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
    """The lines, one below the other."""
    return Text("\n").join(lines)


def lines(text: str) -> Text:
    """A text of several lines from outside: all but the first are indented, to show that they belong together."""
    return stacked(*map(Words, paragraph(*(text.splitlines() or [""])).split("\n")))


def wrapped(line: Text, width: int) -> list[Text]:
    """The lines that a text takes in *width* columns."""
    return list(line.wrap(_MEASURE, width))


class Terminal(Console):
    """rich's console, but a string is one line of plain text: no markup, emoji, highlighting or control characters."""

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


_MEASURE = Terminal(width=80, force_terminal=False)  # Text.wrap() wants a console, but does not use its width
