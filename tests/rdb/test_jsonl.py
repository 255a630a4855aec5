"""JSON lines: one key in each, whatever its size and wherever the output is split."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tap.rdb.jsonl import JsonLines
from tap.rdb.parser import Parser
from tests.rdb import make
from tests.rdb.reading import fed, json_lines

S = make.string


def test_a_line_describes_its_key() -> None:
    data = make.rdb(9, b"\xfe\x03\xf9\x07\xfc" + (10**12).to_bytes(8, "little") + make.key(0, S(b"k"), S(b"v")))
    assert json_lines(data) == [
        {
            "db": 3, "key": "k", "type": "string", "encoding": "embstr", "rdb_type": 0, "serialized_bytes": 16,
            "elements": 1, "expires_at_ms": 10**12, "freq": 7, "value": "v",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("text", [b'a "b" \\ c', "é中".encode(), b"\x1b[0m", b"\xff", b"", b"a\tb", b"\x7f"])
def test_a_byte_string_is_text_if_it_is_printable(text: bytes) -> None:
    [line] = json_lines(make.rdb(9, make.key(2, S(text), make.length(1) + S(text))))
    try:
        printable = text.decode().isprintable()
    except UnicodeDecodeError:
        printable = False
    for said in (line["key"], line["value"][0]):
        assert (said.encode() == text) if printable else list(said) == ["b64"]


@pytest.mark.parametrize("number", [0, -1, 10**18, -(10**18), -(10**18) - 1, 2**63 - 1, -(2**63)])
def test_an_integer_is_its_text(number: int) -> None:
    [line] = json_lines(make.rdb(9, make.key(20, S(b"k"), S(make.listpack([number])))))
    assert line["value"] == [str(number)]


LARGE: dict[str, Callable[[], tuple[bytes, object]]] = {
    "many members": lambda: (
        make.key(2, S(b"k"), make.length(200_000) + b"".join(S(b"%06d" % number) for number in range(200_000))),
        [f"{number:06}" for number in range(200_000)],
    ),
    "one string": lambda: (make.key(0, S(b"k"), S("é".encode() * 10**6)), "é" * 10**6),
    "one that is no text": lambda: (
        make.key(1, S(b"k"), make.length(2) + S(b"\xff" * (2 * 10**6 + 1)) + S(b"b")),
        [{"b64": base64.b64encode(b"\xff" * (2 * 10**6 + 1)).decode()}, "b"],
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_line_of_megabytes_is_written_in_pieces_and_says_the_same(case: str) -> None:
    record, value = LARGE[case]()
    pieces: list[bytes] = []
    reader = JsonLines(lambda piece: pieces.append(bytes(piece)))
    data = make.rdb(9, record, make.key(0, S(b"after"), S(b"v")))
    assert fed(Parser(reader, values=True), data, 50_000) is None
    reader.close()
    first, second = map(json.loads, b"".join(pieces).splitlines())
    assert first["value"] == value
    assert (first["key"], first["serialized_bytes"], second["key"]) == ("k", len(record), "after")
    assert len(pieces) > 3
    assert reader.records == 2
