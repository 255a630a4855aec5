"""The words of a request, changed and encoded."""

from __future__ import annotations

import pytest

from tap.faults.request_words import capable, encoded, replaced, shown


def test_words_with_any_bytes_can_be_encoded() -> None:
    assert encoded([b"PSYNC", b"", b"a\r\nb"]) == b"*3\r\n$5\r\nPSYNC\r\n$0\r\n\r\n$4\r\na\r\nb\r\n"


@pytest.mark.parametrize(
    ("words", "sign", "name", "changed"),
    [
        ("REPLCONF capa eof", "+", b"x", "REPLCONF capa eof capa x"),
        ("REPLCONF CAPA eof", "+", b"x", "REPLCONF CAPA eof capa x"),
        ("REPLCONF capa x", "+", b"x", None),
        ("REPLCONF version 9", "+", b"x", None),
        ("REPLCONF capa", "+", b"x", None),
        ("REPLCONF capa eof capa x version 9", "-", b"x", "REPLCONF capa eof version 9"),
        ("REPLCONF version x capa eof", "-", b"x", None),
        ("REPLCONF version x capa x", "-", b"x", "REPLCONF version x"),
        ("REPLCONF Capa X", "-", b"x", "REPLCONF"),
        ("REPLCONF capa x capa x", "-", b"x", "REPLCONF"),
        ("REPLCONF version 9", "-", b"9", None),
    ],
)
def test_a_capability_is_added_or_taken_away(words: str, sign: str, name: bytes, changed: str | None) -> None:
    text = f"capa {name.decode()} {'added' if sign == '+' else 'taken away'}"
    found = capable(words.encode().split(), sign, name)
    assert found == (None if changed is None else (changed.encode().split(), text))


@pytest.mark.parametrize(
    ("words", "after", "changed", "text"),
    [
        ("REPLCONF ip-address a", b"", "REPLCONF ip-address h", "ip-address h instead of a"),
        ("REPLCONF IP-Address a z 1", b"", "REPLCONF IP-Address h z 1", "ip-address h instead of a"),
        ("REPLCONF z 1 ip-address a", b"", "REPLCONF z 1 ip-address h", "ip-address h instead of a"),
        ("REPLCONF ip-address h", b"", None, ""),
        ("REPLCONF ip-address", b"", None, ""),
        ("REPLCONF z ip-address", b"", None, ""),
        ("REPLCONF z 1", b"", None, ""),
        ("REPLCONF z 1", b"z", "REPLCONF z 1 ip-address h", "ip-address h added"),
        ("REPLCONF Z 1", b"z", "REPLCONF Z 1 ip-address h", "ip-address h added"),
        ("REPLCONF 1 z", b"z", None, ""),
    ],
)
def test_a_value_is_replaced_or_added_after_another_option(
    words: str, after: bytes, changed: str | None, text: str
) -> None:
    found = replaced(words.encode().split(), b"ip-address", b"h", after)
    assert found == (None if changed is None else (changed.encode().split(), text))


def test_words_are_shown_in_ascii() -> None:
    assert shown([b"a", b"\xff\n", b"c"]) == r"a \xff\n c"
    assert shown([]) == ""
