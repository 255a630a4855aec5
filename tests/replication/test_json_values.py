"""Values as JSON: one type for every byte string, exact both ways, and always printable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import json_values

WORDS = st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | st.binary(max_size=9).map(b"base64:".__add__)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", ""),
        (b"user:1", "user:1"),
        ("Grüße, 世界 👩‍👩‍👧".encode(), "Grüße, 世界 👩‍👩‍👧"),
        (b'{"a": "b\\n"}\n\tx\x00', '{"a": "b\\n"}\n\tx\x00'),
        (b"\xff\n", "base64:/wo="),
        (b"a\xed\xa0\x80", "base64:Ye2ggA=="),  # a surrogate is not UTF-8
        (b"base64:", "base64:YmFzZTY0Og=="),
        (b"base64:/wo=", "base64:YmFzZTY0Oi93bz0="),
    ],
)
def test_a_byte_string_is_text_or_base64(data: bytes, said: str) -> None:
    assert json_values.as_text(data) == said
    assert json_values.as_bytes(said) == data


@given(WORDS)
def test_every_byte_string_comes_back(data: bytes) -> None:
    said = json.loads(json_values.json_line([json_values.as_text(data)]))[0]
    assert isinstance(said, str)
    assert json_values.as_bytes(said) == data


def test_invalid_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        json_values.as_bytes("base64:?")


@given(st.text() | st.lists(st.text()))
def test_a_line_of_json_is_printable_and_says_the_same(said: str | list[str]) -> None:
    line = json_values.json_line(said)
    assert line.isprintable()
    assert json.loads(line) == said


def test_printable_text_stays_readable() -> None:
    assert json_values.json_line({"a": "Grüße, 世界 👍\x9b\u202e\U000e0041"}) == (
        '{"a":"Grüße, 世界 👍\\u009b\\u202e\\udb40\\udc41"}'
    )
