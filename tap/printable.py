r"""Text from outside, as it may go to a terminal or into a log.

A peer, a file and a script choose the bytes of names, addresses, error texts and comments. Raw, an escape sequence can
command a terminal, a newline can forge a line of a log, and an override of the writing direction shows what is not there.
So text for people passes here where it leaves: see tap/console/terminal.py. JSON has escapes of its own.
"""

from __future__ import annotations

import re

# Control characters but the tab (C0, DEL, C1), line and paragraph separators, marks and overrides of the direction of
# writing (Unicode's Bidi_Control), the byte order mark, and halves of surrogate pairs, as undecodable bytes become.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def one_line(text: str) -> str:
    r"""The text with everything that is not for display as an escape of Python's: \x1b, \n, \u202e."""
    return _UNSAFE.sub(_escaped, text)


def paragraph(text: str) -> str:
    """As one_line(), but a line that is indented may follow: our own lists are, and no other line can be forged."""
    return "\n  ".join(map(one_line, text.split("\n  ")))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
