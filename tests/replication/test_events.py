"""Events as JSON: one type for every byte string, exact both ways, and always printable."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import events

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
    assert events.as_text(data) == said
    assert events.as_bytes(said) == data


@given(WORDS)
def test_every_byte_string_comes_back(data: bytes) -> None:
    said = json.loads(events.json_line([events.as_text(data)]))[0]
    assert isinstance(said, str)
    assert events.as_bytes(said) == data


def test_invalid_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        events.as_bytes("base64:?")


@given(st.lists(WORDS, max_size=5))
def test_arguments_have_one_type_whatever_they_hold(args: list[bytes]) -> None:
    command = events.Command(start=0, end=1, offset=1, db=0, name="SET", args=tuple(args), in_transaction=False)
    said = events.as_dict(command)["args"]
    assert [type(one) for one in said] == [str] * len(args)
    assert [events.as_bytes(one) for one in said] == args


@given(st.text() | st.lists(st.text()))
def test_a_line_of_json_is_printable_and_says_the_same(said: str | list[str]) -> None:
    line = events.json_line(said)
    assert line.isprintable()
    assert json.loads(line) == said


def test_printable_text_stays_readable() -> None:
    assert events.json_line({"a": "Grüße, 世界 👍\x9b\u202e\U000e0041"}) == (
        '{"a":"Grüße, 世界 👍\\u009b\\u202e\\udb40\\udc41"}'
    )


def test_every_byte_string_of_an_event_is_converted() -> None:
    key = events.LargeKey(db=0, key=b"\xff", type="string", serialized_bytes=1, elements=1)
    assert events.plain(key)["key"] == "base64:" + base64.b64encode(b"\xff").decode()


@pytest.mark.parametrize(
    "event",
    [
        events.FullResync(
            start=1, end=2, replid="a" * 40, offset=7, reason=events.Reason(code="first_sync", text="none"),
            channel=events.Channel.RDB,
        ),
        events.PartialResync(start=1, end=2, replid=None, previous_replid=None, offset=None, bytes_behind=3),
        events.Handshake(start=1, end=2, request=("PING",), reply="+PONG", sent=("PING", "x")),
        events.LinkOpened(peer="p", master="m"),
    ],
)  # fmt: skip
def test_an_event_comes_back_from_its_object(event: events.Event) -> None:
    assert events.from_dict(events.as_dict(event)) == event
    assert events.from_dict(json.loads(events.json_line(events.as_dict(event))) | {"more": 1}) == event


def test_anything_but_an_event_is_ignored_or_refused() -> None:
    assert events.from_dict({"event": "other"}) is None
    said = events.as_dict(events.LinkOpened(peer="p", master="m"))
    for wrong, error in (({**said, "peer": 5}, TypeError), ({"event": "link_opened"}, TypeError)):
        with pytest.raises(error):
            events.from_dict(wrong)
    full = events.as_dict(
        events.FullResync(start=1, end=2, replid=None, offset=None, reason=events.Reason(code="a", text="b"))
    )
    with pytest.raises(ValueError, match="sideways"):
        events.from_dict({**full, "channel": "sideways"})
