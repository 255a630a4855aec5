"""The words of a request, changed and encoded."""

from __future__ import annotations

from tap.faults.request_words import encoded


def test_words_with_any_bytes_can_be_encoded() -> None:
    assert encoded([b"PSYNC", b"", b"a\r\nb"]) == b"*3\r\n$5\r\nPSYNC\r\n$0\r\n\r\n$4\r\na\r\nb\r\n"
