"""The tape, uncompiled: numbers in a row, read whenever there is no room for more."""

from __future__ import annotations

from typing import Any

import pytest

from tap.rdb.tokens import ITEM, LARGE, PIECE, SIZES, TAPE_SIZE
from tests.rdb.story import uncompiled


class Heard:
    """A reader that keeps the tokens, with the bytes of strings."""

    def __init__(self) -> None:
        self.tokens: list[tuple[Any, ...]] = []
        self.flushes = 0

    def __call__(self, tape: Any) -> None:
        self.flushes += 1
        at = 0
        while at < tape.count:
            token = tape.numbers[at]
            numbers = list(tape.numbers[at + 1 : at + 1 + SIZES[token]])
            self.tokens.append((token, tape.text(*numbers)) if token in (ITEM, PIECE) else (token, *numbers))
            at += 1 + SIZES[token]
        assert at == tape.count, "a token has as many numbers as its table says"


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def tape(heard: Heard) -> Any:
    return uncompiled("tape").Tape(heard)


def test_bytes_are_named_by_their_place(tape: Any, heard: Heard) -> None:
    tape.open(b"the source", b"the source")
    tape.say2(ITEM, 4, 6)
    tape.copy(b"made")
    tape.copy(b"")
    tape.flush()
    assert heard.tokens == [(ITEM, b"source"), (ITEM, b"made"), (ITEM, b"")]


def test_a_full_tape_is_read_and_overwritten(tape: Any, heard: Heard) -> None:
    said = [(5, number) for number in range(TAPE_SIZE)]
    for token in said:
        tape.say1(*token)
    assert heard.flushes
    tape.flush()
    tape.flush()
    assert heard.tokens == said
    assert heard.flushes == 3, "nothing is read twice, and nothing where nothing is"


def test_a_long_string_passes_in_pieces(tape: Any, heard: Heard) -> None:
    text = bytes(range(256)) * 1200
    tape.copy(text)
    tape.flush()
    assert [token for token, _ in heard.tokens] == [PIECE] * 4 + [ITEM]
    assert b"".join(piece for _, piece in heard.tokens) == text
    assert max(len(piece) for _, piece in heard.tokens) == LARGE


def test_the_arena_grows_for_what_has_to_be_in_one_piece(tape: Any, heard: Heard) -> None:
    before = len(tape.arena)
    tape.room(before)
    assert len(tape.arena) == before
    tape.say1(5, 1)
    tape.used = 10
    tape.room(before)
    assert heard.tokens == [(5, 1)], "what was said of the arena is read before it is used again"
    assert (tape.used, len(tape.arena)) == (0, before)
    tape.room(before + 1)
    assert len(tape.arena) > before
