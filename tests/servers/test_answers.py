"""What servers answer about themselves, as Python values."""

from __future__ import annotations

from typing import Any

import pytest

from tap.servers.answers import client_lines, number, settings, text
from tap.servers.failures import InvalidReply


def test_settings_are_values_by_name() -> None:
    assert settings([b"dir", b"/\xff", b"save", b""]) == {"dir": "/\udcff", "save": ""}
    assert settings([b"dir", b"/\xff"], errors="replace") == {"dir": "/\ufffd"}
    assert settings([]) == {}


@pytest.mark.parametrize("reply", [None, b"dir", [b"dir"], {b"dir": b"/"}])
def test_another_answer_is_none_of_config_get(reply: Any) -> None:
    with pytest.raises(InvalidReply):
        settings(reply)


def test_each_line_of_clients_has_its_fields() -> None:
    reply = b"id=1 addr=10.0.0.7:1234 name= omem=0\nid=2 addr=[::1]:5 name=\xff cmd=a=b\n"
    assert client_lines(reply) == [
        {"id": "1", "addr": "10.0.0.7:1234", "name": "", "omem": "0"},
        {"id": "2", "addr": "[::1]:5", "name": "\ufffd", "cmd": "a=b"},
    ]
    assert client_lines(b"") == client_lines(None) == []


def test_a_word_may_be_missing_or_no_number() -> None:
    assert (text(b"a"), text("a"), text(None)) == ("a", "a", "")
    assert [number(word) for word in ("-1", "0", "9" * 20, "9" * 21, "1.5", "", None)] == [
        -1, 0, int("9" * 20), None, None, None, None,
    ]  # fmt: skip
