"""The characters allowed in a line for people."""

from hypothesis import given
from hypothesis import strategies as st

from tap.printable import one_line, paragraph

HARMLESS = "SET key:1 été 日本語 \t[fd00::5]:6380 [/a] :smile:"


def test_text_for_display_stays_unchanged() -> None:
    assert one_line(HARMLESS) == HARMLESS


def test_characters_that_command_a_terminal_become_escapes() -> None:
    assert one_line("\x1b]0;owned\x07\x9b2J\x7f") == r"\x1b]0;owned\x07\x9b2J\x7f"


def test_characters_that_forge_a_line_or_reverse_it_become_escapes() -> None:
    assert one_line("a\nb\r\u2028\u202egnp.exe\ufeff\udcff") == r"a\nb\r\u2028\u202egnp.exe\ufeff\udcff"


def test_invisible_characters_become_escapes() -> None:
    assert one_line("a\u200bb\u200d\u00ad\u2060\u3164\U000e0041") == r"a\u200bb\u200d\xad\u2060\u3164\U000e0041"


def test_a_paragraph_has_exactly_its_lines() -> None:
    assert paragraph("there is:", "one", "two\n  redis-tap: forged") == "there is:\n  one\n  two\\n  redis-tap: forged"


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_one_line_that_can_be_written(text: str) -> None:
    line = one_line(text)
    assert line.encode("utf-8").decode("utf-8").splitlines() in ([line], [])
    assert all(character == "\t" or not (ord(character) < 32 or 127 <= ord(character) < 160) for character in line)
    assert one_line(line) == line
