"""A problem names its place in the file and its key."""

from __future__ import annotations

from tap.rdb.problem import Problem


def test_between_records_only_the_byte_is_given() -> None:
    assert str(Problem("truncated", 12, "it ends here", 0, None)) == "byte 12: it ends here"


def test_in_a_record_its_key_is_named_with_its_db() -> None:
    assert str(Problem("damaged", 3, "odd", 2, b"")) == "byte 3, in key '' of db 2: odd"
    assert str(Problem("damaged", 3, "odd", 2, b"user:1")) == "byte 3, in key 'user:1' of db 2: odd"


def test_no_key_fills_a_terminal_or_controls_it() -> None:
    text = str(Problem("damaged", 3, "odd", 0, b"\x1b[31m\xff\n" + b"x" * 10_000))
    assert text.startswith(r"byte 3, in key '\x1b[31m\\xff\nxxx")
    assert text.count("x" * 92) == 1
    assert "x" * 94 not in text
    assert text.endswith("' of db 0: odd")
