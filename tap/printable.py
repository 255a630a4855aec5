r"""Text from outside, made safe for a terminal or a log.

Names, addresses, error texts and comments consist of bytes that a peer, a file or a script chose. Unescaped, an escape
sequence can command a terminal, a newline can forge a line of a log, and a bidirectional override can show a text that is
not there. So all text for people passes through here on its way out: see tap/console/terminal.py. JSON escapes text
itself.
"""

from __future__ import annotations

import re

# Characters that Unicode counts as letters or marks, but that are drawn as nothing or as a blank.
BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"

# Control characters except the tab (C0, DEL, C1), line and paragraph separators, marks and overrides of the writing
# direction (Unicode's Bidi_Control), lone surrogates, which stand for undecodable bytes, and invisible characters,
# because two names could differ in those alone. Variation selectors are part of emoji, and stay.
_UNSAFE = re.compile(
    f"[{BLANKS}\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\u00ad\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def one_line(text: str) -> str:
    r"""The text with unsafe characters replaced by Python's escapes: \x1b, \n, \u202e."""
    # Most lines are plain ASCII, which this test recognizes in a third of the time.
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def paragraph(first: str, *more: str) -> str:
    """Lines made safe by one_line(), all but the first indented, so that no text can forge a line at the margin."""
    return "\n  ".join(map(one_line, (first, *more)))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
