r"""Text from outside, as it may go to a terminal or into a log.

A peer, a file and a script choose the bytes of names, addresses, error texts and comments. Raw, an escape sequence can
command a terminal, a newline can forge a line of a log, and an override of the writing direction shows what is not there.
So text for people passes here where it leaves: see tap/console/terminal.py. JSON has escapes of its own.
"""

from __future__ import annotations

import re

# Letters and marks by Unicode that are drawn as nothing, or as a blank.
BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"

# Control characters but the tab (C0, DEL, C1), line and paragraph separators, marks and overrides of the direction of
# writing (Unicode's Bidi_Control), halves of surrogate pairs, as undecodable bytes become, and what is drawn as nothing:
# two names that differ in it alone would look the same. Variation selectors belong to emoji, and stay.
_UNSAFE = re.compile(
    f"[{BLANKS}\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\u00ad\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def one_line(text: str) -> str:
    r"""The text with everything that is not for display as an escape of Python's: \x1b, \n, \u202e."""
    # Most lines are plain ASCII, of which this is certain in a third of the time.
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def paragraph(first: str, *more: str) -> str:
    """Lines as of one_line(), all but the first indented: no text can forge another line than one of these."""
    return "\n  ".join(map(one_line, (first, *more)))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
