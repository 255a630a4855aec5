"""The numbers of the tape and of the parser: the same in C and in Python."""

from __future__ import annotations

import re

import pytest

from tap.rdb import states, tape, tokens
from tests.support import ROOT


@pytest.mark.parametrize("module", [states, tokens])
def test_the_numbers_for_c_equal_those_of_the_module(module: object) -> None:
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    lines = (ROOT / f"tap/rdb/{name}.pxd").read_text().splitlines()
    of_c = {key.strip(): int(number, 0) for key, _, number in (line.partition("=") for line in lines) if number}
    assert of_c == {
        key: number for key, number in vars(module).items() if isinstance(number, int) and key != "annotations"
    }


def test_every_token_is_described_and_has_room_for_its_numbers() -> None:
    names = list(vars(tokens))
    words = names[names.index("KEY") : names.index("SIZES")]
    assert [getattr(tokens, word) for word in sorted(words, key=vars(tokens).__getitem__)] == list(
        range(1, len(words) + 1)
    )
    assert set(words) <= set(re.findall(r"[A-Z_]+", str(tape.__doc__)))
    assert len(tokens.SIZES) == len(words) + 1
    assert max(tokens.SIZES) < tokens.ROOM


def test_every_type_and_encoding_has_its_word() -> None:
    encodings = {name: value for name, value in vars(tokens).items() if name.startswith("E_")}
    assert {name: tokens.ENCODINGS[number] for name, number in encodings.items()} == {
        name: name.removeprefix("E_").lower() for name in encodings
    }
    assert len(encodings) == len(tokens.ENCODINGS)
    assert tokens.TYPES[tokens.STREAM_VALUE] == "stream"
