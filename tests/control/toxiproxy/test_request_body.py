"""How the JSON of requests is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tap.control.toxiproxy.request_body import Fields, ToxiproxyError, first_value, plain, shortest, written


def refused(act: Callable[[], Any]) -> str:
    """Why it is a bad body."""
    with pytest.raises(ToxiproxyError) as caught:
        act()
    assert caught.value.status == 400
    before, _, reason = caught.value.text.partition(": ")
    assert before == "bad request body"
    return reason


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' \r\n\t{"a": 1} {"b": 2}', {"a": 1}),
        (b"[] nonsense", []),
        (b"null", None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\xff"', "\ufffd"),
        (b'"\\u00e4\xc3\xa4"', "ää"),
    ],
)
def test_the_first_value_counts(body: bytes, value: Any) -> None:
    assert first_value(body) == value


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_its_end(body: bytes) -> None:
    assert refused(lambda: first_value(body)) == "EOF"


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"name', b'{"name"', b'{"name":', b'{"name": "repl', b'{"a": 1,', b"[1", b"tru", b"-", b'"\\u12', b"[nul"],
)
def test_a_body_that_is_cut_off_ends_unexpectedly(body: bytes) -> None:
    assert refused(lambda: first_value(body)) == "unexpected EOF"


@given(some.recursive(some.none() | some.booleans() | some.integers() | some.text(max_size=5), some.lists, max_leaves=5))
def test_every_beginning_of_an_object_is_cut_off(value: Any) -> None:
    whole = json.dumps({"a": value, "b": [value]}, ensure_ascii=False).encode()
    for end in range(1, len(whole)):
        assert refused(lambda: first_value(whole[:end])) == "unexpected EOF"  # noqa: B023


@pytest.mark.parametrize(
    "body",
    [b"nonsense", b"{'a': 1}", b'{"a" 1}', b'{"a": 01}', b"[1 2]", b"NaN", b'{"a": Infinity}', b'"\n"',
     b"1" * 5000, b"[" * 10**5],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refused(lambda: first_value(body)) not in ("", "EOF", "unexpected EOF")


def test_members_have_their_defaults_and_null_is_absent() -> None:
    for fields in (Fields({}, "X"), Fields(None, "X"), Fields(dict.fromkeys("tbins"), "X")):
        assert fields.text("t", "a") == "a"
        assert fields.boolean("b", True) is True
        assert fields.integer("i", 7) == 7
        assert fields.number("n", 0.5) == 0.5
        assert fields.single("s", 0.25) == 0.25
        assert fields.members("m").integer("i", 7) == 7


def test_members_have_their_values() -> None:
    fields = Fields({"t": "é\ud800", "b": False, "i": -(2**63), "n": 3, "s": 0.1234567891, "m": {"i": 1}}, "X")
    assert fields.text("t", "a") == "é\ufffd"
    assert fields.boolean("b", True) is False
    assert fields.integer("i", 7) == -(2**63)
    assert fields.number("n", 0.5) == 3
    assert fields.single("s", 1) == 0.12345679
    assert fields.members("m").integer("i", 7) == 1


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        ("text", [1, True, [], {}, 1.5]),
        ("boolean", [1, "true", [], {}]),
        ("integer", [1.0, 1.5, "5", True, 2**63, -(2**63) - 1, [], {}]),
        ("number", ["5", True, [], {}, float("inf"), 10**400]),
        ("single", ["5", False, 1e39, -1e39]),
        ("members", [1, "x", [], True]),
    ],
)
def test_nothing_is_converted(read: str, wrong: list[Any]) -> None:
    for value in wrong:
        fields = Fields({"it": value}, "Proxy")
        arguments = ["it"] if read == "members" else ["it", None]
        reason = refused(lambda: getattr(fields, read)(*arguments))  # noqa: B023
        assert reason.startswith("json: cannot unmarshal ")
        assert "field Proxy.it of type" in reason


@pytest.mark.parametrize("value", [[], "x", 5, True, 1.5])
def test_an_object_is_no_other_value(value: Any) -> None:
    assert refused(lambda: Fields(value, "Proxy")).endswith("into value of type Proxy")


@given(some.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_in_single_precision_is_its_shortest_form(value: float) -> None:
    found = shortest(value)
    assert struct.pack("f", found) == struct.pack("f", value)
    assert len(repr(found)) <= len(repr(value))
    assert shortest(found) == found


def test_answers_are_compact_and_whole_numbers_have_no_point() -> None:
    assert (
        written({"a": plain(1.0), "b": [plain(0.2), plain(1e300)], "c": "ä"})
        == '{"a":1,"b":[0.2,1e+300],"c":"ä"}'.encode()
    )
